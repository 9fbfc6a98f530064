// Durable appends on the machine's own disk: groups of 130 KB from four threads, and one small
// group at a time. Prints MB/s, and the median and the 99th percentile of the time from append to
// acknowledgement. MILLRACE_BENCH_FOLDER chooses the disk, else the temporary folder.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "log/commit_log.h"
#include "runtime/clock.h"
#include "wire/record_batch.h"

namespace millrace::log {
namespace {

std::filesystem::path bench_folder() {
  const char* chosen = std::getenv("MILLRACE_BENCH_FOLDER");
  const auto parent =
      chosen != nullptr ? std::filesystem::path(chosen) : std::filesystem::temp_directory_path();
  return parent / fmt::format("millrace-log-bench-{}", ::getpid());
}

std::string batch_of(std::uint32_t records) {
  const std::string event(130, 'e');
  const std::vector<std::string_view> values(records, event);
  std::string batch;
  wire::encode_record_batch(values, 0, batch);
  return batch;
}

/// One group in flight for each thread: append, wait for the sink, again.
void append_durably(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0));
  const auto records = static_cast<std::uint32_t>(state.range(1));
  const auto groups = static_cast<std::size_t>(state.range(2));
  const std::string batch = batch_of(records);
  const auto folder = bench_folder();
  std::vector<std::int64_t> latencies_us;
  std::uint64_t commits = 0;
  for (auto _ : state) {
    std::filesystem::remove_all(folder);
    auto log = std::move(*CommitLog::open(runtime::system_files(), {.folder = folder}, {},
                                          [](const RecoveredBatch&) -> Status { return {}; }));
    struct Waiter {
      std::atomic<std::uint32_t> done = 0;
    };
    log->start([](std::vector<LogGroup> told, const Status& status) {
      MR_CHECK(status.has_value(), "the log failed");
      for (const LogGroup& group : told) {
        auto& done = static_cast<Waiter*>(group.context.get())->done;
        done.fetch_add(1);
        done.notify_one();
      }
    });
    const auto append_one = [&](std::uint32_t partition, const std::shared_ptr<Waiter>& waiter) {
      const std::uint32_t before = waiter->done.load();
      LogGroup group;
      group.context = waiter;
      group.entries.push_back({.stream = StreamId(1),
                               .partition = PartitionId(partition),
                               .record_count = records,
                               .batch = batch,
                               .base_offset = {},
                               .place = {}});
      MR_CHECK(log->append(std::move(group)).has_value(), "the log refused");
      waiter->done.wait(before);
    };
    append_one(0, std::make_shared<Waiter>());  // the first segment is there
    std::vector<std::vector<std::int64_t>> measured(threads);
    std::vector<std::thread> workers;
    const std::int64_t began = runtime::monotonic_us();
    for (std::size_t t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        const auto waiter = std::make_shared<Waiter>();
        for (std::size_t i = 0; i < groups / threads; ++i) {
          const std::int64_t start = runtime::monotonic_us();
          append_one(static_cast<std::uint32_t>(t), waiter);
          measured[t].push_back(runtime::monotonic_us() - start);
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    state.SetIterationTime(static_cast<double>(runtime::monotonic_us() - began) / 1e6);
    for (const auto& part : measured)
      latencies_us.insert(latencies_us.end(), part.begin(), part.end());
    commits += log->statistics().commits;
    log->stop();
  }
  std::filesystem::remove_all(folder);
  std::ranges::sort(latencies_us);
  const auto at = [&](double share) {
    return static_cast<double>(latencies_us[static_cast<std::size_t>(
        share * static_cast<double>(latencies_us.size() - 1))]);
  };
  state.counters["p50_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
  state.counters["groups_per_commit"] =
      static_cast<double>(latencies_us.size()) / static_cast<double>(commits);
  state.SetBytesProcessed(static_cast<std::int64_t>(latencies_us.size() * batch.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(latencies_us.size() * records));
}
BENCHMARK(append_durably)
    ->ArgNames({"threads", "records", "groups"})
    ->Args({4, 1000, 4000})
    ->Args({1, 1, 4000})
    ->Args({64, 1, 64000})
    ->UseManualTime()
    ->Iterations(1)
    ->Repetitions(3)
    ->Unit(benchmark::kMillisecond);

/// Reads a log of 5 million events back, without looking into the batches.
void recover(benchmark::State& state) {
  const auto folder = bench_folder();
  std::filesystem::remove_all(folder);
  const auto records = static_cast<std::uint32_t>(state.range(0));
  const std::uint64_t events = 5'000'000;
  {
    auto log = std::move(*CommitLog::open(runtime::system_files(), {.folder = folder}, {},
                                          [](const RecoveredBatch&) -> Status { return {}; }));
    log->start([](std::vector<LogGroup>, const Status&) {});
    const std::string batch = batch_of(records);
    for (std::uint64_t done = 0; done < events; done += records) {
      while (true) {
        LogGroup group;
        group.entries.push_back({.stream = StreamId(1),
                                 .partition = PartitionId(0),
                                 .record_count = records,
                                 .batch = batch,
                                 .base_offset = {},
                                 .place = {}});
        if (log->append(std::move(group))) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // busy
      }
    }
  }
  std::uint64_t seen = 0;
  for (auto _ : state) {
    seen = 0;
    const auto log = CommitLog::open(runtime::system_files(), {.folder = folder}, {},
                                     [&](const RecoveredBatch& batch) -> Status {
                                       seen += batch.record_count;
                                       return {};
                                     });
    MR_CHECK(log.has_value() && seen == events, "{} events came back", seen);
  }
  std::filesystem::remove_all(folder);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * events));
}
BENCHMARK(recover)->ArgName("records")->Arg(1000)->Arg(10)->Iterations(3)->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::log
