// The native short cut against DuckDB: whatever it compiles gives the same rows and the same bits.
#include "view/native_stage.h"

#include <gtest/gtest.h>

#include "sql/scalar_stage.h"
#include "sql/syntax.h"
#include "view/random_batch.h"

namespace millrace::view {
namespace {

StreamDefinition everything() {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "e";
  stream.columns = {{"i8", {TypeKind::kTinyInt}},    {"i16", {TypeKind::kSmallInt}},
                    {"i32", {TypeKind::kInteger}},   {"i64", {TypeKind::kBigInt}},
                    {"i128", {TypeKind::kHugeInt}},  {"u8", {TypeKind::kUTinyInt}},
                    {"u16", {TypeKind::kUSmallInt}}, {"u32", {TypeKind::kUInteger}},
                    {"u64", {TypeKind::kUBigInt}},   {"f", {TypeKind::kFloat}},
                    {"d", {TypeKind::kDouble}},      {"m", {TypeKind::kDecimal, 9, 2}},
                    {"b", {TypeKind::kBoolean}},     {"t", {TypeKind::kVarchar}},
                    {"x", {TypeKind::kBlob}},        {"j", {TypeKind::kJson}},
                    {"ts", {TypeKind::kTimestamp}},  {"tz", {TypeKind::kTimestampTz}},
                    {"day", {TypeKind::kDate}},      {"id", {TypeKind::kUuid}}};
  return stream;
}

/// Streams hold the years 0001 to 9999 only: what an event cannot say is left out here, too.
void push_in_calendar(Random& random, ColumnVector& column) {
  if (below(random, 8) == 0) {
    column.push_null();
    return;
  }
  constexpr std::int64_t kFirst = -62'135'596'800'000'000;
  constexpr std::int64_t kLast = 253'402'300'799'999'999;
  std::int64_t micros = 0;
  switch (below(random, 6)) {
    case 0:
      micros = kFirst;
      break;
    case 1:
      micros = kLast;
      break;
    case 2:
      micros = static_cast<std::int64_t>(below(random, 7)) - 3;
      break;
    case 3:
      micros = (static_cast<std::int64_t>(below(random, 2000)) - 1000) * 3'600'000'000;
      break;
    default:
      micros = kFirst +
               static_cast<std::int64_t>(below(random, static_cast<std::uint64_t>(kLast - kFirst)));
  }
  if (column.type().kind == TypeKind::kDate) {
    column.push(static_cast<std::int32_t>(micros / 86'400'000'000));
  } else {
    column.push(micros);
  }
}

std::shared_ptr<ColumnBatch> random_events(Random& random, std::size_t rows) {
  const auto types = everything().types();
  auto batch = std::make_shared<ColumnBatch>(types);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < types.size(); ++c) {
      const auto kind = types[c].kind;
      if (kind == TypeKind::kTimestamp || kind == TypeKind::kTimestampTz ||
          kind == TypeKind::kDate) {
        push_in_calendar(random, batch->column(c));
      } else if (kind == TypeKind::kVarchar || kind == TypeKind::kJson) {
        // UTF-8 only, which is what an event's text is.
        static constexpr std::string_view kTexts[] = {"",
                                                      "a",
                                                      "ab",
                                                      std::string_view("a\0b", 3),
                                                      std::string_view("\0", 1),
                                                      "A",
                                                      "\u00e4\u00f6",
                                                      "exactly twelv",
                                                      "more than twelve bytes of text",
                                                      "more than twelve bytes of tex",
                                                      "7"};
        if (below(random, 8) == 0) {
          batch->column(c).push_null();
        } else {
          batch->column(c).push_string(kTexts[below(random, std::size(kTexts))], batch->arena());
        }
      } else {
        push_random(random, batch->column(c), batch->arena());
      }
    }
  }
  return batch;
}

void add_rows(std::string& out, const BatchView& rows) {
  for (std::size_t row = 0; row < rows.rows; ++row) {
    for (const auto& column : rows.columns) {
      if (!column.valid(row)) {
        out += "NULL|";
      } else if (column.type.is_string()) {
        out += column.as<StringRef>()[row].view();
        out += '|';
      } else {
        const auto width = size_bytes(column.type.physical());
        const auto* bytes = static_cast<const unsigned char*>(column.data) + row * width;
        for (std::size_t i = 0; i < width; ++i) out += fmt::format("{:02x}", bytes[i]);
        out += '|';
      }
    }
    out += '\n';
  }
}

class NativeStageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { database_ = *sql::Database::open({}); }
  static void TearDownTestSuite() { database_.reset(); }

