#include "endpoint/read_position.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

constexpr std::int64_t kTimeoutMsMax = 60'000;

std::unexpected<Error> bad(std::string message) {
  return std::unexpected(
      Error{.code = ErrorCode::kInvalidArgument,
            .id = std::string(error_id::kBadRequest),
            .message = std::move(message),
            .hint = "at_least is what an answer's header Millrace-Position had, unchanged",
            .place = {}});
}

std::set<StreamId> with_sources(const speed::SpeedLayer& speed, std::span<const StreamId> streams) {
  std::set<StreamId> out;
  for (const StreamId first : streams) {
    for (std::optional<StreamId> next = first; next && out.insert(*next).second;) {
      const auto stream = speed.stream(*next);
      next = stream == nullptr ? std::nullopt : stream->definition().source;
    }
  }
  return out;
}

}  // namespace

Result<ReadPosition> read_position_of(const HttpRequest& request) {
  ReadPosition out;
  if (const auto text = request.query_value("at_least")) {
    auto token = serving::PositionToken::parse(*text);
    if (!token) return bad("at_least is no position that an answer gave");
    out.at_least = std::move(*token);
  }
  if (const auto text = request.query_value("timeout_ms")) {
    const auto [stop, code] =
        std::from_chars(text->data(), text->data() + text->size(), out.timeout_ms);
    if (code != std::errc() || stop != text->data() + text->size() || out.timeout_ms < 0 ||
        out.timeout_ms > kTimeoutMsMax) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                  "timeout_ms={} is not a number from 0 to {}", *text, kTimeoutMsMax);
    }
  }
  return out;
}

std::vector<StreamId> streams_within_reach(const Services& services, const access::Principal& who) {
  std::vector<StreamId> seen;
  for (const auto& stream : services.speed.streams()) {
    if (services.statements.is_visible(who, stream->definition().name))
      seen.push_back(stream->definition().id);
  }
  for (const auto& view : services.speed.named_views()) {
    if (services.statements.is_visible(who, view->record().name))
      seen.insert(seen.end(), view->record().streams.begin(), view->record().streams.end());
  }
  return seen;
}

Status keep_only(const Services& services, const access::Principal& who,
                 std::span<const StreamId> streams, ReadPosition& position) {
  if (position.at_least.streams.empty()) return {};
  const auto concerning = with_sources(services.speed, streams);
  std::vector<std::pair<StreamId, Position>> kept;
  for (auto& [id, wanted] : position.at_least.streams) {
    const auto stream = services.speed.stream(id);
    const bool concerned = stream != nullptr && concerning.contains(id);
    const bool known = concerned || (stream != nullptr && services.statements.is_visible(
                                                              who, stream->definition().name));
    if (!known || wanted.partitions() > stream->definition().partitions)
      return bad("at_least is a position in something else than what is here");
    if (concerned) kept.emplace_back(id, std::move(wanted));
  }
  position.at_least.streams = std::move(kept);
  return {};
}

void read_at(serving::PositionWait& wait, ReadPosition position, Responder responder,
             std::function<void(Responder)> read) {
  if (position.at_least.streams.empty()) {
    read(std::move(responder));
    return;
  }
  // std::function copies what it holds, a Responder is one of a kind.
  auto shared = std::make_shared<Responder>(std::move(responder));
  wait.wait(std::move(position.at_least), position.timeout_ms,
            [shared, read = std::move(read)](const Status& status) {
              if (status) {
                read(std::move(*shared));
              } else {
                shared->respond(problem(status.error()));
              }
            });
}

void add_position(HttpResponse& response, const serving::PositionToken& position) {
  if (!position.streams.empty())
    response.headers.emplace_back("Millrace-Position", position.text());
}

}  // namespace millrace::endpoint
