// The conjuncts of a WHERE or ON that compare one column with constants. Thread: any, values only.
// Errors: none: a conjunct of another form is left out, and said to be.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "serving/select_reads.h"

namespace millrace::serving {

/// A reference to a column: its name, and what stands before it.
struct Reference {
  std::string table;
  std::string column;
};

[[nodiscard]] std::optional<Reference> reference_of(const boost::json::object& node);

struct Condition {
  Reference reference;
  ColumnCondition condition;
};
/// Conjuncts, and whether they are all that is said there.
struct Conditions {
  std::vector<Condition> list;
  bool whole = true;
};

/// Adds those of an expression.
void read_conditions(const boost::json::object& expression, Conditions& out);

}  // namespace millrace::serving
