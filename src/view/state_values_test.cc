// What the components that keep many values give, against plain computations; and the bounds of the
// sketches.
#include "view/state_values.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "view/group_table.h"
#include "view/log_buckets.h"
#include "view/random_batch.h"

namespace millrace::view {
namespace {

constexpr Type kBigInt{.kind = TypeKind::kBigInt};
constexpr Type kDouble{.kind = TypeKind::kDouble};
constexpr Type kVarchar{.kind = TypeKind::kVarchar};
constexpr Type kBlob{.kind = TypeKind::kBlob};

/// One row of values: a number, a text, a double and whether the filter lets it pass.
struct Row {
  std::optional<std::int64_t> number;
  std::optional<std::string> name;
  std::optional<double> value;
  std::optional<bool> passes;
};

const std::vector<Type> kArguments = {kBigInt, kVarchar, kDouble, Type{.kind = TypeKind::kBoolean}};

template <class T>
void push(ColumnVector& column, const std::optional<T>& value) {
  if (value) {
    column.push(*value);
  } else {
    column.push_null();
  }
}

ColumnBatch batch_of(const std::vector<Row>& rows) {
  ColumnBatch out(kArguments);
  for (const Row& row : rows) {
    push(out.column(0), row.number);
    if (row.name) {
      out.column(1).push_string(*row.name, out.arena());
    } else {
      out.column(1).push_null();
    }
    push(out.column(2), row.value);
    push(out.column(3), row.passes);
  }
  return out;
}

AggregatePlan plan_of(const Component& component) {
  return {.keys = {}, .arguments = kArguments, .components = {component}};
}

void add(GroupTable& table, const ColumnBatch& batch) {
  const std::vector<ColumnView> columns = batch.views();
  table.update({columns, batch.rows()});
}

/// The one value of the one group; nothing for NULL.
std::optional<std::string> finalized(const GroupTable& table, const OutputColumn& output) {
  ColumnBatch out(std::span(&output.type, 1));
  const auto found = table.finalize_one("", {&output, 1}, out);
  EXPECT_TRUE(found && *found);
  if (!out.column(0).valid(0)) return std::nullopt;
  if (output.type.is_string()) return std::string(out.column(0).data<StringRef>()[0].view());
  return value_text(out.column(0).view(), 0);
}

std::optional<std::string> finalized(const Component& component, const std::vector<Row>& rows,
                                     const OutputColumn& output) {
  GroupTable table(plan_of(component));
  add(table, batch_of(rows));
  return finalized(table, output);
}

std::string element(std::optional<std::int64_t> value) {
  if (!value) return std::string(1, '\0');
  std::string out(1, '\1');
  ByteWriter(out).put(*value);
  return out;
}

std::string element(const std::optional<std::string>& value) {
  if (!value) return std::string(1, '\0');
  std::string out(1, '\1');
  ByteWriter(out).put_string(*value);
  return out;
}

template <class Elements>
std::string list(const Elements& elements) {
  std::string out;
  ByteWriter(out).put_varint(elements.size());
  for (const auto& each : elements) out += each;
  return out;
}

std::vector<Row> random_rows(Random& random, std::size_t count) {
  std::vector<Row> rows(count);
  for (Row& row : rows) {
    if (below(random, 5) != 0) row.number = static_cast<std::int64_t>(below(random, 7)) - 3;
    if (below(random, 5) != 0) row.name = random_text(random);
    if (below(random, 5) != 0) row.value = static_cast<double>(below(random, 100)) / 4 - 10;
    if (below(random, 5) != 0) row.passes = below(random, 3) != 0;
  }
  return rows;
}

/// Whether a stands before b, NULL where the flag says.
template <class T>
int compare(const std::optional<T>& a, const std::optional<T>& b, bool descending,
            bool nulls_last) {
  if (a.has_value() != b.has_value()) return a.has_value() == nulls_last ? -1 : 1;
  if (!a || *a == *b) return 0;
  return (*a < *b) == descending ? 1 : -1;
}

TEST(StateValues, ListRowsInTheOrderThatTheColumnsHave) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    std::vector<Row> rows = random_rows(random, below(random, 300));
    const bool d0 = below(random, 2) == 0;
    const bool n0 = below(random, 2) == 0;
    const bool d1 = below(random, 2) == 0;
    const bool n1 = below(random, 2) == 0;
    const bool filtered = below(random, 2) == 0;
    const auto limit = static_cast<std::uint32_t>(below(random, 10));
    Component component{ComponentKind::kRows, {{0, d0, n0}, {1, d1, n1}}, {}, limit};
    if (filtered) component.filter = 3;
    const OutputColumn numbers{
        .name = "l", .type = kBlob, .kind = OutputKind::kRowList, .inputs = {0}, .column = 0};
    OutputColumn names = numbers;
    names.column = 1;
    GroupTable table(plan_of(component));
    if (rows.empty()) return;
    add(table, batch_of(rows));
    const auto got_numbers = finalized(table, numbers);
    const auto got_names = finalized(table, names);
    const OutputColumn first{
        .name = "f", .type = kVarchar, .kind = OutputKind::kRowValue, .inputs = {0}, .column = 1};
    const auto got_first = finalized(table, first);

