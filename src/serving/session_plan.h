// What SqlSession::prepare() keeps of a statement for its executions. Values only, never changed
// after prepare(). Names in it are looked up anew by each execution, so a change of definitions
// makes none of it wrong; what depends on a view says so by its weak pointer (point_select.h).
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "serving/point_select.h"
#include "serving/statement_runner.h"
#include "sql/parameters.h"
#include "sql/session_statement.h"
#include "sql/statement.h"

namespace millrace::serving {

struct SessionPlan {
  // One of these two.
  std::optional<sql::SessionStatement> session;
  std::optional<sql::Statement> statement;
  /// Of a SELECT; of the rows of an INSERT with parameters; of a cursor, EXPLAIN and COPY TO.
  std::optional<ParsedSelect> select;
  /// The expressions of an UPDATE or DELETE with parameters: the assignments', then the WHERE's.
  std::vector<boost::json::value> expressions;
  std::vector<sql::ParameterNode> nodes;  // of the parameters
  std::shared_ptr<const PointSelect> point;
  /// Of a SUBSCRIBE, also inside of DECLARE and COPY: `select` is its SELECT.
  std::optional<sql::Subscribe> subscribe;
  std::vector<Column> live_columns;  // of the SELECT
  /// What a SELECT of nothing but set_config() with constants sets.
  struct SetConfig {
    std::string name;
    std::string value;
    bool local = false;
  };
  std::vector<SetConfig> set_configs;
};

/// What the tree of a SELECT sets; most set nothing.
[[nodiscard]] std::vector<SessionPlan::SetConfig> set_configs_of(const boost::json::object& tree);

/// The tree with the values in the parameters' places. Errors: kInvalidArgument (kBadValue).
Result<boost::json::value> with_values(const boost::json::value& tree,
                                       const std::vector<sql::ParameterNode>& nodes,
                                       std::span<const std::optional<std::string>> values);

}  // namespace millrace::serving
