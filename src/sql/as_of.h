// Time travel in a SELECT: `name AS OF POSITION '{"0": 17}'` and `name AS OF TIMESTAMP '…'` behind
// FROM, which DuckDB's parser does not know. They are taken out of the text, and a relation of a
// name of its own stands in their place. Thread: any, values only. Errors: kInvalidArgument
// (kSyntax) with the place.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/position.h"

namespace millrace::sql {

struct PastRelation {
  std::string relation;  // as the text now says: `flights as of 1`
  std::string name;      // of the view
  /// A position, or microseconds since 1970-01-01 UTC.
  std::variant<Position, std::int64_t> point;
  TextPlace place;
};

struct PastSelect {
  std::string text;
  std::vector<PastRelation> relations;
};

Result<PastSelect> take_as_of(std::string_view select);

}  // namespace millrace::sql
