#include "endpoint/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <exception>
#include <iterator>
#include <utility>

#include "endpoint/content_encoding.h"
#include "endpoint/http_loop.h"
#include "endpoint/http_origin.h"
#include "endpoint/http_stream.h"
#include "endpoint/problem.h"
#include "endpoint/request_log.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

// Answers are joined up to this size before they are written, and while more than this waits to be
// sent no further request is taken.
constexpr std::size_t kOutBytesMax = 256 * 1024;
// The body of a refused request is read past, to keep the connection, up to this size.
constexpr std::uint64_t kDiscardBytesMax = 1024 * 1024;
// When the server stops, a client gets this long to close after its last answer.
constexpr std::chrono::milliseconds kDrainLingerTime{100};

std::uint64_t body_bytes_max(const HttpRouter::Route& route, const HttpServerOptions& options) {
  return route.options.body_bytes_max.value_or(options.body_bytes_max);
}

}  // namespace

HttpConnection::HttpConnection(HttpLoop& loop, std::uint64_t id, Transport transport)
    : loop_(loop),
      id_(id),
      transport_(std::move(transport)),
      reader_(loop.state().options.head_bytes_max) {}

void HttpConnection::start(Admission admission) {
  const HttpServerOptions& options = loop_.state().options;
  if (admission == Admission::kServerIsFull) {
    refuse_and_close(problem(request_error(
        ErrorCode::kUnavailable, error_id::kBusy,
        fmt::format("{} connections are open, which is the limit", options.connections_max),
        "keep connections open and use them again, or raise the limit")));
  } else if (admission == Admission::kPeerHasEnough) {
    refuse_and_close(
        problem(request_error(ErrorCode::kResourceExhausted, error_id::kBusy,
                              fmt::format("{} connections of your address are open, which is the "
                                          "limit",
                                          options.peer_connections_max),
                              "keep connections open and use them again")));
  }
  advance();
}

bool HttpConnection::store(std::uint64_t sequence, HttpResponse response) {
  if (closed_ || sequence < front_ || sequence >= back_) {
    if (response.stream != nullptr) response.stream->closed();
    return false;
  }
  take_answer(in_flight(sequence), std::move(response));
  return !std::exchange(answers_stored_, true);
}

void HttpConnection::advance() {
  answers_stored_ = false;
  if (lingering_) return;
  bool bytes_left = true;
  while (bytes_left && !closed_) {
    bytes_left = take_requests();
    send_answers();
    if (!may_take_request()) break;
  }
  if (closed_) return;
  set_deadline();
  receive();
}

void HttpConnection::drain() {
  if (closed_ || lingering_) return;
  if (reader_.between_requests()) {
    if (front_ == back_ && sending_.empty()) {
      close();
      return;
    }
    last_request_taken_ = true;
    if (front_ != back_) in_flight(back_ - 1).keep_alive = false;
  }
  for (std::uint64_t i = front_; i != back_; ++i) {
    InFlight& entry = in_flight(i);
    if (entry.response.stream != nullptr) drop_stream(entry);
  }
  advance();
}

void HttpConnection::close() {
  if (closed_) return;
  closed_ = true;
  release_body(body_charged_);
  for (; front_ != back_; ++front_) {
    InFlight& entry = in_flight(front_);
    release_body(entry.body_bytes);
    release_answer(entry.answer_bytes);
    if (entry.response.stream != nullptr) drop_stream(entry);
  }
  release_answer(sending_charged_);
  if (upgrade_ != nullptr) std::exchange(upgrade_, nullptr)->dropped();
  transport_.close();
  loop_.remove(id_);
}

void HttpConnection::time_is_over() {
  if (closed_) return;
  if (phase_ == Phase::kStreaming) {
    phase_ = Phase::kWaiting;  // the time begins again
    set_deadline();
    if (is_streaming() && in_flight(front_).response.stream != nullptr)
      in_flight(front_).response.stream->heartbeat();
    return;
  }
  if (phase_ == Phase::kHandshake && !transport_.shaking_hands()) {
    set_deadline();  // since when it has been idle is not known
    return;
  }
  if (phase_ != Phase::kHead && phase_ != Phase::kBody) {
    if (phase_ == Phase::kSending || phase_ == Phase::kHandshake) ++loop_.state().metrics.timeouts;
    close();
    return;
  }
  ++loop_.state().metrics.timeouts;
  const HttpServerOptions& options = loop_.state().options;
  refuse_and_close(problem_with_status(
      408, request_error(ErrorCode::kDeadlineExceeded, error_id::kBadRequest,
                         phase_ == Phase::kHead
                             ? fmt::format("the request head did not come within {} ms",
                                           options.head_time.count())
                             : fmt::format("the request body did not come within {} ms",
                                           options.body_time.count()))));
  advance();
}

