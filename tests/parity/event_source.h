// The parity kit's events: a pure function of a seed. They have what breaks sums and orders: NULL,
// NaN of several bits, -0.0, infinities, extremes of every integer, unicode, ties in every column,
// equal and late event times, a key that 30 % of the events have, keys that come once.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "model/stream.h"

namespace millrace::parity {

using Random = std::mt19937_64;
inline std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }

/// Named "e"; its event time is the column t.
StreamDefinition event_stream();

struct EventOptions {
  std::uint64_t events = 0;
  std::uint64_t seed = 1;
  std::uint64_t keys = 0;  // distinct values of g
  std::uint32_t partitions = 4;
};

/// Batches of a few to a few thousand events, as producers would send them: consecutive offsets in
/// each partition, partitions in turn.
std::vector<StreamBatch> make_events(const EventOptions& options);

}  // namespace millrace::parity
