// Rows per second of the aggregate stage on one core, and bytes per group; writing and checking of
// state runs.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>

#include "view/group_table.h"
#include "view/run_in_memory.h"

namespace millrace::view {
namespace {

constexpr Type kBigInt{.kind = TypeKind::kBigInt};
constexpr Type kDouble{.kind = TypeKind::kDouble};
constexpr Type kVarchar{.kind = TypeKind::kVarchar};
constexpr std::size_t kBatchRows = 8192;

/// Rows with keys in random order, in batches as ingest makes them.
std::vector<std::unique_ptr<ColumnBatch>> make_batches(const AggregatePlan& plan,
                                                       std::size_t groups, std::size_t text_bytes) {
  std::mt19937_64 random(42);
  std::vector<Type> types = plan.keys;
  types.insert(types.end(), plan.arguments.begin(), plan.arguments.end());
  std::vector<std::unique_ptr<ColumnBatch>> batches;
  const std::size_t rows = std::max<std::size_t>(groups * 4, 1'000'000);
  for (std::size_t done = 0; done < rows; done += kBatchRows) {
    auto batch = std::make_unique<ColumnBatch>(types);
    batch->reserve(kBatchRows);
    for (std::size_t i = 0; i < kBatchRows; ++i) {
      const std::uint64_t group = random() % groups;
      for (std::size_t c = 0; c < types.size(); ++c) {
        if (types[c] == kVarchar) {
          std::string text = std::to_string(group);
          text.insert(0, text_bytes - std::min(text_bytes, text.size()), 'u');
          batch->column(c).push_string(text, batch->arena());
        } else if (types[c] == kBigInt) {
          batch->column(c).push(
              static_cast<std::int64_t>(c < plan.keys.size() ? group : random() % 1000));
        } else {
          batch->column(c).push(static_cast<double>(random() % 100'000) / 100.0);
        }
      }
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

void run(benchmark::State& state, const std::vector<Type>& keys, const Type& argument,
         std::size_t text_bytes) {
  const auto groups = static_cast<std::size_t>(state.range(0));
  const ComponentKind sum =
      argument == kDouble ? ComponentKind::kSumDouble : ComponentKind::kSumInteger;
  const AggregatePlan plan{
      .keys = keys, .arguments = {argument}, .components = {{}, {sum, {{0}}, {}, 0}}};
  const auto batches = make_batches(plan, groups, text_bytes);
  GroupTable table(plan);
  std::size_t next = 0;
  for (const auto& batch : batches) table.update({batch->views(), batch->rows()});
  for (auto _ : state) {
    const ColumnBatch& batch = *batches[next++ % batches.size()];
    const std::vector<ColumnView> columns = batch.views();
    table.update({columns, batch.rows()});
  }
  state.counters["rows"] = benchmark::Counter(static_cast<double>(state.iterations() * kBatchRows),
                                              benchmark::Counter::kIsRate);
  state.counters["bytes_per_group"] =
      static_cast<double>(table.size_bytes()) / static_cast<double>(table.groups());
}

void integer_key_sum_integer(benchmark::State& state) { run(state, {kBigInt}, kBigInt, 0); }
void integer_key_sum_double(benchmark::State& state) { run(state, {kBigInt}, kDouble, 0); }
void text_key_of_8_bytes(benchmark::State& state) { run(state, {kVarchar}, kDouble, 8); }
void text_key_of_20_bytes(benchmark::State& state) { run(state, {kVarchar}, kDouble, 20); }
void two_text_keys_of_8_bytes(benchmark::State& state) {
  run(state, {kVarchar, kVarchar}, kDouble, 8);
}
void two_text_keys_of_20_bytes(benchmark::State& state) {
  run(state, {kVarchar, kVarchar}, kDouble, 20);
}
BENCHMARK(integer_key_sum_integer)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(integer_key_sum_double)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(text_key_of_8_bytes)->Arg(1000)->Arg(100'000);
BENCHMARK(text_key_of_20_bytes)->Arg(1000)->Arg(100'000);
BENCHMARK(two_text_keys_of_8_bytes)->Arg(1000)->Arg(100'000);
BENCHMARK(two_text_keys_of_20_bytes)->Arg(1000)->Arg(100'000);

/// A table that begins empty: every row of the first million makes a group.
void fill_with_new_groups(benchmark::State& state) {
  const AggregatePlan plan{.keys = {kBigInt},
                           .arguments = {kDouble},
                           .components = {{}, {ComponentKind::kSumDouble, {{0}}, {}, 0}}};
  const auto batches = make_batches(plan, static_cast<std::size_t>(state.range(0)), 0);
  std::size_t rows = 0;
  for (auto _ : state) {
    GroupTable table(plan);
    for (const auto& batch : batches) table.update({batch->views(), batch->rows()});
    rows += batches.size() * kBatchRows;
    benchmark::DoNotOptimize(table.groups());
  }
  state.counters["rows"] =
      benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsRate);
}
BENCHMARK(fill_with_new_groups)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

GroupTable make_table(std::size_t groups) {
  const AggregatePlan plan{.keys = {kBigInt},
                           .arguments = {kDouble},
                           .components = {{}, {ComponentKind::kSumDouble, {{0}}, {}, 0}}};
  GroupTable table(plan);
  for (const auto& batch : make_batches(plan, groups, 0))
    table.update({batch->views(), batch->rows()});
  return table;
}

std::string make_run(std::size_t groups) { return run_file(1, make_table(groups)); }

void write_run(benchmark::State& state) {
  const GroupTable table = make_table(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(run_file(1, table));
}
BENCHMARK(write_run)->Arg(400'000)->Unit(benchmark::kMillisecond);

void copy_table(benchmark::State& state) {
  const GroupTable table = make_table(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const GroupTable copy(table);
    benchmark::DoNotOptimize(copy.groups());
  }
}
BENCHMARK(copy_table)->Arg(1000)->Arg(400'000)->Unit(benchmark::kMillisecond);

void merge_tables(benchmark::State& state) {
  const GroupTable table = make_table(static_cast<std::size_t>(state.range(0)));
  GroupTable into(table);
  for (auto _ : state) into.merge(table);
}
BENCHMARK(merge_tables)->Arg(1000)->Arg(400'000)->Unit(benchmark::kMillisecond);

void check_run(benchmark::State& state) {
  const std::string file = make_run(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(StateRun::parse(file, 1));
}
BENCHMARK(check_run)->Arg(400'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::view