    if (filtered) std::erase_if(rows, [](const Row& row) { return !row.passes.value_or(false); });
    std::ranges::sort(rows, [&](const Row& a, const Row& b) {
      const int by_number = compare(a.number, b.number, d0, n0);
      return by_number != 0 ? by_number < 0 : compare(a.name, b.name, d1, n1) < 0;
    });
    if (limit != 0 && rows.size() > limit) rows.resize(limit);
    if (rows.empty()) {
      RC_ASSERT(!got_numbers);
      RC_ASSERT(!got_names);
      RC_ASSERT(!got_first);
      return;
    }
    std::vector<std::string> wanted_numbers;
    std::vector<std::string> wanted_names;
    for (const Row& row : rows) {
      wanted_numbers.push_back(element(row.number));
      wanted_names.push_back(element(row.name));
    }
    RC_ASSERT(got_numbers == list(wanted_numbers));
    RC_ASSERT(got_names == list(wanted_names));
    RC_ASSERT(got_first == rows.front().name);
  }));
}

TEST(StateValues, MapTheLastRowOfEachKey) {
  // Ordered by key and value: the greatest value of each key counts, and NULL is no key.
  const Component component{ComponentKind::kRows, {{0}, {1}}, {}, 0};
  const OutputColumn output{
      .name = "m", .type = kBlob, .kind = OutputKind::kRowMap, .inputs = {0}, .column = 1};
  const std::vector<Row> rows = {{.number = 2, .name = "b"},
                                 {.number = 1, .name = "a"},
                                 {.name = "x"},
                                 {.number = 2, .name = "c"},
                                 {.number = 3}};
  using Text = std::optional<std::string>;
  EXPECT_EQ(finalized(component, rows, output),
            std::string(1, '\3') + element(1) + element(Text("a")) + element(2) +
                element(Text("c")) + element(3) + element(Text()));
}