// ---- requests ----

bool HttpConnection::may_take_request() const {
  return !closed_ && !last_request_taken_ && upgrade_ == nullptr &&
         back_ - front_ < loop_.state().options.requests_in_flight_max &&
         out_.size() + sending_.size() < kOutBytesMax;
}

// Takes what has been received. False when more bytes are needed, true when a bound stopped it.
bool HttpConnection::take_requests() {
  while (may_take_request()) {
    switch (reader_.next()) {
      case HttpRequestReader::Step::kNeedMore:
        if (reader_.in_body() && !discarding_ &&
            !charge_body(reader_.body_bytes(), body_charged_)) {
          refuse_and_close(over_budget());
        }
        return false;
      case HttpRequestReader::Step::kHead:
        accept_head();
        break;
      case HttpRequestReader::Step::kRequest:
        run_request();
        break;
      case HttpRequestReader::Step::kRefused: {
        const HttpRequestReader::Refusal& refusal = reader_.refusal();
        refuse_and_close(problem_with_status(refusal.status, refusal.error));
        return false;
      }
    }
  }
  return true;
}

void HttpConnection::accept_head() {
  HttpHead& head = reader_.head();
  // The gate may know more of the owner.
  head.request.share = {.owner = std::hash<const PeerShare*>{}(transport_.share()),
                        .client = std::hash<const HttpConnection*>{}(this)};
  route_ = loop_.state().router.match(head.request.method, head.raw_path);
  if (auto refusal = refusal_of_head(head)) {
    // What the client sends after "Expect" is not known, and a long body is not worth reading.
    const bool body_is_short =
        !head.chunked && !head.expects_continue && head.content_bytes <= kDiscardBytesMax;
    InFlight& entry = begin_answer(head, head.keep_alive && body_is_short);
    entry.answered = true;
    entry.response = std::move(*refusal);
    if (!last_request_taken_) {
      discarding_ = true;
      reader_.discard_body(kDiscardBytesMax);
    }
    return;
  }
  owes_continue_ = head.expects_continue && head.has_body();
  reader_.take_body(body_bytes_max(*route_.route, loop_.state().options));
}

void HttpConnection::run_request() {
  if (discarding_) {
    discarding_ = false;
    static_cast<void>(reader_.take_request());
    return;
  }
  owes_continue_ = false;
  const std::uint64_t sequence = back_;
  InFlight& entry = begin_answer(reader_.head(), reader_.head().keep_alive);
  const bool in_budget = charge_body(reader_.body_bytes(), body_charged_);
  entry.body_bytes = std::exchange(body_charged_, 0);
  HttpRequest request = reader_.take_request();
  std::optional<HttpResponse> refusal;
  if (!in_budget) {
    refusal = over_budget();
  } else if (route_.route->options.decode_body && !request.body.empty()) {
    refusal = decode_body(request, entry);
  }
  if (refusal) {
    entry.answered = true;
    entry.response = std::move(*refusal);
    return;
  }

  request.params = std::move(route_.params);
  const auto packing = route_.route->options.gzip_answer
                           ? accepted_encoding(request.header("accept-encoding"))
                           : ContentEncoding::kIdentity;
  const RequestTag tag{.connection = id_, .sequence = sequence};
  AnswerInPlace in_place(*loop_.mailbox(), tag);
  try {
    route_.route->handler(std::move(request), Responder(loop_.mailbox(), tag, packing));
  } catch (const std::exception&) {
    // The Responder died on the way out and has answered 500; one request must not end the server.
  }
  if (auto& response = in_place.response()) {
    if (response->upgrade != nullptr) {
      // Until it is this request's turn nothing is read, since it would not be HTTP.
      upgrade_ = std::move(response->upgrade);
    } else {
      take_answer(in_flight(sequence), std::move(*response));
    }
  }
}

std::optional<HttpResponse> HttpConnection::decode_body(HttpRequest& request, InFlight& entry) {
  const auto encoding = parse_content_encoding(request.header("content-encoding"));
  if (!encoding) return problem(encoding.error(), entry.request_id);
  if (*encoding == ContentEncoding::kIdentity) return std::nullopt;
  auto content = decode_content(*encoding, request.body.view(),
                                body_bytes_max(*route_.route, loop_.state().options));
  if (!content) return problem(content.error(), entry.request_id);
  request.body = std::move(*content);
  if (!charge_body(std::max<std::uint64_t>(entry.body_bytes, request.body.size()),
                   entry.body_bytes)) {
    return over_budget();
  }
  return std::nullopt;
}

