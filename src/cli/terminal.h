// What the terminal of a command can do, and text that is safe and aligned on it. Data goes to
// standard output, everything else to standard error. Thread: any; one line of one call is written
// at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace::cli {

struct Terminal {
  bool interactive = false;  // standard error is a terminal: progress may redraw its line
  bool color = false;
  bool quiet = false;

  /// Colour only on a terminal, without --no-color, and where NO_COLOR (no-color.org) is not set.
  static Terminal of_process(bool quiet, bool no_color);

  [[nodiscard]] std::string bold(std::string_view text) const;
  [[nodiscard]] std::string dim(std::string_view text) const;
  [[nodiscard]] std::string green(std::string_view text) const;
  [[nodiscard]] std::string red(std::string_view text) const;

  /// A line on standard error, unless quiet.
  void note(std::string_view text) const;
  /// A line on standard error that the next call replaces; only on a terminal.
  void progress(std::string_view text) const;
  void end_progress() const;
  /// "error[MR1203]: ... (line 1, column 8)" and a line "hint: ...", quiet or not.
  void error(const Error& error) const;
};

/// Writes to standard output. False when nobody reads it any more.
bool print(std::string_view text);

/// Columns that the text takes on a terminal: wide East Asian characters take 2, combining ones
/// none.
[[nodiscard]] std::size_t display_width(std::string_view utf8);
/// The text with control characters as \n, \t or \x1b, so that data cannot steer the terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// 1234567 -> "1,234,567"
[[nodiscard]] std::string grouped(std::uint64_t number);

}  // namespace millrace::cli