TEST(StateValues, CountTheValuesThatCame) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const std::vector<Row> rows = random_rows(random, 1 + below(random, 200));
    std::map<std::int64_t, std::uint64_t> counts;
    std::map<std::int64_t, double> sums;
    for (const Row& row : rows) {
      if (row.number) ++counts[*row.number];
      if (row.number && row.value) sums[*row.number] += *row.value;  // exact: quarters
    }
    const Component values{ComponentKind::kValues, {{0}}, {}, 0};
    const Component distinct{ComponentKind::kDistinct, {{0}}, {}, 0};
    const Component weighted{ComponentKind::kValues, {{0}, {2}}, {}, 0};
    const auto output = [](OutputKind kind, Type type = kBlob) {
      return OutputColumn{.name = "o", .type = type, .kind = kind, .inputs = {0}, .limit = 2};
    };
    RC_ASSERT(finalized(distinct, rows, output(OutputKind::kDistinctCount, kBigInt)) ==
              std::to_string(counts.size()));
    if (counts.empty()) {
      RC_ASSERT(!finalized(values, rows, output(OutputKind::kValueList)).has_value());
      RC_ASSERT(!finalized(values, rows, output(OutputKind::kTopCount)).has_value());
      return;
    }
    std::vector<std::string> each;
    std::vector<std::string> once;
    std::vector<std::string> histogram;
    std::vector<std::pair<std::int64_t, std::int64_t>> by_count;
    const auto count_element = [](std::uint64_t count) {
      return element(static_cast<std::int64_t>(count));
    };
    for (const auto& [number, count] : counts) {
      each.insert(each.end(), count, element(number));
      once.push_back(element(number));
      histogram.push_back(element(number) + count_element(count));
      by_count.emplace_back(-static_cast<std::int64_t>(count), number);
    }
    RC_ASSERT(finalized(values, rows, output(OutputKind::kValueList)) == list(each));
    RC_ASSERT(finalized(distinct, rows, output(OutputKind::kValueList)) == list(once));
    RC_ASSERT(finalized(values, rows, output(OutputKind::kValueCounts)) == list(histogram));
    std::ranges::sort(by_count);
    by_count.resize(std::min<std::size_t>(by_count.size(), 2));
    std::vector<std::string> top;
    for (const auto& [count, number] : by_count)
      top.push_back('\1' + element(number) + element(-count));
    RC_ASSERT(finalized(values, rows, output(OutputKind::kTopCount)) == list(top));

    std::vector<std::pair<double, std::int64_t>> by_sum;
    for (const auto& [number, sum] : sums) by_sum.emplace_back(-sum, number);
    std::ranges::sort(by_sum);
    by_sum.resize(std::min<std::size_t>(by_sum.size(), 2));
    top.clear();
    for (const auto& [sum, number] : by_sum) {
      std::string bytes = '\1' + element(number) + '\1';
      ByteWriter(bytes).put(std::bit_cast<std::int64_t>(sum == 0 ? 0.0 : -sum));
      top.push_back(bytes);
    }
    const auto got = finalized(weighted, rows, output(OutputKind::kTopSum));
    if (top.empty()) {
      RC_ASSERT(!got);
    } else {
      RC_ASSERT(got == list(top));
    }
  }));
}

TEST(StateValues, SumWeightsBeyond64BitsExactly) {
  const std::vector<Type> arguments = {kBigInt, {.kind = TypeKind::kHugeInt}};
  const AggregatePlan plan{.keys = {},
                           .arguments = arguments,
                           .components = {{ComponentKind::kValues, {{0}, {1}}, {}, 0}}};
  const OutputColumn output{
      .name = "top", .type = kBlob, .kind = OutputKind::kTopSum, .inputs = {0}, .limit = 1};
  const auto greatest = static_cast<Int128>(~UInt128{0} >> 1);
  GroupTable table(plan);
  const auto add_weight = [&](std::int64_t value, Int128 weight) {
    ColumnBatch batch(arguments);
    batch.column(0).push(value);
    batch.column(1).push(weight);
    add(table, batch);
  };
  for (int i = 0; i < 3; ++i) add_weight(7, greatest / 3);
  std::string wanted = "\1\1" + element(7) + "\1";
  const Int128 sum = greatest / 3 * 3;
  ByteWriter(wanted).put(static_cast<std::uint64_t>(sum));
  ByteWriter(wanted).put(static_cast<std::uint64_t>(sum >> 64));
  EXPECT_EQ(finalized(table, output), wanted);
  add_weight(7, greatest / 3);
  ColumnBatch out(std::span(&output.type, 1));
  const auto refused = table.finalize_one("", {&output, 1}, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, error_id::kOutOfRange);
  add_weight(7, -greatest);
  add_weight(7, greatest / 3 * 2);
  EXPECT_TRUE(table.finalize_one("", {&output, 1}, out));
}

