// A SELECT of ours that ends in mr_sink: no row of it comes out, each is shown to the receiver, and
// the sum that comes out tells whether every one was.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sql/duckdb_handles.h"

namespace millrace::sql {

/// Gives a relation a name on this connection.
Status name_relation(Connection& connection, std::string_view name, std::string_view select);

/// What comes out of the statement beside the rows that the receiver gets.
enum class SinkResult {
  kOnes,  // a 1 for each row: 10 us less for a call, a byte of memory for a row
  kSum,   // their sum: for scans of any length
};

/// Prepares "SELECT mr_sink(id, items of stage_sql) FROM (stage_sql)", or the sum of it.
Result<Prepared> prepare_sink(Connection& connection, std::string_view stage_sql,
                              std::int64_t receiver_id, SinkResult result);

/// kInternal where DuckDB made other rows than the receiver saw.
Status check_rows(QueryRows& rows, SinkResult result, std::uint64_t seen);

/// What an expression of the stage did to some row: kInvalidArgument becomes kEvaluation, and the
/// text ends before the part that shows the statement, which is ours.
[[nodiscard]] Error evaluation_error(Error error);

/// A text that may stand inside of brackets.
[[nodiscard]] std::string subquery_text(std::string_view select);

}  // namespace millrace::sql
