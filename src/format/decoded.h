// What every decoder makes of a body: the good records as columns and as the text that the log
// keeps, the bad ones with a reason. Values only; any thread. Errors: a bad record is a
// RejectedRecord, never an Error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/column_batch.h"

namespace millrace::format {

struct DecodeLimits {
  std::uint32_t depth_max = 64;
  std::uint32_t record_bytes_max = 1 << 20;
  /// Of what is kept of the refused records of one body, about what they cost in quarantine.
  std::uint64_t rejected_bytes_max = std::uint64_t{32} << 20;
  bool operator==(const DecodeLimits&) const = default;
};

/// Why a record is refused: an error_id, and what, where, why.
struct RecordFault {
  std::string_view id;
  std::string reason;
};

struct RejectedRecord {
  std::uint64_t line =
      0;               // from 1: a line of text, an element of an array, a record of a container
  std::string id;      // error_id, "MR2003"
  std::string reason;  // what, where, why: "column 'delay': \"x\" is not a BIGINT"
  std::string raw;     // the bytes as they came, cut at 64 KiB
};

struct Decoded {
  /// The good records, in order.
  std::shared_ptr<ColumnBatch> columns;
  /// Each of them as JSON: values.size() == columns->rows(). Of a body of JSON its own bytes
  /// without the blanks around them, else written from the columns into `text`.
  std::vector<std::string_view> values;
  std::shared_ptr<Arena> text;
  /// The first of them, as many as DecodeLimits::rejected_bytes_max has room for.
  std::vector<RejectedRecord> rejected;
  /// All of them.
  std::uint64_t rejected_count = 0;
  std::uint64_t rejected_bytes = 0;  // that those kept count for

  /// Counts a record; keeps it while there is room, the first one always.
  void refuse(const DecodeLimits& limits, RejectedRecord record);
  /// `raw` is cut at kRawBytesMax.
  void refuse(const DecodeLimits& limits, std::uint64_t line, const RecordFault& fault,
              std::string_view raw);
  /// As if none had been refused.
  void forget_refused();
  /// Not all that were refused are kept.
  [[nodiscard]] bool has_too_many_refused() const { return rejected_count > rejected.size(); }
};

/// Of the bytes of a bad record at most.
inline constexpr std::size_t kRawBytesMax = std::size_t{64} << 10;

}  // namespace millrace::format
