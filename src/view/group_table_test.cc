// The group table against plain maps with big integers; and the law: whatever the order of rows and
// merges, the same bytes.
#include "view/group_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "view/big_integer.h"
#include "view/key_codec.h"
#include "view/random_batch.h"
#include "view/random_plan.h"
#include "view/state_run.h"

namespace millrace::view {
namespace {

using States = std::map<std::string, std::string>;

constexpr Type kBigInt{.kind = TypeKind::kBigInt};
constexpr Type kDouble{.kind = TypeKind::kDouble};
constexpr Type kVarchar{.kind = TypeKind::kVarchar};
constexpr Type kHugeInt{.kind = TypeKind::kHugeInt};

/// Every key, then every component by itself that is one value: those that keep many have their own
/// tests (state_values_test.cc). Sums of DECIMAL are DECIMAL(38,s).
std::vector<OutputColumn> all_outputs(const AggregatePlan& plan) {
  std::vector<OutputColumn> outputs;
  for (std::uint32_t k = 0; k < plan.keys.size(); ++k) {
    outputs.push_back({.name = "k", .type = plan.keys[k], .kind = OutputKind::kKey, .inputs = {k}});
  }
  std::uint32_t count = 0;
  for (std::uint32_t c = 0; c < plan.components.size(); ++c) {
    const Component& component = plan.components[c];
    const Type type = component.kind == ComponentKind::kCountRows
                          ? Type{}
                          : plan.arguments[component.arguments[0].index];
    switch (component.kind) {
      case ComponentKind::kCountRows:
      case ComponentKind::kCount:
        count = c;
        outputs.push_back(
            {.name = "n", .type = kBigInt, .kind = OutputKind::kCount, .inputs = {c}});
        break;
      case ComponentKind::kSumDouble:
        outputs.push_back(
            {.name = "s", .type = kDouble, .kind = OutputKind::kSum, .inputs = {c, count}});
        break;
      case ComponentKind::kSumInteger: {
        Type sum = kHugeInt;
        if (type.kind == TypeKind::kDecimal)
          sum = {.kind = TypeKind::kDecimal, .width = 38, .scale = type.scale};
        outputs.push_back(
            {.name = "s", .type = sum, .kind = OutputKind::kSum, .inputs = {c, count}});
        break;
      }
      case ComponentKind::kMin:
        outputs.push_back({.name = "l", .type = type, .kind = OutputKind::kMin, .inputs = {c}});
        break;
      case ComponentKind::kMax:
        outputs.push_back({.name = "g", .type = type, .kind = OutputKind::kMax, .inputs = {c}});
        break;
      case ComponentKind::kBitAnd:
      case ComponentKind::kBitOr:
      case ComponentKind::kBitXor:
        outputs.push_back({.name = "b", .type = type, .kind = OutputKind::kBits, .inputs = {c}});
        break;
      default:
        break;
    }
  }
  return outputs;
}

States states_of(const GroupTable& table) {
  States out;
  std::string last;
  table.for_each_sorted([&](std::string_view key, std::string_view state) {
    EXPECT_TRUE(out.empty() || std::string_view(last) < key);
    last = key;
    out.emplace(key, state);
  });
  EXPECT_EQ(out.size(), table.groups());
  return out;
}

/// One value of the plain computation: the text that value_text gives for it.
using Text = std::optional<std::string>;

/// What every group's row must be, keyed by the encoded key, computed value by value.
std::map<std::string, std::vector<Text>> plain_rows(const AggregatePlan& plan,
                                                    const ColumnBatch& batch) {
  const std::vector<ColumnView> columns = batch.views();
  std::map<std::string, std::vector<std::size_t>> members;
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    std::string key;
    encode_key(std::span(columns).first(plan.keys.size()), row, key);
    members[key].push_back(row);
  }
  std::map<std::string, std::vector<Text>> out;
  for (const auto& [key, rows] : members) {
    ColumnBatch key_values(plan.keys);
    EXPECT_TRUE(decode_key(key, plan.keys, key_values));
    std::vector<Text> texts;
    for (std::size_t k = 0; k < plan.keys.size(); ++k)
      texts.push_back(value_text(key_values.column(k).view(), 0));
    for (const Component& component : plan.components) {
      if (component.kind >= ComponentKind::kSumPower) continue;
      std::vector<std::size_t> passed;
      for (const std::size_t row : rows) {
        if (!component.filter) {
          passed.push_back(row);
          continue;
        }
        const ColumnView& filter = columns[plan.keys.size() + *component.filter];
        if (filter.valid(row) && filter.as<bool>()[row]) passed.push_back(row);
      }
      if (component.kind == ComponentKind::kCountRows) {
        texts.push_back(std::to_string(passed.size()));
        continue;
      }
      const ColumnView& column = columns[plan.keys.size() + component.arguments[0].index];
      std::vector<std::size_t> valid;
      for (const std::size_t row : passed) {
        if (column.valid(row)) valid.push_back(row);
      }
      if (component.kind == ComponentKind::kCount) {
        texts.push_back(std::to_string(valid.size()));
      } else if (valid.empty()) {
        texts.push_back(std::nullopt);
      } else if (component.kind == ComponentKind::kMin || component.kind == ComponentKind::kMax) {
        // The order of values is that of their keys, which the codec's own tests prove.
        std::vector<std::string> keys(valid.size());
        for (std::size_t i = 0; i < valid.size(); ++i) encode_key({&column, 1}, valid[i], keys[i]);
        const auto [least, greatest] = std::minmax_element(keys.begin(), keys.end());
        ColumnBatch value(std::span(&column.type, 1));
        EXPECT_TRUE(decode_key(component.kind == ComponentKind::kMin ? *least : *greatest,
                               {&column.type, 1}, value));
        texts.push_back(value_text(value.column(0).view(), 0));
      } else if (component.kind >= ComponentKind::kBitAnd) {
        ColumnBatch value(std::span(&column.type, 1));
        visit_fixed(column.type.physical(), [&](auto example) {
          using T = decltype(example);
          if constexpr (!std::is_floating_point_v<T>) {
            auto bits = load_value<T>(column.data, valid.front());
            for (const std::size_t row : std::span(valid).subspan(1)) {
              const auto other = load_value<T>(column.data, row);
              bits = static_cast<T>(component.kind == ComponentKind::kBitAnd  ? bits & other
                                    : component.kind == ComponentKind::kBitOr ? bits | other
                                                                              : bits ^ other);
            }
            value.column(0).push(bits);
          }
        });
        texts.push_back(value_text(value.column(0).view(), 0));
      } else if (component.kind == ComponentKind::kSumDouble) {
        PlainExactSum sum;
        for (const std::size_t row : valid) {
          sum.add(column.type.kind == TypeKind::kFloat
                      ? static_cast<double>(column.as<float>()[row])
                      : column.as<double>()[row]);
        }
        const std::vector<Type> types = {kDouble};
        ColumnBatch value(types);
        value.column(0).push(sum.round());
        texts.push_back(value_text(value.column(0).view(), 0));
      } else {
        BigInteger sum;
        for (const std::size_t row : valid) {
          visit_fixed(column.type.physical(), [&](auto example) {
            using T = decltype(example);
            if constexpr (!std::is_floating_point_v<T>) {
              const auto wide = static_cast<Int128>(load_value<T>(column.data, row));
              sum.add(wide < 0 ? -static_cast<UInt128>(wide) : static_cast<UInt128>(wide), 0,
                      wide < 0);
            }
          });
        }
        if (!sum.fits128()) {
          texts.push_back("does not fit");
          continue;
        }
        const std::vector<Type> types = {
            column.type.kind == TypeKind::kDecimal
                ? Type{.kind = TypeKind::kDecimal, .width = 38, .scale = column.type.scale}
                : kHugeInt};
        ColumnBatch value(types);
        value.column(0).push(sum.low128());
        texts.push_back(value_text(value.column(0).view(), 0));
      }
    }
    out.emplace(key, std::move(texts));
  }
  return out;
}

std::vector<Text> row_texts(const ColumnBatch& batch, std::size_t row) {
  std::vector<Text> out;
  for (std::size_t c = 0; c < batch.column_count(); ++c)
    out.push_back(value_text(batch.column(c).view(), row));
  return out;
}

void add(GroupTable& table, const ColumnBatch& batch) {
  const std::vector<ColumnView> columns = batch.views();
  table.update({columns, batch.rows()});
}

TEST(GroupTable, AgreesWithAPlainComputation) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const AggregatePlan plan = random_plan(random);
    const std::vector<OutputColumn> outputs = all_outputs(plan);
    if (row_types(plan).empty()) return;
    const ColumnBatch batch =
        random_batch(random, row_types(plan), below(random, 3) == 0 ? 3000 : below(random, 200));
    GroupTable table(plan);
    add(table, batch);
    const auto expected = plain_rows(plan, batch);
    RC_ASSERT(table.groups() == expected.size());
    std::vector<Type> types;
    for (const OutputColumn& output : outputs) types.push_back(output.type);
    for (const auto& [key, texts] : expected) {
      ColumnBatch row(types);
      const auto found = table.finalize_one(key, outputs, row);
      if (std::find(texts.begin(), texts.end(), "does not fit") != texts.end()) {
        RC_ASSERT(!found.has_value());
        RC_ASSERT(found.error().id == error_id::kOutOfRange);
        continue;
      }
      RC_ASSERT(found.has_value());
      RC_ASSERT(*found);
      RC_ASSERT(row_texts(row, 0) == texts);
    }
  }));
}

