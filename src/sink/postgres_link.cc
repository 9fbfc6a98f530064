#include "sink/postgres_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace millrace::sink {

namespace {

constexpr std::chrono::seconds kConnectPatience{10};
constexpr int kLookMs = 100;
constexpr std::size_t kMessageBytesMax = 500;

/// libpq's and the server's texts end in line breaks and may have several lines.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMessageBytesMax)) {
    if (c == '\n' || c == '\t') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += c;
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string field(const pg_result* result, int code) {
  const char* const text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : one_line(text);
}

/// Whether the same may go well a little later: the server ends, is full, waits for a lock, is a
/// copy that only reads; or what it has is not as we left it, which opening again finds out.
bool is_passing(std::string_view state) {
  constexpr auto kClasses = std::to_array<std::string_view>({"08", "53", "55", "57", "58", "40"});
  constexpr auto kStates = std::to_array<std::string_view>({"25006", "22012", "42P01", "3F000"});
  return std::ranges::find(kClasses, state.substr(0, 2)) != kClasses.end() ||
         std::ranges::find(kStates, state) != kStates.end() || state.starts_with("XX");
}

std::unexpected<Error> refused(const pg_result* result) {
  const std::string state = field(result, PG_DIAG_SQLSTATE);
  std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (state.empty()) message = one_line(PQresultErrorMessage(result));
  if (const auto detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    message += fmt::format(" ({})", detail);
  if (state == "22012") message = "the rows there are not those of the last commit any more";
  if (state.empty() || is_passing(state)) {
    return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "PostgreSQL: {}", message);
  }
  auto failure = fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
                      "PostgreSQL refuses: {} (SQLSTATE {})", message, state);
  failure.error().hint = field(result, PG_DIAG_MESSAGE_HINT);
  return failure;
}

}  // namespace

PostgresRows::PostgresRows(pg_result* result) : result_(result, PQclear) {}

std::size_t PostgresRows::rows() const {
  return static_cast<std::size_t>(PQntuples(result_.get()));
}
std::size_t PostgresRows::columns() const {
  return static_cast<std::size_t>(PQnfields(result_.get()));
}
std::optional<std::string_view> PostgresRows::at(std::size_t row, std::size_t column) const {
  const int r = static_cast<int>(row);
  const int c = static_cast<int>(column);
  if (r >= PQntuples(result_.get()) || PQgetisnull(result_.get(), r, c) != 0) return std::nullopt;
  return std::string_view(PQgetvalue(result_.get(), r, c),
                          static_cast<std::size_t>(PQgetlength(result_.get(), r, c)));
}
std::string PostgresRows::column_name(std::size_t column) const {
  return PQfname(result_.get(), static_cast<int>(column));
}
std::uint32_t PostgresRows::column_oid(std::size_t column) const {
  return PQftype(result_.get(), static_cast<int>(column));
}
std::int32_t PostgresRows::column_modifier(std::size_t column) const {
  return PQfmod(result_.get(), static_cast<int>(column));
}

Result<std::unique_ptr<PostgresLink>> PostgresLink::connect(const StoreUrl& url,
                                                            const StoreAccess& access,
                                                            const std::atomic<bool>& stopping) {
  MR_TRY(const std::string password, password_of(access));
  const std::string port = std::to_string(url.port);
  // With "prefer" libpq goes without TLS where the certificate does not hold.
  const char* const mode = !access.tls.empty()      ? access.tls.c_str()
                           : access.ca_file.empty() ? "prefer"
                                                    : "verify-full";
  const std::array<const char*, 14> names = {"host",
                                             "port",
                                             "user",
                                             "dbname",
                                             "password",
                                             "sslmode",
                                             "sslrootcert",
                                             "application_name",
                                             "client_encoding",
                                             "keepalives_idle",
                                             "tcp_user_timeout",
                                             "options",
                                             "passfile",
                                             nullptr};
  const std::array<const char*, 14> values = {
      url.host.c_str(), port.c_str(), url.user.c_str(), url.database.c_str(), password.c_str(),
      mode, access.ca_file.empty() ? nullptr : access.ca_file.c_str(), "millrace", "UTF8", "15",
      "30000",
      "-c datestyle=ISO -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex "
      "-c intervalstyle=postgres -c lock_timeout=20s -c idle_in_transaction_session_timeout=120s",
      // What is in the home of whoever runs the server is not meant.
      "/nonexistent/passwords", nullptr};
  pg_conn* const connection = PQconnectStartParams(names.data(), values.data(), 0);
  MR_CHECK(connection != nullptr, "libpq has no memory for a connection");
  std::unique_ptr<PostgresLink> link(new PostgresLink(connection, stopping));
  MR_RETURN_IF_ERROR(link->finish_connecting());
  return link;
}

PostgresLink::~PostgresLink() { PQfinish(connection_); }

std::unexpected<Error> PostgresLink::lost() const {
  const std::string why = one_line(PQerrorMessage(connection_));
  return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "PostgreSQL: {}",
              why.empty() ? "the connection is gone" : why);
}