  static Result<CompiledView> compiled(const std::string& items, const std::string& filter) {
    std::string select = fmt::format("SELECT {}, count(*) AS rows FROM e", items);
    if (!filter.empty()) select += " WHERE " + filter;
    select += " GROUP BY ALL";
    MR_TRY(const auto tree, sql::parse_select(select));
    return compile_view(*database_, select, tree, std::array{everything()});
  }
  static bool is_native(const std::string& items, const std::string& filter) {
    const auto view = compiled(items, filter);
    EXPECT_TRUE(view) << items << " WHERE " << filter << ": " << view.error().text();
    return view && NativeStage::compile(view->inputs[0], everything()) != nullptr;
  }
  /// False where the view is not native; fails where its rows are not those of DuckDB.
  static bool check(const std::string& items, const std::string& filter,
                    const std::shared_ptr<const ColumnBatch>& events) {
    const std::string what = items + " WHERE " + filter;
    const auto view = compiled(items, filter);
    if (!view) {
      ADD_FAILURE() << what << ": " << view.error().text();
      return false;
    }
    const auto native = NativeStage::compile(view->inputs[0], everything());
    if (native == nullptr) return false;
    auto stage = sql::ScalarStage::prepare(*database_, view->inputs[0].sql, everything());
    if (!stage) {
      ADD_FAILURE() << what << ": " << stage.error().text();
      return true;
    }
    EXPECT_EQ((*stage)->types(), view->plan.keys) << what;
    std::string left;
    std::string right;
    native->run(*events, [&](const BatchView& rows) {
      for (std::size_t i = 0; i < rows.columns.size(); ++i) {
        EXPECT_EQ(rows.columns[i].type, view->plan.keys[i]) << what;
      }
      add_rows(left, rows);
    });
    const StreamBatch batches[] = {{.stream = StreamId(1),
                                    .partition = PartitionId(0),
                                    .base_offset = Offset(0),
                                    .arrival_us = 0,
                                    .columns = events}};
    const auto ran = (*stage)->run(batches, [&](const BatchView& rows) { add_rows(right, rows); });
    EXPECT_TRUE(ran) << what << ": " << ran.error().text();
    EXPECT_EQ(left, right) << what;
    return true;
  }