TEST(StateValues, CountDistinctValuesNearly) {
  const Component component{ComponentKind::kHyperLogLog, {{0}}, {}, 0};
  const OutputColumn output{
      .name = "n", .type = kBigInt, .kind = OutputKind::kApproxCount, .inputs = {0}};
  GroupTable table(plan_of(component));
  std::int64_t next = 0;
  double squares = 0;
  int checks = 0;
  for (const std::int64_t upto : {0, 1, 2, 10, 100, 1000, 5000, 20'000, 100'000, 500'000}) {
    while (next < upto) {
      std::vector<Row> rows;
      for (; next < upto && rows.size() < 4096; ++next) {
        rows.push_back({.number = next * 7919});
        rows.push_back({.number = next / 2 * 7919});  // again
        rows.push_back({});
      }
      add(table, batch_of(rows));
    }
    if (upto == 0) add(table, batch_of({{}}));
    const double estimate = std::stod(*finalized(table, output));
    if (upto <= 10) {
      EXPECT_EQ(estimate, static_cast<double>(upto));
      continue;
    }
    const double error = estimate / static_cast<double>(upto) - 1;
    EXPECT_LE(std::fabs(error), 0.05) << upto;  // three standard errors
    squares += error * error;
    ++checks;
  }
  EXPECT_LE(std::sqrt(squares / checks), 0.025);
}

TEST(StateValues, GiveQuantilesWithinTheirBound) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    std::vector<double> values(1 + below(random, 400));
    std::vector<Row> rows;
    const bool wild = below(random, 2) == 0;
    for (double& value : values) {
      value = wild ? random_double(random) : static_cast<double>(below(random, 100'000)) / 100;
      rows.push_back({.value = value});
    }
    std::ranges::sort(values, [](double a, double b) { return to_ordered(a) < to_ordered(b); });
    const Component component{ComponentKind::kBuckets, {{2}}, {}, 0};
    GroupTable table(plan_of(component));
    add(table, batch_of(rows));
    for (const double q : {0.0, 0.25, 0.5, 0.99, 1.0}) {
      const OutputColumn output{.name = "q",
                                .type = kDouble,
                                .kind = OutputKind::kApproxQuantile,
                                .inputs = {0},
                                .quantiles = {q}};
      ColumnBatch out(std::span(&output.type, 1));
      RC_ASSERT(table.finalize_one("", {&output, 1}, out).has_value());
      const double got = out.column(0).data<double>()[0];
      const double exact = values[static_cast<std::size_t>(std::max(
                                      std::ceil(q * static_cast<double>(values.size())), 1.0)) -
                                  1];
      if (!std::isfinite(exact)) {
        const bool same = std::isnan(exact) ? std::isnan(got) : got == exact;
        RC_ASSERT(same);
      } else {
        RC_ASSERT(std::fabs(got - exact) <=
                  std::max(std::fabs(exact) / 256, std::numeric_limits<double>::min()));
      }
    }
  }));
}

TEST(StateValues, GiveQuantilesOfSmallWholeNumbersExactly) {
  for (std::int64_t number = -255; number <= 255; ++number) {
    EXPECT_EQ(bucket_whole_value(bucket_of(static_cast<double>(number))),
              static_cast<double>(number));
  }
  const Component component{ComponentKind::kBuckets, {{2}}, {}, 0};
  const auto median = [&](Type type, std::vector<double> values) {
    std::vector<Row> rows;
    for (const double value : values) rows.push_back({.value = value});
    return finalized(component, rows,
                     {.name = "q",
                      .type = type,
                      .kind = OutputKind::kApproxQuantile,
                      .inputs = {0},
                      .quantiles = {0.5}});
  };
  EXPECT_EQ(median({.kind = TypeKind::kTinyInt}, {127, 126, 127}), "127");
  EXPECT_EQ(median({.kind = TypeKind::kUTinyInt}, {255, 255}), "255");
  EXPECT_EQ(median(kBigInt, {9.3e18, 9.3e18}), "9223372036854775807");
  EXPECT_EQ(median({.kind = TypeKind::kDecimal, .width = 9, .scale = 2}, {1.5, 1.5}), "1.50");
  EXPECT_EQ(median({.kind = TypeKind::kFloat}, {0.0, -0.0}), "0.0");
}

