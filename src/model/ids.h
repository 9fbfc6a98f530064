// The ids of the life of an event. None of them converts into another or into a number.
#pragma once

#include <cstdint>

#include "base/strong_id.h"

namespace millrace {

/// Given by the catalog when a stream is created; never reused.
using StreamId = StrongId<struct StreamIdTag, std::uint32_t>;
using PartitionId = StrongId<struct PartitionIdTag, std::uint32_t>;
/// The broker's own records in the log. No stream of the catalog comes so far.
inline constexpr StreamId kBrokerStream{0xffff'fffe};
/// What requests with an Idempotency-Key were answered, in the log.
inline constexpr StreamId kRequestsStream{0xffff'ffff};
/// Place of a record in one partition, from 0.
using Offset = StrongId<struct OffsetTag, std::uint64_t>;
/// Given by the catalog when a view is created; never reused, so a re-created view is another one.
using ViewId = StrongId<struct ViewIdTag, std::uint32_t>;
/// Given by the catalog when a reference table is created; never reused.
using TableId = StrongId<struct TableIdTag, std::uint32_t>;
/// Number of one content of a reference table, from 1.
using TableVersion = StrongId<struct TableVersionTag, std::uint64_t>;
/// Number of a lake commit of one stream, from 1; 0 is "before the first".
using CommitNumber = StrongId<struct CommitNumberTag, std::uint64_t>;
/// Number of a generation of one view, from 1; 0 is "the empty one".
using GenerationNumber = StrongId<struct GenerationNumberTag, std::uint64_t>;

}  // namespace millrace
