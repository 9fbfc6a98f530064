// Turns the bytes of one HTTP/1.1 connection (RFC 9112) into requests, without I/O: the connection
// receives into space(), says received(), and asks next() what has come of it. The parser inside is
// Beast's; what it leaves open is decided here, strictly, since every leniency can smuggle a
// request past a proxy: a bare line feed, both Content-Length and Transfer-Encoding, a repeated
// Content-Length, a missing Host. Thread: one owner at a time. Errors: as a Refusal, after which
// the connection must be closed. Invariant: what is buffered of a head never exceeds
// head_bytes_max; a body grows as its bytes come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "endpoint/http_message.h"

namespace millrace::endpoint {

struct HttpHead {
  /// All but params and body.
  HttpRequest request;
  /// The path as sent; routes are matched on it.
  std::string raw_path;
  bool keep_alive = true;
  bool http10 = false;
  bool expects_continue = false;
  bool chunked = false;
  /// Of the body as sent; 0 where it is chunked.
  std::uint64_t content_bytes = 0;

  [[nodiscard]] bool has_body() const { return chunked || content_bytes > 0; }
};

class HttpRequestReader {
 public:
  enum class Step : std::uint8_t {
    kNeedMore,  ///< receive into space() and ask again
    kHead,      ///< head() is known; call take_body() or discard_body() and ask again
    kRequest,   ///< all of the request is here; call take_request() and ask again
    kRefused,   ///< refusal() says why; nothing more can be read
  };
  struct Refusal {
    int status = 400;
    Error error;
  };

  explicit HttpRequestReader(std::size_t head_bytes_max);
  ~HttpRequestReader();

  /// Where to receive next: never empty after kNeedMore.
  [[nodiscard]] std::span<char> space();
  void received(std::size_t bytes);
  [[nodiscard]] Step next();

  [[nodiscard]] HttpHead& head() { return head_; }
  /// Keeps the body, of at most `bytes_max`: above it a chunked body is refused with 413.
  void take_body(std::uint64_t bytes_max);
  /// Reads past the body, of at most `bytes_max`.
  void discard_body(std::uint64_t bytes_max);
  /// Bytes of the body of the present request that are here.
  [[nodiscard]] std::size_t body_bytes() const { return body_bytes_; }
  /// The request with its body; the next one begins. After discard_body() the body is empty.
  [[nodiscard]] HttpRequest take_request();
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

  /// Nothing of a further request has come yet.
  [[nodiscard]] bool between_requests() const;
  [[nodiscard]] bool in_body() const { return stage_ == Stage::kBody || stage_ == Stage::kChunks; }

 private:
  class BeastParser;
  enum class Stage : std::uint8_t { kHead, kDecide, kBody, kChunks, kComplete, kRefused };

  [[nodiscard]] std::string_view buffered() const;
  void consume(std::size_t bytes);
  Step refuse(int status, ErrorCode code, std::string_view id, std::string message);
  Step refuse_chunk_framing();
  Step read_head();
  Step parse_head(std::size_t head_bytes);
  Step read_body();
  Step read_chunks();
  void append_body(std::string_view bytes);

  const std::size_t head_bytes_max_;
  Stage stage_ = Stage::kHead;
  // buffer_[begin_, end_) is received and not yet consumed.
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  // buffered() bytes already searched for the end of the head.
  std::size_t searched_ = 0;
  HttpHead head_;
  std::unique_ptr<BeastParser> parser_;
  PaddedBytes body_;
  std::size_t body_bytes_ = 0;
  std::uint64_t body_bytes_max_ = 0;
  bool keeps_body_ = true;
  Refusal refusal_;
};

}  // namespace millrace::endpoint
