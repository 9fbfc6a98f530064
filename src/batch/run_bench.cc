// Look-ups in a state run: with a cache that has room for all of it, with one that has room for
// little, and of keys that it has not.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>

#include "base/bytes.h"
#include "batch/shared_block_cache.h"
#include "view/run_in_memory.h"

namespace millrace::batch {
namespace {

constexpr std::uint64_t kEntries = 1'000'000;

/// As of a BIGINT; every second number.
std::string key_of(std::uint64_t number) {
  std::string key(9, 1);
  for (int i = 0; i < 8; ++i) key[8 - i] = static_cast<char>(number >> (8 * i));
  return key;
}

std::shared_ptr<const view::StateRun> make_run(std::uint64_t cache_bytes) {
  auto file = view::run_file(1, [](view::StateRunWriter& writer) -> Status {
    for (std::uint64_t i = 0; i < kEntries; ++i)
      MR_RETURN_IF_ERROR(writer.add(key_of(2 * i), std::string(12, 's')));
    return {};
  });
  return *view::StateRun::open(std::make_shared<view::BytesInMemory>(std::move(file)), 1,
                               std::make_shared<SharedBlockCache>(cache_bytes));
}

void find(benchmark::State& state, std::uint64_t odd) {
  const auto run = make_run(static_cast<std::uint64_t>(state.range(0)));
  std::mt19937_64 random(7);
  std::vector<std::string> keys(65'536);
  for (std::string& key : keys) key = key_of(2 * (random() % kEntries) + odd);
  for (const auto& key : keys) benchmark::DoNotOptimize(run->find(key));
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(run->find(keys[next++ % keys.size()]));
}

void find_present(benchmark::State& state) { find(state, 0); }
void find_absent(benchmark::State& state) { find(state, 1); }
BENCHMARK(find_present)->Arg(1 << 28)->Arg(8 << 20);
BENCHMARK(find_absent)->Arg(8 << 20);

}  // namespace
}  // namespace millrace::batch
