// Group keys: order of bytes is order of values, equal bytes are equal values, and they read back.
#include "view/key_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <compare>

#include "view/random_batch.h"

namespace millrace::view {
namespace {

int compare_nested(const Type& type, NestedReader& a, NestedReader& b);

/// Order of two values as SQL groups and sorts them: NULL first, NaN last, -0.0 equal to 0.0.
int compare_values(const ColumnView& a, std::size_t i, const ColumnView& b, std::size_t j) {
  if (!a.valid(i) || !b.valid(j))
    return static_cast<int>(a.valid(i)) - static_cast<int>(b.valid(j));
  if (a.type.is_nested()) {
    NestedReader left(a.as<StringRef>()[i].view());
    NestedReader right(b.as<StringRef>()[j].view());
    return compare_nested(a.type, left, right);
  }
  if (a.type.is_string()) {
    const int order = a.as<StringRef>()[i].view().compare(b.as<StringRef>()[j].view());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  return visit_fixed(a.type.physical(), [&](auto example) {
    using T = decltype(example);
    const T left = load_value<T>(a.data, i);
    const T right = load_value<T>(b.data, j);
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(left) || std::isnan(right)) {
        return static_cast<int>(std::isnan(left)) - static_cast<int>(std::isnan(right));
      }
    }
    return left < right ? -1 : right < left ? 1 : 0;
  });
}

/// Inside of a nested value NULL is the largest, as in DuckDB. Reads on only where all was equal.
int compare_elements(const Type& type, NestedReader& a, NestedReader& b) {
  const bool no_a = a.is_null();
  const bool no_b = b.is_null();
  if (no_a || no_b) return static_cast<int>(no_a) - static_cast<int>(no_b);
  if (type.is_nested()) return compare_nested(type, a, b);
  if (type.is_string()) {
    const std::string_view left = a.read_string();
    return left.compare(b.read_string());
  }
  const ScalarValue left = a.read_scalar(type);
  const ScalarValue right = b.read_scalar(type);
  return compare_values(left.column(), 0, right.column(), 0);
}

int compare_nested(const Type& type, NestedReader& a, NestedReader& b) {
  std::size_t count_a = 1;
  std::size_t count_b = 1;
  if (type.kind != TypeKind::kStruct) {
    count_a = a.read_count();
    count_b = b.read_count();
  }
  for (std::size_t i = 0; i < std::min(count_a, count_b); ++i) {
    for (const Type::Field& field : type.fields()) {
      const int order = compare_elements(field.type, a, b);
      if (order != 0) return order < 0 ? -1 : 1;
    }
  }
  return count_a < count_b ? -1 : count_a > count_b ? 1 : 0;
}

int sign(int value) { return value < 0 ? -1 : value > 0 ? 1 : 0; }

std::vector<Type> random_types(Random& random) {
  std::vector<Type> types(1 + below(random, 4));
  for (Type& type : types) type = random_type(random);
  return types;
}

TEST(KeyCodec, OrdersBytesAsTheValuesOrder) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const ColumnBatch batch = random_batch(random, random_types(random), 30);
    const std::vector<ColumnView> columns = batch.views();
    std::vector<std::string> keys(batch.rows());
    for (std::size_t row = 0; row < batch.rows(); ++row) encode_key(columns, row, keys[row]);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      for (std::size_t j = 0; j < keys.size(); ++j) {
        int expected = 0;
        for (const ColumnView& column : columns) {
          expected = compare_values(column, i, column, j);
          if (expected != 0) break;
        }
        RC_ASSERT(sign(keys[i].compare(keys[j])) == expected);
      }
    }
  }));
}

TEST(KeyCodec, ReadsBackWhatItWrote) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const std::vector<Type> types = random_types(random);
    const ColumnBatch batch = random_batch(random, types, 40);
    const std::vector<ColumnView> columns = batch.views();
    ColumnBatch out(types);
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      std::string key;
      encode_key(columns, row, key);
      RC_ASSERT(decode_key(key, types, out).has_value());
      std::string again;
      encode_key(out.views(), row, again);
      RC_ASSERT(again == key);
      for (std::size_t c = 0; c < types.size(); ++c) {
        RC_ASSERT(compare_values(columns[c], row, out.column(c).view(), row) == 0);
      }
    }
  }));
}

