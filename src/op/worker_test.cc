// The worker frame by frame: what it answers, what it keeps, how it goes on after an error.
#include "op/worker.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "base/bytes.h"
#include "op/sample_events.h"

namespace millrace::op {
namespace {

struct Answer {
  FrameOp op;
  std::uint32_t seq;
  std::string payload;
};

/// A worker whose answers are kept.
class WorkerTest : public testing::Test {
 protected:
  void start(std::string plan, std::uint64_t memory_bytes = 0) {
    worker_ = std::make_unique<Worker>(
        std::move(plan), memory_bytes,
        [this](FrameOp op, std::uint32_t seq, std::string_view payload) -> Status {
          answers_.push_back({op, seq, std::string(payload)});
          return {};
        });
  }
  std::vector<Answer> send(FrameOp op, std::string payload = {}) {
    answers_.clear();
    EXPECT_TRUE(worker_->handle({.op = op, .seq = ++seq_, .payload = std::move(payload)}));
    EXPECT_FALSE(answers_.empty());
    for (const auto& answer : answers_) EXPECT_EQ(answer.seq, seq_);
    return answers_;
  }
  static std::string partial(std::int64_t begin, std::int64_t end, std::int64_t keys = 4) {
    return std::string(1, '\0') + sample_events(begin, end, keys);
  }
  /// The text of every row of the answers that have the op.
  static std::vector<std::string> rows(const std::vector<Answer>& answers, FrameOp op) {
    std::vector<std::string> out;
    for (const auto& answer : answers) {
      if (answer.op != op) continue;
      EXPECT_TRUE(read_arrow_stream(answer.payload, [&](const ArrayBatchView& batch) -> Status {
        std::vector<Column> columns;
        for (const auto& field : batch.fields) {
          const bool is_text = field.type.kind == ArrowKind::kUtf8;
          const bool is_number = field.type.kind == ArrowKind::kInteger;
          columns.push_back({field.name,
                             {is_text                                  ? TypeKind::kVarchar
                              : is_number                              ? TypeKind::kBigInt
                              : field.type.kind == ArrowKind::kDecimal ? TypeKind::kHugeInt
                                                                       : TypeKind::kBlob}});
        }
        MR_TRY(const auto got, read_columns(batch, columns));
        for (std::size_t row = 0; row < got->rows(); ++row) {
          std::string text;
          for (const auto& column : got->views())
            text += (text.empty() ? "" : "|") + value_text(column, row).value_or("NULL");
          out.push_back(std::move(text));
        }
        return {};
      }));
    }
    return out;
  }
  static std::string error_code(const std::vector<Answer>& answers) {
    if (answers.back().op != FrameOp::kErr) return "none";
    return std::string(
        boost::json::parse(answers.back().payload).as_object().at("code").as_string());
  }

