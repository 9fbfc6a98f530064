#include "batch/audit.h"

#include "model/value_text.h"

namespace millrace::batch {

namespace {

/// What people call a column of the groups: as the view's rows do, where they show it as it is.
std::string name_of(const view::CompiledView& view, std::size_t column) {
  for (std::size_t i = 0; i < view.outputs.size(); ++i) {
    const bool plain = i < view.plain_outputs.size() && view.plain_outputs[i] == column;
    const bool key = view.outputs[i].key == column && column < view.plan.keys.size();
    if (plain || key) return view.outputs[i].name;
  }
  return view.group_columns[column].name;
}

/// A group as text: its keys, and the values that one layer has for it.
class GroupText {
 public:
  explicit GroupText(const view::CompiledView& view) : view_(view), fold_(view.plan) {
    for (const auto& column : view.group_columns) types_.push_back(column.type);
  }

  Result<catalog::DriftRow> row(std::string_view key, const std::string_view* batch,
                                const std::string_view* speed) {
    catalog::DriftRow out;
    MR_TRY(out.batch, values(key, batch, out.key));
    MR_TRY(out.speed, values(key, speed, out.key));
    return out;
  }

 private:
  Result<std::string> values(std::string_view key, const std::string_view* state,
                             std::string& key_text) {
    if (state == nullptr) return "no row";
    fold_.clear();
    MR_RETURN_IF_ERROR(fold_.add(*state));
    ColumnBatch row(types_);
    if (const auto made = fold_.finalize(key, view_.group_columns, row); !made)
      return made.error().message;
    const auto columns = row.views();
    std::string out;
    key_text.clear();
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::string& text = view_.group_columns[c].kind == view::OutputKind::kKey ? key_text : out;
      if (!text.empty()) text += ", ";
      text += fmt::format("{} = {}", name_of(view_, c), value_text(columns[c], 0).value_or("NULL"));
    }
    return out;
  }

  const view::CompiledView& view_;
  view::GroupFold fold_;
  std::vector<Type> types_;
};

}  // namespace

Result<Drift> audit(const view::CompiledView& view, const view::GroupParts& speed,
                    const std::shared_ptr<const view::StateRun>& generation) {
  Drift drift;
  GroupText text(view);
  const auto differs = [&](std::string_view key, const std::string_view* batch_state,
                           const std::string_view* speed_state) -> Status {
    if (drift.rows++ >= Drift::kRowsKept) return {};
    MR_TRY(auto row, text.row(key, batch_state, speed_state));
    drift.first.push_back(std::move(row));
    return {};
  };
  MR_TRY(const auto merged, speed.cursor(view.plan, false));
  view::RunCursor batch(generation, false);
  MR_RETURN_IF_ERROR(batch.seek({}));
  while (!merged->at_end() || !batch.at_end()) {
    const bool in_speed = !merged->at_end() && (batch.at_end() || merged->key() <= batch.key());
    const bool in_batch = !batch.at_end() && (merged->at_end() || batch.key() <= merged->key());
    const std::string_view speed_state = in_speed ? merged->state() : std::string_view();
    const std::string_view batch_state = in_batch ? batch.state() : std::string_view();
    if (in_speed != in_batch || speed_state != batch_state) {
      MR_RETURN_IF_ERROR(differs(in_speed ? merged->key() : batch.key(),
                                 in_batch ? &batch_state : nullptr,
                                 in_speed ? &speed_state : nullptr));
    }
    if (in_speed) MR_RETURN_IF_ERROR(merged->next());
    if (in_batch) MR_RETURN_IF_ERROR(batch.next());
  }
  return drift;
}

}  // namespace millrace::batch
