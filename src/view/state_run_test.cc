// State runs: what was written is read, whatever the cache holds; every flipped bit is noticed, at
// once or when its block is read; merges of tables and runs agree with one table.
#include "view/state_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "view/random_batch.h"
#include "view/random_plan.h"
#include "view/run_filter.h"
#include "view/run_format.h"
#include "view/run_in_memory.h"

namespace millrace::view {
namespace {

using States = std::map<std::string, std::string>;

constexpr std::uint64_t kFingerprint = 0x1122334455667788;

std::string file_of(const States& states) {
  return run_file(kFingerprint, [&](StateRunWriter& writer) -> Status {
    for (const auto& [key, state] : states) MR_RETURN_IF_ERROR(writer.add(key, state));
    return {};
  });
}

/// As version 1 wrote it: no filters, no keys in the index.
std::string old_file_of(const States& states) {
  std::string file;
  ByteWriter writer(file);
  writer.put_bytes(run_format::kMagic);
  writer.put(run_format::kVersionWithoutKeys);
  writer.put(kFingerprint);
  const std::string header = file;
  std::string index;
  std::string block;
  std::uint32_t entries = 0;
  std::uint32_t blocks = 0;
  const auto end_block = [&] {
    if (entries == 0) return;
    ByteWriter to(index);
    to.put(std::uint64_t{file.size()});
    to.put(static_cast<std::uint32_t>(block.size()));
    to.put(std::exchange(entries, 0));
    to.put(crc32c(block));
    file += std::exchange(block, {});
    ++blocks;
  };
  for (const auto& [key, state] : states) {
    ByteWriter to(block);
    to.put_string(key);
    to.put_string(state);
    ++entries;
    if (block.size() >= 4096) end_block();
  }
  end_block();
  std::string end = index;
  ByteWriter to(end);
  to.put(std::uint64_t{file.size()});
  to.put(blocks);
  to.put(std::uint64_t{states.size()});
  to.put(crc32c(end, crc32c(header)));
  to.put_bytes(run_format::kEndMagic);
  return file + end;
}

std::shared_ptr<const StateRun> open_run(std::string file, std::size_t cached_parts = 100) {
  auto run = StateRun::open(std::make_shared<BytesInMemory>(std::move(file)), kFingerprint,
                            std::make_shared<FewParts>(cached_parts));
  EXPECT_TRUE(run) << (run ? "" : run.error().text());
  return *run;
}

/// "none", the state, or "error".
std::string found_in(const StateRun& run, std::string_view key) {
  const auto found = run.find(key);
  if (!found) {
    EXPECT_EQ(found.error().code, ErrorCode::kDataLoss);
    return "error";
  }
  return *found ? "state " + std::string((*found)->state) : "none";
}

States states_from(const std::shared_ptr<const StateRun>& run, std::string_view from) {
  States out;
  RunCursor cursor(run, false);
  EXPECT_TRUE(cursor.seek(from));
  while (!cursor.at_end()) {
    EXPECT_TRUE(out.empty() || out.rbegin()->first < cursor.key());
    out.emplace(cursor.key(), cursor.state());
    EXPECT_TRUE(cursor.next());
  }
  return out;
}

/// Downwards from the last key before `before`.
States states_before(const std::shared_ptr<const StateRun>& run, std::string_view before) {
  States out;
  RunCursor cursor(run, true);
  EXPECT_TRUE(cursor.seek_before(before));
  while (!cursor.at_end()) {
    EXPECT_TRUE(out.empty() || cursor.key() < out.begin()->first);
    out.emplace(cursor.key(), cursor.state());
    EXPECT_TRUE(cursor.prev());
  }
  return out;
}

/// What find() says, after is_cached() was asked: where it says yes, no byte is read.
std::string found_cached(const std::shared_ptr<BytesInMemory>& bytes, const StateRun& run,
                         std::string_view key) {
  if (!run.is_cached(key)) return "not cached";
  const std::string kept = std::exchange(bytes->bytes, {});
  const std::string found = found_in(run, key);
  bytes->bytes = kept;
  return found;
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

TEST(StateRun, FindsWhatWasWrittenAndNothingElseWhateverTheCacheHolds) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const States states = random_states(random, below(random, 700));
    const bool old = below(random, 4) == 0;
    const auto run = open_run(old ? old_file_of(states) : file_of(states),
                              std::vector<std::size_t>{0, 3, 100}[below(random, 3)]);
    RC_ASSERT(run->entries() == states.size());
    RC_ASSERT(run->verify([] { return true; }).has_value());
    for (const auto& [key, state] : states) RC_ASSERT(found_in(*run, key) == "state " + state);
    RC_ASSERT(states_from(run, "") == states);
    RC_ASSERT(states_before(run, "") == states);
    for (const auto& [key, state] : random_states(random, 20)) {
      RC_ASSERT(found_in(*run, key) ==
                (states.contains(key) ? "state " + states.at(key) : std::string("none")));
      RC_ASSERT(states_from(run, key) == States(states.lower_bound(key), states.end()));
      if (key.empty()) continue;
      RC_ASSERT(states_before(run, key) == States(states.begin(), states.lower_bound(key)));
    }
  }));
}

