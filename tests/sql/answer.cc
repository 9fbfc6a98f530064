#include "tests/sql/answer.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/ascii_case.h"

namespace millrace::sql_cases {

namespace {

using Row = std::vector<std::optional<std::string>>;

constexpr std::size_t kRowsShown = 5;

bool is_floating(std::string_view type) {
  return type.find("DOUBLE") != std::string_view::npos ||
         type.find("FLOAT") != std::string_view::npos;
}

bool is_number_char(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '+';
}

/// One number, or the next piece of text between numbers, of a value: lists and structs hold many.
std::string_view next_token(std::string_view text) {
  const auto starts_number = [&](std::size_t at) {
    return std::isdigit(static_cast<unsigned char>(text[at])) != 0 ||
           (text[at] == '-' && at + 1 < text.size() &&
            std::isdigit(static_cast<unsigned char>(text[at + 1])) != 0);
  };
  std::size_t end = 1;
  if (starts_number(0)) {
    while (end < text.size() && (is_number_char(text[end]) || text[end] == 'e')) ++end;
  } else {
    while (end < text.size() && !starts_number(end)) ++end;
  }
  return text.substr(0, end);
}

std::string without_negative_zero(const std::string& value) {
  std::string out;
  for (std::string_view rest = value; !rest.empty();) {
    const auto token = next_token(rest);
    out += token == "-0.0" ? "0.0" : token;
    rest.remove_prefix(token.size());
  }
  return out;
}

bool close(double got, double expected, double tolerance, double bound) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return true;
  const double difference = std::abs(got - expected);
  return difference <= bound * std::abs(expected) ||
         difference <= tolerance * std::max({1.0, std::abs(got), std::abs(expected)});
}

bool close(std::string_view got, std::string_view expected, double tolerance, double bound) {
  while (!got.empty() && !expected.empty()) {
    const auto left = next_token(got);
    const auto right = next_token(expected);
    if (left != right) {
      char* left_end = nullptr;
      char* right_end = nullptr;
      const std::string left_text(left);
      const std::string right_text(right);
      const double left_number = std::strtod(left_text.c_str(), &left_end);
      const double right_number = std::strtod(right_text.c_str(), &right_end);
      if (*left_end != 0 || *right_end != 0 || !close(left_number, right_number, tolerance, bound))
        return false;
    }
    got.remove_prefix(left.size());
    expected.remove_prefix(right.size());
  }
  return got.empty() && expected.empty();
}

/// How the columns of one answer are compared.
class Comparison {
 public:
  Comparison(const Answer& expected, const std::vector<std::string>& types, const Rules& rules) {
    for (std::size_t i = 0; i < expected.names.size(); ++i) {
      double bound = 0;
      for (const auto& given : rules.bounds) {
        if (given.column == expected.names[i]) bound = given.relative;
      }
      bounds_.push_back(bound);
      tolerances_.push_back(i < types.size() && is_floating(types[i]) ? rules.tolerance : 0);
    }
  }

  /// Columns that are compared exactly order the rows; the others only where those are equal.
  [[nodiscard]] bool before(const Row& left, const Row& right) const {
    for (const bool exact : {true, false}) {
      for (std::size_t i = 0; i < bounds_.size(); ++i) {
        if (is_exact(i) == exact && left[i] != right[i]) return left[i] < right[i];
      }
    }
    return false;
  }
  [[nodiscard]] bool equal(const Row& got, const Row& expected) const {
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      if (got[i] == expected[i]) continue;
      if (is_exact(i) || !got[i] || !expected[i] ||
          !close(*got[i], *expected[i], tolerances_[i], bounds_[i])) {
        return false;
      }
    }
    return true;
  }

 private:
  [[nodiscard]] bool is_exact(std::size_t column) const {
    return bounds_[column] == 0 && tolerances_[column] == 0;
  }
  std::vector<double> bounds_;
  std::vector<double> tolerances_;
};

/// With the bits of doubles behind them.
std::string text_of(const Row& row, const std::vector<std::string>& types) {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i != 0) out += " | ";
    out += row[i] ? row[i]->substr(0, 200) : "NULL";
    if (row[i] && i < types.size() && types[i] == "DOUBLE") {
      out += fmt::format(" ({:016x})",
                         std::bit_cast<std::uint64_t>(std::strtod(row[i]->c_str(), nullptr)));
    }
  }
  return out;
}

/// Types as one spelling: without blanks and quotes, in capitals.
std::string plain_type(std::string_view type) {
  std::string out;
  for (const char c : type) {
    if (c != ' ' && c != '"') out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

}  // namespace

void Answer::append(const BatchView& chunk) {
  for (std::size_t i = 0; i < chunk.rows; ++i) {
    Row row;
    for (const auto& column : chunk.columns) row.push_back(value_text(column, i));
    rows.push_back(std::move(row));
  }
}

std::optional<std::string> difference(const Answer& got, Answer expected, const Rules& rules) {
  if (got.names.size() != expected.names.size()) {
    return fmt::format("{} columns, expected {}", got.names.size(), expected.names.size());
  }
  for (std::size_t i = 0; i < expected.names.size(); ++i) {
    if (rules.names && !same_name(got.names[i], expected.names[i])) {
      return fmt::format("column {} is named {}, expected {}", i + 1, got.names[i],
                         expected.names[i]);
    }
    if (i < expected.types.size() && plain_type(got.types[i]) != plain_type(expected.types[i])) {
      return fmt::format("column {} has type {}, expected {}", got.names[i], got.types[i],
                         expected.types[i]);
    }
  }
  for (const auto& bound : rules.bounds) {
    if (std::ranges::find(got.names, bound.column) == got.names.end())
      return fmt::format("approx {}: the view has no such column", bound.column);
  }
  for (std::size_t i = 0; i < got.types.size(); ++i) {
    if (!is_floating(got.types[i])) continue;
    for (auto& row : expected.rows) {
      if (row[i]) row[i] = without_negative_zero(*row[i]);
    }
  }
  const Comparison comparison(got, got.types, rules);
  const auto before = [&](const Row& left, const Row& right) {
    return comparison.before(left, right);
  };
  auto rows = got.rows;
  std::ranges::sort(rows, before);
  std::ranges::sort(expected.rows, before);
  std::string out;
  std::size_t differing = 0;
  for (std::size_t i = 0; i < std::max(rows.size(), expected.rows.size()); ++i) {
    const Row* left = i < rows.size() ? &rows[i] : nullptr;
    const Row* right = i < expected.rows.size() ? &expected.rows[i] : nullptr;
    if (left != nullptr && right != nullptr && comparison.equal(*left, *right)) continue;
    if (++differing > kRowsShown) continue;
    out += fmt::format("  got      {}\n  expected {}\n",
                       left != nullptr ? text_of(*left, got.types) : "(no row)",
                       right != nullptr ? text_of(*right, got.types) : "(no row)");
  }
  if (differing == 0) return std::nullopt;
  return fmt::format("{} rows, expected {}; {} differ:\n{}", rows.size(), expected.rows.size(),
                     differing, out);
}

}  // namespace millrace::sql_cases