TEST(KeyCodec, EncodesABatchAsItEncodesEachRow) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const std::vector<Type> types = random_types(random);
    const ColumnBatch batch = random_batch(random, types, 1 + below(random, 300));
    const std::vector<ColumnView> columns = batch.views();
    EncodedKeys keys;
    encode_keys({columns, batch.rows()}, types.size(), keys);
    RC_ASSERT(keys.ends.size() == batch.rows());
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      std::string expected;
      encode_key(columns, row, expected);
      RC_ASSERT(keys[row] == expected);
    }
  }));
}

TEST(KeyCodec, HasTheDocumentedBytes) {
  const std::vector<Type> types = {
      {.kind = TypeKind::kBigInt}, {.kind = TypeKind::kVarchar}, {.kind = TypeKind::kDouble}};
  ColumnBatch batch(types);
  batch.column(0).push(std::int64_t{-2});
  batch.column(1).push_string(std::string("a\0b", 3), batch.arena());
  batch.column(2).push_null();
  std::string key;
  encode_key(batch.views(), 0, key);
  EXPECT_EQ(key, std::string("\x01\x7f\xff\xff\xff\xff\xff\xff\xfe"
                             "\x01"
                             "a\0\xff"
                             "b\0\0"
                             "\0",
                             17));
}

TEST(KeyCodec, HasTheDocumentedBytesOfNestedValues) {
  const Type list = Type::list({.kind = TypeKind::kUTinyInt});
  const Type map = Type::map({.kind = TypeKind::kVarchar}, list);
  ColumnBatch batch(std::span(&map, 1));
  // {'k': [7, NULL]} as model/nested_value.h has it.
  batch.column(0).push_string(std::string("\1\1\1k\1\2\1\7\0", 9), batch.arena());
  std::string key;
  encode_key(batch.views(), 0, key);
  EXPECT_EQ(key, std::string("\1\1k\0\0\1\1\7\2\0\0", 11));
}

TEST(KeyCodec, RefusesBytesThatAreNoKey) {
  const auto accepts = [](std::string_view key, std::vector<Type> types) {
    ColumnBatch out(types);
    return decode_key(key, types, out).has_value();
  };
  using std::string_view_literals::operator""sv;
  const Type boolean{.kind = TypeKind::kBoolean};
  const Type text{.kind = TypeKind::kVarchar};
  const Type real{.kind = TypeKind::kDouble};
  EXPECT_TRUE(accepts(""sv, {}));
  EXPECT_FALSE(accepts("\0"sv, {}));
  EXPECT_TRUE(accepts("\1\1"sv, {boolean}));
  EXPECT_FALSE(accepts("\1\2"sv, {boolean}));
  EXPECT_FALSE(accepts("\2\1"sv, {boolean}));
  EXPECT_FALSE(accepts("\1"sv, {boolean}));
  EXPECT_TRUE(accepts("\1a\0\0"sv, {text}));
  EXPECT_FALSE(accepts("\1a\0"sv, {text}));
  EXPECT_FALSE(accepts("\1a\0\1\0\0"sv, {text}));
  EXPECT_FALSE(accepts("\1\x7f\xff\xff\xff\xff\xff\xff\xff"sv, {real}));  // -0.0
  EXPECT_TRUE(accepts("\1\x80\0\0\0\0\0\0\0"sv, {real}));
  EXPECT_FALSE(accepts("\1\xff\xff\xff\xff\xff\xff\xff\xff"sv, {real}));  // another NaN
}

TEST(KeyCodec, SurvivesAnyBytes) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed, const std::string& bytes) {
    Random random(seed);
    const std::vector<Type> types = random_types(random);
    ColumnBatch out(types);
    if (!decode_key(bytes, types, out)) return;
    std::string again;
    encode_key(out.views(), 0, again);
    RC_ASSERT(again == bytes);
  }));
}

}  // namespace
}  // namespace millrace::view
