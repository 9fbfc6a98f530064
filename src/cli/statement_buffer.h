// Lines that somebody types, cut into statements: a statement ends at a ';' that stands in no
// string, name in quotes, comment or dollar quote, by the rules of sql/tokens.h. Knows where it is
// while more is to come, for the prompt. Thread: one. Errors: none; what never ends is whole at no
// time, until reset().
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

/// What the next line is in the middle of.
enum class Inside : char {
  kNothing = '=',    // a statement begins
  kStatement = '-',  // ';' is to come
  kString = '\'',
  kName = '"',
  kComment = '*',
  kDollars = '$',
  kBrackets = '(',
};

class StatementBuffer {
 public:
  /// Takes one more line, without its line end. Gives the statements that it ends, without ';'.
  std::vector<std::string> add(std::string_view line);
  /// What there is ends here, without a ';'. Empty where there is nothing but blanks and comments.
  std::string take();
  void reset();

  [[nodiscard]] Inside inside() const;
  /// Nothing but blanks and comments.
  [[nodiscard]] bool is_empty() const { return !any_; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  /// Reads one character, or more that belong together; gives the place behind.
  std::size_t step(std::string_view line, std::size_t at, std::vector<std::string>& ended);

  std::string text_;  // of the statement that is not over
  Inside mode_ = Inside::kStatement;
  bool backslashes_ = false;  // in E'...'
  int comments_ = 0;          // that are open, one in the other
  int brackets_ = 0;
  std::string dollars_;  // the quote that is open: "$tag$"
  bool any_ = false;
};

/// A statement as one line of a history: line ends and comments outside of strings are blanks.
[[nodiscard]] std::string one_line(std::string_view statement);

/// Whether a statement has, or may have, a secret in it: those are not for a history.
[[nodiscard]] bool may_have_secret(std::string_view statement);

}  // namespace millrace::cli