TEST(GroupTable, HasTheSameBytesForEveryCutOrderAndGrouping) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const AggregatePlan plan = random_plan(random);
    const std::vector<Type> types = row_types(plan);
    if (types.empty()) return;
    const ColumnBatch batch = random_batch(random, types, below(random, 300));
    GroupTable whole(plan);
    add(whole, batch);
    const States expected = states_of(whole);

    std::vector<std::uint32_t> order(batch.rows());
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<GroupTable> parts;
    const std::size_t count = 1 + below(random, 6);
    for (std::size_t part = 0; part < count; ++part) {
      const std::size_t begin = order.size() * part / count;
      const std::size_t end = order.size() * (part + 1) / count;
      ColumnBatch piece(types);
      const std::vector<ColumnView> columns = batch.views();
      piece.append_rows({columns, batch.rows()}, std::span(order).subspan(begin, end - begin));
      parts.emplace_back(plan);
      add(parts.back(), piece);
    }
    while (parts.size() > 1) {
      std::shuffle(parts.begin(), parts.end(), random);
      GroupTable from = std::move(parts.back());
      parts.pop_back();
      GroupTable& into = parts.back();
      switch (below(random, 4)) {
        case 0:
          into.merge(from);
          break;
        case 1:
          from.for_each_sorted([&](std::string_view key, std::string_view state) {
            RC_ASSERT(into.merge_state(key, state).has_value());
          });
          break;
        case 2: {
          GroupTable copy(from);
          from.clear();
          copy.merge(into);
          into = std::move(copy);
          break;
        }
        default: {
          States merged = states_of(into);
          from.for_each_sorted([&](std::string_view key, std::string_view state) {
            std::string& old = merged[std::string(key)];
            if (old.empty()) {
              old = state;
              return;
            }
            std::string sum;
            RC_ASSERT(merge_states(plan, state, old, sum).has_value());
            old = sum;
          });
          into.clear();
          for (const auto& [key, state] : merged)
            RC_ASSERT(into.merge_state(key, state).has_value());
          break;
        }
      }
    }
    RC_ASSERT(states_of(parts.front()) == expected);
    for (const auto& [key, state] : expected) {
      std::string found;
      RC_ASSERT(parts.front().find_state(key, found));
      RC_ASSERT(found == state);
    }
  }));
}

