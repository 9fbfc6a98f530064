// For tests: events of a small stream as Arrow streams, and a view over them. Row 7 of every ten
// has a text that is no number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/stream.h"
#include "op/arrow_array.h"
#include "op/arrow_ipc.h"
#include "op/plan.h"

namespace millrace::op {

inline StreamDefinition sample_stream() {
  StreamDefinition stream;
  stream.name = "e";
  stream.columns = {
      {"k", {TypeKind::kVarchar}}, {"n", {TypeKind::kBigInt}}, {"t", {TypeKind::kVarchar}}};
  return stream;
}

inline std::string sample_plan(
    std::string_view select = "SELECT k, count(*) AS c, sum(n) AS s FROM e GROUP BY k") {
  return write_plan({.view = "v",
                     .select = std::string(select),
                     .streams = {sample_stream()},
                     .program = MR_VERSION});
}

/// Rows [begin, end) of partition 3.
inline OwnedBatch sample_batch(std::int64_t begin, std::int64_t end, std::int64_t keys = 4) {
  auto columns = sample_stream().columns;
  for (const auto& column : hidden_columns()) columns.push_back(column);
  std::vector<Type> types;
  for (const auto& column : columns) types.push_back(column.type);
  ColumnBatch batch(types);
  for (std::int64_t i = begin; i < end; ++i) {
    batch.column(0).push_string("key " + std::to_string(i % keys), batch.arena());
    batch.column(1).push(i);
    batch.column(2).push_string(i % 10 == 7 ? "bad" : std::to_string(i), batch.arena());
    batch.column(3).push(std::int32_t{3});
    batch.column(4).push(i);
    batch.column(5).push(std::int64_t{1'000'000} * i);
  }
  const auto views = batch.views();
  auto arrays = make_arrays(columns, {views, batch.rows()}, 0, batch.rows());
  MR_CHECK(arrays.has_value(), "sample events are no arrays");
  return *std::move(arrays);
}

inline std::string sample_events(std::int64_t begin, std::int64_t end, std::int64_t keys = 4) {
  std::string out;
  append_arrow_stream(sample_batch(begin, end, keys), out);
  return out;
}

}  // namespace millrace::op
