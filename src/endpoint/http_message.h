// An HTTP request as a handler gets it, and the answer that it gives back. Plain values without
// I/O: they move between the I/O threads and the threads that answer. Errors: none; a request that
// reaches a handler is well formed. Invariant: text of path, query and path parameters is decoded
// and valid UTF-8; header values are as received.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/access.h"
#include "base/padded_bytes.h"

namespace millrace::endpoint {

/// The header fields of one request in one block of text, in the order received.
class HttpFields {
 public:
  void add(std::string_view name, std::string_view value);
  void reserve(std::size_t text_bytes, std::size_t fields);
  /// The first field of this name in any case of letters; empty where there is none.
  [[nodiscard]] std::string_view find(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const;
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] std::pair<std::string_view, std::string_view> at(std::size_t index) const;

 private:
  struct Place {
    std::uint32_t begin;
    std::uint32_t name_bytes;
    std::uint32_t value_bytes;
  };
  [[nodiscard]] const Place* place_of(std::string_view name) const;

  std::string text_;
  std::vector<Place> places_;
};

struct HttpRequest {
  std::string method;
  /// Decoded, without the query: "/v1/views/delays by hour".
  std::string path;
  /// Decoded, in order; a name may come more than once.
  std::vector<std::pair<std::string, std::string>> query;
  /// The values of the route's {names}, decoded.
  std::vector<std::pair<std::string, std::string>> params;
  HttpFields fields;
  /// Who sent it, as the router's gate found out; somebody from elsewhere without one.
  access::Principal who = access::Principal::anonymous(/*from_this_machine=*/false);
  /// With Content-Encoding undone, unless the route asked for the bytes as sent.
  PaddedBytes body;

  /// The first header of this name; the case of letters does not matter; empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const { return fields.find(name); }
  /// The value of the route's {name}; empty where the route has no such name.
  [[nodiscard]] std::string_view param(std::string_view name) const;
  /// The first query parameter of this name.
  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view name) const;
  /// The media type of the body in lower case, without its parameters: "application/json".
  [[nodiscard]] std::string media_type() const;
};

class HttpStreamSource;
class HttpUpgrade;

struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";  // a literal, as the names of headers
  std::vector<std::pair<std::string_view, std::string>> headers;
  std::string body;
  /// Instead of `body`, from now on (http_stream.h).
  std::shared_ptr<HttpStreamSource> stream = {};
  /// Instead of an answer (http_stream.h).
  std::shared_ptr<HttpUpgrade> upgrade = {};
};

/// X-Request-Id, where it can be repeated in an answer; empty otherwise.
[[nodiscard]] std::string_view printable_request_id(const HttpRequest& request);

/// "Not Found"
[[nodiscard]] std::string_view reason_phrase(int status);
[[nodiscard]] bool equal_ignoring_case(std::string_view left, std::string_view right);
/// Whether a comma separated header lists `token` and does not switch it off by ";q=0".
[[nodiscard]] bool lists_token(std::string_view header, std::string_view token);

/// How the answer must look besides its content.
struct AnswerShape {
  bool keep_alive = true;
  bool http10 = false;
  /// The answer to a HEAD request: all of the head, nothing of the body.
  bool head_only = false;
  std::string_view request_id;
  /// Access-Control-Allow-Origin (http_origin.h).
  std::string_view cors_origin = {};
  bool varies_by_origin = false;
  /// "Sun, 06 Nov 1994 08:49:37 GMT"
  std::string_view date;
  /// The body follows: in chunks, or up to the end of the connection in HTTP/1.0.
  bool streamed = false;
};
/// Appends the answer in its bytes on the wire. Line ends inside header values become blanks, so
/// that no value can begin another header.
void append_response(std::string& out, const HttpResponse& response, const AnswerShape& shape);

}  // namespace millrace::endpoint