TEST(GroupTable, FinalizesInTheOrderOfTheKeys) {
  Random random(3);
  const AggregatePlan plan{.keys = {kVarchar, kBigInt}, .arguments = {}, .components = {{}}};
  GroupTable table(plan);
  add(table, random_batch(random, plan.keys, 2000));
  const std::vector<OutputColumn> outputs = {
      {.name = "n", .type = kBigInt, .kind = OutputKind::kCount, .inputs = {0}},
      {.name = "b", .type = kBigInt, .kind = OutputKind::kKey, .inputs = {1}},
      {.name = "a", .type = kVarchar, .kind = OutputKind::kKey, .inputs = {0}},
  };
  const std::vector<Type> types = {kBigInt, kBigInt, kVarchar};
  ColumnBatch out(types);
  ASSERT_TRUE(table.finalize(outputs, true, out));
  ASSERT_EQ(out.rows(), table.groups());
  std::vector<std::string> keys(out.rows());
  std::int64_t rows = 0;
  for (std::size_t row = 0; row < out.rows(); ++row) {
    const std::vector<ColumnView> key = {out.column(2).view(), out.column(1).view()};
    encode_key(key, row, keys[row]);
    rows += out.column(0).data<std::int64_t>()[row];
  }
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(rows, 2000);
}

