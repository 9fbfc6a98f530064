// The results of statements that are no SELECT: the rows of those that tell what exists, such as
// SHOW and DESCRIBE, the bare result of those that do something, and the place of an error in one.
// Thread: one owner. Errors:
// none. Invariant: each row has a value for every column before it ends.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/statement_runner.h"

namespace millrace::serving {

/// Of a statement that gives no rows.
inline StatementResult done(std::string command) {
  StatementResult out;
  out.command = std::move(command);
  return out;
}

/// Places in a statement's SELECT, which begins at `start`, as places in the whole statement.
inline Error placed_behind(Error error, TextPlace start) {
  if (error.place.line == 0) return error;
  if (error.place.line == 1) error.place.column += start.column - 1;
  error.place.line += start.line - 1;
  return error;
}

class Rows {
 public:
  explicit Rows(std::vector<Column> columns) : columns_(std::move(columns)) {
    std::vector<Type> types;
    for (const auto& column : columns_) types.push_back(column.type);
    batch_ = std::make_shared<ColumnBatch>(types);
  }
  Rows& text(std::string_view value) {
    batch_->column(next_++).push_string(value, batch_->arena());
    return *this;
  }
  Rows& number(std::uint64_t value) {
    batch_->column(next_++).push(static_cast<std::int64_t>(value));
    return *this;
  }
  Rows& null() {
    batch_->column(next_++).push_null();
    return *this;
  }
  void end() {
    next_ = 0;
    ++rows_;
  }
  StatementResult result(std::string command) && {
    StatementResult out;
    out.command = std::move(command);
    out.columns = std::move(columns_);
    out.rows = rows_;
    if (rows_ != 0) out.batches.push_back(std::move(batch_));
    return out;
  }

 private:
  std::vector<Column> columns_;
  std::shared_ptr<ColumnBatch> batch_;
  std::size_t next_ = 0;
  std::uint64_t rows_ = 0;
};

inline constexpr Type kText{TypeKind::kVarchar};
inline constexpr Type kNumber{TypeKind::kBigInt};

/// Of a statement that changed rows: their number.
inline StatementResult changed(std::string command, std::uint64_t rows) {
  Rows out({{"rows", kNumber}});
  out.number(rows).end();
  auto result = std::move(out).result(std::move(command));
  result.affected = rows;
  return result;
}

}  // namespace millrace::serving