HttpConnection::InFlight& HttpConnection::begin_answer(const HttpHead& head, bool keep_alive) {
  if (back_ - front_ == in_flight_.size()) {
    std::vector<InFlight> grown(in_flight_.size() * 2);
    for (std::uint64_t i = front_; i != back_; ++i) {
      grown[i & (grown.size() - 1)] = std::move(in_flight(i));
    }
    in_flight_ = std::move(grown);
  }
  InFlight& entry = in_flight(back_++);
  entry.answered = false;
  entry.keep_alive = keep_alive && !loop_.draining();
  entry.http10 = head.http10;
  entry.head_only = head.request.method == "HEAD";
  entry.request_id = printable_request_id(head.request);
  const auto& origins = loop_.state().options.cors_origins;
  if (!origins.empty()) entry.cors_origin = allowed_origin(head.request, origins);
  entry.body_bytes = 0;
  entry.answer_bytes = 0;
  entry.begun = false;
  entry.streamed = false;
  entry.stream_ended = false;
  entry.owes_drained = false;
  entry.stream_bytes.clear();
  if (!entry.keep_alive) last_request_taken_ = true;
  return entry;
}

// The answer to what cannot be read as a request; behind it the connection closes.
void HttpConnection::refuse_and_close(HttpResponse response) {
  owes_continue_ = false;
  release_body(body_charged_);
  InFlight& entry = begin_answer(HttpHead{}, false);
  entry.answered = true;
  entry.response = std::move(response);
}

// Raises this request's part of the bytes in flight to `bytes`. False where that is too much for
// all.
bool HttpConnection::charge_body(std::uint64_t bytes, std::uint64_t& charged) {
  if (bytes <= charged) return true;
  HttpServerState& state = loop_.state();
  const std::uint64_t more = bytes - charged;
  const std::uint64_t before =
      state.metrics.body_bytes_in_flight.fetch_add(more, std::memory_order_relaxed);
  charged = bytes;
  return before + more <= state.options.body_bytes_in_flight_max;
}

void HttpConnection::release_body(std::uint64_t& charged) {
  if (charged == 0) return;
  loop_.state().metrics.body_bytes_in_flight.fetch_sub(charged, std::memory_order_relaxed);
  charged = 0;
}

// ---- bytes ----

void HttpConnection::receive() {
  if (receiving_ || closed_ || peer_done_) return;
  asio::mutable_buffer room;
  if (lingering_) {
    room = asio::buffer(loop_.scratch());
  } else if (may_take_request()) {
    const auto space = reader_.space();
    room = asio::buffer(space.data(), space.size());
  } else {
    return;
  }
  receiving_ = true;
  transport_.async_read_some(room,
                             [self = shared_from_this()](const error_code& ec, std::size_t bytes) {
                               self->on_received(ec, bytes);
                             });
}

void HttpConnection::on_received(const error_code& ec, std::size_t bytes) {
  receiving_ = false;
  if (closed_) return;
  loop_.state().metrics.received_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (ec && (ec != asio::error::eof || lingering_)) {
    close();
    return;
  }
  if (lingering_) {
    receive();
    return;
  }
  if (ec) {
    // The client has sent all it wants; it may still read the answers.
    peer_done_ = true;
    last_request_taken_ = true;
    if (is_streaming()) {
      // It may have closed altogether, and nobody else would tell.
      close();
      return;
    }
  } else if (!last_request_taken_) {
    reader_.received(bytes);
  }
  advance();
}

void HttpConnection::send_answers() {
  while (!closed_ && sending_.empty()) {
    append_answers();
    if (out_.empty()) break;
    error_code ec;
    const std::size_t bytes = transport_.write_some(asio::buffer(out_), ec);
    if (ec && ec != asio::error::would_block && ec != asio::error::try_again) {
      close();
      return;
    }
    loop_.state().metrics.sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
    if (bytes < out_.size()) {
      sending_.swap(out_);
      out_.clear();
      sent_bytes_ = bytes;
      send_rest();
      return;
    }
    out_.clear();
    release_answer(sending_charged_);
    if (out_.capacity() > kOutBytesMax) out_.shrink_to_fit();
  }
  if (closed_ || !sending_.empty()) return;
  if (upgrade_ != nullptr && front_ + 1 == back_ && hand_over()) return;
  if (is_streaming()) {
    InFlight& entry = in_flight(front_);
    if (std::exchange(entry.owes_drained, false) && entry.response.stream != nullptr)
      entry.response.stream->drained();
  }
  if (front_ != back_ || !last_request_taken_) return;
  if (peer_done_) {
    close();
  } else {
    linger();
  }
}

