// The plan of a view outside of the server: what the operator is opened with, as one JSON document.
// It says what the view reads and its SELECT, not how it is computed: that the operator works out
// by itself, by the code of the server. Thread: any, values only. Errors: kInvalidArgument (kPlan).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"

namespace millrace::op {

struct Plan {
  std::string view;
  std::string select;
  /// What the SELECT reads: names, columns, event time, key. Their ids count from 1.
  std::vector<StreamDefinition> streams;
  /// The version of the program that wrote it; for people.
  std::string program;
};

inline constexpr std::size_t kPlanBytesMax = std::size_t{4} << 20;

[[nodiscard]] std::string write_plan(const Plan& plan);
/// A member that is missing, unknown or of another kind is an error that names it.
Result<Plan> read_plan(std::string_view json);

}  // namespace millrace::op