TEST(GroupTable, HasOneGroupWithAnEmptyKeyWhereThePlanHasNone) {
  const AggregatePlan plan{.keys = {},
                           .arguments = {kDouble},
                           .components = {{}, {ComponentKind::kSumDouble, {{0}}, {}, 0}}};
  GroupTable table(plan);
  EXPECT_EQ(table.groups(), 0U);
  ColumnBatch batch(plan.arguments);
  for (int i = 0; i < 5000; ++i) batch.column(0).push(0.1);
  add(table, batch);
  EXPECT_EQ(table.groups(), 1U);
  std::string state;
  EXPECT_TRUE(table.find_state("", state));
  EXPECT_FALSE(table.find_state("x", state));
}

TEST(GroupTable, FindsEveryOneOfManyGroups) {
  const AggregatePlan plan{.keys = {kBigInt},
                           .arguments = {kDouble},
                           .components = {{}, {ComponentKind::kSumDouble, {{0}}, {}, 0}}};
  constexpr std::int64_t kGroups = 200'000;
  ColumnBatch batch(row_types(plan));
  for (std::int64_t i = 0; i < kGroups * 2; ++i) {
    batch.column(0).push((i * 7919) % kGroups);
    batch.column(1).push(static_cast<double>(i) / 4);
  }
  GroupTable table(plan);
  add(table, batch);
  EXPECT_EQ(table.groups(), static_cast<std::size_t>(kGroups));
  EXPECT_LE(table.size_bytes() / static_cast<std::size_t>(kGroups), 96U);
  GroupTable other(plan);
  const std::vector<ColumnView> columns = batch.views();
  for (std::size_t row = 0; row < batch.rows(); row += 100'000) {
    ColumnBatch piece(row_types(plan));
    std::vector<std::uint32_t> rows(100'000);
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(row));
    piece.append_rows({columns, batch.rows()}, rows);
    GroupTable part(plan);
    add(part, piece);
    other.merge(part);
  }
  EXPECT_EQ(states_of(other), states_of(table));
}

