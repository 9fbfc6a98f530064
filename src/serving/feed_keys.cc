#include "serving/feed_keys.h"

#include <algorithm>

#include "serving/value_parser.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

std::size_t unit_column_count(const view::CompiledView& view) {
  return view.plan.keys.size() - (view.session_gap_us ? 1 : 0);
}

/// The unit that a group belongs to.
std::string_view unit_of(const view::CompiledView& view, std::string_view key,
                         std::vector<std::string_view>& columns) {
  if (!view.session_gap_us) return key;
  const auto split = view::split_key(key, view.plan.keys, columns);
  MR_CHECK(split.has_value(), "view's state has a key that is none");
  return key.substr(0, key.size() - columns.back().size());
}

/// Whether the group of `key` is one of a unit.
bool is_of(const view::CompiledView& view, std::string_view key, std::string_view unit) {
  return view.session_gap_us ? key.starts_with(unit) : key == unit;
}

Result<bool> has_unit(const view::GroupParts& parts, const view::CompiledView& view,
                      std::string_view unit) {
  for (const auto& run : parts.runs) {
    if (!view.session_gap_us) {
      MR_TRY(const auto found, run->find(unit));
      if (found) return true;
      continue;
    }
    view::RunCursor cursor(run, true);
    MR_RETURN_IF_ERROR(cursor.seek(unit));
    if (!cursor.at_end() && cursor.key().starts_with(unit)) return true;
  }
  return false;
}

}  // namespace

std::vector<Column> unit_columns(const view::CompiledView& view) {
  std::vector<Column> out;
  for (std::size_t k = 0; k < unit_column_count(view); ++k) {
    const auto output = view.output_of_key(k);
    out.push_back({output ? view.outputs[*output].name : std::string(), view.plan.keys[k]});
  }
  return out;
}

Result<FeedFilter> FeedFilter::bind(const speed::ViewState& view,
                                    std::span<const ViewRequest::Equal> where) {
  const auto& compiled = view.compiled();
  FeedFilter out;
  const std::size_t count = unit_column_count(compiled);
  out.types_.assign(compiled.plan.keys.begin(),
                    compiled.plan.keys.begin() + static_cast<std::ptrdiff_t>(count));
  for (const auto& equal : where) {
    const auto output = compiled.find_output(equal.column);
    std::size_t key = 0;
    while (key < count && (!output || compiled.output_of_key(key) != output)) ++key;
    if (key == count) {
      std::vector<std::string> names;
      for (const auto& column : unit_columns(compiled)) {
        if (!column.name.empty()) names.push_back(column.name);
      }
      return std::unexpected(
          Error{.code = ErrorCode::kInvalidArgument,
                .id = std::string(error_id::kColumnNotFound),
                .message = fmt::format("{} is no column of the key of view {}", equal.column,
                                       view.record().name),
                .hint = names.empty()
                            ? "its changes cannot be filtered"
                            : fmt::format("changes can be filtered by {}", fmt::join(names, ", ")),
                .place = {}});
    }
    const Type type = compiled.plan.keys[key];
    ColumnBatch value(std::span(&type, 1));
    auto parsed = push_parsed(equal.value, value.column(0), value.arena());
    if (!parsed) return std::unexpected(std::move(parsed).error().within("{}", equal.column));
    const ColumnView column[] = {value.column(0).view()};
    Condition condition{key, {}};
    view::encode_key(column, 0, condition.encoded);
    out.conditions_.push_back(std::move(condition));
  }
  std::size_t covered = 0;
  for (; covered < count; ++covered) {
    const auto found = std::ranges::find(out.conditions_, covered, &Condition::key);
    if (found == out.conditions_.end()) break;
    out.prefix_ += found->encoded;
  }
  out.whole_ = covered == count;
  std::ranges::sort(out.conditions_, {}, &Condition::key);
  for (const auto& condition : out.conditions_)
    out.id_ += fmt::format("{} {} ", condition.key, condition.encoded.size()) + condition.encoded;
  return out;
}

