#include "sql/sink_statement.h"

#include <cstring>

namespace millrace::sql {

Status name_relation(Connection& connection, std::string_view name, std::string_view select) {
  return connection.execute(
      fmt::format("CREATE OR REPLACE TEMP VIEW {} AS {}", quote_identifier(name), select));
}

Result<Prepared> prepare_sink(Connection& connection, std::string_view stage_sql,
                              std::int64_t receiver_id, SinkResult result) {
  MR_TRY(const auto columns, connection.describe(stage_sql));
  std::string names;
  for (std::size_t i = 0; i < columns.size(); ++i)
    names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  const std::string sink = fmt::format("mr_sink({}::BIGINT, {})", receiver_id, names);
  // sum() needs the value of every row; count() would be answered without calling the sink.
  const bool ones = result == SinkResult::kOnes;
  return prepare_statement(connection.handle(), fmt::format("SELECT {} FROM ({}) AS stage({})",
                                                            ones ? sink : "sum(" + sink + ")",
                                                            subquery_text(stage_sql), names));
}

Status check_rows(QueryRows& rows, SinkResult result, std::uint64_t seen) {
  Int128 made = 0;
  if (result == SinkResult::kOnes) {
    made = duckdb_row_count(rows.get());
  } else {
    const Chunk chunk = rows.fetch();
    if (!chunk || duckdb_data_chunk_get_size(chunk.get()) != 1)
      return fail(ErrorCode::kInternal, error_id::kInternal, "the scalar stage gave no sum");
    const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.get(), 0);
    const std::uint64_t* validity = duckdb_vector_get_validity(vector);
    // The sum of no row is NULL.
    if (validity == nullptr || (validity[0] & 1) != 0)
      std::memcpy(&made, duckdb_vector_get_data(vector), sizeof(made));
  }
  if (made == static_cast<Int128>(seen)) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal,
              "the scalar stage made {} rows, {} were seen", static_cast<std::int64_t>(made), seen);
}

Error evaluation_error(Error error) {
  if (error.code == ErrorCode::kInvalidArgument) error.id = error_id::kEvaluation;
  return error;
}

std::string subquery_text(std::string_view select) {
  while (!select.empty() && std::string_view("; \t\r\n").contains(select.back()))
    select.remove_suffix(1);
  // The line break ends a comment that the text may end with.
  return std::string(select) + "\n";
}

}  // namespace millrace::sql
