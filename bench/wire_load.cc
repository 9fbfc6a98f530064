#include "wire_load.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>

namespace millrace::bench {

namespace {

constexpr const char* kPrepared = "bench";

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Rows = std::unique_ptr<PGresult, ClearResult>;

std::unexpected<Error> broken(PGconn* connection, std::string_view what) {
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "{}: {}", what,
              PQerrorMessage(connection));
}

Status expect(PGconn* connection, const Rows& rows, ExecStatusType status, std::string_view what) {
  if (PQresultStatus(rows.get()) == status) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {}", what,
              PQerrorMessage(connection));
}

struct CloseFd {
  int fd;
  ~CloseFd() { ::close(fd); }
};

/// One connection of the load.
class Busy {
 public:
  explicit Busy(WireConnection connection) : connection_(std::move(connection)) {}
  [[nodiscard]] PGconn* get() const { return connection_.get(); }

  /// False: there is no more to ask.
  Result<bool> send(std::size_t index, const NextKey& next) {
    if (!next(index, key_)) return false;
    const char* values[] = {key_.c_str()};
    begun_us_ = now_us();
    if (PQsendQueryPrepared(get(), kPrepared, 1, values, nullptr, nullptr, 0) != 1)
      return broken(get(), "send");
    if (PQflush(get()) != 0) return broken(get(), "send");
    return true;
  }
  /// False: the answer is not whole yet.
  Result<bool> receive(std::size_t index, const OnRows& on_rows) {
    if (PQconsumeInput(get()) != 1) return broken(get(), "receive");
    while (PQisBusy(get()) == 0) {
      const Rows rows(PQgetResult(get()));
      if (rows == nullptr) return true;
      MR_RETURN_IF_ERROR(expect(get(), rows, PGRES_TUPLES_OK, "execute"));
      MR_RETURN_IF_ERROR(on_rows(index, *rows));
    }
    return false;
  }
  [[nodiscard]] double begun_us() const { return begun_us_; }

 private:
  WireConnection connection_;
  std::string key_;
  double begun_us_ = 0;
};

}  // namespace

Result<WireConnection> WireConnection::open(const std::string& url) {
  WireConnection out(PQconnectdb(url.c_str()));
  if (PQstatus(out.get()) != CONNECTION_OK) return broken(out.get(), "connect");
  return out;
}

Result<std::string> WireConnection::ask(const std::string& sql) {
  const Rows rows(PQexec(get(), sql.c_str()));
  if (PQresultStatus(rows.get()) == PGRES_COMMAND_OK) return std::string();
  MR_RETURN_IF_ERROR(expect(get(), rows, PGRES_TUPLES_OK, sql));
  std::string out;
  for (int row = 0; row < PQntuples(rows.get()); ++row) {
    for (int column = 0; column < PQnfields(rows.get()); ++column) {
      if (column != 0) out += '\t';
      out += PQgetvalue(rows.get(), row, column);
    }
    out += '\n';
  }
  return out;
}

Status WireConnection::prepare(const std::string& name, const std::string& sql) {
  const Rows made(PQprepare(get(), name.c_str(), sql.c_str(), 0, nullptr));
  return expect(get(), made, PGRES_COMMAND_OK, sql);
}

Result<std::uint64_t> WireConnection::copy(const std::string& out, WireConnection& target,
                                           const std::string& in) {
  const Rows from(PQexec(get(), out.c_str()));
  MR_RETURN_IF_ERROR(expect(get(), from, PGRES_COPY_OUT, out));
  const Rows into(PQexec(target.get(), in.c_str()));
  MR_RETURN_IF_ERROR(expect(target.get(), into, PGRES_COPY_IN, in));
  std::uint64_t rows = 0;
  for (;;) {
    char* data = nullptr;
    const int size = PQgetCopyData(get(), &data, 0);
    if (size < 0) break;
    const int put = PQputCopyData(target.get(), data, size);
    PQfreemem(data);
    if (put != 1) return broken(target.get(), in);
    ++rows;
  }
  const Rows read(PQgetResult(get()));
  MR_RETURN_IF_ERROR(expect(get(), read, PGRES_COMMAND_OK, out));
  PQclear(PQgetResult(get()));
  if (PQputCopyEnd(target.get(), nullptr) != 1) return broken(target.get(), in);
  const Rows written(PQgetResult(target.get()));
  MR_RETURN_IF_ERROR(expect(target.get(), written, PGRES_COMMAND_OK, in));
  PQclear(PQgetResult(target.get()));
  return rows;
}

Result<LoadResult> run_wire_load(const WireLoad& load, const NextKey& next, const OnRows& on_rows) {
  const CloseFd poll{::epoll_create1(EPOLL_CLOEXEC)};
  std::vector<Busy> connections;
  for (std::size_t i = 0; i < load.connections; ++i) {
    MR_TRY(auto connection, WireConnection::open(load.url));
    MR_RETURN_IF_ERROR(connection.prepare(kPrepared, load.statement));
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    ::epoll_ctl(poll.fd, EPOLL_CTL_ADD, PQsocket(connection.get()), &event);
    connections.emplace_back(std::move(connection));
  }
  LoadResult out;
  std::size_t under_way = 0;
  const double begin = now_us();
  for (std::size_t i = 0; i < connections.size(); ++i) {
    MR_TRY(const bool sent, connections[i].send(i, next));
    under_way += sent ? 1 : 0;
  }
  std::array<epoll_event, 64> ready;
  while (under_way != 0) {
    const int count = ::epoll_wait(poll.fd, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<std::size_t>(ready[static_cast<std::size_t>(i)].data.u64);
      auto& connection = connections[index];
      MR_TRY(const bool whole, connection.receive(index, on_rows));
      if (!whole) continue;
      out.latencies.add_us(now_us() - connection.begun_us());
      ++out.requests;
      MR_TRY(const bool sent, connection.send(index, next));
      under_way -= sent ? 0 : 1;
    }
  }
  out.seconds = (now_us() - begin) / 1e6;
  return out;
}

}  // namespace millrace::bench
