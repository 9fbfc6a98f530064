#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "model/position.h"
#include "model/stream.h"
#include "model/value_text.h"

namespace millrace {
namespace {

TEST(Type, ReadsEverySpellingAndWritesOne) {
  for (const auto* text : {"bigint", "INT8", "long", " Int8 "})
    EXPECT_EQ(Type::parse(text)->sql(), "BIGINT") << text;
  EXPECT_EQ(Type::parse("numeric ( 9 , 2 )")->sql(), "DECIMAL(9,2)");
  EXPECT_EQ(Type::parse("timestamp  with time zone")->sql(), "TIMESTAMP WITH TIME ZONE");
  EXPECT_EQ(Type::parse("varchar(20)")->sql(), "VARCHAR");
  for (const auto* text :
       {"decimal(39,0)", "decimal(3,4)", "decimal(3", "int(", "", "hugeint(3)"}) {
    EXPECT_FALSE(Type::parse(text)) << text;
  }
}

TEST(Timestamp, ReadsIso8601AndTakesTheOffsetOff) {
  EXPECT_EQ(parse_timestamp("1970-01-01T00:00:01Z"), 1'000'000);
  EXPECT_EQ(parse_timestamp("1970-01-01 01:00:00.5+01:00"), 500'000);
  EXPECT_EQ(parse_timestamp("1969-12-31"), -kMicrosPerDay);
  EXPECT_EQ(timestamp_text(-1, false), "1969-12-31 23:59:59.999999");
  for (const auto* text :
       {"2001-02-30", "2001-1-1", "2001-01-01T24:00:00", "2001-01-01T00:00:00.1234567", "x", ""}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
  EXPECT_TRUE(parse_timestamp("2001-01-01T00:00:00.1230000000"));
}

TEST(Decimal, IsExactOrRefused) {
  EXPECT_EQ(parse_decimal("12.50", 9, 2), Int128{1250});
  EXPECT_EQ(parse_decimal("-1e2", 9, 2), Int128{-10000});
  EXPECT_EQ(parse_decimal("1.230", 9, 2), Int128{123});
  EXPECT_FALSE(parse_decimal("1.234", 9, 2));
  EXPECT_FALSE(parse_decimal("10000000", 9, 2));
  EXPECT_FALSE(parse_decimal("1e400", 38, 0));
  EXPECT_EQ(decimal_text(-5, 2), "-0.05");
}

TEST(Uuid, KeepsItsTextAndItsOrder) {
  const auto low = parse_uuid("00000000-0000-0000-0000-000000000001");
  const auto high = parse_uuid("F0000000-0000-0000-0000-000000000000");
  ASSERT_TRUE(low && high);
  EXPECT_LT(*low, *high);
  EXPECT_EQ(uuid_text(*high), "f0000000-0000-0000-0000-000000000000");
}

TEST(ColumnBatch, KeepsNullsAndLongStringsThroughAppend) {
  const std::array<Type, 2> types{Type{TypeKind::kVarchar}, Type{TypeKind::kBigInt}};
  ColumnBatch batch(types);
  for (int i = 0; i < 200; ++i) {
    if (i % 3 == 0) {
      batch.column(0).push_null();
    } else {
      batch.column(0).push_string(std::string(static_cast<std::size_t>(i), 'x'), batch.arena());
    }
    batch.column(1).push<std::int64_t>(i);
  }
  ColumnBatch copy(types);
  {
    const auto views = batch.views();
    copy.append_all({views, batch.rows()});
  }
  const auto views = copy.views();
  ASSERT_EQ(copy.rows(), 200U);
  EXPECT_EQ(value_text(views[0], 3), std::nullopt);
  EXPECT_EQ(value_text(views[0], 100), std::string(100, 'x'));
  EXPECT_EQ(value_text(views[1], 199), "199");
}

TEST(Arena, HasRoomForEachSizeItIsAskedFor) {
  Arena arena;
  std::vector<std::pair<char*, std::size_t>> places;
  for (const std::size_t size : {1, 4096, 10000, 3, 16384, 16385, 5000}) {
    places.emplace_back(arena.allocate(size), size);
    std::memset(places.back().first, static_cast<int>(places.size()), size);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::string_view text(places[i].first, places[i].second);
    EXPECT_EQ(text.find_first_not_of(static_cast<char>(i + 1)), std::string_view::npos) << i;
  }
}

TEST(Json, WritesValuesThatReadBackExactly) {
  const std::array<Type, 3> types{Type{TypeKind::kDouble}, Type{TypeKind::kBigInt},
                                  Type{TypeKind::kVarchar}};
  ColumnBatch batch(types);
  batch.column(0).push(0.1);
  batch.column(1).push<std::int64_t>(std::int64_t{1} << 60);
  batch.column(2).push_string("a\"\n\x01", batch.arena());
  const auto views = batch.views();
  std::string out;
  for (const auto& view : views) {
    append_json(out, view, 0);
    out += " ";
  }
  EXPECT_EQ(out, "0.1 \"1152921504606846976\" \"a\\\"\\n\\u0001\" ");
}

TEST(Position, IsHalfOpenAndReadsItsOwnJson) {
  Position position(2);
  position.set_end(PartitionId(1), Offset(4));
  EXPECT_EQ(position.json(), "{\"0\":0,\"1\":4}");
  EXPECT_EQ(*Position::parse(position.json()), position);
  EXPECT_TRUE(position.covers(Position(7)));
  EXPECT_FALSE(Position(2).covers(position));
  EXPECT_FALSE(Position::parse("{\"0\":-1}"));
}

}  // namespace
}  // namespace millrace
