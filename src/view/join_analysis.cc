#include "view/join_analysis.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii_case.h"
#include "sql/syntax.h"
#include "view/select_tree.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

constexpr unsigned kBoth = 3;
constexpr unsigned kNeither = 4;  // a column of something else

std::unexpected<Error> refused(std::string reason) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kNotMergeable),
                               .message = std::move(reason),
                               .hint = {},
                               .place = {}});
}

bool is_integer(std::string_view type) {
  return type.ends_with("INT") || type.ends_with("INTEGER");
}

}  // namespace

std::optional<JoinAnalysis::Scale> JoinAnalysis::scale_of(std::string_view type) {
  if (type == "TIMESTAMP" || type == "TIMESTAMP WITH TIME ZONE" || type == "DATE")
    return Scale::kTime;
  // Those that a BIGINT holds.
  if (is_integer(type) && !type.ends_with("HUGEINT") && type != "UBIGINT") return Scale::kInteger;
  return std::nullopt;
}

/// Bit 0 for the left side, bit 1 for the right one.
unsigned JoinAnalysis::sides_in(const json::value& expression) const {
  unsigned sides = 0;
  (void)any_node(expression, [&](const json::object& node) {
    const auto* names =
        text_of(node, "class") == "COLUMN_REF" ? array_of(node, "column_names") : nullptr;
    if (names == nullptr) return false;
    const std::string_view first = names->front().as_string();
    unsigned found = 0;
    for (unsigned side = 0; side < 2; ++side) {
      if (names->size() > 1 && same_name(first, sources_[side].alias)) found = 1U << side;
    }
    for (unsigned side = 0; side < 2 && found == 0; ++side) {
      if (sources_[side].stream->find_column(first)) found = 1U << side;
    }
    sides |= found == 0 ? kNeither : found;
    return false;
  });
  return sides;
}

void JoinAnalysis::add_use(const json::value& tree) {
  (void)any_node(tree, [&](const json::object& node) {
    const auto* names =
        text_of(node, "class") == "COLUMN_REF" ? array_of(node, "column_names") : nullptr;
    if (names == nullptr) return false;
    for (unsigned side = 0; side < 2; ++side) {
      const auto& stream = *sources_[side].stream;
      used_[side].resize(stream.columns.size(), false);
      for (const auto& name : *names) {
        if (const auto column = stream.find_column(name.as_string())) used_[side][*column] = true;
      }
    }
    return false;
  });
}

Result<std::string> JoinAnalysis::type_of(std::size_t side, std::string_view expression) const {
  const auto& source = sources_[side];
  MR_TRY(const auto described, describe_(fmt::format("SELECT {} FROM {} AS {}", expression,
                                                     quote_identifier(source.stream->name),
                                                     quote_identifier(source.alias))));
  return described.front().second;
}

/// `small` <= `large` holds for each pair; says nothing where they are not of one side each.
Status JoinAnalysis::add_bound(const json::value& small, const json::value& large) {
  const unsigned from = sides_in(small);
  if ((from != 1 && from != 2) || sides_in(large) != kBoth - from) return {};
  const std::size_t lower = from - 1;
  const std::size_t upper = 1 - lower;
  MR_TRY(const auto low, sql::expression_text(small));
  MR_TRY(const auto high, sql::expression_text(large));
  MR_TRY(const auto low_type, type_of(lower, low));
  MR_TRY(const auto high_type, type_of(upper, high));
  const auto scale = scale_of(low_type);
  if (!scale || scale_of(high_type) != scale) return {};
  auto& spans = spans_[static_cast<std::size_t>(*scale)];
  if (!spans[lower].low.empty()) return {};
  const auto number = [&](const std::string& text) {
    if (*scale == Scale::kInteger) return fmt::format("CAST({} AS BIGINT)", text);
    // Not "= 'infinity'": DuckDB looks for a day behind that.
    return fmt::format(
        "CAST(CASE WHEN isinf({0}) THEN CASE WHEN {0} > '2000-01-01' THEN 9223372036854775807 ELSE "
        "-9223372036854775808 END ELSE epoch_us({0}) END AS BIGINT)",
        text);
  };
  spans[lower].low = number(low);
  spans[upper].high = number(high);
  return {};
}

