// Rows for people and for programs: the {"columns": [...], "rows": [...]} of an answer, kept as the
// very JSON text that the server sent, so that no number loses a digit on its way, and written as a
// table, JSON Lines or CSV. Thread: one at a time. Errors: kInternal where the text is not such a
// document. Invariant: every row has as many cells as there are columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/padded_bytes.h"
#include "base/result.h"

namespace millrace::cli {

enum class OutputFormat { kTable, kJson, kJsonLines, kCsv, kMarkdown };

struct ResultColumn {
  std::string name;
  std::string type;  // as in SQL; empty where the answer has none
};

class ResultTable {
 public:
  /// Of an answer of /v1/sql or /v1/views. An answer without "columns" is a table without columns.
  static Result<ResultTable> parse(std::string_view answer);
  /// Of cells that are JSON texts, row after row.
  static ResultTable of_cells(std::vector<ResultColumn> columns, std::vector<std::string> cells);

  ResultTable(ResultTable&&) = default;
  ResultTable& operator=(ResultTable&&) = default;

  [[nodiscard]] const std::vector<ResultColumn>& columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const {
    return columns_.empty() ? 0 : cells_.size() / columns_.size();
  }
  /// The JSON text of a value.
  [[nodiscard]] std::string_view cell(std::size_t row, std::size_t column) const {
    return cells_[row * columns_.size() + column];
  }
  /// The JSON text of the member "coverage", empty where there is none.
  [[nodiscard]] std::string_view coverage() const { return coverage_; }
  /// There were more rows than the server sends in one answer.
  [[nodiscard]] bool truncated() const { return truncated_; }

  /// At most `rows_max` rows; says below how many there are where they are more.
  [[nodiscard]] std::string table_text(std::size_t rows_max = SIZE_MAX) const;
  [[nodiscard]] std::string json_lines_text() const;
  [[nodiscard]] std::string csv_text() const;

 private:
  ResultTable() = default;

  PaddedBytes body_;                      // what the views point into, of an answer
  std::vector<std::string> owned_cells_;  // the same, of cells
  std::vector<ResultColumn> columns_;
  std::vector<std::string_view> cells_;
  std::string_view coverage_;
  bool truncated_ = false;
};

/// A JSON text for people: strings without quotes, null as "NULL", all else as it is.
[[nodiscard]] std::string cell_text(std::string_view json);

}  // namespace millrace::cli
