// Rows whose evaluation fails are skipped and counted, the same ones whatever the batches; all
// others count.
#include "view/evaluator.h"

#include <gtest/gtest.h>

#include "sql/syntax.h"
#include "view/finalizer.h"

namespace millrace::view {
namespace {

StreamDefinition numbers() {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "e";
  stream.columns = {{"t", {TypeKind::kVarchar}}, {"n", {TypeKind::kBigInt}}};
  return stream;
}

struct Event {
  const char* text;
  std::optional<std::int64_t> number;
};

StreamBatch batch_of(std::uint64_t base, std::span<const Event> events) {
  auto columns = std::make_shared<ColumnBatch>(numbers().types());
  for (const auto& event : events) {
    if (event.text == nullptr) {
      columns->column(0).push_null();
    } else {
      columns->column(0).push_string(event.text, columns->arena());
    }
    if (event.number) {
      columns->column(1).push(*event.number);
    } else {
      columns->column(1).push_null();
    }
  }
  return {.stream = StreamId(1),
          .partition = PartitionId(0),
          .base_offset = Offset(base),
          .arrival_us = 0,
          .columns = std::move(columns)};
}

class EvaluatorTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { database_ = *sql::Database::open({}); }
  static void TearDownTestSuite() { database_.reset(); }

  void prepare(std::string_view select) {
    const auto tree = sql::parse_select(select);
    ASSERT_TRUE(tree) << tree.error().text();
    auto view = compile_view(*database_, select, *tree, std::array{numbers()});
    ASSERT_TRUE(view) << view.error().text();
    view_ = std::move(*view);
    auto evaluator = Evaluator::make(*database_, view_, 0, numbers());
    ASSERT_TRUE(evaluator) << evaluator.error().text();
    evaluator_ = std::move(*evaluator);
  }
  /// The view's rows over the events, cut into batches of `size`, `together` of them in each run.
  std::string run(std::span<const Event> events, std::size_t size, bool together) {
    std::vector<StreamBatch> batches;
    for (std::size_t i = 0; i < events.size(); i += size) {
      batches.push_back(batch_of(i, events.subspan(i, std::min(size, events.size() - i))));
    }
    GroupTable groups(view_.plan);
    skipped_ = 0;
    const std::size_t step = together ? std::max<std::size_t>(batches.size(), 1) : 1;
    for (std::size_t i = 0; i < batches.size(); i += step) {
      const auto ran = evaluator_->run(std::span(batches).subspan(i, step), groups, skipped_);
      EXPECT_TRUE(ran) << ran.error().text();
    }
    const auto finalizer = Finalizer::make(*database_, view_);
    EXPECT_TRUE(finalizer) << finalizer.error().text();
    const auto made = (*finalizer)->rows(groups, false);
    EXPECT_TRUE(made) << made.error().text();
    const ColumnBatch& rows = **made;
    std::string out;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      for (const auto& column : rows.views()) out += value_text(column, row).value_or("NULL") + " ";
      out += "; ";
    }
    return out;
  }

  static inline std::shared_ptr<sql::Database> database_;
  CompiledView view_;
  std::unique_ptr<Evaluator> evaluator_;
  std::uint64_t skipped_ = 0;
};

