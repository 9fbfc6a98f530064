// Any bytes as key and state of a table: refused as damaged, or taken, and then what comes out is
// canonical and is taken again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "view/group_table.h"

namespace {

using millrace::Type;
using millrace::TypeKind;
using millrace::view::AggregatePlan;
using millrace::view::ComponentKind;
using millrace::view::GroupTable;

AggregatePlan make_plan() {
  AggregatePlan plan;
  plan.keys = {Type{.kind = TypeKind::kVarchar}, Type{.kind = TypeKind::kDouble}};
  plan.arguments = {Type{.kind = TypeKind::kDouble}, Type{.kind = TypeKind::kHugeInt},
                    Type{.kind = TypeKind::kVarchar}, Type{.kind = TypeKind::kBoolean}};
  plan.components = {{},
                     {ComponentKind::kSumDouble, {{0}}, {}, 0},
                     {ComponentKind::kMin, {{0}}, {}, 0},
                     {ComponentKind::kSumInteger, {{1}}, {}, 0},
                     {ComponentKind::kMax, {{1}}, {}, 0},
                     {ComponentKind::kMin, {{2}}, {}, 0},
                     {ComponentKind::kMax, {{3}}, {}, 0},
                     {ComponentKind::kBitAnd, {{1}}, 3, 0},
                     {ComponentKind::kSumPower, {{0}}, {}, 4},
                     {ComponentKind::kRows, {{2, true, true}, {0}}, {}, 1},
                     {ComponentKind::kRows, {{0, true, false}, {2, false, true}}, 3, 3},
                     {ComponentKind::kValues, {{2}, {0}}, {}, 0},
                     {ComponentKind::kDistinct, {{2}}, {}, 0},
                     {ComponentKind::kHyperLogLog, {{2}}, {}, 0},
                     {ComponentKind::kBuckets, {{0}}, {}, 0}};
  return plan;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const AggregatePlan kPlan = make_plan();
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t split = std::min<std::size_t>(data[0], bytes.size());
  const std::string_view key = bytes.substr(0, split);
  const std::string_view state = bytes.substr(split);
  GroupTable table(kPlan);
  // Most inputs break at the key; the state gets its own chance under the key (NULL, NULL).
  for (const std::string_view with : {key, std::string_view("\0\0", 2)}) {
    table.clear();
    if (!table.merge_state(with, state)) continue;
    std::string once;
    if (!table.find_state(with, once) || once != state) std::abort();
    std::string twice;
    if (!millrace::view::merge_states(kPlan, state, once, twice)) std::abort();
  }
  return 0;
}
