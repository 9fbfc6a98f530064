#include "cli/answer_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "model/value_text.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kSamplesMax = 5;

/// One text per row; equal exactly where the rows are.
std::vector<std::string> row_texts(const ResultTable& table,
                                   const std::vector<ResultColumn>& columns) {
  std::vector<std::string> out(table.rows());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto cell = table.cell(row, c);
      double value = 0;
      if (c != 0) out[row] += ", ";
      // 3, 3.0 and 3e0 are the same double.
      if (columns[c].type == "DOUBLE" &&
          std::from_chars(cell.data(), cell.data() + cell.size(), value).ptr ==
              cell.data() + cell.size()) {
        out[row] += double_text(value);
      } else {
        out[row] += cell;
      }
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

AnswerDifference compare_answers(const ResultTable& expected, const ResultTable& actual) {
  AnswerDifference out;
  if (expected.columns().size() != actual.columns().size()) {
    out.missing = expected.rows();
    out.unexpected = actual.rows();
    out.samples.push_back(fmt::format("{} columns are expected, the answer has {}",
                                      expected.columns().size(), actual.columns().size()));
    return out;
  }
  const auto wanted = row_texts(expected, expected.columns());
  const auto found = row_texts(actual, expected.columns());
  auto want = wanted.begin();
  auto have = found.begin();
  const auto note = [&](std::string_view kind, const std::string& row) {
    if (out.samples.size() < kSamplesMax) out.samples.push_back(fmt::format("{}: {}", kind, row));
  };
  while (want != wanted.end() || have != found.end()) {
    if (have == found.end() || (want != wanted.end() && *want < *have)) {
      ++out.missing;
      note("missing", *want++);
    } else if (want == wanted.end() || *have < *want) {
      ++out.unexpected;
      note("unexpected", *have++);
    } else {
      ++want;
      ++have;
    }
  }
  return out;
}

}  // namespace millrace::cli
