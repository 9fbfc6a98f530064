// A result as people read it on a terminal: a table that fits its width, one line for each value,
// or Markdown. Pure text; thread: any. Errors: none. Invariant: no line of a fitted table is wider
// than asked, as far as one column fits at all.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/result_table.h"
#include "cli/terminal.h"

namespace millrace::cli {

struct TableLayout {
  std::size_t width_max = 0;  // in columns of the terminal; 0: as wide as it is
  std::string null = "NULL";
  const Terminal* terminal = nullptr;  // its colours; none without
  /// Rows that are shown with emphasis.
  std::function<bool(std::size_t row)> is_new = {};
};

/// Long values are cut with "…"; where even short ones do not fit, columns in the middle are left
/// out, and the last line says so.
[[nodiscard]] std::string fitted_table(const ResultTable& table, const TableLayout& layout);
/// A block for each row, a line for each value.
[[nodiscard]] std::string expanded_text(const ResultTable& table, const TableLayout& layout);
[[nodiscard]] std::string markdown_text(const ResultTable& table, const TableLayout& layout);

/// The text cut to so many columns of a terminal, with "…" where it was longer.
[[nodiscard]] std::string clipped(std::string_view text, std::size_t width);

}  // namespace millrace::cli
