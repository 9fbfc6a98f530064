// Ranges of keys as sets, and groups of several parts in the order of their keys, against a map.
#include "view/group_scan.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

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

RC_GTEST_PROP(GroupScan, GivesTheGroupsOfAllPartsInOrder, ()) {
  const auto state = one_row();
  std::map<std::string, std::size_t> expected;  // states of each key
  std::map<std::string, bool> run_keys;
  std::vector<GroupTable> tables;
  tables.emplace_back(counting());
  tables.emplace_back(counting());
  std::vector<std::string> standing;
  for (std::size_t i = *rc::gen::inRange<std::size_t>(0, 40); i > 0; --i) {
    const auto key = group_key();
    const auto part = *rc::gen::inRange(0, 4);
    if (part == 0) run_keys[key] = true;
    if (part == 1 || part == 2) {
      RC_ASSERT(tables[static_cast<std::size_t>(part - 1)].merge_state(key, state).has_value());
    }
    if (part == 3) standing.push_back(key);
    expected[key];
  }
  StateRunWriter writer(1);
  for (const auto& [key, there] : run_keys) writer.add(key, state);
  const auto run = StateRun::parse(writer.finish(), 1);
  RC_ASSERT(run.has_value());
  for (auto& [key, states] : expected) {
    states = run_keys.count(key);
    for (const auto& table : tables) states += table.has_key(key) ? 1 : 0;
  }
  const auto ranges = random_ranges();
  const bool down = *rc::gen::arbitrary<bool>();
  std::vector<std::pair<std::string, std::size_t>> wanted;
  for (const auto& [key, states] : expected) {
    if (ranges.contains(key)) wanted.emplace_back(key, states);
  }
  if (down) std::ranges::reverse(wanted);
  const auto limit = *rc::gen::inRange<std::size_t>(0, 50);
  if (wanted.size() > limit + 1) wanted.resize(limit + 1);
  std::vector<std::pair<std::string, std::size_t>> found;
  const auto counts = scan_groups(
      {.runs = {run->get()}, .tables = {&tables[0], &tables[1]}, .standing = standing}, ranges,
      down ? ScanDirection::kDown : ScanDirection::kUp, [&](auto key, auto states) -> Result<bool> {
        found.emplace_back(key, states.size());
        return found.size() <= limit;
      });
  RC_ASSERT(counts.has_value());
  RC_ASSERT(found == wanted);
}

}  // namespace
}  // namespace millrace::view
