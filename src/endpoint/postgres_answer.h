// The rows of one statement on their way to a client: encoded piece by piece, as many as there is
// room for, so that a client that reads slowly makes the server hold the answer once and not its
// encoding. The rows of a SUBSCRIBE come as they are made, and those that memory had no room for
// from disk: of them it holds one piece. Owns: the result, whose bytes in memory count in the
// server's bound until the answer is gone. Thread: one at a time. Errors: kResourceExhausted
// (kBusy) where the answers of all clients together would be too large; of advance() those of
// sql/spilled_rows.h and serving/live_query.h.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "serving/live_query.h"
#include "serving/sql_session.h"
#include "wire/postgres.h"
#include "wire/postgres_copy.h"

namespace millrace::endpoint {

/// The formats that a client asked for: none, one for all, or one for each column.
using ResultFormats = std::vector<wire::postgres::Format>;

/// COPY as the session understood it, for the codec.
[[nodiscard]] wire::postgres::CopyOptions copy_options(const serving::CopyPlan& plan);

/// Appends a RowDescription.
void append_columns(std::span<const Column> columns, const ResultFormats& formats,
                    std::string& out);

/// "SELECT 3", "INSERT 0 3", "CREATE STREAM".
[[nodiscard]] std::string command_tag(std::string_view command, std::uint64_t rows);

class PostgresAnswer {
 public:
  enum class Written : std::uint8_t {
    kAll,      // there are no more
    kRowsMax,  // so many as were wanted
    kFull,     // no room for more now
    kMore,     // more are to be made or read: advance()
    kWaiting,  // more may come, or not
  };

  static Result<std::unique_ptr<PostgresAnswer>> make(serving::StatementResult result,
                                                      ResultFormats formats,
                                                      std::atomic<std::uint64_t>& held_bytes,
                                                      std::uint64_t held_bytes_max);
  ~PostgresAnswer();
  PostgresAnswer(const PostgresAnswer&) = delete;
  PostgresAnswer& operator=(const PostgresAnswer&) = delete;

  /// The rows go as COPY's data.
  void copy_out(wire::postgres::CopyOptions options) { copy_ = std::move(options); }
  [[nodiscard]] bool has_columns() const { return !result_.columns.empty(); }
  [[nodiscard]] const serving::StatementResult& result() const { return result_; }
  /// What comes before the rows, where they are not a portal's.
  void describe(std::string& out) const;
  [[nodiscard]] bool is_copy() const { return copy_.has_value(); }
  /// What comes behind them. `rows` were written since the portal was executed last.
  void complete(std::uint64_t rows, std::string& out) const;
  /// Appends rows until `out` has `bytes_max` or `rows_left` is 0; counts that down.
  Written append_rows(std::uint64_t& rows_left, std::size_t bytes_max, std::string& out);

  // --- rows that come by and by: of SUBSCRIBE, and from disk ---

  [[nodiscard]] bool comes_by_and_by() const {
    return result_.live != nullptr || result_.rest != nullptr;
  }
  [[nodiscard]] serving::LiveQuery* live() const { return result_.live.get(); }
  /// There is something to do for one whose rows were written: advance(), or its end.
  [[nodiscard]] bool is_ready() const;
  /// When it becomes ready at last; never, for most.
  [[nodiscard]] std::chrono::steady_clock::time_point ready_by() const { return ready_by_; }
  /// Makes or reads the next rows. Not for an I/O thread.
  Status advance();

 private:
  PostgresAnswer(serving::StatementResult result, ResultFormats formats,
                 std::atomic<std::uint64_t>& held_bytes, std::uint64_t bytes);
  void append_row(std::string& out);
  bool find_batch();
  [[nodiscard]] bool is_over() const;
  Status advance_live();
  Status advance_rest();
  void take_piece(std::vector<std::shared_ptr<const ColumnBatch>> batches);

  serving::StatementResult result_;
  const ResultFormats formats_;  // one for each column
  std::atomic<std::uint64_t>& held_bytes_;
  std::uint64_t bytes_;
  std::optional<wire::postgres::CopyOptions> copy_;
  std::string copy_row_;
  std::vector<ColumnView> views_;  // of the batch below
  std::size_t batch_ = 0;
  std::size_t row_ = 0;
  // Of a FETCH of a SUBSCRIBE.
  std::uint64_t fetched_ = 0;
  bool met_progress_ = false;
  std::chrono::steady_clock::time_point ready_by_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace millrace::endpoint