TEST(StateValues, OfNestedTypesReadAsDuckDbPrintsThem) {
  AggregatePlan plan{.keys = {}, .arguments = kArguments, .components = {}};
  plan.components = {{ComponentKind::kBuckets, {{2}}, {}, 0},
                     {ComponentKind::kValues, {{1}}, {}, 0},
                     {ComponentKind::kValues, {{1}, {2}}, {}, 0},
                     {ComponentKind::kRows, {{1, true}, {0}}, {}, 2}};
  const Type count{.kind = TypeKind::kUBigInt};
  std::vector<OutputColumn> outputs;
  const auto output = [&](OutputKind kind, std::uint32_t input, Type type) {
    outputs.push_back({.name = "o", .type = std::move(type), .kind = kind, .inputs = {input}});
    outputs.back().limit = 2;
    outputs.back().quantiles = {0.0, 0.5, 1.0};
  };
  output(OutputKind::kApproxQuantile, 0, Type::list({.kind = TypeKind::kInteger}));
  output(OutputKind::kValueList, 1, Type::list(kVarchar));
  output(OutputKind::kValueCounts, 1, Type::map(kVarchar, count));
  output(OutputKind::kTopCount, 1,
         Type::list(Type::structure({{"value", kVarchar}, {"count", count}})));
  output(OutputKind::kTopSum, 2,
         Type::list(Type::structure({{"value", kVarchar}, {"sum", kDouble}})));
  output(OutputKind::kRowList, 3, Type::list(kVarchar));
  output(OutputKind::kRowMap, 3, Type::map(kVarchar, kBigInt));
  outputs.back().column = 1;
  GroupTable table(plan);
  add(table, batch_of({{.number = 1, .name = "a", .value = 10},
                       {.number = 2, .name = "b", .value = 50},
                       {.number = 3, .name = "c", .value = 3},
                       {.number = 4, .name = "a", .value = 1}}));
  std::vector<Type> types;
  for (const OutputColumn& each : outputs) types.push_back(each.type);
  ColumnBatch out(types);
  ASSERT_TRUE(table.finalize(outputs, false, out));
  const std::vector<std::string> wanted = {"[1, 3, 50]",
                                           "[a, a, b, c]",
                                           "{a=2, b=1, c=1}",
                                           "[{'value': a, 'count': 2}, {'value': b, 'count': 1}]",
                                           "[{'value': b, 'sum': 50.0}, {'value': a, 'sum': 11.0}]",
                                           "[c, b]",
                                           "{c=3, b=2}"};
  for (std::size_t c = 0; c < wanted.size(); ++c)
    EXPECT_EQ(value_text(out.column(c).view(), 0), wanted[c]);
}

TEST(StateValues, OfNoRowAreNullAndCountsAreZero) {
  AggregatePlan plan{.keys = {}, .arguments = kArguments, .components = {}};
  plan.components = {
      {ComponentKind::kCountRows, {}, {}, 0},      {ComponentKind::kDistinct, {{0}}, {}, 0},
      {ComponentKind::kHyperLogLog, {{0}}, {}, 0}, {ComponentKind::kSumInteger, {{0}}, {}, 0},
      {ComponentKind::kBitAnd, {{0}}, {}, 0},      {ComponentKind::kRows, {{0}}, {}, 1},
      {ComponentKind::kRows, {{0}}, {}, 0},        {ComponentKind::kBuckets, {{2}}, {}, 0}};
  std::vector<OutputColumn> outputs;
  const auto output = [&](OutputKind kind, std::vector<std::uint32_t> inputs, Type type) {
    outputs.push_back({.name = "o", .type = type, .kind = kind, .inputs = std::move(inputs)});
    outputs.back().quantiles = {0.5};
  };
  output(OutputKind::kCount, {0}, kBigInt);
  output(OutputKind::kDistinctCount, {1}, kBigInt);
  output(OutputKind::kApproxCount, {2}, kBigInt);
  output(OutputKind::kSum, {3, 0}, {.kind = TypeKind::kHugeInt});
  output(OutputKind::kBits, {4}, kBigInt);
  output(OutputKind::kRowValue, {5}, kBigInt);
  output(OutputKind::kRowList, {6}, kBlob);
  output(OutputKind::kApproxQuantile, {7}, kDouble);
  std::vector<Type> types;
  for (const OutputColumn& each : outputs) types.push_back(each.type);
  ColumnBatch out(types);
  GroupFold nothing(plan);
  ASSERT_TRUE(nothing.finalize("", outputs, out));
  ASSERT_EQ(out.rows(), 1U);
  for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(value_text(out.column(c).view(), 0), "0");
  for (std::size_t c = 3; c < outputs.size(); ++c) EXPECT_FALSE(out.column(c).valid(0)) << c;
}