TEST(StateRun, KnowsWhenALookUpReadsMemoryAlone) {
  States states;
  for (int i = 0; i < 2000; ++i) states[fmt::format("key {:04}", i)] = std::string(50, 's');
  const auto bytes = std::make_shared<BytesInMemory>(file_of(states));
  const auto run = *StateRun::open(bytes, kFingerprint, std::make_shared<FewParts>(100));
  EXPECT_EQ(found_cached(bytes, *run, "a"), "none") << "it is less than all keys";
  EXPECT_EQ(found_cached(bytes, *run, "key 0007"), "not cached");
  EXPECT_EQ(found_in(*run, "key 0007"), "state " + states.at("key 0007"));
  EXPECT_EQ(found_cached(bytes, *run, "key 0007"), "state " + states.at("key 0007"));
  EXPECT_EQ(found_cached(bytes, *run, "key 1999"), "not cached") << "it is in another block";
  int absent = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto found = found_cached(bytes, *run, fmt::format("key {:04} no", i));
    ASSERT_NE(found, "error");
    if (found == "none") ++absent;
  }
  EXPECT_GT(absent, 1800) << "the filter came with the first look-up";
}

TEST(StateRun, HasNoEntriesWhereNothingWasWritten) {
  EXPECT_EQ(StateRun::empty()->entries(), 0U);
  EXPECT_EQ(found_in(*StateRun::empty(), ""), "none");
  EXPECT_TRUE(states_from(StateRun::empty(), "").empty());
  EXPECT_EQ(open_run(file_of({}))->entries(), 0U);
  EXPECT_EQ(found_in(*open_run(file_of({{"", "only"}})), ""), "state only");
}

