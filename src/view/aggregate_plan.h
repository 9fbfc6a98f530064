// What the aggregate stage of a view computes: group keys, and the components that all its
// aggregates are made of. avg(x) is the components sum(x) and count(x); equal components are kept
// once. A group's partial state is its components one behind the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/stream.h"
#include "model/type.h"

namespace millrace::view {

enum class ComponentKind : std::uint8_t {
  kCountRows,   // count(*)
  kCount,       // count(x): rows where x is not NULL
  kSumInteger,  // exact, of booleans, integers and decimals: 128 bits, and a third word against
                // overflow
  kSumDouble,   // exact, of FLOAT and DOUBLE (exact_sum.h)
  kMin,         // of any type; NaN is the largest double, as in DuckDB; -0.0 is 0.0
  kMax,
};

struct Component {
  ComponentKind kind = ComponentKind::kCountRows;
  std::uint32_t argument = 0;  // index into AggregatePlan::arguments; unused for kCountRows
  bool operator==(const Component&) const = default;
};

/// The columns of the scalar stage's rows are the keys, then the arguments.
struct AggregatePlan {
  std::vector<Type> keys;
  std::vector<Type> arguments;
  std::vector<Component> components;
  bool operator==(const AggregatePlan&) const = default;
};

enum class OutputKind : std::uint8_t { kKey, kCount, kSum, kAvg, kMin, kMax };

/// One column of the view's rows.
struct OutputColumn {
  std::string name;
  Type
      type;  // as DuckDB has it: sum of integers HUGEINT, of DECIMAL(w,s) DECIMAL(38,s), avg DOUBLE
  OutputKind kind = OutputKind::kKey;
  std::uint32_t index = 0;  // of the key, or of the component (sum for kAvg)
  std::uint32_t count_index =
      0;  // kAvg: the component with the count; kSum: the count that tells NULL
};

}  // namespace millrace::view