void HttpConnection::append_answers() {
  HttpServerState& state = loop_.state();
  while (front_ != back_ && in_flight(front_).answered && out_.size() < kOutBytesMax) {
    InFlight& entry = in_flight(front_);
    if (!std::exchange(entry.begun, true)) {
      if (entry.streamed && entry.http10) end_connection_after(entry);
      finish_problem(entry.response, entry.request_id);
      append_response(out_, entry.response,
                      {.keep_alive = entry.keep_alive,
                       .http10 = entry.http10,
                       .head_only = entry.head_only,
                       .request_id = entry.request_id,
                       .cors_origin = entry.cors_origin,
                       .varies_by_origin = !state.options.cors_origins.empty(),
                       .date = loop_.date(),
                       .streamed = entry.streamed});
      const auto status_class =
          static_cast<std::size_t>(std::clamp(entry.response.status / 100, 0, 5));
      state.metrics.answers_by_class[status_class].fetch_add(1, std::memory_order_relaxed);
      release_body(entry.body_bytes);
      sending_charged_ += std::exchange(entry.answer_bytes, 0);
    }
    if (entry.streamed) {
      append_stream(entry);
      if (!entry.stream_ended) break;
      end_stream(entry);
    }
    entry.response = HttpResponse{};
    ++front_;
  }
  if (owes_continue_ && front_ == back_) {
    owes_continue_ = false;
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
}

void HttpConnection::send_rest() {
  transport_.async_write_some(
      asio::buffer(sending_.data() + sent_bytes_, sending_.size() - sent_bytes_),
      [self = shared_from_this()](const error_code& ec, std::size_t bytes) {
        if (self->closed_) return;
        if (ec) {
          self->close();
          return;
        }
        self->loop_.state().metrics.sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
        self->sent_bytes_ += bytes;
        if (self->sent_bytes_ < self->sending_.size()) {
          self->phase_ = Phase::kWaiting;  // progress: the time begins again
          self->set_deadline();
          self->send_rest();
          return;
        }
        self->sending_ = std::string();
        self->release_answer(self->sending_charged_);
        self->advance();
      });
}

// All is answered. The client is told that nothing more comes, and has a moment to read it and to
// close.
void HttpConnection::linger() {
  lingering_ = true;
  transport_.shutdown_send();
}

HttpConnection::Phase HttpConnection::phase() const {
  if (lingering_) return Phase::kLingering;
  if (!sending_.empty()) return Phase::kSending;
  if (!may_take_request()) return is_streaming() ? Phase::kStreaming : Phase::kWaiting;
  if (reader_.in_body()) return Phase::kBody;
  if (!reader_.between_requests()) return Phase::kHead;
  if (transport_.shaking_hands()) return Phase::kHandshake;
  if (front_ == back_) return Phase::kIdle;
  return is_streaming() ? Phase::kStreaming : Phase::kWaiting;
}

void HttpConnection::set_deadline() {
  const Phase now = phase();
  if (now == phase_ && back_ == phase_back_) return;
  phase_ = now;
  phase_back_ = back_;
  const HttpServerOptions& options = loop_.state().options;
  const auto from_now = [](std::chrono::milliseconds time) { return steady_clock::now() + time; };
  switch (now) {
    case Phase::kWaiting:
      deadline_ = steady_clock::time_point::max();
      break;
    case Phase::kIdle:
      deadline_ = from_now(options.idle_time);
      break;
    case Phase::kHandshake:
    case Phase::kHead:
      deadline_ = from_now(options.head_time);
      break;
    case Phase::kBody:
      deadline_ = from_now(options.body_time);
      break;
    case Phase::kSending:
      deadline_ = from_now(options.write_time);
      break;
    case Phase::kStreaming:
      deadline_ = from_now(options.stream_heartbeat_time);
      break;
    case Phase::kLingering:
      deadline_ = from_now(loop_.draining() ? std::min(options.linger_time, kDrainLingerTime)
                                            : options.linger_time);
      break;
  }
}

}  // namespace millrace::endpoint
