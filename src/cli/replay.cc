#include "cli/replay.h"

#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <utility>

#include "model/position.h"
#include "runtime/clock.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;

constexpr std::int64_t kProbeEveryUs = 300'000;
constexpr std::int64_t kRetryMsMax = 2'000;

std::unexpected<Error> unexpected_answer(std::string_view what, std::string_view body) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {}", what, body.substr(0, 500));
}

/// Seconds of Retry-After (RFC 9110, section 10.2.3) as a pause, a tenth of a second where it is
/// not given.
std::chrono::milliseconds retry_pause(const client::HttpReply& reply) {
  const auto text = reply.header("Retry-After");
  std::int64_t seconds = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), seconds).ec != std::errc()) {
    return std::chrono::milliseconds(100);
  }
  return std::chrono::milliseconds(std::min(seconds * 1'000, kRetryMsMax));
}

Result<Position> position_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return unexpected_answer(key, json::serialize(object));
  return Position::parse(json::serialize(*value));
}

}  // namespace

Replay::Replay(ReplayOptions options) : options_(std::move(options)) {
  for (std::uint32_t i = 0; i < options_.connections; ++i) {
    threads_.emplace_back([this, i] { send_bodies(i == 0); });
  }
}

Replay::~Replay() {
  {
    const MutexLock lock(mutex_);
    bodies_.clear();
    ended_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
}

Status Replay::push(std::string body, std::uint64_t rows) {
  const MutexLock lock(mutex_);
  while (bodies_.size() >= kBodiesMax && !error_) changed_.wait(mutex_);
  if (error_) return std::unexpected(*error_);
  bodies_.push_back({std::move(body), rows});
  changed_.notify_all();
  return {};
}

Status Replay::finish() {
  const MutexLock lock(mutex_);
  while ((!bodies_.empty() || under_way_ != 0) && !error_) changed_.wait(mutex_);
  if (error_) return std::unexpected(*error_);
  return {};
}

ReplayFigures Replay::figures() const {
  const MutexLock lock(mutex_);
  return figures_;
}

std::optional<Replay::Body> Replay::next_body() {
  const MutexLock lock(mutex_);
  while (bodies_.empty() && !ended_ && !error_) changed_.wait(mutex_);
  if (bodies_.empty() || error_) return std::nullopt;
  auto body = std::move(bodies_.front());
  bodies_.pop_front();
  ++under_way_;
  changed_.notify_all();
  return body;
}

void Replay::stop_with(Error error) {
  const MutexLock lock(mutex_);
  if (!error_) error_ = std::move(error);
  changed_.notify_all();
}

void Replay::send_bodies(bool probes) {
  auto http = client::HttpClient::connect(options_.server);
  if (!http) return stop_with(http.error());
  std::int64_t next_probe_us = 0;
  while (const auto body = next_body()) {
    const std::int64_t posted_us = runtime::monotonic_us();
    std::string position;
    auto sent = send(*http, *body, position);
    if (sent && probes && posted_us >= next_probe_us) {
      next_probe_us = posted_us + kProbeEveryUs;
      sent = probe(*http, position, posted_us);
    }
    if (!sent) return stop_with(std::move(sent).error());
    const MutexLock lock(mutex_);
    --under_way_;
    changed_.notify_all();
  }
}

Status Replay::send(client::HttpClient& http, const Body& body, std::string& position) {
  const std::string target =
      fmt::format("/v1/streams/{}/events", client::percent_encoded(options_.stream));
  const client::HttpHeaders headers = {{"Content-Type", "application/x-ndjson"}};
  while (true) {
    MR_TRY(const auto reply, http.request("POST", target, body.text, headers));
    if (reply.status == 429) {
      // Nothing of it was taken.
      {
        const MutexLock lock(mutex_);
        ++figures_.refused;
      }
      std::this_thread::sleep_for(retry_pause(reply));
      continue;
    }
    if (!reply.ok()) return std::unexpected(error_of(reply));
    boost::system::error_code error;
    const auto document = json::parse(reply.body, error);
    if (error || !document.is_object())
      return unexpected_answer("the answer to events", reply.body);
    const auto& object = document.get_object();
    const auto* accepted = object.if_contains("accepted");
    if (accepted == nullptr || accepted->to_number<std::uint64_t>(error) != body.rows || error) {
      return unexpected_answer(fmt::format("{} events were sent, not all were accepted", body.rows),
                               reply.body);
    }
    MR_TRY(const auto end, position_at(object, "position"));
    position = end.json();
    const MutexLock lock(mutex_);
    figures_.events += body.rows;
    ++figures_.requests;
    return {};
  }
}

Status Replay::probe(client::HttpClient& http, const std::string& position,
                     std::int64_t posted_us) {
  MR_TRY(const auto reply,
         http.request("GET", fmt::format("/v1/views/{}?limit=1", options_.probed_view)));
  // A view that is being built has no answer yet.
  if (!reply.ok()) return {};
  boost::system::error_code error;
  const auto document = json::parse(reply.body, error);
  const auto* coverage =
      !error && document.is_object() ? document.get_object().if_contains("coverage") : nullptr;
  if (coverage == nullptr || !coverage->is_object())
    return unexpected_answer("the view's answer", reply.body);
  const auto& object = coverage->get_object();
  MR_TRY(const auto posted, Position::parse(position));
  MR_TRY(const auto covered, position_at(object, "delta_end"));
  MR_TRY(const auto cut, position_at(object, "cut"));
  if (!covered.covers(posted)) {
    return fail(ErrorCode::kDataLoss, error_id::kInternal,
                "events up to {} were acknowledged, but the view {} answers only up to {}",
                posted.json(), options_.probed_view, covered.json());
  }
  const double passed_ms = static_cast<double>(runtime::monotonic_us() - posted_us) / 1'000;
  const auto* generation = object.if_contains("generation");
  const MutexLock lock(mutex_);
  figures_.freshness_ms = passed_ms;
  figures_.freshness_worst_ms = std::max(figures_.freshness_worst_ms, passed_ms);
  if (generation != nullptr) figures_.generation = generation->to_number<std::uint64_t>(error);
  figures_.cut_events = cut.events();
  return {};
}

}  // namespace millrace::cli
