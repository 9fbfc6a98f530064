// ?at_least= and ?timeout_ms= of reads, and the header Millrace-Position of answers: a client that
// gives a position back reads what it has seen or written, over whatever connection. Thread: any.
// Errors: kInvalidArgument (kBadRequest); those of serving/position_wait.h.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "endpoint/api_routes.h"
#include "serving/position_token.h"

namespace millrace::endpoint {

struct ReadPosition {
  serving::PositionToken at_least;  // no streams: nothing to wait for
  std::int64_t timeout_ms = 5000;
};
[[nodiscard]] Result<ReadPosition> read_position_of(const HttpRequest& request);

/// Those whose events the client may see, in the streams or in what views make of them.
[[nodiscard]] std::vector<StreamId> streams_within_reach(const Services& services,
                                                         const access::Principal& who);
/// Keeps of `position` what a read of these streams must wait for: those, and what they are derived
/// of. Nothing else is told of, so that nobody learns of streams that are none of its business.
[[nodiscard]] Status keep_only(const Services& services, const access::Principal& who,
                               std::span<const StreamId> streams, ReadPosition& position);

/// Calls `read` when the position is visible, or answers that it is not. `read` must not block.
void read_at(serving::PositionWait& wait, ReadPosition position, Responder responder,
             std::function<void(Responder)> read);

void add_position(HttpResponse& response, const serving::PositionToken& position);

}  // namespace millrace::endpoint
