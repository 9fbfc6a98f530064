#include "ingest/bad_records.h"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace millrace::ingest {

namespace {

std::string first_of(const format::Decoded& decoded) {
  const auto& first = decoded.rejected.front();
  return fmt::format("record {}: {} {}", first.line, first.id, first.reason);
}

}  // namespace

Error too_many_rejected(const format::Decoded& decoded, std::string_view stream) {
  return {
      .code = ErrorCode::kPayloadTooLarge,
      .id = std::string(error_id::kTooManyRejected),
      .message = fmt::format("{} records of this request are bad, which is more than stream {} "
                             "takes into quarantine at once; nothing was stored. The first is {}",
                             decoded.rejected_count, stream, first_of(decoded)),
      .hint = "send fewer records in a request; ?on_error=reject tells of the first ones",
      .place = {}};
}

format::Decoded rejected_whole(const format::Decoded& decoded, const StreamDefinition& stream,
                               const format::DecodeLimits& limits, std::string_view body) {
  format::Decoded out;
  out.columns = std::make_shared<ColumnBatch>(stream.types());
  out.refuse(limits, {.line = 1,
                      .id = std::string(error_id::kTooManyRejected),
                      .reason = fmt::format("{} records of it are bad, more than go to quarantine "
                                            "at once; the first is {}",
                                            decoded.rejected_count, first_of(decoded)),
                      .raw = std::string(body.substr(0, format::kRawBytesMax))});
  return out;
}

}  // namespace millrace::ingest
