// What a SELECT reads of each relation that it names, as its syntax tree says: which columns, which
// rows by conditions that compare a column with constants, and how many rows in which order. All of
// it is an upper bound: the SELECT still runs as it was written over what is read, so a condition
// that is not understood costs time and never changes the answer. Conditions of subqueries, CTEs
// and plain views are taken where they stand; those on the columns of a subquery, a CTE or a plain
// view are handed down to what these show as they are. Thread: any, values only. Errors: none.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/literal.h"

namespace millrace::serving {

enum class ConditionKind : std::uint8_t {
  kIn,  // equal to one of the values
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kPrefix,
  kIsNull,
};

/// A column and constants: TRUE for no other rows than those that the SELECT wants.
struct ColumnCondition {
  std::string column;  // as the text spells it
  ConditionKind kind = ConditionKind::kIn;
  std::vector<Literal> values;
  /// Whether it is all that the text says there.
  bool exact = true;
};

/// ORDER BY and LIMIT of a SELECT that gives a row for each row of the relation that its conditions
/// leave.
struct WantedRows {
  struct Order {
    std::string column;
    bool descending = false;
    bool nulls_first = false;
  };
  std::vector<Order> order;
  std::uint64_t rows = 0;  // OFFSET included
};

/// One place where the SELECT names a relation.
struct Mention {
  std::vector<ColumnCondition> conditions;  // all of them hold
  std::optional<WantedRows> wanted;         // only where `conditions` are the whole WHERE
};

/// What a name stands for.
struct NamedRelation {
  std::string name;                  // of the catalog; empty where it is nothing of ours
  std::vector<std::string> columns;  // empty where nothing is to be known of its rows
  const boost::json::object* plain_view = nullptr;  // its tree
};
using FindRelation = std::function<NamedRelation(std::string_view name)>;

class SelectReads {
 public:
  /// All rows and columns of everything.
  SelectReads() = default;
  static SelectReads of(const boost::json::object& tree, const FindRelation& find);

  /// Where the SELECT names it; empty where nothing is known but that it may be read whole.
  [[nodiscard]] std::span<const Mention> mentions(std::string_view relation) const;
  [[nodiscard]] bool wants(std::string_view column) const;

 private:
  class Reader;

  std::map<std::string, std::vector<Mention>, std::less<>> mentions_;
  bool all_columns_ = true;
  std::set<std::string, std::less<>> names_;  // that the tree has anywhere, in lower case
};

}  // namespace millrace::serving
