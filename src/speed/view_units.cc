// The rows of a view under given keys, each told apart from the others: what is read for those who
// follow a view. Thread and errors: those of view_state.h. Cost: a look-up per unit; of a view over
// sessions one walk over the keys of the delta, since the groups of a unit are not known by key.
#include <algorithm>
#include <unordered_map>

#include "speed/view_state.h"
#include "view/key_codec.h"

namespace millrace::speed {

namespace {

/// The bytes of a key before its last column, which is where a session began.
Result<std::string_view> without_session(std::string_view key, std::span<const Type> types) {
  std::vector<std::string_view> columns;
  MR_RETURN_IF_ERROR(view::split_key(key, types, columns));
  return key.substr(0, key.size() - columns.back().size());
}

}  // namespace

Result<ViewKeys> ViewState::keys() const {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(usable_locked());
  ViewKeys out{*parts_, {}};
  out.active.reserve(active_.groups());
  active_.for_each_key([&](std::string_view key) { out.active.emplace_back(key); });
  return out;
}

std::vector<std::shared_ptr<const view::StateRun>> ViewState::runs() const {
  const MutexLock lock(mutex_);
  return parts_->runs;
}

namespace {

/// The groups of some units, each unit's in a table of its own.
class UnitGroups {
 public:
  UnitGroups(const view::CompiledView& view, std::span<const std::string> units)
      : view_(view), units_(units) {
    for (const auto& unit : units) {
      places_.emplace(unit, groups_.size());
      groups_.emplace_back(view.plan);
    }
  }

  Status add_table(const view::GroupTable& table) {
    Status status;
    std::string state;
    if (units_.empty()) return status;
    table.for_each_key([&](std::string_view key) {
      if (!status) return;
      const auto unit = without_session(key, view_.plan.keys);
      const auto place = unit ? places_.find(*unit) : places_.end();
      if (place == places_.end()) return;
      state.clear();
      if (table.find_state(key, state)) status = groups_[place->second].merge_state(key, state);
    });
    return status;
  }
  Status add_parts(const view::GroupParts& parts) {
    for (const auto& table : parts.tables) MR_RETURN_IF_ERROR(add_table(*table));
    const view::GroupParts runs{.runs = parts.runs, .tables = {}};
    for (std::size_t u = 0; u < units_.size(); ++u) {
      MR_RETURN_IF_ERROR(runs.visit(units_[u], [&](std::string_view key, std::string_view state) {
        return groups_[u].merge_state(key, state);
      }));
    }
    return {};
  }
  [[nodiscard]] std::span<const view::GroupTable> groups() const { return groups_; }

 private:
  const view::CompiledView& view_;
  std::span<const std::string> units_;
  std::unordered_map<std::string_view, std::size_t> places_;
  std::vector<view::GroupTable> groups_;
};

}  // namespace

Status ViewState::merge_active_locked(std::span<const std::string> keys, view::GroupTable& merged,
                                      std::vector<bool>& present) const {
  std::string state;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    state.clear();
    if (!active_.find_state(keys[i], state)) continue;
    present[i] = true;
    MR_RETURN_IF_ERROR(merged.merge_state(keys[i], state));
  }
  return {};
}

Result<UnitRows> ViewState::read_units(const ChooseUnits& choose) const {
  std::vector<std::string> units;
  Coverage coverage;
  std::shared_ptr<const view::GroupParts> parts;
  std::optional<UnitGroups> sessions;
  view::GroupTable merged(compiled_.plan);
  std::vector<bool> present;
  {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(usable_locked());
    choose(units);
    coverage = coverage_locked();
    parts = parts_;
    if (compiled_.session_gap_us) {
      sessions.emplace(compiled_, units);
      MR_RETURN_IF_ERROR(sessions->add_table(active_));
    } else {
      present.resize(units.size());
      MR_RETURN_IF_ERROR(merge_active_locked(units, merged, present));
    }
  }
  Result<UnitRows> out;
  const auto is_standing = [&](const std::string& key) {
    return std::ranges::find(compiled_.standing_keys, key) != compiled_.standing_keys.end();
  };
  if (sessions) {
    MR_RETURN_IF_ERROR(sessions->add_parts(*parts));
    out = rows_of_each(sessions->groups(), units);
  } else {
    for (std::size_t i = 0; i < units.size(); ++i) {
      MR_TRY(const bool found, parts->add_to(units[i], merged));
      present[i] = present[i] || found || is_standing(units[i]);
    }
    out = rows_of_keys(units, merged, present);
  }
  if (!out) return std::unexpected(std::move(out).error().within("view {}", record_.name));
  out->coverage = std::move(coverage);
  return out;
}

Result<UnitRows> ViewState::rows_of_keys(std::span<const std::string> keys,
                                         const view::GroupTable& merged,
                                         const std::vector<bool>& present) const {
  std::vector<std::size_t> shown;
  for (std::size_t k = 0; k < compiled_.plan.keys.size(); ++k) {
    if (const auto output = compiled_.output_of_key(k)) shown.push_back(*output);
  }
  const bool plain = compiled_.final_sql.empty();
  if (!plain && shown.size() != compiled_.plan.keys.size()) {
    // HAVING may drop rows, and those that are left do not say whose they are.
    std::vector<view::GroupTable> each;
    std::string state;
    for (const auto& key : keys) {
      each.emplace_back(compiled_.plan);
      state.clear();
      if (merged.find_state(key, state)) MR_RETURN_IF_ERROR(each.back().merge_state(key, state));
    }
    return rows_of_each(each, keys);
  }
  auto rows = [&] {
    if (plain) return finalizer_->rows_of(merged, keys);
    const MutexLock lock(final_mutex_);
    return finalizer_->rows_of(merged, keys);
  }();
  if (!rows) return std::unexpected(std::move(rows).error());
  UnitRows out;
  std::uint32_t row = 0;
  std::string encoded;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    bool has_row = present[i];
    if (!plain) {
      encoded.clear();
      for (const auto output : shown) {
        if (row == (*rows)->rows()) break;
        const ColumnView column[] = {(*rows)->column(output).view()};
        view::encode_key(column, row, encoded);
      }
      has_row = row < (*rows)->rows() && encoded == keys[i];
    }
    if (has_row) ++row;
    out.ends.push_back(row);
  }
  MR_CHECK(row == (*rows)->rows(), "view {}: {} rows of {} keys, {} of them found", record_.name,
           (*rows)->rows(), keys.size(), row);
  out.rows = std::move(*rows);
  return out;
}

Result<UnitRows> ViewState::rows_of_each(std::span<const view::GroupTable> groups,
                                         std::span<const std::string> keys) const {
  std::vector<Type> types;
  for (const auto& output : compiled_.outputs) types.push_back(output.type);
  auto all = std::make_shared<ColumnBatch>(types);
  UnitRows out;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto rows = [&] {
      const MutexLock lock(final_mutex_);
      return compiled_.session_gap_us ? finalizer_->rows(groups[i], false)
                                      : finalizer_->rows_of(groups[i], keys.subspan(i, 1));
    }();
    if (!rows) return std::unexpected(std::move(rows).error());
    if ((*rows)->rows() != 0) {
      const auto views = (*rows)->views();
      all->append_all({views, (*rows)->rows()});
    }
    out.ends.push_back(static_cast<std::uint32_t>(all->rows()));
  }
  out.rows = std::move(all);
  return out;
}

}  // namespace millrace::speed
