// From the SELECT of a materialized view to what both layers run: the scalar stage's SQL, the
// aggregate plan, and the final stage over the columns of a group. What has no mergeable state is
// refused here, with the reason, the place, and the way out. Thread: any. Errors: kInvalidArgument
// (kNotMergeable, kSqlFailed, kColumnNotFound).
//
// What FROM may say: one stream; subqueries and CTEs over it that work row by row; joins of it with
// reference tables; UNION ALL of such rows, of one stream each, which become the view's inputs; or
// an inner join of two streams by equal keys and a bounded time.
// GROUPING SETS, ROLLUP and CUBE give each row once per set, with the number of the set as the last
// key. hop() gives each row once per window. session() makes the event time the last key; groups of
// one session are folded when the answer is made (finalizer.h).
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "view/aggregate_plan.h"
#include "view/stream_join.h"

namespace millrace::view {

/// A column of the view's rows.
struct ViewColumn {
  std::string name;
  Type type;
  /// The group key that it shows as it is.
  std::optional<std::uint32_t> key = {};
};

/// The scalar stage over the rows of one stream.
struct StageInput {
  StreamId stream;
  /// Select items: the plan's keys, then its arguments; one constant where there is neither.
  std::string sql;
  /// The trees of the same select items, and of the filter (null where there is none), for the
  /// native short cut; no items where the stage is more than a SELECT over the stream.
  boost::json::array items;
  boost::json::value filter;
};

struct CompiledView {
  AggregatePlan plan;
  /// One, or one for each branch of a UNION ALL; none where there is a join.
  std::vector<StageInput> inputs;
  std::optional<StreamJoin> join;
  /// What the aggregate stage gives for each group: the keys, then columns of components.
  std::vector<OutputColumn> group_columns;
  std::vector<ViewColumn> outputs;
  /// SELECT over a relation kGroupRelation with the group's columns (k0, …, a0, …); empty where the
  /// outputs are group columns as they are: then `plain_outputs` says which.
  std::string final_sql;
  std::vector<std::uint32_t> plain_outputs;

  /// Encoded keys of the groups that are there without any event: the one of an aggregate without
  /// GROUP BY, and of each empty grouping set.
  std::vector<std::string> standing_keys;
  /// The last key is an event time (TIMESTAMP or TIMESTAMP WITH TIME ZONE): groups that follow each
  /// other by at most this many microseconds are one session.
  std::optional<std::int64_t> session_gap_us;

  /// Names the definition in state files: the same text over the same columns gives the same
  /// number.
  std::uint64_t fingerprint = 0;

  /// The output that shows key `key`, if the view selects it.
  [[nodiscard]] std::optional<std::size_t> output_of_key(std::size_t key) const;
  [[nodiscard]] std::optional<std::size_t> find_output(std::string_view name) const;
};

inline constexpr std::string_view kGroupRelation = "group_rows";

/// A reference table that a view may join.
struct TableDefinition {
  std::string name;
  std::vector<Column> columns;
};

/// `statement` is the checked tree of `select` (sql::parse_select, sql::check_select); `streams`
/// and `tables` are those that it names.
Result<CompiledView> compile_view(sql::Database& database, std::string_view select,
                                  const boost::json::object& statement,
                                  std::span<const StreamDefinition> streams,
                                  std::span<const TableDefinition> tables = {});

/// The SELECT of a derived stream: rows of one stream, each by itself, without their positions,
/// which are not known before the log has them.
struct RowSelect {
  std::string sql;
  std::vector<Column> columns;
};
Result<RowSelect> compile_row_select(sql::Database& database, std::string_view select,
                                     const boost::json::object& statement,
                                     const StreamDefinition& stream);

}  // namespace millrace::view
