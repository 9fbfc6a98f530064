#include "cli/flight_source.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace millrace::cli {
namespace {

// Rows are numbered in event-time order. The high half of a multiplicative hash of the number
// (Knuth's constant) chooses: one in a hundred is sent 2,000 to 9,000 places late, one in two
// hundred once more up to 5,000 places behind itself.
constexpr std::string_view kNumbered =
    "CREATE VIEW numbered AS SELECT *, (n * 2654435761) % 4294967296 // 65536 AS h FROM "
    "(SELECT date, delay, distance, origin, destination, "
    "row_number() OVER (ORDER BY date, file_row_number) - 1 AS n "
    "FROM read_parquet({}, file_row_number = true){})";
constexpr std::string_view kSent =
    "CREATE VIEW sent AS "
    "SELECT *, n + CASE WHEN h % 100 = 0 THEN 2000 + h % 7000 ELSE 0 END AS place, 0 AS again FROM "
    "numbered "
    "UNION ALL SELECT *, n + 1 + h % 5000, 1 FROM numbered WHERE h % 200 = 7";
constexpr std::string_view kFlights =
    "CREATE VIEW flights AS SELECT date, origin, destination, delay, distance FROM numbered "
    "UNION ALL SELECT date, origin, destination, delay, distance FROM numbered WHERE h % 200 = 7";
constexpr std::string_view kTotals =
    "SELECT count(*), count(*) FILTER (h % 100 = 0), count(*) FILTER (h % 200 = 7) FROM numbered";
constexpr std::string_view kSendOrder =
    "SELECT date, origin, destination, delay, distance FROM sent ORDER BY place, again, n";

}  // namespace

Result<std::unique_ptr<FlightSource>> FlightSource::open(const std::filesystem::path& parquet,
                                                         const std::filesystem::path& spill_folder,
                                                         std::uint64_t flights_max) {
  const auto file = std::filesystem::absolute(parquet);
  MR_TRY(auto database, sql::Database::open({.threads = 1,
                                             .memory_bytes_max = std::uint64_t{1} << 30,
                                             .folders = {file.parent_path(), spill_folder},
                                             .spill_folder = spill_folder}));
  MR_TRY(auto connection, database->connect());
  std::unique_ptr<FlightSource> source(
      new FlightSource(std::move(database), std::move(connection)));
  auto& db = *source->connection_;
  const std::string limit =
      flights_max == 0 ? "" : fmt::format(" WHERE file_row_number < {}", flights_max);
  MR_RETURN_IF_ERROR(db.execute(fmt::format(kNumbered, quote_literal(file.string()), limit)));
  MR_RETURN_IF_ERROR(db.execute(kSent));
  MR_RETURN_IF_ERROR(db.execute(kFlights));
  auto counted = db.query(kTotals, [&](const BatchView& view) -> Status {
    if (view.rows == 0) return {};
    const auto number = [&](std::size_t column) {
      return static_cast<std::uint64_t>(view.columns[column].as<std::int64_t>()[0]);
    };
    source->totals_ = {.flights = number(0), .late = number(1), .repeated = number(2)};
    return {};
  });
  if (!counted) return std::unexpected(std::move(counted).error());
  return source;
}

Status FlightSource::send_all(std::uint64_t rows_per_body, const BodyVisitor& visit) {
  constexpr std::array<std::string_view, 5> kKeys = {
      "{\"date\":", ",\"origin\":", ",\"destination\":", ",\"delay\":", ",\"distance\":"};
  std::string body;
  std::uint64_t rows = 0;
  const auto sent = connection_->query(kSendOrder, [&](const BatchView& view) -> Status {
    for (std::size_t row = 0; row < view.rows; ++row) {
      for (std::size_t column = 0; column < kKeys.size(); ++column) {
        body += kKeys[column];
        append_json(body, view.columns[column], row);
      }
      body += "}\n";
      if (++rows < rows_per_body) continue;
      MR_RETURN_IF_ERROR(visit(std::exchange(body, {}), std::exchange(rows, 0)));
      body.reserve(rows_per_body * 112);
    }
    return {};
  });
  if (!sent) return std::unexpected(sent.error());
  if (rows != 0) return visit(std::move(body), rows);
  return {};
}

Result<FlightSource::Answer> FlightSource::recompute(std::string_view select) {
  Answer answer;
  auto columns = connection_->query(select, [&](const BatchView& view) -> Status {
    for (std::size_t row = 0; row < view.rows; ++row) {
      for (const auto& column : view.columns) append_json(answer.cells.emplace_back(), column, row);
    }
    return {};
  });
  if (!columns) return std::unexpected(std::move(columns).error());
  answer.columns = std::move(*columns);
  return answer;
}

}  // namespace millrace::cli