TEST(StateRun, KeepsLongKeysAndStates) {
  const States states = {{std::string(200'000, 'k'), "a"},
                         {std::string(200'001, 'k'), std::string(3'000'000, 's')}};
  const auto run = open_run(file_of(states));
  for (const auto& [key, state] : states) EXPECT_EQ(found_in(*run, key), "state " + state);
}

States few_states() {
  States states;
  for (int i = 0; i < 40; ++i)
    states["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(i), 'x');
  return states;
}

TEST(StateRun, NoticesEveryFlippedBitAndEveryLostByteWhenAllIsChecked) {
  for (const std::string& file : {file_of(few_states()), old_file_of(few_states())}) {
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
}

TEST(StateRun, GivesAnErrorAndNeverAWrongAnswerWhereABitFlipsBehindItsBack) {
  const States states = few_states();
  const std::string file = file_of(states);
  for (std::size_t bit = 0; bit < file.size() * 8; bit += 7) {
    auto bytes = std::make_shared<BytesInMemory>(file);
    const auto run = StateRun::open(bytes, kFingerprint, nullptr);
    ASSERT_TRUE(run);
    bytes->bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    for (const auto& [key, state] : states) {
      const auto found = found_in(**run, key);
      ASSERT_TRUE(found == "state " + state || found == "error") << "bit " << bit << ": " << found;
      const auto absent = found_in(**run, key + "\x01");
      ASSERT_TRUE(absent == "none" || absent == "error") << "bit " << bit << ": " << absent;
    }
    RunCursor cursor(*run, false);
    auto walked = cursor.seek("");
    std::size_t entries = 0;
    while (walked && !cursor.at_end()) {
      ASSERT_EQ(states.at(std::string(cursor.key())), cursor.state());
      ++entries;
      walked = cursor.next();
    }
    ASSERT_TRUE(!walked || entries == states.size()) << "bit " << bit;
  }
}

TEST(StateRun, NamesTheRunAndTheOffsetOfADamagedBlock) {
  auto bytes = std::make_shared<BytesInMemory>(file_of(few_states()));
  const auto run = StateRun::open(bytes, kFingerprint, nullptr);
  ASSERT_TRUE(run);
  bytes->bytes[100] ^= 1;
  const auto found = (*run)->find("key 1");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("of a test"), std::string::npos) << found.error().message;
  EXPECT_NE(found.error().message.find("offset 20"), std::string::npos) << found.error().message;
}

TEST(StateRun, IsNotReadAsTheRunOfAnotherView) {
  const auto run = StateRun::parse(file_of({{"k", "s"}}), kFingerprint + 1);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, ErrorCode::kDataLoss);
}

TEST(StateRun, OfALaterVersionIsRefusedAsSuch) {
  std::string file = file_of({{"k", "s"}});
  file[8] = 3;
  const std::size_t footer = file.size() - run_format::kFooterBytes;
  ByteReader reader(std::string_view(file).substr(footer));
  const auto index = reader.get<std::uint64_t>();
  const std::string_view bytes = file;
  const std::uint32_t sum =
      crc32c(bytes.substr(index, footer + run_format::kFooterSummedBytes - index),
             crc32c(bytes.substr(0, run_format::kHeaderBytes)));
  std::memcpy(file.data() + footer + run_format::kFooterSummedBytes, &sum, sizeof(sum));
  const auto run = StateRun::parse(file, kFingerprint);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, ErrorCode::kFailedPrecondition) << run.error().text();
}

TEST(RunFilter, KnowsEveryKeyAndFewOthers) {
  std::vector<std::uint64_t> hashes;
  for (int i = 0; i < 20'000; ++i) hashes.push_back(filter_hash("key " + std::to_string(i)));
  const std::string filter = make_filter(hashes);
  EXPECT_LE(filter.size(), 20'000U + 64);
  for (const auto hash : hashes) ASSERT_TRUE(may_contain(filter, hash));
  int wrong = 0;
  for (int i = 0; i < 20'000; ++i)
    wrong += may_contain(filter, filter_hash("other " + std::to_string(i))) ? 1 : 0;
  EXPECT_LT(wrong, 1000);
}

/// Some tables over one plan, and all their rows in one.
struct Tables {
  explicit Tables(Random& random, std::size_t count) : plan(random_plan(random)), all(plan) {
    const auto types = row_types(plan);
    for (std::size_t i = 0; i < count; ++i) {
      const ColumnBatch batch = random_batch(random, types, below(random, 80));
      const std::vector<ColumnView> columns = batch.views();
      GroupTable table(plan);
      table.update({columns, batch.rows()});
      all.update({columns, batch.rows()});
      tables.push_back(std::make_shared<const GroupTable>(std::move(table)));
    }
  }
  AggregatePlan plan;
  GroupTable all;
  std::vector<std::shared_ptr<const GroupTable>> tables;
};

TEST(GroupParts, AnswerAsOneTableWhereverTheirStatesLie) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const Tables made(random, 1 + below(random, 4));
    ScratchInMemory scratch;
    GroupParts parts;
    for (const auto& table : made.tables) {
      if (below(random, 2) == 0) {
        parts.tables.push_back(table);
      } else {
        parts.runs.push_back(*spill(scratch, kFingerprint, table));
      }
    }
    RC_ASSERT(run_file(kFingerprint, parts, made.plan) == run_file(kFingerprint, made.all));
    GroupTable visited(made.plan);
    RC_ASSERT(
        parts
            .visit("", [&](std::string_view key,
                           std::string_view state) { return visited.merge_state(key, state); })
            .has_value());
    RC_ASSERT(run_file(kFingerprint, visited) == run_file(kFingerprint, made.all));
    GroupTable asked(made.plan);
    made.all.for_each_key([&](std::string_view key) {
      const auto found = parts.add_to(key, asked);
      RC_ASSERT(found.has_value() && *found);
    });
    RC_ASSERT(run_file(kFingerprint, asked) == run_file(kFingerprint, made.all));
  }));
}

TEST(SpillingGroups, HoldNoMoreThanTheirBoundAndLoseNothing) {
  const AggregatePlan plan{.keys = {{TypeKind::kBigInt}},
                           .arguments = {{TypeKind::kDouble}},
                           .components = {{}, {ComponentKind::kSumDouble, {{0}}, {}, 0}}};
  Random random(7);
  constexpr std::uint64_t kBytes = 128 << 10;
  ScratchInMemory scratch;
  SpillingGroups groups(plan, kFingerprint, &scratch, kBytes);
  GroupTable all(plan);
  for (int round = 0; round < 30; ++round) {
    const ColumnBatch batch = random_batch(random, row_types(plan), 500);
    const std::vector<ColumnView> columns = batch.views();
    groups.table().update({columns, batch.rows()});
    all.update({columns, batch.rows()});
    // Many groups, so that the table grows.
    ColumnBatch more(row_types(plan));
    for (int i = 0; i < 500; ++i) {
      more.column(0).push(static_cast<std::int64_t>(random() % 5000));
      more.column(1).push(0.5);
    }
    const std::vector<ColumnView> more_columns = more.views();
    groups.table().update({more_columns, more.rows()});
    all.update({more_columns, more.rows()});
    ASSERT_TRUE(groups.spill_if_large());
    ASSERT_LE(groups.table().size_bytes(), kBytes);
  }
  EXPECT_GT(scratch.spills, 2);
  const GroupParts parts = groups.take();
  EXPECT_EQ(run_file(kFingerprint, parts, plan), run_file(kFingerprint, all));
}

TEST(GroupParts, ReportAStateThatIsNoneWhenTheyAreMerged) {
  const AggregatePlan plan{.keys = {}, .arguments = {}, .components = {{}}};
  const auto run = open_run(file_of({{"", "not a state"}}));
  const GroupParts parts{.runs = {run, run}, .tables = {}};
  const auto cursor = parts.cursor(plan, false);
  ASSERT_FALSE(cursor);
  EXPECT_EQ(cursor.error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace millrace::view