bool FeedFilter::matches(std::string_view unit) const {
  if (conditions_.empty()) return true;
  if (!unit.starts_with(prefix_)) return false;
  std::vector<std::string_view> columns;
  if (!view::split_key(unit, types_, columns)) return false;
  return std::ranges::all_of(conditions_, [&](const Condition& condition) {
    return columns[condition.key] == condition.encoded;
  });
}

Result<KeyWalk> KeyWalk::begin(const speed::ViewState& view, const FeedFilter& filter) {
  KeyWalk walk;
  if (filter.is_whole()) {
    walk.runs_done_ = true;
    walk.rest_.push_back(filter.prefix());
    return walk;
  }
  const auto& compiled = view.compiled();
  MR_TRY(const auto keys, view.keys());
  std::vector<std::string_view> columns;
  const auto add = [&](std::string_view key) {
    const auto unit = unit_of(compiled, key, columns);
    if (filter.matches(unit)) walk.rest_.emplace_back(unit);
  };
  for (const auto& key : keys.active) add(key);
  for (const auto& table : keys.parts.tables) table->for_each_key(add);
  for (const auto& key : compiled.standing_keys) add(key);
  std::ranges::sort(walk.rest_);
  const auto repeated = std::ranges::unique(walk.rest_);
  walk.rest_.erase(repeated.begin(), repeated.end());
  Status read;
  std::erase_if(walk.rest_, [&](const std::string& unit) {
    if (!read) return false;
    const auto found = has_unit(keys.parts, compiled, unit);
    if (!found) read = std::unexpected(found.error());
    return found && *found;
  });
  MR_RETURN_IF_ERROR(read);
  for (const auto& unit : walk.rest_) walk.rest_bytes_ += sizeof(unit) + unit.size();
  return walk;
}

Status KeyWalk::next(const speed::ViewState& view, const FeedFilter& filter, std::size_t units_max,
                     std::vector<std::string>& units) {
  if (!runs_done_) MR_RETURN_IF_ERROR(next_of_runs(view, filter, units_max, units));
  while (runs_done_ && units.size() < units_max && rest_next_ < rest_.size())
    units.push_back(std::move(rest_[rest_next_++]));
  return {};
}

/// Of the present runs: all keys that were in runs before are in them.
Status KeyWalk::next_of_runs(const speed::ViewState& view, const FeedFilter& filter,
                             std::size_t units_max, std::vector<std::string>& units) {
  const auto& compiled = view.compiled();
  std::vector<view::RunCursor> cursors;
  const auto pass_last = [&](view::RunCursor& cursor) -> Status {
    while (!cursor.at_end() && is_of(compiled, cursor.key(), last_))
      MR_RETURN_IF_ERROR(cursor.next());
    return {};
  };
  for (auto& run : view.runs()) {
    auto& cursor = cursors.emplace_back(std::move(run), true);
    MR_RETURN_IF_ERROR(cursor.seek(any_given_ ? std::string_view(last_) : filter.prefix()));
    if (any_given_) MR_RETURN_IF_ERROR(pass_last(cursor));
  }
  std::vector<std::string_view> columns;
  while (units.size() < units_max) {
    const view::RunCursor* least = nullptr;
    for (const auto& cursor : cursors) {
      if (cursor.at_end() || !cursor.key().starts_with(filter.prefix())) continue;
      if (least == nullptr || cursor.key() < least->key()) least = &cursor;
    }
    if (least == nullptr) {
      runs_done_ = true;
      break;
    }
    last_ = unit_of(compiled, least->key(), columns);
    any_given_ = true;
    if (filter.matches(last_)) units.push_back(last_);
    for (auto& cursor : cursors) MR_RETURN_IF_ERROR(pass_last(cursor));
  }
  return {};
}

}  // namespace millrace::serving
