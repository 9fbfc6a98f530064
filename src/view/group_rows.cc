#include "view/group_rows.h"

namespace millrace::view {

GroupRows::GroupRows(const CompiledView& view, std::span<const std::uint32_t> outputs)
    : fold_(view.plan) {
  if (view.final_sql.empty()) {
    for (const auto output : outputs)
      columns_.push_back(view.group_columns[view.plain_outputs[output]]);
  } else {
    columns_ = view.group_columns;
  }
  for (const auto& column : columns_) types_.push_back(column.type);
  if (view.session_gap_us) sessions_.emplace(view.plan, *view.session_gap_us);
  rows_ = std::make_shared<ColumnBatch>(types_);
}

Status GroupRows::fold(std::span<const std::string_view> states) {
  fold_.clear();
  for (const auto state : states) MR_RETURN_IF_ERROR(fold_.add(state));
  return {};
}

Status GroupRows::add(std::string_view key, std::span<const std::string_view> states) {
  if (!sessions_) {
    MR_RETURN_IF_ERROR(fold(states));
    return fold_.finalize(key, columns_, *rows_);
  }
  MR_TRY(const bool begins, sessions_->begins(key));
  if (begins) {
    MR_RETURN_IF_ERROR(finish());
    session_ = key;
  }
  for (const auto state : states) MR_RETURN_IF_ERROR(fold_.add(state));
  return {};
}

Status GroupRows::finish() {
  if (session_.empty()) return {};
  MR_RETURN_IF_ERROR(fold_.finalize(session_, columns_, *rows_));
  fold_.clear();
  session_.clear();
  return {};
}

std::shared_ptr<ColumnBatch> GroupRows::take() {
  return std::exchange(rows_, std::make_shared<ColumnBatch>(types_));
}

}  // namespace millrace::view
