#include "plain_duckdb.h"

#include "http_load.h"

namespace millrace::bench {

Result<PlainDuckDb> PlainDuckDb::open(const std::filesystem::path& lake) {
  PlainDuckDb out;
  MR_TRY(out.database_, sql::Database::open({.threads = 2,
                                             .memory_bytes_max = std::uint64_t{4} << 30,
                                             .folders = {lake},
                                             .spill_folder = {}}));
  MR_TRY(out.connection_, out.database_->connect());
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(lake, error)) {
    if (entry.path().extension() != ".parquet") continue;
    out.files_ += (out.files_.empty() ? "" : ",") + quote_literal(entry.path().string());
  }
  if (out.files_.empty())
    return fail(ErrorCode::kNotFound, error_id::kInternal, "no Parquet file in {}", lake.string());
  return out;
}

Result<double> PlainDuckDb::run(std::string_view select, const sql::ChunkVisitor& visit) {
  const std::string from = fmt::format("read_parquet([{}])", files_);
  const double begin = now_us();
  MR_TRY(const auto columns, connection_->query(fmt::format(fmt::runtime(select), from), visit));
  const double seconds = (now_us() - begin) / 1e6;
  if (columns.empty())
    return fail(ErrorCode::kInternal, error_id::kInternal, "DuckDB gives no column");
  return seconds;
}

Result<double> PlainDuckDb::count(const BenchView& view, std::uint64_t events) {
  std::uint64_t counted = 0;
  MR_TRY(const double seconds, run(view.select, [&](const BatchView& rows) {
           for (std::size_t c = 0; c < rows.columns.size(); ++c) {
             // The column c of each view is its count(*).
             if (rows.columns[c].type.kind != TypeKind::kBigInt) continue;
             for (std::size_t row = 0; row < rows.rows; ++row)
               counted += static_cast<std::uint64_t>(rows.columns[c].as<std::int64_t>()[row]);
           }
           return Status();
         }));
  if (counted != events) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "DuckDB counts {} of {} events", counted,
                events);
  }
  return seconds;
}

}  // namespace millrace::bench
