#include "format/decoded.h"

namespace millrace::format {

namespace {
/// Of a refused record besides its texts: its members, and its row in quarantine as columns and as
/// JSON.
constexpr std::uint64_t kRefusedBytes = 512;
}  // namespace

void Decoded::refuse(const DecodeLimits& limits, RejectedRecord record) {
  const bool is_complete = !has_too_many_refused();
  ++rejected_count;
  const std::uint64_t bytes = kRefusedBytes + record.reason.size() + record.raw.size();
  // The first one is kept, however large: who asks needs a reason. Behind a gap none is kept, so
  // that what is told are the first.
  const bool has_room = is_complete && rejected_bytes + bytes <= limits.rejected_bytes_max;
  if (rejected_count > 1 && !has_room) return;
  rejected_bytes += bytes;
  rejected.push_back(std::move(record));
}

void Decoded::refuse(const DecodeLimits& limits, std::uint64_t line, const RecordFault& fault,
                     std::string_view raw) {
  refuse(limits, {.line = line,
                  .id = std::string(fault.id),
                  .reason = fault.reason,
                  .raw = std::string(raw.substr(0, kRawBytesMax))});
}

void Decoded::forget_refused() {
  rejected.clear();
  rejected_count = 0;
  rejected_bytes = 0;
}

}  // namespace millrace::format
