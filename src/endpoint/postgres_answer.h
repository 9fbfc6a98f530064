// The rows of one statement on their way to a client: encoded piece by piece, as many as there is
// room for, so that a client that reads slowly makes the server hold the answer once and not its
// encoding. Owns: the result, whose bytes count in the server's bound until the answer is gone.
// Thread: one at a time. Errors: kResourceExhausted (kBusy) where the answers of all clients
// together would be too large.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "serving/statement_runner.h"
#include "wire/postgres.h"

namespace millrace::endpoint {

/// The formats that a client asked for: none, one for all, or one for each column.
using ResultFormats = std::vector<wire::postgres::Format>;

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
  };

  static Result<std::unique_ptr<PostgresAnswer>> make(serving::StatementResult result,
                                                      ResultFormats formats,
                                                      std::atomic<std::uint64_t>& held_bytes,
                                                      std::uint64_t held_bytes_max);
  ~PostgresAnswer();
  PostgresAnswer(const PostgresAnswer&) = delete;
  PostgresAnswer& operator=(const PostgresAnswer&) = delete;

  [[nodiscard]] bool has_columns() const { return !result_.columns.empty(); }
  [[nodiscard]] const serving::StatementResult& result() const { return result_; }
  void describe(std::string& out) const { append_columns(result_.columns, formats_, out); }
  /// Appends rows until `out` has `bytes_max` or `rows_left` is 0; counts that down.
  Written append_rows(std::uint64_t& rows_left, std::size_t bytes_max, std::string& out);

 private:
  PostgresAnswer(serving::StatementResult result, ResultFormats formats,
                 std::atomic<std::uint64_t>& held_bytes, std::uint64_t bytes);
  void append_row(std::string& out);
  bool find_batch();

  serving::StatementResult result_;
  const ResultFormats formats_;  // one for each column
  std::atomic<std::uint64_t>& held_bytes_;
  const std::uint64_t bytes_;
  std::vector<ColumnView> views_;  // of the batch below
  std::size_t batch_ = 0;
  std::size_t row_ = 0;
};

}  // namespace millrace::endpoint
