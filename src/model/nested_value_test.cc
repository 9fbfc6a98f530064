// LIST, STRUCT and MAP: their types as text and bytes, their values as text and JSON, and bytes
// that are no such value.
#include "model/nested_value.h"

#include <gtest/gtest.h>

#include <random>

#include "model/column_batch_codec.h"
#include "model/type_codec.h"
#include "model/value_text.h"

namespace millrace {
namespace {

Type type_of(std::string_view text) {
  auto type = Type::parse(text);
  EXPECT_TRUE(type) << text << ": " << (type ? "" : type.error().text());
  return type ? *type : Type{};
}

/// One value as a column of one row, NULL for nullopt.
class OneValue {
 public:
  template <class T>
  OneValue(Type type, T value) : batch_(std::vector<Type>{std::move(type)}) {
    if constexpr (std::is_convertible_v<T, std::string_view>) {
      batch_.column(0).push_string(value, batch_.arena());
    } else {
      batch_.column(0).push(value);
    }
  }
  [[nodiscard]] std::string element() const {
    std::string out;
    append_element(out, batch_.column(0).view(), 0);
    return out;
  }
  [[nodiscard]] std::string text() const { return *value_text(batch_.column(0).view(), 0); }
  [[nodiscard]] std::string json() const {
    std::string out;
    append_json(out, batch_.column(0).view(), 0);
    return out;
  }

