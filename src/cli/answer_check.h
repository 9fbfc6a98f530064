// Compares two answers row by row, in any order of the rows, to the last bit: doubles by their
// value, all else by their text. Thread: any. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/result_table.h"

namespace millrace::cli {

struct AnswerDifference {
  std::uint64_t missing = 0;         // expected, and not there
  std::uint64_t unexpected = 0;      // there, and not expected
  std::vector<std::string> samples;  // some of them: "missing: ..." and "unexpected: ..."
  [[nodiscard]] bool none() const { return missing == 0 && unexpected == 0; }
};

[[nodiscard]] AnswerDifference compare_answers(const ResultTable& expected,
                                               const ResultTable& actual);

}  // namespace millrace::cli
