// Ranges of keys as sets, and groups of several parts in the order of their keys, against a map.
#include "view/group_scan.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "view/run_in_memory.h"

namespace millrace::view {
namespace {

AggregatePlan counting() {
  AggregatePlan plan;
  plan.keys = {{TypeKind::kBlob}};
  plan.components = {{.kind = ComponentKind::kCountRows}};
  return plan;
}

/// The state of a group of one row, whichever group that is.
std::string one_row() {
  GroupTable table(counting());
  ColumnBatch row(std::array{Type{TypeKind::kBlob}});
  row.column(0).push_null();
  const auto views = row.views();
  table.update({views, 1});
  std::string state;
  EXPECT_TRUE(table.find_state(std::string_view("\0", 1), state));
  return state;
}

std::string random_key() {
  const auto size = *rc::gen::inRange<std::size_t>(0, 4);
  std::string key;
  for (std::size_t i = 0; i < size; ++i)
    key.push_back(static_cast<char>(*rc::gen::element(0, 1, 2, 0xFE, 0xFF)));
  return key;
}

/// Of a group: NULL, or a value as the codec writes it.
std::string group_key() {
  const auto size = *rc::gen::inRange<std::size_t>(0, 4);
  if (size == 3) return std::string(1, '\0');
  std::string key(1, '\1');
  for (std::size_t i = 0; i < size; ++i)
    key.push_back(static_cast<char>(*rc::gen::element(1, 2, 0xFE, 0xFF)));
  return key + std::string(2, '\0');
}

KeyRanges random_ranges() {
  if (*rc::gen::inRange(0, 4) == 0) return {};
  std::vector<KeyRange> ranges;
  const auto count = *rc::gen::inRange<std::size_t>(0, 5);
  const bool points = *rc::gen::arbitrary<bool>();
  for (std::size_t i = 0; i < count; ++i) {
    const auto key = points ? group_key() : random_key();
    if (points) {
      ranges.push_back({.begin = key, .end = end_of_prefix(key), .point = true});
    } else {
      ranges.push_back({.begin = key, .end = *rc::gen::arbitrary<bool>() ? random_key() : ""});
    }
  }
  return KeyRanges(std::move(ranges));
}

RC_GTEST_PROP(KeyRanges, AreTheSetsThatTheyWereMadeOf, ()) {
  std::vector<KeyRange> given;
  for (std::size_t i = *rc::gen::inRange<std::size_t>(0, 6); i > 0; --i)
    given.push_back({.begin = random_key(), .end = random_key()});
  const KeyRanges ranges(given);
  const auto other = random_ranges();
  const KeyRange inside{.begin = random_key(), .end = random_key()};
  const auto prefix = random_key();
  for (int i = 0; i < 20; ++i) {
    const auto key = random_key();
    const bool expected = std::ranges::any_of(given, [&](const KeyRange& range) {
      return range.contains(key) && (range.end.empty() || range.begin < range.end);
    });
    RC_ASSERT(ranges.contains(key) == expected);
    RC_ASSERT(ranges.united(other).contains(key) == (expected || other.contains(key)));
    RC_ASSERT(ranges.within(inside).contains(key) == (expected && inside.contains(key)));
    RC_ASSERT(KeyRanges::prefix(prefix).contains(key) == key.starts_with(prefix));
  }
}

/// A run of these keys. Its states are long, so that few of them make a block.
std::shared_ptr<const StateRun> run_of(const std::map<std::string, std::string>& states,
                                       std::shared_ptr<BytesInMemory>& bytes) {
  bytes = std::make_shared<BytesInMemory>(run_file(1, [&](StateRunWriter& writer) -> Status {
    for (const auto& [key, state] : states) MR_RETURN_IF_ERROR(writer.add(key, state));
    return {};
  }));
  auto run = StateRun::open(bytes, 1, std::make_shared<FewParts>(*rc::gen::inRange(0, 3)));
  RC_ASSERT(run.has_value());
  return *run;
}

RC_GTEST_PROP(GroupScan, GivesTheGroupsOfAllPartsInOrder, ()) {
  const auto state = one_row();
  std::map<std::string, std::vector<std::string>> expected;  // states of each key
  std::array<std::map<std::string, std::string>, 2> run_states;
  std::array<std::shared_ptr<GroupTable>, 2> tables;
  for (auto& table : tables) table = std::make_shared<GroupTable>(counting());
  std::vector<std::string> standing;
  for (std::size_t i = *rc::gen::inRange<std::size_t>(0, 40); i > 0; --i) {
    const auto key = group_key();
    const auto part = *rc::gen::inRange<std::size_t>(0, 5);
    if (part < 2) {
      const auto size = *rc::gen::element<std::size_t>(1, 2000, 5000);
      run_states[part].emplace(key, std::string(size, static_cast<char>('a' + part)));
    } else if (part < 4) {
      RC_ASSERT(tables[part - 2]->merge_state(key, state).has_value());
    } else {
      standing.push_back(key);
    }
    expected[key];
  }
  std::array<std::shared_ptr<BytesInMemory>, 2> files;
  ScanParts parts{.groups = {}, .standing = standing, .keep_blocks = *rc::gen::arbitrary<bool>()};
  for (std::size_t i = 0; i < 2; ++i) parts.groups.runs.push_back(run_of(run_states[i], files[i]));
  for (const auto& table : tables) parts.groups.tables.push_back(table);
  for (auto& [key, states] : expected) {
    for (const auto& run : run_states) {
      if (const auto found = run.find(key); found != run.end()) states.push_back(found->second);
    }
    for (const auto& table : tables) {
      if (std::string found; table->find_state(key, found)) states.push_back(found);
    }
  }
  const auto ranges = random_ranges();
  const bool down = *rc::gen::arbitrary<bool>();
  std::vector<std::pair<std::string, std::vector<std::string>>> wanted;
  for (const auto& [key, states] : expected) {
    if (ranges.contains(key)) wanted.emplace_back(key, states);
  }
  if (down) std::ranges::reverse(wanted);
  const auto limit = *rc::gen::inRange<std::size_t>(0, 50);
  if (wanted.size() > limit + 1) wanted.resize(limit + 1);
  std::vector<std::pair<std::string, std::vector<std::string>>> found;
  const auto scan = [&] {
    found.clear();
    return scan_groups(parts, ranges, down ? ScanDirection::kDown : ScanDirection::kUp,
                       [&](auto key, auto states) -> Result<bool> {
                         found.emplace_back(key,
                                            std::vector<std::string>(states.begin(), states.end()));
                         return found.size() <= limit;
                       });
  };
  const auto counts = scan();
  RC_ASSERT(counts.has_value());
  RC_ASSERT(found == wanted);
  // Where bytes of a file are not as they were, the walk says so or does not come to them.
  auto& file = files[*rc::gen::inRange<std::size_t>(0, 2)]->bytes;
  file[*rc::gen::inRange<std::size_t>(0, file.size())] ^= 0x10;
  if (!scan().has_value()) {
    RC_ASSERT(found.size() <= wanted.size());
    wanted.resize(found.size());
  }
  RC_ASSERT(found == wanted);
}

}  // namespace
}  // namespace millrace::view
