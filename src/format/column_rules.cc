#include "format/column_rules.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "format/column_default.h"
#include "format/json_text.h"
#include "format/text_field.h"

namespace millrace::format {

namespace {

/// Room for a value of any type, all zeros, as a NULL lies in a column.
alignas(16) constexpr std::byte kNullValue[16] = {};
constexpr std::uint64_t kNoRowIsValid = 0;

}  // namespace

ColumnRules::ColumnRules(const StreamDefinition& stream, std::span<const BoundText> bound)
    : stream_(stream) {
  const bool defaults = std::ranges::any_of(
      stream.columns, [](const Column& column) { return column.default_json.has_value(); });
  if (bound.empty() && !defaults) return;
  missing_.emplace(stream.types());
  bind(bound);
  fill_missing();
}

ColumnView ColumnRules::missing(std::size_t column) const {
  if (missing_) return missing_->column(column).view();
  const Type& type = stream_.columns[column].type;
  MR_CHECK(size_bytes(type.physical()) <= sizeof(kNullValue), "a value is wider than its NULL");
  return {type, kNullValue, &kNoRowIsValid};
}

void ColumnRules::bind(std::span<const BoundText> bound) {
  bound_.resize(stream_.columns.size(), false);
  TextFieldReader reader;
  for (const auto& [name, text] : bound) {
    const auto column = stream_.find_column(name);
    if (!column || closed(*column)) continue;
    bound_[*column] = true;
    has_bound_ = true;
    FieldFault problem;
    const std::size_t bad = first_bad_utf8(text);
    if (bad != text.size()) {
      problem = {error_id::kBadUtf8, fmt::format("byte {} is not UTF-8", bad + 1)};
    } else if (reader.put(text, missing_->column(*column), missing_->arena(), problem)) {
      continue;
    }
    missing_->column(*column).push_null();
    if (!fault_)
      fault_ = RecordFault{problem.id, fmt::format("column '{}': {}", name, problem.text)};
  }
}

void ColumnRules::fill_missing() {
  for (std::size_t i = 0; i < stream_.columns.size(); ++i) {
    ColumnVector& column = missing_->column(i);
    if (column.rows() != 0) continue;
    // Checked when the column was made.
    const auto value = default_value(stream_.columns[i]);
    if (value) {
      column.push_from(value->column(0).view(), 0, missing_->arena());
    } else {
      column.push_null();
    }
  }
}

}  // namespace millrace::format
