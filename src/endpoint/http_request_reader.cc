#include "endpoint/http_request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "endpoint/http_target.h"

namespace millrace::endpoint {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastText = boost::beast::string_view;

// One small buffer is all that an idle or slow connection costs.
constexpr std::size_t kBufferBytes = 4096;
constexpr std::size_t kChunkBufferBytes = 64 * 1024;
constexpr std::size_t kChunkExtensionBytesMax = 256;
// A body is given this much at once on the word of its Content-Length, and more only as bytes come.
constexpr std::size_t kBodyReserveBytesMax = 1024 * 1024;

std::string_view text_of(BeastText text) { return {text.data(), text.size()}; }

bool is_decimal(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

// Hears what Beast finds, fills the head, and refuses what Beast would let pass.
class HttpRequestReader::BeastParser final : public http::basic_parser<true> {
 public:
  explicit BeastParser(HttpRequestReader& reader) : reader_(reader) {
    header_limit(static_cast<std::uint32_t>(reader.head_bytes_max_ + 1));
    body_limit(boost::none);
  }

 private:
  void refuse(int status, ErrorCode code, std::string_view id, std::string message,
              error_code& ec) {
    reader_.refuse(status, code, id, std::move(message));
    ec = http::error::bad_field;
  }
  void refuse(std::string message, error_code& ec) {
    refuse(400, ErrorCode::kInvalidArgument, error_id::kBadRequest, std::move(message), ec);
  }

  void refuse_framing(error_code& ec) {
    reader_.refuse_chunk_framing();
    ec = http::error::bad_chunk;
  }

  void on_request_impl(http::verb, BeastText method, BeastText target, int version,
                       error_code& ec) override {
    HttpHead& head = reader_.head_;
    head.http10 = version == 10;
    head.request.method = text_of(method);
    auto parsed = endpoint::parse_target(text_of(target));
    if (!parsed) {
      refuse(
          "the request target is not a path with well-formed %-escapes of UTF-8 text and no "
          "fragment",
          ec);
      return;
    }
    head.raw_path = parsed->raw_path;
    head.request.path = std::move(parsed->path);
    head.request.query = std::move(parsed->query);
  }

  void on_field_impl(http::field field, BeastText name, BeastText value, error_code& ec) override {
    if (header_done_) {
      // A trailer behind the last chunk: RFC 9112 section 7.1.2 lets us drop it.
      trailer_bytes_ += name.size() + value.size();
      if (trailer_bytes_ > reader_.head_bytes_max_ / 2) refuse_framing(ec);
      return;
    }
    HttpHead& head = reader_.head_;
    const std::string_view text = text_of(value);
    switch (field) {
      case http::field::host:
        if (++hosts_ > 1) refuse("the request has two Host headers", ec);
        break;
      case http::field::content_length:
        if (++lengths_ > 1 || !is_decimal(text)) {
          refuse("Content-Length must come once and be one decimal number", ec);
        }
        break;
      case http::field::transfer_encoding:
        if (head.http10) {
          refuse("HTTP/1.0 has no Transfer-Encoding", ec);
        } else if (!equal_ignoring_case(text, "chunked")) {
          refuse(501, ErrorCode::kUnimplemented, error_id::kBadRequest,
                 "the only Transfer-Encoding known here is chunked", ec);
        }
        break;
      case http::field::expect:
        if (equal_ignoring_case(text, "100-continue")) {
          head.expects_continue = !head.http10;
        } else {
          refuse(417, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                 "the only expectation known here is 100-continue", ec);
        }
        break;
      default:
        break;
    }
    head.request.fields.add(text_of(name), text);
  }

  void on_header_impl(error_code& ec) override {
    header_done_ = true;
    HttpHead& head = reader_.head_;
    // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is answered with 400.
    if (hosts_ == 0 && !head.http10) {
      refuse("the Host header is missing", ec);
      return;
    }
    head.keep_alive = keep_alive();
    head.chunked = chunked();
    head.content_bytes = content_length().value_or(0);
  }

  void on_chunk_header_impl(std::uint64_t chunk_bytes, BeastText extensions,
                            error_code& ec) override {
    if (extensions.size() > kChunkExtensionBytesMax) {
      refuse_framing(ec);
      return;
    }
    if (chunk_bytes > reader_.body_bytes_max_ - reader_.body_bytes_) {
      refuse(413, ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
             fmt::format("the body has more than {} bytes", reader_.body_bytes_max_), ec);
    }
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText bytes, error_code&) override {
    reader_.append_body(text_of(bytes));
    return bytes.size();
  }

  void on_response_impl(int, BeastText, int, error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastText bytes, error_code&) override { return bytes.size(); }
  void on_finish_impl(error_code&) override {}

  HttpRequestReader& reader_;
  int hosts_ = 0;
  int lengths_ = 0;
  std::size_t trailer_bytes_ = 0;
  bool header_done_ = false;
};

HttpRequestReader::HttpRequestReader(std::size_t head_bytes_max)
    : head_bytes_max_(std::max(head_bytes_max, kBufferBytes / 4)) {}

HttpRequestReader::~HttpRequestReader() = default;

std::span<char> HttpRequestReader::space() {
  if (stage_ == Stage::kBody && keeps_body_) {
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(
        head_.content_bytes, std::max(kBodyReserveBytesMax, body_bytes_ * 2)));
    body_.resize(room);
    return {body_.data() + body_bytes_, room - body_bytes_};
  }
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const bool long_body = stage_ == Stage::kChunks || stage_ == Stage::kBody;
  if (end_ == capacity_ || (long_body && capacity_ < kChunkBufferBytes)) {
    const std::size_t grown = long_body        ? std::max(kChunkBufferBytes, capacity_ * 2)
                              : capacity_ == 0 ? kBufferBytes
                                               : capacity_ * 2;
    auto buffer = std::make_unique_for_overwrite<char[]>(grown);
    if (end_ > 0) std::memcpy(buffer.get(), buffer_.get(), end_);
    buffer_ = std::move(buffer);
    capacity_ = grown;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void HttpRequestReader::received(std::size_t bytes) {
  if (stage_ == Stage::kBody && keeps_body_) {
    body_bytes_ += bytes;
  } else {
    end_ += bytes;
  }
}

HttpRequestReader::Step HttpRequestReader::next() {
  switch (stage_) {
    case Stage::kHead:
      return read_head();
    case Stage::kDecide:
      return Step::kHead;
    case Stage::kBody:
      return read_body();
    case Stage::kChunks:
      return read_chunks();
    case Stage::kComplete:
      return Step::kRequest;
    case Stage::kRefused:
      return Step::kRefused;
  }
  return Step::kRefused;
}

void HttpRequestReader::take_body(std::uint64_t bytes_max) {
  MR_CHECK(stage_ == Stage::kDecide, "take_body() without a head");
  keeps_body_ = true;
  body_bytes_max_ = bytes_max;
  if (head_.content_bytes > bytes_max) {
    refuse(413, ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
           fmt::format("the body has {} bytes, at most {} are taken here", head_.content_bytes,
                       bytes_max));
  } else if (head_.chunked) {
    parser_->eager(true);
    stage_ = Stage::kChunks;
  } else {
    stage_ = head_.content_bytes > 0 ? Stage::kBody : Stage::kComplete;
  }
}

void HttpRequestReader::discard_body(std::uint64_t bytes_max) {
  take_body(bytes_max);
  keeps_body_ = false;
}

HttpRequest HttpRequestReader::take_request() {
  MR_CHECK(stage_ == Stage::kComplete, "take_request() before the request is complete");
  HttpRequest request = std::move(head_.request);
  request.body = std::exchange(body_, PaddedBytes());
  stage_ = Stage::kHead;
  searched_ = 0;
  body_bytes_ = 0;
  return request;
}

bool HttpRequestReader::between_requests() const {
  return stage_ == Stage::kHead && begin_ == end_;
}

std::string_view HttpRequestReader::buffered() const {
  return {buffer_.get() + begin_, end_ - begin_};
}

void HttpRequestReader::consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

HttpRequestReader::Step HttpRequestReader::refuse(int status, ErrorCode code, std::string_view id,
                                                  std::string message) {
  stage_ = Stage::kRefused;
  refusal_.status = status;
  refusal_.error = Error{
      .code = code, .id = std::string(id), .message = std::move(message), .hint = {}, .place = {}};
  return Step::kRefused;
}

HttpRequestReader::Step HttpRequestReader::refuse_chunk_framing() {
  return refuse(431, ErrorCode::kResourceExhausted, error_id::kBadRequest,
                "a chunk header or the trailer is too long");
}

HttpRequestReader::Step HttpRequestReader::read_head() {
  // RFC 9112 section 2.2: an empty line in front of a request is to be ignored.
  while (searched_ == 0 && buffered().starts_with("\r\n")) consume(2);
  const std::string_view text = buffered();
  if (text.empty() || text == "\r") return Step::kNeedMore;
  if (text.front() != '\r' && (text.front() <= ' ' || text.front() > '~')) {
    return refuse(400, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                  "this is not HTTP/1.1; TLS and HTTP/2 are not spoken on this port");
  }
  while (searched_ < text.size()) {
    const std::size_t line_feed = text.find('\n', searched_);
    if (line_feed == std::string_view::npos) {
      searched_ = text.size();
      break;
    }
    if (line_feed == 0 || text[line_feed - 1] != '\r') {
      return refuse(400, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                    "a line of the request head ends without a carriage return");
    }
    searched_ = line_feed + 1;
    if (searched_ > head_bytes_max_) break;
    if (line_feed >= 3 && text[line_feed - 2] == '\n') return parse_head(searched_);
  }
  if (text.size() >= head_bytes_max_) {
    return refuse(431, ErrorCode::kResourceExhausted, error_id::kBadRequest,
                  fmt::format("the request head has more than {} bytes", head_bytes_max_));
  }
  return Step::kNeedMore;
}

HttpRequestReader::Step HttpRequestReader::parse_head(std::size_t head_bytes) {
  head_ = HttpHead{};
  head_.request.fields.reserve(head_bytes, 8);
  if (parser_ == nullptr) {
    parser_ = std::make_unique<BeastParser>(*this);
  } else {
    std::destroy_at(parser_.get());
    std::construct_at(parser_.get(), *this);
  }
  error_code ec;
  const std::size_t used =
      parser_->put(boost::asio::const_buffer(buffered().data(), head_bytes), ec);
  if (stage_ == Stage::kRefused) return Step::kRefused;
  if (ec == http::error::bad_version) {
    return refuse(505, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                  "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  if (ec || !parser_->is_header_done() || used != head_bytes) {
    return refuse(400, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                  fmt::format("the request head is malformed: {}",
                              ec ? ec.message() : std::string("it ends too early")));
  }
  consume(head_bytes);
  stage_ = Stage::kDecide;
  return Step::kHead;
}

HttpRequestReader::Step HttpRequestReader::read_body() {
  const auto bytes = static_cast<std::size_t>(
      std::min<std::uint64_t>(end_ - begin_, head_.content_bytes - body_bytes_));
  if (bytes > 0) {
    if (keeps_body_) {
      if (body_.size() < body_bytes_ + bytes) body_.resize(body_bytes_ + bytes);
      std::memcpy(body_.data() + body_bytes_, buffered().data(), bytes);
    }
    body_bytes_ += bytes;
    consume(bytes);
  }
  if (body_bytes_ < head_.content_bytes) return Step::kNeedMore;
  if (keeps_body_) body_.resize(body_bytes_);
  stage_ = Stage::kComplete;
  return Step::kRequest;
}

HttpRequestReader::Step HttpRequestReader::read_chunks() {
  // At every point before its end a chunked body has at least "0 CRLF CRLF" to come, and Beast
  // asserts that it sees these five bytes together.
  constexpr std::size_t kChunkedEndBytes = 5;
  while (end_ - begin_ >= kChunkedEndBytes) {
    error_code ec;
    const std::string_view text = buffered();
    const std::size_t used = parser_->put(boost::asio::const_buffer(text.data(), text.size()), ec);
    if (stage_ == Stage::kRefused) return Step::kRefused;
    consume(used);
    if (parser_->is_done()) {
      stage_ = Stage::kComplete;
      return Step::kRequest;
    }
    if (ec == http::error::need_more) {
      if (end_ - begin_ >= head_bytes_max_) {
        return refuse_chunk_framing();
      }
      break;
    }
    if (ec) {
      return refuse(400, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                    fmt::format("the chunked body is malformed: {}", ec.message()));
    }
  }
  return Step::kNeedMore;
}

void HttpRequestReader::append_body(std::string_view bytes) {
  if (keeps_body_) body_.append(bytes);
  body_bytes_ += bytes.size();
}

}  // namespace millrace::endpoint
