// What becomes of a request with more bad records than a body keeps (DecodeLimits): it is refused
// as a whole, or is one bad record as a whole. Values only; any thread.
#pragma once

#include <string_view>

#include "base/error.h"
#include "format/decoded.h"
#include "model/stream.h"

namespace millrace::ingest {

/// kPayloadTooLarge (kTooManyRejected): how many there are, and what is wrong with the first.
[[nodiscard]] Error too_many_rejected(const format::Decoded& decoded, std::string_view stream);
/// In place of what was decoded of `body`.
[[nodiscard]] format::Decoded rejected_whole(const format::Decoded& decoded,
                                             const StreamDefinition& stream,
                                             const format::DecodeLimits& limits,
                                             std::string_view body);

}  // namespace millrace::ingest
