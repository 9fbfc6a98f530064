// Which handler serves which method and path. Filled before the server starts, only read
// afterwards. Thread: add() on one, match() on any. Errors: two routes of the same shape are a bug
// (MR_CHECK).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "endpoint/http_message.h"
#include "endpoint/http_responder.h"
#include "endpoint/peer.h"

namespace millrace::endpoint {

/// Runs on an I/O thread and must not block it: long work goes to another thread, with the
/// Responder.
using HttpHandler = std::function<void(HttpRequest, Responder)>;

/// What a client must be allowed to do.
struct RouteAccess {
  enum class Kind : std::uint8_t {
    kAdmin,      // everything
    kPrivilege,  // `privilege` on what the path's {param} names
    kKnown,      // anything at all; the handler looks closer
    kOpen,       // nothing
  };
  Kind kind = Kind::kAdmin;
  Privilege privilege = Privilege::kSelect;
  std::string param = {};

  static RouteAccess open() { return {.kind = Kind::kOpen}; }
  static RouteAccess known() { return {.kind = Kind::kKnown}; }
  static RouteAccess needs(Privilege privilege, std::string param) {
    return {Kind::kPrivilege, privilege, std::move(param)};
  }
};

struct RouteOptions {
  /// Instead of the server's limit, for the body as sent and as decompressed.
  std::optional<std::uint64_t> body_bytes_max;
  /// Media types of bodies that the route takes, in lower case; others get 415. Empty: any. A body
  /// without Content-Type is passed on.
  std::vector<std::string> media_types;
  /// Undo gzip and zstd before the handler sees the body.
  bool decode_body = true;
  /// Compress large answers for clients that take zstd or gzip.
  bool gzip_answer = false;
  /// A route that says nothing is for administrators.
  RouteAccess access = {};
};

class HttpRouter {
 public:
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    /// Bit 31 - i is set where segment i is a {name}: the smaller number is the more exact route.
    std::uint32_t names_mask = 0;
    HttpHandler handler;
    RouteOptions options;
  };
  struct Match {
    /// Null where no route fits.
    const Route* route = nullptr;
    std::vector<std::pair<std::string, std::string>> params;
    /// The methods of this path where only the method did not fit: "GET, HEAD, POST".
    std::string allowed;
  };

  /// Looked through before a route's handler, and before the body is read: it finds out who asks,
  /// and refuses what that client may not do. `certified`: the user whom the client's certificate
  /// stands for, or nobody.
  using Gate = std::function<Status(HttpRequest& request, const Match& match, const Peer& peer,
                                    std::string_view certified)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  [[nodiscard]] const Gate& gate() const { return gate_; }

  /// `pattern`: "/v1/streams/{stream}/events"; a {name} stands for one segment that is not empty.
  /// Where several patterns fit, the one with literal text further left wins. A route for GET also
  /// serves HEAD, whose handler sees the method HEAD and answers as for GET; the body is not sent.
  void add(std::string method, std::string pattern, HttpHandler handler, RouteOptions options = {});

  /// `raw_path` as sent, still percent-encoded, which must be well formed.
  [[nodiscard]] Match match(std::string_view method, std::string_view raw_path) const;

  /// "GET /healthz, POST /v1/sql", for the hint of a 404.
  [[nodiscard]] std::string known_routes() const;

 private:
  std::vector<Route> routes_;
  Gate gate_;
};

}  // namespace millrace::endpoint
