// Answers whose body comes in pieces, and the moment at which a connection goes over to another
// protocol. Thread, errors and invariant: those of http_connection.h.
#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "endpoint/http_connection.h"
#include "endpoint/http_loop.h"
#include "endpoint/http_stream.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

HttpResponse too_many_streams(const HttpServerOptions& options) {
  return problem(
      Error{.code = ErrorCode::kResourceExhausted,
            .id = std::string(error_id::kBusy),
            .message = fmt::format("{} streams are open, which is the limit", options.streams_max),
            .hint = "close some that are not needed",
            .place = {}});
}

}  // namespace

bool HttpConnection::store_part(std::uint64_t sequence, std::string bytes, bool last) {
  if (closed_ || sequence < front_ || sequence >= back_) return false;
  InFlight& entry = in_flight(sequence);
  if (entry.stream_ended) return false;
  if (entry.stream_bytes.empty()) {
    entry.stream_bytes = std::move(bytes);
  } else {
    entry.stream_bytes += bytes;
  }
  entry.owes_drained = true;
  entry.stream_ended = last;
  return !std::exchange(answers_stored_, true);
}

void HttpConnection::take_answer(InFlight& entry, HttpResponse response) {
  entry.answered = true;
  entry.response = std::move(response);
  if (entry.response.upgrade != nullptr) {
    // Only run_request() takes those; here something else has been read behind the request.
    entry.response.upgrade->dropped();
    entry.response = problem(Error{.code = ErrorCode::kInternal,
                                   .id = std::string(error_id::kInternal),
                                   .message = "an upgrade was answered too late",
                                   .hint = {},
                                   .place = {}});
  }
  if (entry.response.stream == nullptr) return;
  HttpServerState& state = loop_.state();
  if (state.metrics.streams_open.fetch_add(1) >= state.options.streams_max) {
    --state.metrics.streams_open;
    entry.response.stream->closed();
    entry.stream_bytes.clear();
    entry.response = too_many_streams(state.options);
    return;
  }
  entry.streamed = true;
  if (entry.head_only || loop_.draining()) drop_stream(entry);
}

/// No piece comes any more. What has come is still sent.
void HttpConnection::end_stream(InFlight& entry) {
  entry.stream_ended = true;
  if (std::exchange(entry.response.stream, nullptr) != nullptr)
    --loop_.state().metrics.streams_open;
}

/// The producer is told so.
void HttpConnection::drop_stream(InFlight& entry) {
  const auto stream = entry.response.stream;
  end_stream(entry);
  stream->closed();
}

bool HttpConnection::is_streaming() const {
  if (front_ == back_) return false;
  const InFlight& entry = in_flight_[front_ & (in_flight_.size() - 1)];
  return entry.begun && entry.streamed;
}

void HttpConnection::append_stream(InFlight& entry) {
  if (!entry.head_only && !entry.stream_bytes.empty()) {
    const bool chunked = !entry.http10;
    if (chunked) fmt::format_to(std::back_inserter(out_), "{:x}\r\n", entry.stream_bytes.size());
    out_ += entry.stream_bytes;
    if (chunked) out_ += "\r\n";
    phase_ = Phase::kWaiting;  // the time to the next sign of life begins again
  }
  entry.stream_bytes = std::string();
  if (entry.stream_ended && !entry.head_only && !entry.http10) out_ += "0\r\n\r\n";
}

/// In HTTP/1.0 a body without a length ends with the connection: nothing can follow it.
void HttpConnection::end_connection_after(InFlight& entry) {
  entry.keep_alive = false;
  last_request_taken_ = true;
  while (back_ - front_ > 1) {
    InFlight& later = in_flight(--back_);
    release_body(later.body_bytes);
    if (later.response.stream != nullptr) drop_stream(later);
  }
}

bool HttpConnection::hand_over() {
  const auto upgrade = std::exchange(upgrade_, nullptr);
  HttpServerState& state = loop_.state();
  std::optional<HttpResponse> refusal;
  if (!reader_.between_requests()) {
    refusal = problem(Error{.code = ErrorCode::kInvalidArgument,
                            .id = std::string(error_id::kBadRequest),
                            .message = "something was sent before the upgrade was answered",
                            .hint = "wait for the answer with status 101",
                            .place = {}});
  } else if (state.metrics.streams_open.fetch_add(1) >= state.options.streams_max) {
    --state.metrics.streams_open;
    refusal = too_many_streams(state.options);
  }
  InFlight& entry = in_flight(front_);
  if (refusal) {
    upgrade->dropped();
    entry.keep_alive = false;
    last_request_taken_ = true;
    take_answer(entry, std::move(*refusal));
    send_answers();
    return false;
  }
  state.metrics.answers_by_class[1].fetch_add(1, std::memory_order_relaxed);
  release_body(entry.body_bytes);
  closed_ = true;
  ++front_;
  loop_.hand_over(id_, upgrade, std::move(transport_));
  return true;
}

}  // namespace millrace::endpoint
