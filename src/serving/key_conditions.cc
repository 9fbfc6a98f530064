#include "serving/key_conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/ascii_case.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

/// More keys than this are a range of them.
constexpr std::size_t kRangesMax = 10'000;
constexpr char kNotNull = 1;  // the mark of a value in an encoded key

std::optional<std::string> encoded(const Literal& literal, const Type& type) {
  ColumnBatch value(std::span(&type, 1));
  if (!push_literal(literal, value.column(0), value.arena())) return std::nullopt;
  const ColumnView column[] = {value.column(0).view()};
  std::string out;
  view::encode_key(column, 0, out);
  return out;
}

/// What the conditions say of one column of the key.
class ColumnReader {
 public:
  explicit ColumnReader(const Type& type) : type_(type) {}

  /// Gives whether nothing is left of it to be asked again.
  bool add(const ColumnCondition& condition) {
    switch (condition.kind) {
      case ConditionKind::kIn:
        return add_values(condition) && condition.exact;
      case ConditionKind::kIsNull:
        return take_values({std::string(1, '\0')});
      case ConditionKind::kPrefix:
        return add_prefix(condition) && condition.exact;
      default:
        return add_bound(condition);
    }
  }

  [[nodiscard]] const std::optional<std::vector<std::string>>& values() const { return values_; }
  /// As encodings of this column; nullopt: any value.
  [[nodiscard]] const std::optional<view::KeyRange>& range() const { return range_; }
  /// Whether values and range were both said: then the range is left to be asked again.
  [[nodiscard]] bool both() const { return values_ && range_; }

 private:
  bool add_values(const ColumnCondition& condition) {
    std::vector<std::string> found;
    for (const auto& literal : condition.values) {
      if (literal.null) continue;  // equal to nothing
      auto one = encoded(literal, type_);
      if (!one) return false;
      found.push_back(std::move(*one));
    }
    return take_values(std::move(found));
  }

  bool take_values(std::vector<std::string> found) {
    std::ranges::sort(found);
    const auto again = std::ranges::unique(found);
    found.erase(again.begin(), again.end());
    if (values_) {
      std::vector<std::string> both;
      std::ranges::set_intersection(*values_, found, std::back_inserter(both));
      found = std::move(both);
    }
    values_ = std::move(found);
    return true;
  }

  bool add_prefix(const ColumnCondition& condition) {
    const auto& literal = condition.values.front();
    if (type_.kind != TypeKind::kVarchar) return false;
    if (literal.null) return take_values({});
    auto begin = encoded({.type = std::nullopt, .text = literal.text}, type_);
    if (!begin) return false;
    begin->resize(begin->size() - 2);  // without the end of the text
    auto end = view::end_of_prefix(*begin);
    narrow({.begin = std::move(*begin), .end = std::move(end)});
    return true;
  }

  bool add_bound(const ColumnCondition& condition) {
    const auto& literal = condition.values.front();
    if (literal.null) return take_values({});
    auto bound = encoded(literal, type_);
    if (!bound) return false;
    view::KeyRange range{.begin = std::string(1, kNotNull), .end = std::string(1, kNotNull + 1)};
    switch (condition.kind) {
      case ConditionKind::kLess:
        range.end = std::move(*bound);
        break;
      case ConditionKind::kLessOrEqual:
        range.end = view::end_of_prefix(*bound);
        break;
      case ConditionKind::kGreater:
        range.begin = view::end_of_prefix(*bound);
        break;
      default:
        range.begin = std::move(*bound);
    }
    narrow(std::move(range));
    return true;
  }

  void narrow(view::KeyRange range) {
    if (!range_) {
      range_ = std::move(range);
      return;
    }
    // Neither has no end: NULL has a mark of its own.
    range_->begin = std::max(range_->begin, range.begin);
    range_->end = std::min(range_->end, range.end);
  }

  const Type& type_;
  std::optional<std::vector<std::string>> values_;
  std::optional<view::KeyRange> range_;
};

std::vector<view::KeyRange> as_ranges(const std::vector<std::string>& prefixes, bool points) {
  std::vector<view::KeyRange> out;
  out.reserve(prefixes.size());
  for (const auto& prefix : prefixes)
    out.push_back({.begin = prefix, .end = view::end_of_prefix(prefix), .point = points});
  return out;
}

}  // namespace

KeyConditions key_conditions(const view::CompiledView& view,
                             std::span<const ColumnCondition> conditions) {
  KeyConditions out;
  // The start of a session is no group's key before the sessions are folded.
  const std::size_t columns = view.plan.keys.size() - (view.session_gap_us ? 1 : 0);
  std::vector<std::string> prefixes = {""};
  std::size_t bound = 0;  // first columns of the key that have their values
  std::size_t used = 0;
  bool ranged = false;
  for (std::size_t k = 0; k < columns && !ranged; ++k) {
    const auto output = view.output_of_key(k);
    if (!output) break;
    ColumnReader column(view.plan.keys[k]);
    for (const auto& condition : conditions) {
      if (!same_name(condition.column, view.outputs[*output].name)) continue;
      ++used;
      out.exact = column.add(condition) && out.exact;
    }
    if (column.both()) out.exact = false;
    const auto& values = column.values();
    const auto add_text = [&](std::string_view what) {
      out.text +=
          fmt::format("{}{} {}", out.text.empty() ? "" : ", ", view.outputs[*output].name, what);
    };
    std::vector<std::string> longer;
    if (values && prefixes.size() * values->size() <= kRangesMax) {
      for (const auto& prefix : prefixes) {
        for (const auto& value : *values) longer.push_back(prefix + value);
      }
      add_text(values->size() == 1 ? "= 1 value" : fmt::format("= {} values", values->size()));
      if (values->size() == 1 && out.fixed_columns == k) {
        ++out.fixed_columns;
        out.fixed += values->front();
      }
      prefixes = std::move(longer);
      ++bound;
      continue;
    }
    if (values) out.exact = false;
    if (!column.range() || values) break;
    ranged = true;
    add_text("in a range");
    std::vector<view::KeyRange> ranges;
    for (const auto& prefix : prefixes)
      ranges.push_back(
          {.begin = prefix + column.range()->begin, .end = prefix + column.range()->end});
    out.ranges = view::KeyRanges(std::move(ranges));
  }
  // A condition on a column behind a gap is left to be asked again.
  if (used != conditions.size()) out.exact = false;
  // All columns of a key are a key.
  if (!ranged && bound != 0)
    out.ranges = view::KeyRanges(as_ranges(prefixes, bound == view.plan.keys.size()));
  return out;
}

}  // namespace millrace::serving