  std::unique_ptr<Worker> worker_;
  std::vector<Answer> answers_;
  std::uint32_t seq_ = 0;
};

TEST_F(WorkerTest, HelloTakesThePlanAndTellsWhichBuildItIs) {
  start("");
  EXPECT_EQ(error_code(send(FrameOp::kFlush)), error_id::kFrame);
  EXPECT_EQ(error_code(send(FrameOp::kHello, "{}")), error_id::kPlan);
  const auto answers = send(FrameOp::kHello, sample_plan());
  ASSERT_EQ(answers.back().op, FrameOp::kHello);
  const auto hello = boost::json::parse(answers.back().payload).as_object();
  EXPECT_EQ(hello.at("abi").as_int64(), kAbiVersion);
  EXPECT_EQ(hello.at("build").as_string().size(), 64U);
  EXPECT_EQ(hello.at("plan").as_string().size(), 64U);
  EXPECT_EQ(hello.at("view").as_string(), "v");
  EXPECT_EQ(send(FrameOp::kHello).back().payload, answers.back().payload);
  EXPECT_EQ(error_code(send(FrameOp::kHello, sample_plan("SELECT count(*) FROM e"))),
            error_id::kFrame);
}

TEST_F(WorkerTest, StatesOfTwoPartsMergeToTheRowsOfAll) {
  start(sample_plan());
  EXPECT_EQ(send(FrameOp::kPartial, partial(0, 30)).size(), 1U);
  const auto first = send(FrameOp::kFlush);
  EXPECT_EQ(rows(first, FrameOp::kStates).size(), 4U);
  EXPECT_EQ(send(FrameOp::kFlush).size(), 1U) << "it holds something after a FLUSH";
  send(FrameOp::kPartial, partial(30, 40));
  const auto second = send(FrameOp::kFlush);
  for (const auto* part : {&second, &first}) {
    EXPECT_EQ(send(FrameOp::kMerge, part->front().payload).back().op, FrameOp::kMerge);
  }
  EXPECT_EQ(
      rows(send(FrameOp::kFinalize, "\1"), FrameOp::kRows),
      (std::vector<std::string>{"key 0|10|180", "key 1|10|190", "key 2|10|200", "key 3|10|210"}));
  EXPECT_EQ(send(FrameOp::kFlush).size(), 1U);
}

TEST_F(WorkerTest, AFullTableLeavesAsStatesBeforeItsAnswer) {
  start(sample_plan(), 1 << 20);
  std::map<std::string, int> seen;
  std::size_t early = 0;
  std::vector<std::string> states;
  for (int i = 0; i < 6; ++i) {
    const auto answers = send(FrameOp::kPartial, partial(i * 5'000, i * 5'000 + 5'000, 1 << 20));
    EXPECT_EQ(answers.back().op, FrameOp::kPartial);
    early += answers.size() - 1;
    for (const auto& answer : answers) {
      if (answer.op == FrameOp::kStates) states.push_back(answer.payload);
    }
  }
  EXPECT_GT(early, 0U);
  for (const auto& answer : send(FrameOp::kFlush)) {
    if (answer.op == FrameOp::kStates) states.push_back(answer.payload);
  }
  start(sample_plan());
  for (const auto& part : states) send(FrameOp::kMerge, part);
  EXPECT_EQ(rows(send(FrameOp::kFinalize, "\1"), FrameOp::kRows).size(), 30'000U);
}

TEST_F(WorkerTest, MergedStatesThatOutgrowTheMemoryAreAnError) {
  start(sample_plan());
  send(FrameOp::kPartial, partial(0, 30'000, 1 << 20));
  const auto states = send(FrameOp::kFlush);
  start(sample_plan(), 1 << 20);
  EXPECT_EQ(error_code(send(FrameOp::kMerge, states.front().payload)), error_id::kOperatorMemory);
}

TEST_F(WorkerTest, RowsThatCannotBeEvaluatedComeBackWithTheirPosition) {
  start(sample_plan("SELECT count(*) AS c, sum(CAST(t AS BIGINT)) AS s FROM e"));
  const auto answers = send(FrameOp::kPartial, partial(0, 30));
  ASSERT_EQ(answers.size(), 2U);
  const auto skipped = rows(answers, FrameOp::kSkipped);
  ASSERT_EQ(skipped.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string number = std::to_string(10 * i + 7);
    EXPECT_TRUE(skipped[i].starts_with("e|3|" + number + "|")) << skipped[i];
    EXPECT_TRUE(skipped[i].ends_with("\"n\":" + number + ",\"t\":\"bad\"}")) << skipped[i];
  }
  EXPECT_EQ(rows(send(FrameOp::kFinalize, "\1"), FrameOp::kRows),
            (std::vector<std::string>{"27|384"}));
}

TEST_F(WorkerTest, AViewWithoutKeysHasARowOfNothingOnlyAsAWhole) {
  start(sample_plan("SELECT count(*) AS c, sum(n) AS s FROM e"));
  EXPECT_EQ(rows(send(FrameOp::kFinalize, std::string(1, '\0')), FrameOp::kRows).size(), 0U);
  EXPECT_EQ(rows(send(FrameOp::kFinalize, "\1"), FrameOp::kRows),
            (std::vector<std::string>{"0|NULL"}));
}

TEST_F(WorkerTest, HiddenColumnsAreThoseOfEachRow) {
  start(
      sample_plan("SELECT _partition AS p, min(_offset) AS a, max(_offset) AS b, "
                  "max(epoch_us(_arrival)) AS t FROM e GROUP BY p"));
  send(FrameOp::kPartial, partial(5, 25));
  EXPECT_EQ(rows(send(FrameOp::kFinalize, "\1"), FrameOp::kRows),
            (std::vector<std::string>{"3|5|24|24000000"}));
}

TEST_F(WorkerTest, ABadFrameIsAnErrorAndTheNextIsServed) {
  start(sample_plan());
  for (const auto& [op, payload] : std::vector<std::pair<int, std::string>>{{0, ""},
                                                                            {77, "x"},
                                                                            {3, ""},
                                                                            {2, ""},
                                                                            {2,
                                                                             "\x05"
                                                                             "ab"},
                                                                            {5, ""},
                                                                            {5, "\2"},
                                                                            {7, "x"}}) {
    EXPECT_EQ(error_code(send(static_cast<FrameOp>(op), payload)), error_id::kFrame) << op;
  }
  EXPECT_EQ(error_code(send(FrameOp::kPartial, std::string("\0no arrow", 9))), error_id::kArrow);
  EXPECT_EQ(error_code(send(FrameOp::kPartial, "\1z" + sample_events(0, 1))),
            error_id::kStreamNotFound);
  EXPECT_EQ(send(FrameOp::kPartial, "\1e" + sample_events(0, 1)).back().op, FrameOp::kPartial);
  EXPECT_EQ(rows(send(FrameOp::kFlush), FrameOp::kStates).size(), 1U);
}

TEST_F(WorkerTest, ADamagedStateEndsTheOperator) {
  start(sample_plan());
  send(FrameOp::kPartial, partial(0, 4));
  auto states = send(FrameOp::kFlush).front().payload;
  const std::size_t at = states.rfind("key 3");
  ASSERT_NE(at, std::string::npos);
  states[at - 1] = '\x55';
  const auto code = error_code(send(FrameOp::kMerge, states));
  EXPECT_NE(code, "none");
  EXPECT_EQ(error_code(send(FrameOp::kFlush)), code) << "a part of the states would leave";
}

TEST(Frame, ComesInPiecesOfAnySize) {
  std::string bytes;
  append_frame(bytes, FrameOp::kMerge, 7, "payload");
  append_frame(bytes, FrameOp::kFlush, 0xffffffff, "");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    FrameReader reader;
    std::vector<Frame> frames;
    for (std::size_t i = 0; i < bytes.size(); i += step) {
      reader.feed(std::string_view(bytes).substr(i, step));
      for (;;) {
        auto frame = reader.next();
        ASSERT_TRUE(frame);
        if (!*frame) break;
        frames.push_back(std::move(**frame));
      }
    }
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_EQ(frames[0].payload, "payload");
    EXPECT_EQ(frames[0].seq, 7U);
    EXPECT_EQ(frames[1].op, FrameOp::kFlush);
    EXPECT_TRUE(reader.is_between_frames());
  }
}

TEST(Frame, ALengthThatIsTooLargeIsRefusedBeforeItComes) {
  std::string bytes;
  ByteWriter(bytes).put(static_cast<std::uint32_t>(kFrameBytesMax + 1));
  bytes += std::string(5, '\0');
  FrameReader reader;
  reader.feed(bytes);
  EXPECT_EQ(reader.next().error().id, error_id::kFrame);
}

}  // namespace
}  // namespace millrace::op