Status PostgresLink::finish_connecting() {
  const auto until = Clock::now() + kConnectPatience;
  auto state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD) return lost();
    MR_RETURN_IF_ERROR(wait(state == PGRES_POLLING_READING, state == PGRES_POLLING_WRITING, until));
    state = PQconnectPoll(connection_);
  }
  PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) return lost();
  return {};
}

Status PostgresLink::wait(bool reads, bool writes, Clock::time_point until) {
  for (;;) {
    if (stopping_.load())
      return fail(ErrorCode::kCancelled, error_id::kStopping, "the sink is stopped");
    pollfd waiting{.fd = PQsocket(connection_),
                   .events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)),
                   .revents = 0};
    if (waiting.fd < 0) return lost();
    if (::poll(&waiting, 1, kLookMs) > 0) return {};
    if (Clock::now() >= until)
      return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "PostgreSQL: no answer in time");
  }
}

Status PostgresLink::flush(Clock::time_point until) {
  for (;;) {
    const int left = PQflush(connection_);
    if (left < 0) return lost();
    if (left == 0) return {};
    // The server may wait for us to read before it goes on.
    MR_RETURN_IF_ERROR(wait(true, true, until));
    if (PQconsumeInput(connection_) != 1) return lost();
  }
}

Status PostgresLink::sent(int ok) {
  if (ok != 1) return lost();
  return flush(Clock::now() + kPatience);
}

namespace {
struct Flat {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  explicit Flat(std::span<const PostgresLink::Parameter> parameters) {
    for (const auto& one : parameters) {
      types.push_back(one.oid);
      values.push_back(one.bytes.data());
      lengths.push_back(static_cast<int>(one.bytes.size()));
      formats.push_back(one.binary ? 1 : 0);
    }
  }
  [[nodiscard]] int count() const { return static_cast<int>(types.size()); }
};
}  // namespace

Status PostgresLink::send(const std::string& sql, std::span<const Parameter> parameters) {
  const Flat flat(parameters);
  return sent(PQsendQueryParams(connection_, sql.c_str(), flat.count(), flat.types.data(),
                                flat.values.data(), flat.lengths.data(), flat.formats.data(), 0));
}

Status PostgresLink::prepare(const std::string& name, const std::string& sql,
                             std::span<const std::uint32_t> types) {
  return sent(PQsendPrepare(connection_, name.c_str(), sql.c_str(), static_cast<int>(types.size()),
                            types.data()));
}

Status PostgresLink::send_prepared(const std::string& name, std::span<const Parameter> parameters) {
  const Flat flat(parameters);
  return sent(PQsendQueryPrepared(connection_, name.c_str(), flat.count(), flat.values.data(),
                                  flat.lengths.data(), flat.formats.data(), 0));
}

Result<pg_result*> PostgresLink::next(Clock::time_point until) {
  while (PQisBusy(connection_) == 1) {
    MR_RETURN_IF_ERROR(wait(true, false, until));
    if (PQconsumeInput(connection_) != 1) return lost();
  }
  return PQgetResult(connection_);
}

Status PostgresLink::collect(Clock::time_point until,
                             const std::function<Status(PostgresRows)>& visit) {
  MR_RETURN_IF_ERROR(flush(until));
  Status first;
  int nothing = 0;
  for (;;) {
    MR_TRY(pg_result* const result, next(until));
    if (result == nullptr) {
      // One stands behind each statement; several in a row, and nothing more comes.
      if (PQstatus(connection_) == CONNECTION_BAD || ++nothing > 3) return lost();
      continue;
    }
    nothing = 0;
    const PostgresRows rows(result);
    const auto status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) return first;
    if (status == PGRES_PIPELINE_ABORTED || !first) continue;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_SINGLE_TUPLE) {
      if (visit) first = visit(rows);
    } else {
      first = refused(result);
    }
  }
}

Status PostgresLink::sync(std::chrono::seconds patience) {
  if (PQpipelineSync(connection_) != 1) return lost();
  return collect(Clock::now() + patience, nullptr);
}

Result<PostgresRows> PostgresLink::run(const std::string& sql,
                                       std::span<const Parameter> parameters) {
  MR_RETURN_IF_ERROR(send(sql, parameters));
  if (PQpipelineSync(connection_) != 1) return lost();
  std::optional<PostgresRows> kept;
  MR_RETURN_IF_ERROR(collect(Clock::now() + kPatience, [&](PostgresRows rows) {
    kept = std::move(rows);
    return Status();
  }));
  if (!kept) return lost();
  return std::move(*kept);
}

Status PostgresLink::stream(const std::string& sql, const Visit& visit) {
  MR_RETURN_IF_ERROR(send(sql));
  if (PQpipelineSync(connection_) != 1) return lost();
  // Where the mode cannot be had, the rows come all at once, as right.
  static_cast<void>(PQsetSingleRowMode(connection_));
  return collect(Clock::now() + std::chrono::minutes(10), visit);
}

std::string PostgresLink::quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace millrace::sink
