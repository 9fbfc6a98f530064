// State runs: what was written is read, every flipped bit is noticed, lookups and merges agree with
// a map.
#include "view/state_run.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "view/group_table.h"
#include "view/random_batch.h"

namespace millrace::view {
namespace {

using States = std::map<std::string, std::string>;

constexpr std::uint64_t kFingerprint = 0x1122334455667788;

std::string file_of(const States& states) {
  StateRunWriter writer(kFingerprint);
  for (const auto& [key, state] : states) writer.add(key, state);
  EXPECT_EQ(writer.entries(), states.size());
  return writer.finish();
}

std::shared_ptr<const StateRun> run_of(const States& states) {
  auto run = StateRun::parse(file_of(states), kFingerprint);
  EXPECT_TRUE(run) << (run ? "" : run.error().text());
  return *run;
}

States random_states(Random& random, std::size_t count) {
  const std::string shared = random_text(random);
  States states;
  for (std::size_t i = 0; i < count; ++i) {
    states[shared + random_text(random) + random_text(random)] =
        std::string(below(random, 300), 's');
  }
  return states;
}

TEST(StateRun, FindsWhatWasWrittenAndNothingElse) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const States states = random_states(random, below(random, 1500));
    const auto run = run_of(states);
    RC_ASSERT(run->entries() == states.size());
    std::size_t index = 0;
    for (const auto& [key, state] : states) {
      RC_ASSERT(run->entry(index).key == key);
      RC_ASSERT(run->entry(index).state == state);
      RC_ASSERT(run->find(key) == std::optional<std::string_view>(state));
      ++index;
    }
    for (const auto& [key, state] : random_states(random, 100)) {
      const auto place = states.lower_bound(key);
      RC_ASSERT(run->lower_bound(key) ==
                static_cast<std::size_t>(std::distance(states.begin(), place)));
      RC_ASSERT(run->find(key).has_value() == states.contains(key));
    }
  }));
}

TEST(StateRun, HasNoEntriesWhereNothingWasWritten) {
  EXPECT_EQ(StateRun::empty()->entries(), 0U);
  EXPECT_FALSE(StateRun::empty()->find("").has_value());
  EXPECT_EQ(run_of({})->entries(), 0U);
  EXPECT_EQ(run_of({{"", "only"}})->find(""), std::optional<std::string_view>("only"));
}

TEST(StateRun, KeepsLongKeysAndStates) {
  const States states = {{std::string(200'000, 'k'), "a"},
                         {std::string(200'001, 'k'), std::string(3'000'000, 's')}};
  const auto run = run_of(states);
  for (const auto& [key, state] : states)
    EXPECT_EQ(run->find(key), std::optional<std::string_view>(state));
}

TEST(StateRun, NoticesEveryFlippedBitAndEveryLostByte) {
  States states;
  for (int i = 0; i < 40; ++i)
    states["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(i), 'x');
  const std::string file = file_of(states);
  ASSERT_TRUE(StateRun::parse(file, kFingerprint));
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const auto run = StateRun::parse(damaged, kFingerprint);
    ASSERT_FALSE(run) << "bit " << bit;
    ASSERT_EQ(run.error().code, ErrorCode::kDataLoss) << "bit " << bit;
  }
  for (std::size_t size = 0; size < file.size(); ++size) {
    ASSERT_FALSE(StateRun::parse(file.substr(0, size), kFingerprint)) << size;
  }
  EXPECT_FALSE(StateRun::parse(file + '\0', kFingerprint));
}

TEST(StateRun, IsNotReadAsTheRunOfAnotherView) {
  const auto run = StateRun::parse(file_of({{"k", "s"}}), kFingerprint + 1);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, ErrorCode::kDataLoss);
}

TEST(StateRun, MergesTwoRunsAsTheTablesMerge) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const std::vector<Type> types = {
        random_type(random), {.kind = TypeKind::kDouble}, {.kind = TypeKind::kVarchar}};
    const AggregatePlan plan{.keys = {types[0]},
                             .arguments = {types[1], types[2]},
                             .components = {{},
                                            {ComponentKind::kSumDouble, {{0}}, {}, 0},
                                            {ComponentKind::kMin, {{0}}, {}, 0},
                                            {ComponentKind::kMax, {{1}}, {}, 0}}};
    GroupTable both(plan);
    std::vector<std::shared_ptr<const StateRun>> runs;
    for (int part = 0; part < 2; ++part) {
      const ColumnBatch batch = random_batch(random, types, below(random, 200));
      const std::vector<ColumnView> columns = batch.views();
      GroupTable table(plan);
      table.update({columns, batch.rows()});
      both.update({columns, batch.rows()});
      StateRunWriter writer(kFingerprint);
      table.for_each_sorted(
          [&](std::string_view key, std::string_view state) { writer.add(key, state); });
      runs.push_back(*StateRun::parse(writer.finish(), kFingerprint));
    }
    StateRunWriter expected(kFingerprint);
    both.for_each_sorted(
        [&](std::string_view key, std::string_view state) { expected.add(key, state); });
    StateRunWriter merged(kFingerprint);
    RC_ASSERT(
        merge_runs(plan, *runs[0], *runs[1], [&](std::string_view key, std::string_view state) {
          merged.add(key, state);
        }).has_value());
    RC_ASSERT(merged.finish() == expected.finish());
  }));
}

TEST(StateRun, ReportsAStateThatIsNoneWhenRunsAreMerged) {
  const AggregatePlan plan{.keys = {}, .arguments = {}, .components = {{}}};
  const auto run = run_of({{"", "not a state"}});
  const Status status = merge_runs(plan, *run, *run, [](std::string_view, std::string_view) {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace millrace::view
