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
  ViewKeys out{base_, frozen_, {}};
  out.active.reserve(active_.groups());
  active_.for_each_key([&](std::string_view key) { out.active.emplace_back(key); });
  return out;
}

std::shared_ptr<const view::StateRun> ViewState::base() const {
  const MutexLock lock(mutex_);
  return base_;
}

Result<UnitRows> ViewState::read_units(const ChooseUnits& choose) const {
  std::vector<std::string> units;
  Coverage coverage;
  std::vector<view::GroupTable> sessions;
  view::GroupTable merged(compiled_.plan);
  std::vector<bool> present;
  {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(usable_locked());
    choose(units);
    coverage = coverage_locked();
    if (compiled_.session_gap_us) {
      MR_RETURN_IF_ERROR(collect_units_locked(units, sessions));
    } else {
      MR_TRY(present, merge_keys_locked(units, merged));
    }
  }
  auto out = compiled_.session_gap_us ? rows_of_each(sessions, units)
                                      : rows_of_keys(units, merged, present);
  if (!out) return std::unexpected(std::move(out).error().within("view {}", record_.name));
  out->coverage = std::move(coverage);
  return out;
}

Result<std::vector<bool>> ViewState::merge_keys_locked(std::span<const std::string> keys,
                                                       view::GroupTable& merged) const {
  std::vector<bool> present;
  std::string state;
  for (const auto& key : keys) {
    bool found = std::ranges::find(compiled_.standing_keys, key) != compiled_.standing_keys.end();
    if (const auto based = base_->find(key)) {
      found = true;
      MR_RETURN_IF_ERROR(merged.merge_state(key, *based));
    }
    for (const auto* table : {frozen_.get(), &active_}) {
      state.clear();
      if (table == nullptr || !table->find_state(key, state)) continue;
      found = true;
      MR_RETURN_IF_ERROR(merged.merge_state(key, state));
    }
    present.push_back(found);
  }
  return present;
}

Status ViewState::collect_units_locked(std::span<const std::string> units,
                                       std::vector<view::GroupTable>& groups) const {
  std::unordered_map<std::string_view, std::size_t> places;
  for (const auto& unit : units) {
    places.emplace(unit, groups.size());
    groups.emplace_back(compiled_.plan);
  }
  Status status;
  std::string state;
  const auto add_from = [&](const view::GroupTable& table) {
    table.for_each_key([&](std::string_view key) {
      if (!status) return;
      const auto unit = without_session(key, compiled_.plan.keys);
      const auto place = unit ? places.find(*unit) : places.end();
      if (place == places.end()) return;
      state.clear();
      if (table.find_state(key, state)) status = groups[place->second].merge_state(key, state);
    });
  };
  if (!units.empty()) {
    add_from(active_);
    if (frozen_ != nullptr) add_from(*frozen_);
  }
  MR_RETURN_IF_ERROR(status);
  for (std::size_t u = 0; u < units.size(); ++u) {
    for (std::size_t i = base_->lower_bound(units[u]);
         i < base_->entries() && base_->entry(i).key.starts_with(units[u]); ++i) {
      MR_RETURN_IF_ERROR(groups[u].merge_state(base_->entry(i).key, base_->entry(i).state));
    }
  }
  return {};
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
