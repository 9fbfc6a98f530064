// One HTTP connection: receives, hands complete requests to their handlers, and writes the answers
// in the order of the requests, in whatever order they come. Requests that arrive together share
// one read, answers that are ready together share one write. Thread: its loop's. Errors: become
// answers; a broken connection is closed without a word. Invariant: front_ <= back_ <= front_ +
// requests_in_flight_max; an answer leaves when its number is front_; after an answer that closes,
// nothing is read as a request any more (it may have been smuggled).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "endpoint/http_request_reader.h"
#include "endpoint/http_router.h"
#include "endpoint/transport.h"

namespace millrace::endpoint {

class HttpLoop;
enum class Admission : std::uint8_t;

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpLoop& loop, std::uint64_t id, Transport transport);

  void start(Admission admission);
  /// Keeps an answer until advance(). True for the first one since then.
  bool store(std::uint64_t sequence, HttpResponse response);
  /// The same for a piece of an answer's body.
  bool store_part(std::uint64_t sequence, std::string bytes, bool last);
  /// Does all that can be done without waiting: takes requests, writes answers, receives again.
  void advance();
  /// The server stops: finish what has begun, then close.
  void drain();
  void close();

  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  void time_is_over();

 private:
  enum class Phase : std::uint8_t {
    kWaiting,
    kHandshake,
    kIdle,
    kHead,
    kBody,
    kSending,
    kStreaming,
    kLingering
  };

  /// One request from its head to its answer on the wire.
  struct InFlight {
    bool answered = false;
    bool keep_alive = true;
    bool http10 = false;
    bool head_only = false;
    std::string request_id;
    /// For a web page of another origin: Access-Control-Allow-Origin.
    std::string cors_origin;
    /// Its part of body_bytes_in_flight.
    std::uint64_t body_bytes = 0;
    HttpResponse response;
    /// Of an answer whose body comes in pieces: those that wait, and whether the last is there.
    bool begun = false;  // its head is sent
    bool streamed = false;
    bool stream_ended = false;
    bool owes_drained = false;
    std::string stream_bytes;
  };

  [[nodiscard]] InFlight& in_flight(std::uint64_t sequence) {
    return in_flight_[sequence & (in_flight_.size() - 1)];
  }
  [[nodiscard]] bool may_take_request() const;
  [[nodiscard]] bool take_requests();
  void accept_head();
  [[nodiscard]] std::optional<HttpResponse> refusal_of_head(HttpHead& head);
  [[nodiscard]] std::optional<HttpResponse> refusal_of_rate(std::string_view request_id);
  void run_request();
  [[nodiscard]] std::optional<HttpResponse> decode_body(HttpRequest& request, InFlight& entry);
  InFlight& begin_answer(const HttpHead& head, bool keep_alive);
  void take_answer(InFlight& entry, HttpResponse response);
  void end_stream(InFlight& entry);
  void drop_stream(InFlight& entry);
  void append_stream(InFlight& entry);
  void end_connection_after(InFlight& entry);
  /// Whether the socket is another protocol's from now on.
  bool hand_over();
  [[nodiscard]] bool is_streaming() const;
  void refuse_and_close(HttpResponse response);
  [[nodiscard]] bool charge_body(std::uint64_t bytes, std::uint64_t& charged);
  void release_body(std::uint64_t& charged);
  [[nodiscard]] HttpResponse over_budget();

  void receive();
  void on_received(const boost::system::error_code& ec, std::size_t bytes);
  void send_answers();
  void append_answers();
  void send_rest();
  void linger();
  void set_deadline();
  [[nodiscard]] Phase phase() const;

  HttpLoop& loop_;
  const std::uint64_t id_;
  Transport transport_;
  HttpRequestReader reader_;

  // The request whose head is known and whose body is being received.
  HttpRouter::Match route_;
  std::uint64_t body_charged_ = 0;
  bool discarding_ = false;
  bool owes_continue_ = false;

  // Requests without an answer on the wire, a ring of a power of two, numbered [front_, back_).
  std::vector<InFlight> in_flight_{4};
  std::uint64_t front_ = 0;
  std::uint64_t back_ = 0;
  bool answers_stored_ = false;

  // Bytes to be sent next, and bytes that the socket is just taking.
  std::string out_;
  std::string sending_;
  std::size_t sent_bytes_ = 0;

  std::shared_ptr<HttpUpgrade> upgrade_;
  bool receiving_ = false;
  bool peer_done_ = false;
  bool last_request_taken_ = false;
  bool lingering_ = false;
  bool closed_ = false;
  Phase phase_ = Phase::kWaiting;
  std::uint64_t phase_back_ = 0;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace millrace::endpoint