// Values that lie close together find their groups without a hash, until one lies far away.
TEST(GroupTable, FindsIntegersThatLieCloseTogetherAndThenFarApart) {
  const AggregatePlan plan{.keys = {kBigInt}, .arguments = {}, .components = {{}}};
  std::map<std::optional<std::int64_t>, std::int64_t> expected;
  GroupTable table(plan);
  const auto add_keys = [&](const std::vector<std::optional<std::int64_t>>& keys) {
    ColumnBatch batch(plan.keys);
    for (const auto& key : keys) {
      ++expected[key];
      if (key) {
        batch.column(0).push(*key);
      } else {
        batch.column(0).push_null();
      }
    }
    add(table, batch);
  };
  const auto check = [&] {
    const std::vector<OutputColumn> outputs = {
        {.name = "k", .type = kBigInt, .kind = OutputKind::kKey, .inputs = {0}},
        {.name = "n", .type = kBigInt, .kind = OutputKind::kCount, .inputs = {0}}};
    const std::vector<Type> types = {kBigInt, kBigInt};
    ColumnBatch out(types);
    ASSERT_TRUE(table.finalize(outputs, true, out));
    std::map<std::optional<std::int64_t>, std::int64_t> got;
    for (std::size_t row = 0; row < out.rows(); ++row) {
      std::optional<std::int64_t> key;
      if (out.column(0).valid(row)) key = out.column(0).data<std::int64_t>()[row];
      got[key] = out.column(1).data<std::int64_t>()[row];
    }
    EXPECT_EQ(got, expected);
  };
  std::vector<std::optional<std::int64_t>> keys;
  for (std::int64_t i = 0; i < 3000; ++i) {
    keys.push_back(i % 2 == 0 ? i : -i);
    keys.push_back(i / 3);
    if (i % 5 == 0) keys.push_back(std::nullopt);
  }
  add_keys(keys);
  check();
  add_keys(keys);
  check();
  const GroupTable copy(table);
  add_keys({std::numeric_limits<std::int64_t>::max(), 7, std::numeric_limits<std::int64_t>::min()});
  add_keys(keys);
  check();
  EXPECT_EQ(copy.groups() + 2, table.groups());
}

TEST(GroupTable, AveragesAsDuckDbDoesAndGivesNullForNoValue) {
  const std::vector<Type> arguments = {kBigInt,
                                       {.kind = TypeKind::kSmallInt},
                                       {.kind = TypeKind::kDecimal, .width = 9, .scale = 2},
                                       kDouble};
  AggregatePlan plan{.keys = {}, .arguments = arguments, .components = {}};
  std::vector<OutputColumn> outputs;
  for (std::uint32_t a = 0; a < arguments.size(); ++a) {
    plan.components.push_back({ComponentKind::kCount, {{a}}, {}, 0});
    plan.components.push_back(
        {is_float(arguments[a]) ? ComponentKind::kSumDouble : ComponentKind::kSumInteger,
         {{a}},
         {},
         0});
    outputs.push_back(
        {.name = "a", .type = kDouble, .kind = OutputKind::kAvg, .inputs = {a * 2 + 1, a * 2}});
  }
  const std::vector<Type> types(arguments.size(), kDouble);
  ColumnBatch rows(arguments);
  for (std::size_t c = 0; c < arguments.size(); ++c) rows.column(c).push_null();
  GroupTable table(plan);
  add(table, rows);
  ColumnBatch nulls(types);
  ASSERT_TRUE(table.finalize(outputs, false, nulls));
  for (std::size_t c = 0; c < arguments.size(); ++c) EXPECT_FALSE(nulls.column(c).valid(0));

  for (int i = 0; i < 3; ++i) {
    rows.column(0).push(std::int64_t{9007199254740993} + i);
    rows.column(1).push(static_cast<std::int16_t>(i * i));
    rows.column(2).push(static_cast<std::int32_t>(100 + i * i));
    rows.column(3).push(0.1 * i);
  }
  add(table, rows);
  ColumnBatch out(types);
  ASSERT_TRUE(table.finalize(outputs, false, out));
  // Results of DuckDB 1.5 for the same rows.
  EXPECT_EQ(row_texts(out, 0), (std::vector<Text>{"9007199254740994.0", "1.6666666666666667",
                                                  "1.0166666666666666", "0.10000000000000002"}));
}

