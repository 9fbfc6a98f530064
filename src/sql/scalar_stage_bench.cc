// The scalar stage: cost of a call with one row, rows a second of batches and of lake files.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include "base/check.h"
#include "sql/scalar_stage.h"

namespace millrace::sql {
namespace {

StreamDefinition flights() {
  StreamDefinition stream;
  stream.name = "flights";
  stream.columns = {{"origin", Type{TypeKind::kVarchar}},
                    {"delay", Type{TypeKind::kBigInt}},
                    {"date", Type{TypeKind::kTimestamp}},
                    {"distance", Type{TypeKind::kDouble}}};
  return stream;
}

StreamBatch batch_of(std::size_t rows, std::uint64_t base_offset = 0) {
  auto columns = std::make_shared<ColumnBatch>(flights().types());
  for (std::size_t row = 0; row < rows; ++row) {
    const auto n = base_offset + row;
    columns->column(0).push_string("AP" + std::to_string(n * 7919 % 300), columns->arena());
    columns->column(1).push(static_cast<std::int64_t>(n * 31 % 600));
    columns->column(2).push(static_cast<std::int64_t>(n) * 1'000'000);
    columns->column(3).push(static_cast<double>(n % 4000) * 0.5);
  }
  return {.stream = {},
          .partition = {},
          .base_offset = Offset(base_offset),
          .arrival_us = 0,
          .columns = std::move(columns)};
}

const char* kStage =
    "SELECT origin, date_trunc('hour', date), delay FROM flights WHERE delay > 100";

void stage_over_batches(benchmark::State& state) {
  auto database = Database::open({.threads = 1});
  auto stage = ScalarStage::prepare(**database, kStage, flights());
  MR_CHECK(stage.has_value(), "{}", stage.error().text());
  const std::vector batches = {batch_of(static_cast<std::size_t>(state.range(0)))};
  std::uint64_t rows = 0;
  for (auto _ : state) {
    auto status = (*stage)->run(batches, [&](const BatchView& view) { rows += view.rows; });
    MR_CHECK(status.has_value(), "{}", status.error().text());
  }
  benchmark::DoNotOptimize(rows);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(stage_over_batches)->Arg(1)->Arg(64)->Arg(2048)->Arg(20'480)->Arg(200'000);

class LakeFolder {
 public:
  static constexpr std::size_t kRows = 2'000'000;
  LakeFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("millrace_sql_bench_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    auto database = Database::open({.threads = 1, .folders = {path_}});
    std::vector<StreamBatch> batches;
    for (std::uint64_t offset = 0; offset < kRows; offset += 10'000)
      batches.push_back(batch_of(10'000, offset));
    auto written = write_parquet(**database, file(), flights(), batches);
    MR_CHECK(written.has_value(), "{}", written.error().text());
  }
  ~LakeFolder() { std::filesystem::remove_all(path_); }
  LakeFolder(const LakeFolder&) = delete;
  LakeFolder& operator=(const LakeFolder&) = delete;
  [[nodiscard]] std::filesystem::path file() const { return path_ / "flights.parquet"; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void stage_over_lake_files(benchmark::State& state) {
  static const LakeFolder folder;
  auto database = Database::open(
      {.threads = static_cast<std::uint32_t>(state.range(0)), .folders = {folder.path()}});
  const std::vector paths = {folder.file()};
  const std::atomic<bool> cancel = false;
  for (auto _ : state) {
    std::atomic<std::uint64_t> rows_done = 0;
    auto status =
        scan_lake_files(**database, paths, flights(),
                        {kStage, [] { return [](const BatchView&) {}; }}, rows_done, cancel);
    MR_CHECK(status.has_value(), "{}", status.error().text());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * LakeFolder::kRows);
}
BENCHMARK(stage_over_lake_files)->Arg(1)->Arg(2)->UseRealTime();

void write_of_lake_file(benchmark::State& state) {
  const LakeFolder folder;
  auto database = Database::open({.threads = 1, .folders = {folder.path()}});
  const std::vector batches = {batch_of(200'000)};
  for (auto _ : state) {
    auto written = write_parquet(**database, folder.path() / "again.parquet", flights(), batches);
    MR_CHECK(written.has_value(), "{}", written.error().text());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 200'000);
}
BENCHMARK(write_of_lake_file);

}  // namespace
}  // namespace millrace::sql