Status JoinAnalysis::add_comparison(const json::object& condition) {
  const auto type = text_of(condition, "type");
  if (type == "COMPARE_BETWEEN") {
    MR_RETURN_IF_ERROR(add_bound(condition.at("lower"), condition.at("input")));
    return add_bound(condition.at("input"), condition.at("upper"));
  }
  const auto& left = condition.at("left");
  const auto& right = condition.at("right");
  if (type.starts_with("COMPARE_LESSTHAN")) return add_bound(left, right);
  if (type.starts_with("COMPARE_GREATERTHAN")) return add_bound(right, left);
  const unsigned of_left = sides_in(left);
  if (type != "COMPARE_EQUAL" || (of_left != 1 && of_left != 2) ||
      sides_in(right) != kBoth - of_left) {
    return {};
  }
  MR_TRY(auto own, sql::expression_text(left));
  MR_TRY(auto other, sql::expression_text(right));
  MR_TRY(const auto key_type, type_of(of_left - 1, own));
  if (scale_of(key_type) == Scale::kTime) {
    MR_RETURN_IF_ERROR(add_bound(left, right));
    MR_RETURN_IF_ERROR(add_bound(right, left));
  }
  sides_[of_left - 1].keys.push_back(std::move(own));
  sides_[2 - of_left].keys.push_back(std::move(other));
  return {};
}

Status JoinAnalysis::add_condition(const json::object& condition) {
  const auto type = text_of(condition, "type");
  if (type == "CONJUNCTION_AND") {
    for (const auto& child : condition.at("children").as_array())
      MR_RETURN_IF_ERROR(add_condition(child.as_object()));
    return {};
  }
  add_use(condition);
  const unsigned sides = sides_in(condition);
  MR_TRY(auto text, sql::expression_text(condition));
  if (sides == 1 || sides == 2) {
    // Of an OR a filter may leave the second half alone, and TRY(…) does not: as a value, both
    // look at all of it.
    sides_[sides - 1].filters.push_back(type == "CONJUNCTION_OR"
                                            ? fmt::format("(({}) IS NOT DISTINCT FROM TRUE)", text)
                                            : fmt::format("({})", text));
    return {};
  }
  conditions_of_both_.push_back(fmt::format("({})", text));
  return type.starts_with("COMPARE_") ? add_comparison(condition) : Status();
}

/// Equal values must be equal bytes: of integers the wider type is taken, as in a comparison.
Status JoinAnalysis::make_keys_alike() {
  for (std::size_t k = 0; k < sides_[0].keys.size(); ++k) {
    auto& left = sides_[0].keys[k];
    auto& right = sides_[1].keys[k];
    MR_TRY(const auto left_type, type_of(0, left));
    MR_TRY(const auto right_type, type_of(1, right));
    if (left_type == right_type && Type::parse(left_type)) continue;
    if (!is_integer(left_type) || !is_integer(right_type)) {
      return refused(fmt::format("{} = {}, of the types {} and {}; cast them to one", left, right,
                                 left_type, right_type));
    }
    MR_TRY(const auto described,
           describe_(fmt::format("SELECT CASE WHEN TRUE THEN NULL::{} ELSE NULL::{} END", left_type,
                                 right_type)));
    const auto& wider = described.front().second;
    left = fmt::format("CAST({} AS {})", left, wider);
    right = fmt::format("CAST({} AS {})", right, wider);
  }
  return {};
}

Result<StreamJoin> JoinAnalysis::finish() {
  if (sides_[0].keys.empty())
    return refused("two streams are joined by an equality: … ON a.k = b.k AND …");
  MR_RETURN_IF_ERROR(make_keys_alike());
  const auto bounded = std::ranges::find_if(spans_, [](const auto& spans) {
    return std::ranges::all_of(
        spans, [](const Span& span) { return !span.low.empty() && !span.high.empty(); });
  });
  if (bounded == spans_.end()) {
    return refused(
        "the time between the two events of a pair is not bounded both ways by a condition such as "
        "b.time BETWEEN a.time - INTERVAL 1 HOUR AND a.time + INTERVAL 1 HOUR");
  }
  StreamJoin join;
  for (std::size_t i = 0; i < 2; ++i) {
    auto& side = sides_[i];
    const auto& stream = *sources_[i].stream;
    side.stream = stream.id;
    side.alias = sources_[i].alias;
    side.low = (*bounded)[i].low;
    side.high = (*bounded)[i].high;
    used_[i].resize(stream.columns.size(), false);
    if (stream.time_column) used_[i][*stream.time_column] = true;
    for (std::size_t c = 0; c < stream.columns.size(); ++c) {
      if (!used_[i][c]) continue;
      side.columns.push_back(stream.columns[c].name);
      side.types.push_back(stream.columns[c].type);
    }
    for (const auto kind : {TypeKind::kInteger, TypeKind::kBigInt, TypeKind::kTimestampTz})
      side.types.push_back({kind});
    join.sides[i] = std::move(side);
  }
  return join;
}

}  // namespace millrace::view