TEST(GroupTable, NamesTheColumnWhoseSumDoesNotFit) {
  const AggregatePlan plan{.keys = {},
                           .arguments = {kHugeInt},
                           .components = {{ComponentKind::kCount, {{0}}, {}, 0},
                                          {ComponentKind::kSumInteger, {{0}}, {}, 0}}};
  const std::vector<OutputColumn> outputs = {
      {.name = "total", .type = kHugeInt, .kind = OutputKind::kSum, .inputs = {1, 0}}};
  const std::vector<Type> types = {kHugeInt};
  ColumnBatch rows(plan.arguments);
  const auto greatest = static_cast<Int128>(~UInt128{0} >> 1);
  rows.column(0).push(greatest);
  rows.column(0).push(greatest);
  GroupTable table(plan);
  add(table, rows);
  ColumnBatch out(types);
  const Status status = table.finalize(outputs, false, out);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(status.error().id, error_id::kOutOfRange);
  EXPECT_NE(status.error().message.find("total"), std::string::npos);

  // What went over the edge comes back when it is taken away again.
  ColumnBatch back(plan.arguments);
  back.column(0).push(-greatest);
  add(table, back);
  ASSERT_TRUE(table.finalize(outputs, false, out));
  EXPECT_EQ(out.column(0).data<Int128>()[0], greatest);
}

TEST(GroupTable, ReportsDamagedStatesAndKeysAndStaysAsItWas) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const AggregatePlan plan = random_plan(random);
    if (row_types(plan).empty()) return;
    GroupTable table(plan);
    add(table, random_batch(random, row_types(plan), 30));
    const States before = states_of(table);
    for (const auto& [key, state] : before) {
      for (std::size_t size = 0; size < state.size(); ++size) {
        const Status status = table.merge_state(key, std::string_view(state).substr(0, size));
        RC_ASSERT(!status.has_value());
        RC_ASSERT(status.error().code == ErrorCode::kDataLoss);
      }
      RC_ASSERT(!table.merge_state(key, state + '\0').has_value());
      RC_ASSERT(!table.merge_state(key + '\0', state).has_value());
      if (!key.empty())
        RC_ASSERT(!table.merge_state(key.substr(0, key.size() - 1), state).has_value());
      // Any other bytes are refused, or are the state of other rows: never a crash.
      std::string damaged = state;
      damaged[below(random, damaged.size())] ^= static_cast<char>(1 << below(random, 8));
      std::string merged;
      if (merge_states(plan, damaged, state, merged)) RC_ASSERT(!merged.empty());
    }
    RC_ASSERT(states_of(table) == before);
  }));
}

TEST(GroupTable, TellsTheMemoryOfLongTextsAndWideSums) {
  const AggregatePlan plan{.keys = {kVarchar},
                           .arguments = {kDouble, kVarchar},
                           .components = {{ComponentKind::kSumDouble, {{0}}, {}, 0},
                                          {ComponentKind::kMax, {{1}}, {}, 0}}};
  const auto size_with = [&](std::string_view key, double value, std::string_view text) {
    ColumnBatch batch(row_types(plan));
    batch.column(0).push_string(key, batch.arena());
    batch.column(1).push(1.0);
    batch.column(2).push_string(text, batch.arena());
    batch.column(0).push_string(key, batch.arena());
    batch.column(1).push(value);
    batch.column(2).push_string(text, batch.arena());
    GroupTable table(plan);
    add(table, batch);
    return table.size_bytes();
  };
  const std::size_t small = size_with("k", 2.0, "t");
  EXPECT_GE(size_with("k", 1e300, "t"), small + 500);
  EXPECT_GE(size_with("k", 2.0, std::string(100'000, 't')), small + 90'000);
  EXPECT_GE(size_with(std::string(100'000, 'k'), 2.0, "t"), small + 100'000);
}

}  // namespace
}  // namespace millrace::view
