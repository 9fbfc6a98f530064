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

Result<Drift> audit(const view::CompiledView& view, const view::StateRun& base,
                    const view::GroupTable& delta, const view::StateRun& generation) {
  view::StateRunWriter writer(0);
  delta.for_each_sorted(
      [&](std::string_view key, std::string_view state) { writer.add(key, state); });
  MR_TRY(const auto delta_run, view::StateRun::parse(writer.finish(), 0));
  Drift drift;
  GroupText text(view);
  Status readable;
  std::size_t next = 0;
  const auto differs = [&](std::string_view key, const std::string_view* batch,
                           const std::string_view* speed) {
    if (drift.rows++ >= Drift::kRowsKept || !readable) return;
    if (auto row = text.row(key, batch, speed)) {
      drift.first.push_back(*std::move(row));
    } else {
      readable = std::unexpected(std::move(row).error());
    }
  };
  const auto only_in_generation = [&] {
    const auto entry = generation.entry(next++);
    differs(entry.key, &entry.state, nullptr);
  };
  MR_RETURN_IF_ERROR(view::merge_runs(
      view.plan, base, *delta_run, [&](std::string_view key, std::string_view state) {
        while (next < generation.entries() && generation.entry(next).key < key)
          only_in_generation();
        if (next == generation.entries() || generation.entry(next).key != key) {
          differs(key, nullptr, &state);
          return;
        }
        const auto entry = generation.entry(next++);
        if (entry.state != state) differs(key, &entry.state, &state);
      }));
  while (next < generation.entries()) only_in_generation();
  MR_RETURN_IF_ERROR(readable);
  return drift;
}

}  // namespace millrace::batch
