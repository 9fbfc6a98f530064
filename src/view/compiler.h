// From the SELECT of a materialized view to what both layers run: the scalar stage's SQL, the
// aggregate plan, and how the view's columns are made of keys and components. What has no mergeable
// state is refused here, with the reason, the place, and the way out. Thread: any. Errors:
// kInvalidArgument (kNotMergeable, kSqlFailed, kColumnNotFound).
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "view/aggregate_plan.h"

namespace millrace::view {

struct CompiledView {
  AggregatePlan plan;
  std::vector<OutputColumn> outputs;
  /// Select items: the plan's keys, then its arguments; one constant where there is neither.
  std::string stage_sql;
  /// The trees of the same select items, and of the filter (null where there is none), for the
  /// native short cut.
  boost::json::array stage_items;
  boost::json::value stage_filter;
  /// Names the definition in state files: the same text over the same columns gives the same
  /// number.
  std::uint64_t fingerprint = 0;

  /// The output that shows key `key`, if the view selects it.
  [[nodiscard]] std::optional<std::size_t> output_of_key(std::size_t key) const;
  [[nodiscard]] std::optional<std::size_t> find_output(std::string_view name) const;
};

/// `statement` is the checked tree of `select` (sql::parse_select, sql::check_select).
Result<CompiledView> compile_view(sql::Database& database, std::string_view select,
                                  const boost::json::object& statement,
                                  const StreamDefinition& stream);

}  // namespace millrace::view
