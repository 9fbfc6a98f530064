// The flights of the demonstration: the order in which they are sent, with late and repeated ones,
// and the answers that follow from them. Which flights are late or repeated follows from the number
// of their row, in SQL, so that the check can say it again over the file alone, without anything
// that was sent or stored. Owns: a DuckDB of its own. Thread: one at a time. Errors: those of
// sql/database.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sql/database.h"

namespace millrace::cli {

class FlightSource {
 public:
  /// `flights_max` 0: all of the file. DuckDB may spill into `spill_folder`.
  static Result<std::unique_ptr<FlightSource>> open(const std::filesystem::path& parquet,
                                                    const std::filesystem::path& spill_folder,
                                                    std::uint64_t flights_max);

  struct Totals {
    std::uint64_t flights = 0;
    std::uint64_t late = 0;
    std::uint64_t repeated = 0;
    [[nodiscard]] std::uint64_t events() const { return flights + repeated; }
  };
  [[nodiscard]] const Totals& totals() const { return totals_; }

  /// Gives the events as JSON Lines, `rows_per_body` at a time, in the order of sending. The
  /// visitor's error ends it.
  using BodyVisitor = std::function<Status(std::string body, std::uint64_t rows)>;
  Status send_all(std::uint64_t rows_per_body, const BodyVisitor& visit);

  /// The answer of a SELECT over `flights`, from the file: the columns, and the JSON text of each
  /// cell.
  struct Answer {
    std::vector<Column> columns;
    std::vector<std::string> cells;
  };
  Result<Answer> recompute(std::string_view select);

 private:
  FlightSource(std::shared_ptr<sql::Database> database, std::unique_ptr<sql::Connection> connection)
      : database_(std::move(database)), connection_(std::move(connection)) {}
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<sql::Connection> connection_;
  Totals totals_;
};

}  // namespace millrace::cli
