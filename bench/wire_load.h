// A client of PostgreSQL's protocol on libpq, the same for every server: a blocking connection for
// questions and copies, and one epoll loop that keeps many connections busy with one prepared
// statement. Thread: each object one owner. Errors: kUnavailable where the connection broke,
// kInternal with what the server said.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http_load.h"

namespace millrace::bench {

struct EndConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};

class WireConnection {
 public:
  static Result<WireConnection> open(const std::string& url);
  /// The rows of a statement, as texts: values by '\t', rows by '\n'.
  Result<std::string> ask(const std::string& sql);
  Status prepare(const std::string& name, const std::string& sql);
  /// Rows of COPY ... TO STDOUT of this connection into COPY ... FROM STDIN of another. Gives their
  /// number.
  Result<std::uint64_t> copy(const std::string& out, WireConnection& target, const std::string& in);
  [[nodiscard]] PGconn* get() const { return connection_.get(); }

 private:
  explicit WireConnection(PGconn* connection) : connection_(connection) {}
  std::unique_ptr<PGconn, EndConnection> connection_;
};

struct WireLoad {
  std::string url;
  std::size_t connections = 1;
  std::string statement;  // of one parameter
};
/// False: no more. `key` is the parameter.
using NextKey = std::function<bool(std::size_t connection, std::string& key)>;
/// The rows of an answer; an error ends the load with it.
using OnRows = std::function<Status(std::size_t connection, const PGresult& rows)>;

/// Closed loop: each connection has one execution under way.
Result<LoadResult> run_wire_load(const WireLoad& load, const NextKey& next, const OnRows& on_rows);

}  // namespace millrace::bench
