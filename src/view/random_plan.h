// For tests: aggregate plans with components of every kind over arguments of any types.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "view/aggregate_plan.h"
#include "view/random_batch.h"

namespace millrace::view {

inline bool is_float(const Type& type) {
  return type.kind == TypeKind::kFloat || type.kind == TypeKind::kDouble;
}

inline bool can_be_summed(const Type& type) {
  return type.kind == TypeKind::kBoolean || type.is_integer() || is_float(type) ||
         type.kind == TypeKind::kDecimal;
}

/// Keys and arguments of any types; of each argument all the components that it can have by itself,
/// and some over several, a part of them with a filter.
inline AggregatePlan random_plan(Random& random) {
  AggregatePlan plan;
  plan.keys.resize(below(random, 4));
  for (Type& type : plan.keys) type = random_type(random);
  plan.arguments.resize(below(random, 5));
  std::vector<std::uint32_t> booleans;
  std::vector<std::uint32_t> doubles;
  for (std::uint32_t a = 0; a < plan.arguments.size(); ++a) {
    Type& type = plan.arguments[a];
    type = random_type(random);
    if (below(random, 4) == 0) type = {.kind = TypeKind::kBoolean};
    if (below(random, 4) == 0) type = {.kind = TypeKind::kDouble};
    if (type.kind == TypeKind::kBoolean) booleans.push_back(a);
    if (type.kind == TypeKind::kDouble) doubles.push_back(a);
  }
  const auto any_filter = [&]() -> std::optional<std::uint32_t> {
    if (booleans.empty() || below(random, 2) == 0) return std::nullopt;
    return booleans[below(random, booleans.size())];
  };
  if (below(random, 2) == 0) plan.components.push_back({.filter = any_filter()});
  const auto add = [&](ComponentKind kind, std::uint32_t a, std::optional<std::uint32_t> filter,
                       std::uint32_t parameter = 0) {
    plan.components.push_back({kind, {{.index = a}}, filter, parameter});
  };
  for (std::uint32_t a = 0; a < plan.arguments.size(); ++a) {
    const Type type = plan.arguments[a];
    const auto filter = any_filter();
    add(ComponentKind::kCount, a, filter);
    if (can_be_summed(type))
      add(is_float(type) ? ComponentKind::kSumDouble : ComponentKind::kSumInteger, a, filter);
    if (!type.is_nested()) {
      add(ComponentKind::kMin, a, filter);
      add(ComponentKind::kMax, a, filter);
    }
    if (type.is_integer()) {
      add(ComponentKind::kBitAnd, a, filter);
      add(ComponentKind::kBitOr, a, filter);
      add(ComponentKind::kBitXor, a, filter);
    }
    if (type.kind == TypeKind::kDouble) {
      for (std::uint32_t power = 2; power <= 4; ++power)
        add(ComponentKind::kSumPower, a, filter, power);
      add(ComponentKind::kBuckets, a, filter);
      const std::uint32_t other = doubles[below(random, doubles.size())];
      plan.components.push_back(
          {ComponentKind::kSumProduct, {{.index = a}, {.index = other}}, filter, 0});
    }
  }
  if (plan.arguments.empty()) return plan;
  for (const ComponentKind kind :
       {ComponentKind::kRows, ComponentKind::kRows, ComponentKind::kValues,
        ComponentKind::kDistinct, ComponentKind::kHyperLogLog}) {
    Component component{kind, {}, any_filter(), 0};
    component.arguments.resize(1 + below(random, 3));
    for (ComponentArgument& argument : component.arguments) {
      argument.index = static_cast<std::uint32_t>(below(random, plan.arguments.size()));
      argument.descending = below(random, 2) == 0;
      argument.nulls_last = below(random, 2) == 0;
    }
    if (kind == ComponentKind::kRows)
      component.parameter = static_cast<std::uint32_t>(below(random, 6));
    plan.components.push_back(component);
  }
  return plan;
}

inline std::vector<Type> row_types(const AggregatePlan& plan) {
  std::vector<Type> types = plan.keys;
  types.insert(types.end(), plan.arguments.begin(), plan.arguments.end());
  return types;
}

}  // namespace millrace::view
