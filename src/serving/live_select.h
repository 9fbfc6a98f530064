// The SELECT of a SUBSCRIBE: what it may say, and what gives its columns for some rows of the view
// at a time. It takes each row by itself, so that the row of a key depends on nothing but the row
// of the view under that key. Values only; thread: any. Errors: kInvalidArgument
// (kUnsupportedStatement) with the reason, the place and what to do instead; those of
// sql/allow_list.h for functions that do not give the same each time; kViewNotFound.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "speed/view_state.h"

namespace millrace::serving {

/// The relation that LiveSelect::sql reads: the view's columns as c0, c1, …
inline constexpr std::string_view kLiveRelation = "live_rows";

struct LiveSelect {
  std::shared_ptr<speed::ViewState> view;
  std::vector<Column> columns;
  /// The number of the row, then the columns; empty where they are columns of the view as they are,
  /// without a condition: those that `plain` says.
  std::string sql;
  std::vector<std::uint32_t> plain;
  /// For each column the one of the unit's key that it shows, if it shows one.
  std::vector<std::optional<std::uint32_t>> keys;
  /// What the condition asks of the key at least: other keys need not be looked at.
  std::vector<ViewRequest::Equal> where;
  /// A key may have rows that the condition drops.
  bool filters = false;
};

/// Errors of what no SUBSCRIBE may say, before anybody asks what its names mean.
Status check_live_select(const ParsedSelect& select);

/// `columns` are those of the answer; there are no parameters left in the tree. `view` is what FROM
/// names.
Result<LiveSelect> make_live_select(const ParsedSelect& select, std::vector<Column> columns,
                                    std::shared_ptr<speed::ViewState> view);

/// The name behind FROM. Only of a SELECT that was checked.
[[nodiscard]] std::string relation_of(const ParsedSelect& select);

}  // namespace millrace::serving