TEST(GroupFold, IsTheStateOfAllRowsOfItsGroups) {
  const AggregatePlan plan{.keys = {kBigInt},
                           .arguments = {kBigInt, kDouble},
                           .components = {{},
                                          {ComponentKind::kSumDouble, {{1}}, {}, 0},
                                          {ComponentKind::kRows, {{0, true}, {1}}, {}, 3}}};
  Random random(11);
  const std::vector<Type> types = {kBigInt, kBigInt, kDouble};
  const ColumnBatch batch = random_batch(random, types, 500);
  GroupTable table(plan);
  add(table, batch);
  AggregatePlan without_key = plan;
  without_key.keys.clear();
  GroupTable whole(without_key);
  const std::vector<ColumnView> columns = batch.views();
  whole.update({std::span(columns).subspan(1), batch.rows()});
  GroupFold fold(plan);
  table.for_each_sorted([&](std::string_view, std::string_view state) {
    ASSERT_TRUE(fold.add(state));
    EXPECT_FALSE(fold.add(state.substr(1)));
  });
  std::string folded;
  fold.encode(folded);
  std::string wanted;
  ASSERT_TRUE(whole.find_state("", wanted));
  EXPECT_EQ(folded, wanted);
  fold.clear();
  folded.clear();
  wanted.clear();
  fold.encode(folded);
  GroupFold(plan).encode(wanted);
  EXPECT_EQ(folded, wanted);
}

TEST(GroupTable, CopiesAreSnapshotsOfWhatIsKeptInBags) {
  AggregatePlan plan{.keys = {kBigInt}, .arguments = {kBigInt}, .components = {}};
  for (const ComponentKind kind : {ComponentKind::kRows, ComponentKind::kValues,
                                   ComponentKind::kDistinct, ComponentKind::kHyperLogLog})
    plan.components.push_back({kind, {{0}}, {}, 0});
  Random random(5);
  const std::vector<Type> types = {kBigInt, kBigInt};
  GroupTable table(plan);
  add(table, random_batch(random, types, 2000));
  const auto states = [](const GroupTable& of) {
    std::map<std::string, std::string> out;
    of.for_each_sorted(
        [&](std::string_view key, std::string_view state) { out.emplace(key, state); });
    return out;
  };
  const auto before = states(table);
  const GroupTable snapshot(table);
  EXPECT_EQ(snapshot.size_bytes() / 100, table.size_bytes() / 100);
  add(table, random_batch(random, types, 2000));
  EXPECT_NE(states(table), before);
  EXPECT_EQ(states(snapshot), before);
  GroupTable doubled(snapshot);
  doubled.merge(snapshot);
  doubled.merge(doubled);
  EXPECT_EQ(states(snapshot), before);
}

TEST(GroupTable, KeepsSmallBagsSmallAndFindsInLargeOnes) {
  const AggregatePlan plan{.keys = {kBigInt},
                           .arguments = {kBigInt},
                           .components = {{ComponentKind::kDistinct, {{0}}, {}, 0},
                                          {ComponentKind::kValues, {{0}}, {}, 0}}};
  const std::vector<Type> types = {kBigInt, kBigInt};
  constexpr std::int64_t kGroups = 50'000;
  ColumnBatch many(types);
  for (std::int64_t i = 0; i < kGroups * 2; ++i) {
    many.column(0).push(i % kGroups);
    many.column(1).push(i);
  }
  GroupTable table(plan);
  add(table, many);
  EXPECT_LE(table.size_bytes() / kGroups, 400U);

  constexpr std::int64_t kValues = 300'000;
  ColumnBatch one(types);
  for (std::int64_t i = 0; i < kValues * 2; ++i) {
    one.column(0).push(std::int64_t{0});
    one.column(1).push(i % kValues * 31);
  }
  GroupTable large(plan);
  add(large, one);
  EXPECT_GE(large.size_bytes(), static_cast<std::size_t>(kValues) * 10);
  const OutputColumn output{
      .name = "n", .type = kBigInt, .kind = OutputKind::kDistinctCount, .inputs = {0}};
  ColumnBatch out(std::span(&output.type, 1));
  ASSERT_TRUE(large.finalize({&output, 1}, false, out));
  EXPECT_EQ(out.column(0).data<std::int64_t>()[0], kValues);
}

}  // namespace
}  // namespace millrace::view