 private:
  ColumnBatch batch_;
};

const std::string kNullElement(1, '\0');

std::string varchar(std::string_view text) {
  return OneValue(Type{TypeKind::kVarchar}, text).element();
}
std::string bigint(std::int64_t value) {
  return OneValue(Type{TypeKind::kBigInt}, value).element();
}
std::string counted(std::initializer_list<std::string> elements, std::size_t parts = 1) {
  std::string out;
  append_count(out, elements.size() / parts);
  for (const auto& element : elements) out += element;
  return out;
}

TEST(NestedType, IsReadAndWrittenAsDuckDbSpellsIt) {
  for (const auto* text :
       {"INTEGER[]", "VARCHAR[][]", "MAP(VARCHAR, UBIGINT)", "STRUCT(a VARCHAR, count UBIGINT)",
        "STRUCT(a INTEGER[], \"b c\" MAP(INTEGER, DECIMAL(9,2)[]))[]",
        "STRUCT(\"select\" INTEGER, \"a\"\"b\" TIMESTAMP WITH TIME ZONE, \"1x\" TIME)",
        "STRUCT(INTEGER, VARCHAR)", "STRUCT(TIMESTAMP WITH TIME ZONE, DECIMAL(18,3), INTEGER[])",
        "INTERVAL", "TIME"}) {
    EXPECT_EQ(type_of(text).sql(), text);
  }
  EXPECT_EQ(type_of(" struct ( a int , b map(text,int8) [ ] ) [3] ").sql(),
            "STRUCT(a INTEGER, b MAP(VARCHAR, BIGINT)[])[]");
  EXPECT_EQ(type_of("ROW(Big bigint)").sql(), "STRUCT(Big BIGINT)");
  EXPECT_EQ(type_of("\"NULL\"[]").sql(), "INTEGER[]");
  for (const auto* text :
       {"STRUCT()", "STRUCT(a)", "STRUCT(a INT, )", "STRUCT(a INT", "STRUCT(\"a INT)",
        "STRUCT(a INT, INT)", "MAP(INT)", "MAP(INT, INT, INT)", "MAP(INT, INT", "INT[", "INT[a]",
        "[]", "INT[] x", "LIST", "\"NULL\"", "STRUCT(a \"b\" INT)"}) {
    EXPECT_FALSE(Type::parse(text)) << text;
  }
}

TEST(NestedType, ComparesByWhatIsInside) {
  const Type type = type_of("STRUCT(a INTEGER[], b MAP(VARCHAR, DOUBLE))");
  EXPECT_EQ(type, type_of("struct(a int[], b map(text, double))"));
  EXPECT_NE(type, type_of("struct(a int[], c map(text, double))"));
  EXPECT_NE(type, type_of("struct(a bigint[], b map(text, double))"));
  EXPECT_NE(Type::list(type), type);
  EXPECT_EQ(Type::list(type).element(), type);
  EXPECT_EQ(type.fields()[1].type, Type::map({TypeKind::kVarchar}, {TypeKind::kDouble}));
  EXPECT_TRUE(Type{}.fields().empty());
}

TEST(NestedType, HasABoundedDepth) {
  std::string text = "INT";
  for (std::size_t i = 0; i < kTypeDepthMax; ++i) text = "STRUCT(a " + text + ")";
  EXPECT_TRUE(Type::parse(text));
  EXPECT_FALSE(Type::parse("STRUCT(a " + text + ")"));
  std::string lists = "INT";
  for (int i = 0; i < 100'000; ++i) lists += "[]";
  EXPECT_FALSE(Type::parse(lists));
  EXPECT_FALSE(Type::parse(std::string(100'000, '(')));
  std::string open;
  for (int i = 0; i < 100'000; ++i) open += "MAP(";
  EXPECT_FALSE(Type::parse(open));

  std::string bytes;
  append_type(bytes, *Type::parse(text));
  ByteReader good(bytes);
  EXPECT_EQ(read_type(good), *Type::parse(text));
  EXPECT_TRUE(good.at_end());
  std::string deep;
  for (int i = 0; i < 100'000; ++i) append_type(deep, {TypeKind::kList});
  ByteReader bad(deep);
  (void)read_type(bad);
  EXPECT_FALSE(bad.ok());
}

TEST(NestedType, OfBytesThatWereChangedIsATypeOrNone) {
  std::string bytes;
  append_type(bytes, type_of("STRUCT(a INT[], b MAP(TEXT, DECIMAL(9,2)), c STRUCT(INT))[]"));
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = bytes;
    changed[random() % changed.size()] = static_cast<char>(random());
    if (random() % 4 == 0) changed.resize(random() % changed.size());
    ByteReader reader(changed);
    const Type type = read_type(reader);
    if (!reader.ok()) continue;
    std::string again;
    append_type(again, type);
    EXPECT_EQ(again.size() + reader.remaining(), changed.size());
  }
}

TEST(NestedValue, HasTheTextAndTheJsonOfItsParts) {
  const OneValue list(type_of("BIGINT[]"), counted({bigint(1), bigint(2), kNullElement}));
  EXPECT_EQ(list.text(), "[1, 2, NULL]");
  EXPECT_EQ(list.json(), "[1,2,null]");
  const OneValue top(type_of("STRUCT(value VARCHAR, count BIGINT)[]"),
                     counted({"\1" + varchar("a") + bigint(3), kNullElement}));
  EXPECT_EQ(top.text(), "[{'value': a, 'count': 3}, NULL]");
  EXPECT_EQ(top.json(), R"([{"value":"a","count":3},null])");
  const OneValue map(type_of("MAP(VARCHAR, BIGINT)"),
                     counted({varchar("a"), bigint(1), varchar("b \"c"), kNullElement}, 2));
  EXPECT_EQ(map.text(), "{a=1, 'b \"c'=NULL}");
  EXPECT_EQ(map.json(), R"({"a":1,"b \"c":null})");
  const OneValue row(type_of("STRUCT(BIGINT, VARCHAR)"), bigint(1) + varchar("it's"));
  EXPECT_EQ(row.text(), R"((1, 'it\'s'))");
  EXPECT_EQ(row.json(), R"([1,"it's"])");
  const OneValue empty(type_of("MAP(BIGINT, BIGINT[])"), counted({}));
  EXPECT_EQ(empty.text() + empty.json(), "{}{}");
}

TEST(NestedValue, TakesValuesOfEveryWidthInside) {
  const OneValue list(type_of("INTERVAL[]"),
                      counted({OneValue({TypeKind::kInterval}, Interval{-14, -3, -1}).element()}));
  EXPECT_EQ(list.text(), "['-1 year -2 months -3 days -00:00:00.000001']");
  EXPECT_EQ(list.json(), R"(["-1 year -2 months -3 days -00:00:00.000001"])");
  const OneValue mixed(type_of("STRUCT(a BOOLEAN, b TIME, c DECIMAL(38,2), d JSON, e DOUBLE)"),
                       OneValue({TypeKind::kBoolean}, true).element() +
                           OneValue({TypeKind::kTime}, std::int64_t{86'400'000'000}).element() +
                           OneValue({TypeKind::kDecimal, 38, 2}, Int128{-5}).element() +
                           OneValue({TypeKind::kJson}, R"({"x":1})").element() +
                           OneValue({TypeKind::kDouble}, 0.5).element());
  EXPECT_EQ(mixed.text(), R"({'a': true, 'b': '24:00:00', 'c': -0.05, 'd': '{"x":1}', 'e': 0.5})");
  EXPECT_EQ(mixed.json(), R"({"a":true,"b":"24:00:00","c":"-0.05","d":{"x":1},"e":0.5})");
}

TEST(NestedValue, IsLookedAtBeforeItIsBelieved) {
  const Type type = type_of("STRUCT(a BIGINT[], b MAP(VARCHAR, BOOLEAN))");
  const std::string good =
      "\1" + counted({bigint(1), kNullElement}) + "\1" +
      counted({varchar("key"), OneValue({TypeKind::kBoolean}, true).element()}, 2);
  ASSERT_TRUE(is_nested_value(type, good));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(is_nested_value(type, std::string_view(good).substr(0, size))) << size;
  EXPECT_FALSE(is_nested_value(type, good + "x"));
  std::string not_a_bool = good;
  not_a_bool.back() = 2;
  EXPECT_FALSE(is_nested_value(type, not_a_bool));
  EXPECT_FALSE(
      is_nested_value(type_of("MAP(VARCHAR, BIGINT)"), counted({kNullElement, kNullElement}, 2)));
  std::string huge;
  append_count(huge, std::size_t{1} << 60);
  EXPECT_FALSE(is_nested_value(type_of("BIGINT[]"), huge));

  std::mt19937_64 random(2);
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = good;
    changed[random() % changed.size()] = static_cast<char>(random());
    // Whatever the bytes are, nothing is read behind them.
    const OneValue value(type, changed);
    EXPECT_FALSE(value.text().empty());
    EXPECT_FALSE(value.json().empty());
    (void)is_nested_value(type, changed);
  }
}

TEST(NestedValue, GoesThroughAnEncodedBatch) {
  ColumnBatch batch(std::vector<Type>{type_of("STRUCT(a VARCHAR)[]"), type_of("INTERVAL")});
  for (int row = 0; row < 100; ++row) {
    if (row % 7 == 0) {
      batch.column(0).push_null();
    } else {
      batch.column(0).push_string(
          counted({"\1" + varchar(std::string(static_cast<std::size_t>(row), 'x')), kNullElement}),
          batch.arena());
    }
    batch.column(1).push(Interval{row, -row, row});
  }
  const auto views = batch.views();
  std::string bytes;
  encode_column_batch({views, batch.rows()}, bytes);
  const auto back = decode_column_batch(bytes);
  ASSERT_TRUE(back) << back.error().text();
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_EQ(back->column(c).type(), views[c].type);
    for (std::size_t row = 0; row < 100; ++row)
      EXPECT_EQ(value_text(back->column(c).view(), row), value_text(views[c], row));
  }

  ColumnBatch broken(std::vector<Type>{type_of("VARCHAR[]")});
  broken.column(0).push_string("\2\1\5text", broken.arena());
  const auto broken_views = broken.views();
  bytes.clear();
  encode_column_batch({broken_views, 1}, bytes);
  EXPECT_FALSE(decode_column_batch(bytes));
}

TEST(Time, IsReadAsItIsWritten) {
  EXPECT_EQ(parse_time("01:02:03.5"), 3'723'500'000);
  EXPECT_EQ(parse_time("23:59"), 86'340'000'000);
  EXPECT_EQ(parse_time("24:00:00"), 86'400'000'000);
  EXPECT_EQ(time_text(3'723'500'000), "01:02:03.5");
  for (const auto* text : {"24:00:00.1", "25:00", "1:00", "12", "", "12:60", "12:00:00Z"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(Interval, HasTheTextThatDuckDbGivesIt) {
  EXPECT_EQ(interval_text({}), "00:00:00");
  EXPECT_EQ(interval_text({.months = 14, .days = 1, .micros = 3'600'000'000}),
            "1 year 2 months 1 day 01:00:00");
  EXPECT_EQ(interval_text({.months = -1, .days = 2, .micros = 0}), "-1 month 2 days");
  EXPECT_EQ(interval_text({.months = 0, .days = 0, .micros = -3'600'000'000'000}), "-1000:00:00");
  EXPECT_EQ(interval_text({.months = INT32_MIN, .days = 0, .micros = INT64_MIN}),
            "-178956970 years -8 months -2562047788:00:54.775808");
}

}  // namespace
}  // namespace millrace
