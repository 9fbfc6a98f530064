#include "serving/lake_pruning.h"

#include <algorithm>
#include <optional>

#include "base/ascii_case.h"

namespace millrace::serving {

namespace {

template <class T>
catalog::Between<std::int64_t> signed_of(const catalog::Between<T>& range) {
  catalog::Between<std::int64_t> out;
  out.least = static_cast<std::int64_t>(range.least);
  out.most = static_cast<std::int64_t>(range.most);
  return out;
}

/// The range of a column in a file, where there is one; `type` is the column's.
std::optional<catalog::Between<std::int64_t>> range_of(const catalog::EventRange& range,
                                                       const StreamDefinition& stream,
                                                       std::string_view column, Type& type) {
  if (same_name(column, kPartitionColumn)) {
    type = {TypeKind::kBigInt};
    return signed_of(range.partition);
  }
  if (same_name(column, kOffsetColumn)) {
    type = {TypeKind::kBigInt};
    return signed_of(range.offset);
  }
  if (same_name(column, kArrivalColumn)) {
    type = {TypeKind::kTimestampTz};
    return range.arrival_us;
  }
  if (!stream.time_column || !range.time_us ||
      !same_name(column, stream.columns[*stream.time_column].name) ||
      stream.field_id(*stream.time_column) != range.time_field) {
    return std::nullopt;
  }
  type = stream.columns[*stream.time_column].type;
  if (type.kind != TypeKind::kTimestamp && type.kind != TypeKind::kTimestampTz) return std::nullopt;
  return range.time_us;
}

bool may_hold(ConditionKind kind, std::int64_t value, const catalog::Between<std::int64_t>& range) {
  switch (kind) {
    case ConditionKind::kIn:
      return range.least <= value && value <= range.most;
    case ConditionKind::kLess:
      return range.least < value;
    case ConditionKind::kLessOrEqual:
      return range.least <= value;
    case ConditionKind::kGreater:
      return range.most > value;
    case ConditionKind::kGreaterOrEqual:
      return range.most >= value;
    case ConditionKind::kPrefix:
    case ConditionKind::kIsNull:
      return true;
  }
  return true;
}

bool may_hold(const ColumnCondition& condition, const catalog::EventRange& range,
              const StreamDefinition& stream) {
  Type type;
  const auto between = range_of(range, stream, condition.column, type);
  if (!between || condition.kind == ConditionKind::kPrefix ||
      condition.kind == ConditionKind::kIsNull) {
    return true;
  }
  return std::ranges::any_of(condition.values, [&](const Literal& literal) {
    if (literal.null) return false;  // nothing compares with it
    ColumnBatch value(std::span(&type, 1));
    if (!push_literal(literal, value.column(0), value.arena())) return true;
    return may_hold(condition.kind, value.column(0).data<std::int64_t>()[0], *between);
  });
}

}  // namespace

bool is_needed(const catalog::FileRecord& file, const StreamDefinition& stream,
               std::span<const Mention> mentions) {
  if (!file.range || mentions.empty()) return true;
  return std::ranges::any_of(mentions, [&](const Mention& mention) {
    return std::ranges::all_of(mention.conditions, [&](const ColumnCondition& condition) {
      return may_hold(condition, *file.range, stream);
    });
  });
}

}  // namespace millrace::serving
