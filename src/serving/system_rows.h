// Rows of a system relation, named by column: what is not named is NULL, or the zero of its type
// where the column is NOT NULL. Thread: one owner. Errors: a name that is no column ends the
// program, since all of them are constants of ours.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "serving/postgres_relations.h"

namespace millrace::serving {

using SystemValue = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                                 std::vector<std::int64_t>, std::vector<std::string>>;

struct SystemCell {
  std::string_view column;
  SystemValue value;
};

class SystemRows {
 public:
  explicit SystemRows(std::vector<SystemColumn> columns);
  void add(std::initializer_list<SystemCell> cells) { add(std::span(cells.begin(), cells.size())); }
  void add(std::span<const SystemCell> cells);
  [[nodiscard]] std::shared_ptr<const ColumnBatch> take() && { return std::move(batch_); }

 private:
  void push(std::size_t column, const SystemValue& value);

  std::vector<SystemColumn> columns_;
  std::shared_ptr<ColumnBatch> batch_;
  std::vector<const SystemValue*> row_;
};

/// A number as a value: OIDs and counts come in many widths.
template <class Integer>
[[nodiscard]] SystemValue number(Integer value) {
  return static_cast<std::int64_t>(value);
}
[[nodiscard]] inline SystemValue words(std::string_view value) { return std::string(value); }
[[nodiscard]] inline SystemValue nothing() { return std::monostate(); }

}  // namespace millrace::serving
