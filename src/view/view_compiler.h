// The work of compile_view() and compile_row_select(), on one statement: what FROM gives
// (compiler_rows.cc), what keys and outputs are over it (compiler_expressions.cc), and the stages
// that both layers run (compiler_stages.cc). compiler.cc says in which order. Used once. Thread:
// any. Errors: compiler.h. Invariant: a statement that is accepted gives the same stages for the
// same columns.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "view/aggregate_calls.h"
#include "view/compiler.h"
#include "view/join_analysis.h"
#include "view/select_tree.h"

namespace millrace::view {

namespace json = boost::json;

class Compiler {
 public:
  Compiler(sql::Database& database, std::string_view select,
           std::span<const StreamDefinition> streams, std::span<const TableDefinition> tables)
      : database_(database), select_(select), streams_(streams), tables_(tables) {}

  Result<CompiledView> run(const json::object& statement);
  Result<RowSelect> run_rows(const json::object& statement);

 private:
  struct Key {
    json::value tree;
    std::string identity;
  };
  using NamedType = std::pair<std::string, std::string>;

  std::unexpected<Error> refuse(const json::value& node, std::string reason) const {
    return std::unexpected(Error{
        .code = ErrorCode::kInvalidArgument,
        .id = std::string(error_id::kNotMergeable),
        .message = (rows_only_ ? "a derived stream cannot be made of this: "
                               : "a materialized view cannot maintain this: ") +
                   std::move(reason),
        .hint = rows_only_ ? "a derived stream takes each event by itself; group in a view over it"
                           : "use CREATE VIEW, which may say all of SQL and is computed when it is "
                             "read",
        .place = place_of(select_, node)});
  }
  /// A reason that the aggregate calls gave, with the place and the way out.
  std::unexpected<Error> refuse(const json::value& node, Error error) const {
    if (error.id != error_id::kNotMergeable) return std::unexpected(std::move(error));
    return refuse(node, std::move(error.message));
  }

  // compiler_rows.cc: what the rows are made of.
  /// The statement once for each branch of the UNION ALL in it.
  Status split_unions(const json::object& statement);
  Status check_rows(const json::object& node, bool top);
  /// `top`: of the view's own SELECT.
  Status check_from(const json::object& from, bool top);
  /// Whether it is a join of two streams that stand in it themselves.
  [[nodiscard]] bool is_stream_join(const json::object& from) const;
  /// That join, in a FROM that has it.
  [[nodiscard]] json::object& stream_join_in(json::object& from) const;
  Status take_stream_join(const json::object& from);
  [[nodiscard]] const StreamDefinition* stream_named(std::string_view name) const;
  Status check_scalar(const json::value& expression) const;
  Status find_columns(const json::object& node);
  /// Makes every subquery and CTE over the stream hand the places of its rows on: event time,
  /// partition and offset. Whether `node` reads the stream.
  enum class Depth { kNone, kHere, kInside };
  struct Branch {
    json::object statement;
    const StreamDefinition* stream = nullptr;
    /// The partition, different from those of the other branches.
    json::value partition;
  };
  bool hand_places_on(json::object& node, bool top, std::size_t branch);
  Depth hand_places_on_from(json::object& from, std::size_t branch);

  // compiler_expressions.cc: keys, arguments and outputs as expressions over the rows and groups.
  /// The spelling of one of the columns that FROM gives; empty where it has none of this name.
  [[nodiscard]] std::string_view column_named(std::string_view name) const;
  /// The expression with the aliases of the select list put in, and one spelling for each column.
  json::value canonical(const json::value& expression, int depth = 0) const;

  Status collect_keys(const json::object& node);
  Status add_key(const json::value& expression);
  Status take_session(json::object& call, const json::value& expression);
  Status collect_outputs(const json::object& node);
  /// The expression over the columns of a group. `lambda` has the names that lambdas around bind.
  Result<json::value> over_groups(const json::value& expression, const json::value& origin,
                                  std::vector<std::string>& lambda);
  Result<json::value> grouping(const json::object& call, const json::value& origin) const;

  // compiler_stages.cc: the three stages.
  /// The view's rows with other select items.
  Result<std::string> stage_text(json::object statement, json::array items) const;
  /// The items' texts over the rows of one branch.
  Result<std::string> branch_text(std::size_t branch, json::array items);
  Status make_inputs();
  Status make_input(std::size_t branch, json::array items);
  Status make_join();
  Status prepare_connection();
  Result<std::vector<NamedType>> describe(std::string_view sql) const;
  Result<std::vector<Type>> bind_items(const json::array& items, std::size_t stateful);
  Status bind_types();
  Status make_outputs();
  Status make_standing_keys();
  void make_fingerprint();

  sql::Database& database_;
  bool rows_only_ = false;
  std::string_view select_;
  std::span<const StreamDefinition> streams_;
  std::span<const TableDefinition> tables_;
  std::unique_ptr<sql::Connection> connection_;
  std::vector<Branch> branches_;

  // FROM
  std::set<std::string> ctes_;         // lower case
  std::set<std::string> stream_ctes_;  // those that read the stream
  const StreamDefinition* stream_read_ = nullptr;
  std::optional<JoinAnalysis> joined_;      // of two streams
  std::vector<std::string> using_columns_;  // that they are joined by
  bool plain_from_ = false;                 // FROM is the stream itself
  std::string alias_;                       // of the only relation of FROM
  bool stream_is_inside_ = false;           // of a subquery
  std::vector<std::string> columns_;

  const json::array* items_ = nullptr;  // the select list
  std::vector<Key> keys_;
  /// The keys of each grouping set; one set of all keys where the view has no more.
  std::vector<std::vector<std::size_t>> sets_;
  bool has_sets_ = false;
  std::optional<std::size_t> session_key_;
  std::optional<AggregateCalls> calls_;
  std::vector<json::value> final_items_;
  json::value final_filter_;
  CompiledView out_;
};

}  // namespace millrace::view