  static inline std::shared_ptr<sql::Database> database_;
};

const std::vector<std::string> kItems = {"i8",
                                         "i64",
                                         "u32",
                                         "d",
                                         "f",
                                         "m",
                                         "b",
                                         "t",
                                         "x",
                                         "ts",
                                         "tz",
                                         "day",
                                         "id",
                                         "i128",
                                         "u64",
                                         "date_trunc('second', ts)",
                                         "date_trunc('MINUTE', ts)",
                                         "date_trunc('Hour', ts)",
                                         "date_trunc('hours', ts)",
                                         "date_trunc('day', ts)",
                                         "datetrunc('day', ts)",
                                         "i64 // 7",
                                         "i64 // 1",
                                         "i64 // 9223372036854775807",
                                         "i64 // 3600000000000"};

std::string random_condition(Random& random, int depth) {
  static const char* const kComparisons[] = {"=", "<>", "!=", "<", "<=", ">", ">="};
  static const char* const kIntegers[] = {"0",
                                          "1",
                                          "5",
                                          "-1",
                                          "127",
                                          "128",
                                          "-128",
                                          "-129",
                                          "255",
                                          "256",
                                          "32767",
                                          "32768",
                                          "65536",
                                          "2147483647",
                                          "2147483648",
                                          "-2147483649",
                                          "4294967295",
                                          "4294967296",
                                          "1000",
                                          "9223372036854775807",
                                          "-9223372036854775807",
                                          "9007199254740992",
                                          "9007199254740993"};
  static const char* const kColumns[] = {"i8",  "i16", "i32",  "i64", "u8", "u16",
                                         "u32", "d",   "i128", "u64", "f",  "m"};
  static const char* const kTexts[] = {"''",
                                       "'a'",
                                       "'ab'",
                                       "'b'",
                                       "'7'",
                                       "'\u00e4\u00f6'",
                                       "'more than twelve bytes of text'",
                                       "'more than twelve bytes of'"};
  const auto comparison = [&] { return kComparisons[below(random, std::size(kComparisons))]; };
  switch (below(random, depth > 0 ? 9 : 6)) {
    case 0:
    case 1:
      return fmt::format("{} {} {}", kColumns[below(random, std::size(kColumns))], comparison(),
                         kIntegers[below(random, std::size(kIntegers))]);
    case 2:
      return fmt::format("{} {} {}", kIntegers[below(random, std::size(kIntegers))], comparison(),
                         kColumns[below(random, std::size(kColumns))]);
    case 3:
      return fmt::format("t {} {}", comparison(), kTexts[below(random, std::size(kTexts))]);
    case 4:
      return fmt::format("{} IS {}NULL", kColumns[below(random, std::size(kColumns))],
                         below(random, 2) == 0 ? "NOT " : "");
    case 5:
      return "b";
    case 6:
      return "NOT (" + random_condition(random, depth - 1) + ")";
    default: {
      const char* word = below(random, 2) == 0 ? " AND " : " OR ";
      std::string out = "(" + random_condition(random, depth - 1) + ")";
      for (std::uint64_t n = 1 + below(random, 2); n > 0; --n) {
        out += word + ("(" + random_condition(random, depth - 1) + ")");
      }
      return out;
    }
  }
}

TEST_F(NativeStageTest, GivesTheRowsAndBitsOfDuckDbForEveryItem) {
  Random random(1);
  int native = 0;
  for (const auto& item : kItems) {
    for (const std::size_t rows : {1U, 64U, 700U}) {
      native += check(item + " AS k", "", random_events(random, rows)) ? 1 : 0;
      native += check(item + " AS k", "b", random_events(random, rows)) ? 1 : 0;
    }
  }
  EXPECT_GT(native, 100);
}

TEST_F(NativeStageTest, KeepsTheSameRowsAsDuckDbForRandomConditions) {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  int native = 0;
  for (int turn = 0; turn < 250; ++turn) {
    const auto& first = kItems[below(random, kItems.size())];
    const auto& second = kItems[below(random, kItems.size())];
    std::string items = first + " AS k1";
    if (first != second) items += ", " + second + " AS k2";
    native +=
        check(items, random_condition(random, 3), random_events(random, 1 + below(random, 300)))
            ? 1
            : 0;
  }
  EXPECT_GT(native, 50);
}

TEST_F(NativeStageTest, ComparesWithConstantsBeyondTheColumnsTypeAsDuckDbDoes) {
  Random random(3);
  const auto events = random_events(random, 300);
  for (const auto* column : {"i8", "i16", "i32", "i64", "u8", "u16", "u32"}) {
    for (const auto* constant :
         {"1000", "-1000", "70000", "-70000", "5000000000", "-5000000000", "-1"}) {
      for (const auto* comparison : {"=", "<>", "<", ">="}) {
        check("i64", fmt::format("{} {} {}", column, comparison, constant), events);
        check("i64", fmt::format("{} {} {}", constant, comparison, column), events);
      }
    }
  }
}

TEST_F(NativeStageTest, TakesTheConditionsAndItemsOfOrdinaryViews) {
  EXPECT_TRUE(is_native("t", ""));
  EXPECT_TRUE(is_native("date_trunc('HOUR', ts) AS h, t", "i64 > 3 AND t <> '' OR NOT b"));
  EXPECT_TRUE(is_native("i64 // 10 AS tens", "d < 3 AND ts IS NOT NULL"));
}

TEST_F(NativeStageTest, LeavesToDuckDbWhatItDoesNotKnowExactly) {
  for (const auto* item :
       {"date_trunc('hour', day)", "date_trunc('hour', tz)", "date_trunc('month', ts)",
        "date_trunc('week', ts)", "i64 // 0", "i64 // -1", "i32 // 10", "i64 / 10", "i64 % 10",
        "i64 + 1", "lower(t)", "t || 'x'", "i64::VARCHAR", "_offset", "_partition", "3"}) {
    EXPECT_FALSE(is_native(fmt::format("{} AS k", item), "")) << item;
  }
  for (const auto* filter : {"i128 > 3",
                             "u64 > 3",
                             "f > 3",
                             "d > 9007199254740993",
                             "d > 0.1",
                             "i64 > 0.5",
                             "i64 > '3'",
                             "ts > '2020-01-01'",
                             "x = 'a'",
                             "j = 'a'",
                             "t IN ('a', 'b')",
                             "i64 BETWEEN 1 AND 3",
                             "t LIKE 'a%'",
                             "i64 = i32",
                             "i64 IS DISTINCT FROM 3",
                             "b = true",
                             "t = 'a' COLLATE NOCASE",
                             "i64 > 3 AND length(t) > 2",
                             "_offset > 3",
                             "m > 3"}) {
    EXPECT_FALSE(is_native("t", filter)) << filter;
  }
}

}  // namespace
}  // namespace millrace::view