const std::vector<Event> kEvents = {
    {"1", 1},         {"2", 2}, {"x", 3},         {nullptr, 4}, {"1", 4'000'000'000},
    {"", 1},          {"2", 9}, {"1", 3},         {"7e", 1},    {"1", std::nullopt},
    {"1", INT64_MIN}, {"2", 5}, {"3", INT64_MAX}, {"3", 7}};

TEST_F(EvaluatorTest, SkipsTheRowsWhoseCastFailsWhateverTheBatches) {
  prepare("SELECT t::INTEGER AS k, count(*) AS c FROM e GROUP BY k");
  for (const std::size_t size : {1U, 2U, 3U, 5U, 14U}) {
    for (const bool together : {false, true}) {
      EXPECT_EQ(run(kEvents, size, together), "NULL 1 ; 1 5 ; 2 3 ; 3 2 ; ") << size << together;
      EXPECT_EQ(skipped_, 3U);
    }
  }
}

TEST_F(EvaluatorTest, SkipsTheRowsWhoseArithmeticOverflows) {
  prepare("SELECT t, sum(n * n) AS s FROM e WHERE t IN ('1', '2', '3') GROUP BY t");
  for (const std::size_t size : {1U, 3U, 14U}) {
    EXPECT_EQ(run(kEvents, size, size != 1), "1 10 ; 2 110 ; 3 49 ; ") << size;
    EXPECT_EQ(skipped_, 3U);
  }
}

TEST_F(EvaluatorTest, FailsNoRowThatTheFilterTakesAway) {
  prepare("SELECT count(*) AS c, sum(n * n) AS s FROM e WHERE n < 100 AND n > 0");
  EXPECT_EQ(run(kEvents, 4, true), "10 196 ; ");
  EXPECT_EQ(skipped_, 0U);
}

TEST_F(EvaluatorTest, CountsRowsWithoutAnyColumn) {
  prepare("SELECT count(*) AS c FROM e");
  EXPECT_FALSE(evaluator_->is_native());
  EXPECT_EQ(run(kEvents, 3, true), "14 ; ");
  prepare("SELECT count(*) AS c FROM e WHERE n = 1");
  EXPECT_EQ(run(kEvents, 3, false), "3 ; ");
  prepare("SELECT count(*) AS c FROM e WHERE t::INTEGER = 1");
  EXPECT_EQ(run(kEvents, 5, true), "5 ; ");
  EXPECT_EQ(skipped_, 3U);
}

TEST_F(EvaluatorTest, RefusesNullsThatHaveNoTypeAndTakesThoseThatHaveOne) {
  constexpr const char* kUntyped = "SELECT count(NULL) AS n FROM e";
  const auto view =
      compile_view(*database_, kUntyped, *sql::parse_select(kUntyped), std::array{numbers()});
  if (view) EXPECT_FALSE(Evaluator::make(*database_, *view, 0, numbers()));
  prepare(
      "SELECT NULL::BIGINT AS k, count(*) AS c, count(NULL::DATE) AS n, max(NULL::VARCHAR) AS m, "
      "sum(NULL::DOUBLE) AS s FROM e GROUP BY k");
  EXPECT_EQ(run(kEvents, 5, true), "NULL 14 0 NULL NULL ; ");
}

TEST_F(EvaluatorTest, MakesNoGroupWhereTheFilterLeavesNothing) {
  for (const auto* select :
       {"SELECT t, count(*) AS c FROM e WHERE n > 5000000000 AND n < 0 GROUP BY t",
        "SELECT lower(t) AS k, count(*) AS c FROM e WHERE n > 5000000000 AND n < 0 GROUP BY k",
        "SELECT count(*) AS c FROM e WHERE n > 5000000000 AND n < 0"}) {
    prepare(select);
    EXPECT_EQ(run(kEvents, 3, true), "") << select;
    EXPECT_EQ(run({}, 3, true), "") << select;
    EXPECT_EQ(skipped_, 0U);
  }
}

TEST_F(EvaluatorTest, GivesTheSameByShortCutAndByDuckDb) {
  prepare("SELECT t, count(*) AS c, sum(n) AS s FROM e WHERE n > 1 GROUP BY t");
  ASSERT_TRUE(evaluator_->is_native());
  const auto native = run(kEvents, 4, true);
  prepare("SELECT t, count(*) AS c, sum(n) AS s FROM e WHERE n + 0 > 1 GROUP BY t");
  ASSERT_FALSE(evaluator_->is_native());
  EXPECT_EQ(native, run(kEvents, 4, true));
}

TEST(Slice, IsABatchOfItsOwnRowsAndOffsets) {
  const auto whole = batch_of(100, kEvents);
  const auto part = slice(whole, 4, 7);
  EXPECT_EQ(part.base_offset, Offset(104));
  EXPECT_EQ(part.end_offset(), Offset(107));
  ASSERT_EQ(part.columns->rows(), 3U);
  EXPECT_EQ(value_text(part.columns->column(0).view(), 2), "2");
  EXPECT_EQ(value_text(part.columns->column(1).view(), 0), "4000000000");
}

}  // namespace
}  // namespace millrace::view
