// What the aggregate stage of a view computes: group keys, and the components that all its
// aggregates are made of. avg(x) is the components sum(x) and count(x); equal components are kept
// once. A group's partial state is its components one behind the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/stream.h"
#include "model/type.h"

namespace millrace::view {

/// A row goes into a component where its filter (if it has one) is TRUE and, but for kCountRows and
/// kRows, none of its arguments is NULL.
enum class ComponentKind : std::uint8_t {
  kCountRows,   // count(*)
  kCount,       // count(x): rows where x is not NULL
  kSumInteger,  // exact, of booleans, integers and decimals: 128 bits, and a third word against
                // overflow
  kSumDouble,   // exact, of FLOAT and DOUBLE (exact_sum.h)
  kMin,         // of any type; NaN is the largest double, as in DuckDB; -0.0 is 0.0
  kMax,
  kBitAnd,  // of integers, in two's complement
  kBitOr,
  kBitXor,
  kSumPower,    // exact sum of x to the power `parameter` (2, 3 or 4), x DOUBLE
  kSumProduct,  // exact sum of x * y, both DOUBLE
  /// The composites of the arguments, each row's once: the `parameter` smallest of them, all where
  /// it is 0. first, last, arg_min, min(x, n), list, string_agg, map_agg.
  kRows,
  kValues,       // how often each composite came: mode, median, quantiles, histogram, top_k
  kDistinct,     // the set of composites: count(DISTINCT x), sum(DISTINCT x), ...
  kHyperLogLog,  // approximate number of distinct composites
  kBuckets,      // how many values of a DOUBLE lie in each log-linear bucket: approx_quantile
};

/// One column of a component, by its place in AggregatePlan::arguments. A composite is its columns
/// as in a group key, one behind the other: its bytes order as its columns do. The two flags say
/// how a column orders in kRows.
struct ComponentArgument {
  std::uint32_t index = 0;
  bool descending = false;
  bool nulls_last = false;
  bool operator==(const ComponentArgument&) const = default;
};

struct Component {
  ComponentKind kind = ComponentKind::kCountRows;
  /// None for kCountRows, two for kSumProduct, one or more for kRows, kValues, kDistinct and
  /// kHyperLogLog, one for the rest.
  std::vector<ComponentArgument> arguments;
  /// A BOOLEAN argument: only rows where it is TRUE count.
  std::optional<std::uint32_t> filter;
  std::uint32_t parameter = 0;  // kSumPower: the exponent; kRows: how many
  bool operator==(const Component&) const = default;
};

/// The columns of the scalar stage's rows are the keys, then the arguments.
struct AggregatePlan {
  std::vector<Type> keys;
  std::vector<Type> arguments;
  std::vector<Component> components;
  bool operator==(const AggregatePlan&) const = default;
};

/// How one column is made of a group. In brackets: the components in OutputColumn::inputs. All but
/// the counts are NULL where no row went in.
enum class OutputKind : std::uint8_t {
  kKey,    // inputs[0] is the number of the key
  kCount,  // [count or count of rows]
  kSum,    // [sum, count]
  kAvg,    // [sum, count]
  kMin,
  kMax,
  kBits,  // [bit and, or, xor]
  // From exact power sums, rounded once before the last division or root. n rows, s1 their sum, s2
  // the sum of squares, ...
  kVarPop,       // [n, s1, s2]
  kVarSamp,      // [n, s1, s2]; NULL for one row, as all samp, sem
  kStddevPop,    // [n, s1, s2]
  kStddevSamp,   // [n, s1, s2]
  kSem,          // [n, s1, s2]
  kSkewness,     // [n, s1, s2, s3]
  kKurtosis,     // [n, s1, s2, s3, s4]; of a sample, as DuckDB has it
  kKurtosisPop,  // [n, s1, s2, s3, s4]
  // Of pairs (y, x); sums over the rows where both are there.
  kCovarPop,   // [n, sx, sy, sxy]
  kCovarSamp,  // [n, sx, sy, sxy]
  kCorr,       // [n, sx, sy, sxy, sxx, syy], as all that follow
  kRegrSlope,  // of y over x
  kRegrIntercept,
  kRegrR2,
  kRegrSxx,
  kRegrSyy,
  kRegrSxy,
  kRowValue,       // [rows]: column `column` of the smallest composite
  kRowList,        // [rows]: LIST of column `column`, in the order of the composites
  kRowMap,         // [rows]: MAP of column 0 to column `column`; the last composite of a key counts
  kValueList,      // [values or distinct]: LIST in ascending order, each as often as it came
  kValueCounts,    // [values]: MAP of value to UBIGINT
  kDistinctCount,  // [distinct]
  kTopCount,     // [values of x]: LIST of STRUCT(value, count UBIGINT), the `limit` most frequent;
                 // ties: the smaller value first
  kTopSum,       // [values of (x, w)]: LIST of STRUCT(value, sum) by descending sum of w
  kApproxCount,  // [HyperLogLog]
  kApproxQuantile,  // [buckets]: one value, or a LIST where the type is one; `quantiles`
};

/// One column that the aggregate stage gives for each group.
struct OutputColumn {
  std::string name;
  /// As DuckDB has it: sum of integers HUGEINT, of DECIMAL(w,s) DECIMAL(38,s), avg DOUBLE.
  Type type;
  OutputKind kind = OutputKind::kKey;
  std::vector<std::uint32_t> inputs;
  std::uint32_t column = 0;
  std::uint32_t limit = 0;
  std::vector<double> quantiles;
};

}  // namespace millrace::view
