// An answer as texts that are equal where the values have the same bits, and the comparison of two.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/stream.h"
#include "tests/sql/case_file.h"

namespace millrace::sql_cases {

struct Answer {
  std::vector<std::string> names;
  std::vector<std::string> types;  // as SQL writes them; empty: not known
  /// Values as SQL shows them, doubles in the shortest text that reads back to the same bits.
  std::vector<std::vector<std::optional<std::string>>> rows;

  void append(const BatchView& chunk);
};

struct Rules {
  double tolerance = 0;
  std::vector<Bound> bounds;
  /// Whether the columns' names are compared.
  bool names = false;
};

/// What is different, with the first differing rows; nothing where the answers agree. The order of
/// the rows does not count. Only `expected` may hold -0.0: Millrace shows 0.0 for it.
[[nodiscard]] std::optional<std::string> difference(const Answer& got, Answer expected,
                                                    const Rules& rules);

}  // namespace millrace::sql_cases
