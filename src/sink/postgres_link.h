// A connection to a PostgreSQL by libpq, in pipeline mode for all of its life: what is sent waits
// for no answer until sync(). Waits for the network by poll(), never longer than it was given, and
// not long after `stopping` is set. Owns: the connection. Thread: one. Errors: kUnavailable
// (kStoreLost) where the connection or the server is gone or wants the same again;
// kFailedPrecondition (kStoreRefused) where the server refuses what was sent, with its text. No
// error has the password.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sink/store_url.h"

struct pg_conn;
struct pg_result;

namespace millrace::sink {

/// What a statement gave, as text.
class PostgresRows {
 public:
  explicit PostgresRows(pg_result* result);
  [[nodiscard]] std::size_t rows() const;
  [[nodiscard]] std::size_t columns() const;
  [[nodiscard]] std::optional<std::string_view> at(std::size_t row, std::size_t column) const;
  [[nodiscard]] std::string column_name(std::size_t column) const;
  [[nodiscard]] std::uint32_t column_oid(std::size_t column) const;
  [[nodiscard]] std::int32_t column_modifier(std::size_t column) const;

 private:
  std::shared_ptr<pg_result> result_;
};

class PostgresLink {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  static Result<std::unique_ptr<PostgresLink>> connect(const StoreUrl& url,
                                                       const StoreAccess& access,
                                                       const std::atomic<bool>& stopping);
  ~PostgresLink();
  PostgresLink(const PostgresLink&) = delete;
  PostgresLink& operator=(const PostgresLink&) = delete;

  struct Parameter {
    std::uint32_t oid = 0;
    std::string bytes;
    bool binary = false;
  };

  /// One statement, and waits for it.
  Result<PostgresRows> run(const std::string& sql, std::span<const Parameter> parameters = {});
  /// As run(), the rows piece by piece.
  using Visit = std::function<Status(const PostgresRows& row)>;
  Status stream(const std::string& sql, const Visit& visit);
  /// Puts a statement on its way. It fails in sync().
  Status send(const std::string& sql, std::span<const Parameter> parameters = {});
  Status prepare(const std::string& name, const std::string& sql,
                 std::span<const std::uint32_t> types);
  Status send_prepared(const std::string& name, std::span<const Parameter> parameters);
  /// Waits for all that was sent; gives the first error. Statements behind it did not run, and
  /// those before it, unless they were committed, are undone.
  Status sync(std::chrono::seconds patience = kPatience);
  /// A name in double quotes.
  [[nodiscard]] static std::string quoted(std::string_view name);

 private:
  using Clock = std::chrono::steady_clock;
  PostgresLink(pg_conn* connection, const std::atomic<bool>& stopping)
      : connection_(connection), stopping_(stopping) {}
  Status finish_connecting();
  Status wait(bool reads, bool writes, Clock::time_point until);
  Status flush(Clock::time_point until);
  Status sent(int ok);
  /// The next result; nullptr between those of two statements.
  Result<pg_result*> next(Clock::time_point until);
  Status collect(Clock::time_point until, const std::function<Status(PostgresRows)>& visit);
  [[nodiscard]] std::unexpected<Error> lost() const;

  pg_conn* connection_;
  const std::atomic<bool>& stopping_;
};

}  // namespace millrace::sink
