// The parameters $1, $2, … in the syntax tree of a SELECT, and values in their places. Values go in
// as constants of the tree, which DuckDB itself writes as text: whatever a client sends as a value
// stays a value. Thread: any, values only. Errors: kInvalidArgument (kSyntax) for parameters with
// names or numbers out of range, (kBadValue) for values that are no UTF-8 or have a zero byte.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/type.h"

namespace millrace::sql {

/// The greatest number of a parameter in the tree; 0 where there is none.
Result<std::size_t> count_parameters(const boost::json::value& tree);

/// Puts what `with` gives for parameter `index` (from 0) in its place; null leaves the parameter.
using ReplaceParameter = std::function<boost::json::value(std::size_t index)>;
void replace_parameters(boost::json::value& tree, const ReplaceParameter& with);

/// A parameter of the tree that is itself cast to a type: CAST($1 AS type).
Result<boost::json::value> cast_parameter(std::size_t index, const Type& type);

/// Makes nodes for the values of one parameter, whose type it is.
class ParameterNode {
 public:
  static Result<ParameterNode> make(const Type& type);
  /// CAST('text' AS type); nullopt: NULL.
  Result<boost::json::value> of(std::size_t index, const std::optional<std::string>& value) const;

 private:
  ParameterNode(boost::json::value null, boost::json::value text)
      : null_(std::move(null)), text_(std::move(text)) {}
  boost::json::value null_;  // CAST(NULL AS type)
  boost::json::value text_;  // 'x'
};

}  // namespace millrace::sql
