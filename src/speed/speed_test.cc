// A stream and its views in memory: what generation, frozen and active segment answer together,
// edges and the tail, and that readers, rolls and appliers may meet at any moment.
#include <gtest/gtest.h>

#include <thread>

#include "speed/all_rows.h"
#include "speed/delta_spiller.h"
#include "speed/moment.h"
#include "speed/speed_layer.h"
#include "sql/syntax.h"
#include "view/key_codec.h"
#include "view/run_in_memory.h"

namespace millrace::speed {
namespace {

constexpr std::uint32_t kPartitions = 2;

StreamDefinition events() {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "Events";
  stream.columns = {{"k", {TypeKind::kVarchar}}, {"n", {TypeKind::kBigInt}}};
  stream.partitions = kPartitions;
  return stream;
}

/// `rows` events of the key with n = 1 each.
TailEntry entry(std::uint32_t partition, std::uint64_t base, std::string_view key,
                std::uint32_t rows = 1) {
  auto columns = std::make_shared<ColumnBatch>(events().types());
  for (std::uint32_t row = 0; row < rows; ++row) {
    columns->column(0).push_string(key, columns->arena());
    columns->column(1).push(std::int64_t{1});
  }
  return {.batch = {.stream = StreamId(1),
                    .partition = PartitionId(partition),
                    .base_offset = Offset(base),
                    .arrival_us = 0,
                    .columns = std::move(columns)},
          .place = {.segment = partition, .offset = base, .size_bytes = rows},
          .rows = rows,
          .applied_us = 1'000'000};
}

std::vector<TailEntry> entries(TailEntry one) {
  std::vector<TailEntry> out;
  out.push_back(std::move(one));
  return out;
}

Position position(std::uint64_t first, std::uint64_t second) {
  Position out(kPartitions);
  out.set_end(PartitionId(0), Offset(first));
  out.set_end(PartitionId(1), Offset(second));
  return out;
}

std::string key_bytes(std::string_view key) {
  const Type type{TypeKind::kVarchar};
  ColumnBatch batch(std::span(&type, 1));
  batch.column(0).push_string(key, batch.arena());
  const ColumnView views[] = {batch.column(0).view()};
  std::string out;
  view::encode_key(views, 0, out);
  return out;
}

std::shared_ptr<const view::StateRun> run_of(const ViewState& view, const view::GroupParts& parts) {
  const auto& compiled = view.compiled();
  return *view::StateRun::parse(view::run_file(compiled.fingerprint, parts, compiled.plan),
                                compiled.fingerprint);
}

std::string text_of(const ColumnBatch& rows) {
  std::string out;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (const auto& column : rows.views()) out += value_text(column, row).value_or("NULL") + " ";
    out += "; ";
  }
  return out;
}

class SpeedTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { database_ = *sql::Database::open({}); }
  static void TearDownTestSuite() { database_.reset(); }

  static std::shared_ptr<ViewState> make_view(std::uint32_t id, std::string_view select) {
    catalog::ViewRecord record;
    record.id = ViewId(id);
    record.name = fmt::format("View{}", id);
    record.streams = {StreamId(1)};
    const auto tree = sql::parse_select(select);
    EXPECT_TRUE(tree);
    auto compiled = view::compile_view(*database_, select, *tree, std::array{events()});
    EXPECT_TRUE(compiled) << compiled.error().text();
    auto evaluator = view::Evaluator::make(*database_, *compiled, 0, events());
    EXPECT_TRUE(evaluator) << evaluator.error().text();
    std::vector<std::unique_ptr<view::Evaluator>> evaluators;
    evaluators.push_back(std::move(*evaluator));
    auto finalizer = view::Finalizer::make(*database_, *compiled);
    EXPECT_TRUE(finalizer) << finalizer.error().text();
    return std::make_shared<ViewState>(record, std::move(*compiled), std::move(evaluators),
                                       std::move(*finalizer));
  }
  /// A view that is live and empty, part of the stream.
  static std::shared_ptr<ViewState> live_view(const std::shared_ptr<StreamState>& stream,
                                              std::uint32_t id = 1,
                                              std::string_view select = kSelect) {
    auto view = make_view(id, select);
    add_view(std::array{stream}, view, [&](std::span<const catalog::Cut> edges) {
      catalog::Generation empty;
      empty.view = view->record().id;
      empty.cuts.resize(1);
      view->restore(empty, view::StateRun::empty(), {}, {edges[0].end}, 0);
    });
    return view;
  }
  std::shared_ptr<StreamState> make_stream() {
    return std::make_shared<StreamState>(events(), options_, tail_bytes_, CommitNumber(0),
                                         Position(kPartitions));
  }
  static std::string lookup(const ViewState& view, std::string_view key) {
    const std::string bytes = key_bytes(key);
    const auto found = view.lookup(std::span(&bytes, 1));
    EXPECT_TRUE(found) << found.error().text();
    return found ? text_of(*found->rows) : "";
  }
  static std::string all(const ViewState& view) {
    const auto rows = all_rows(view);
    EXPECT_TRUE(rows) << rows.error().text();
    return text_of(**rows);
  }
  static std::string all(const ViewState& view, const ViewSnapshot& snapshot) {
    const auto rows = rows_of(view, snapshot);
    EXPECT_TRUE(rows) << rows.error().text();
    return text_of(**rows);
  }
  static void publish(ViewState& view, std::uint64_t number, CommitNumber commit,
                      const Position& cut, std::shared_ptr<const view::StateRun> base,
                      std::uint64_t skipped = 0) {
    catalog::Generation generation;
    generation.view = view.record().id;
    generation.number = GenerationNumber(number);
    generation.cuts = {{commit, cut}};
    generation.skipped_rows = skipped;
    view.publish(generation, std::move(base));
  }

  static constexpr std::string_view kSelect =
      "SELECT k, count(*) AS c, sum(n) AS s FROM events GROUP BY k";
  static inline std::shared_ptr<sql::Database> database_;
  TailOptions options_;
  std::atomic<std::uint64_t> tail_bytes_{0};
};

TEST_F(SpeedTest, ShowsTheSameAnswerBeforeAndAfterRollAndPublish) {
  const auto stream = make_stream();
  const auto view = live_view(stream);
  stream->apply(entries(entry(0, 0, "a", 3)));
  stream->apply(entries(entry(1, 0, "b", 2)));
  EXPECT_EQ(all(*view), "a 3 3 ; b 2 2 ; ");
  const auto rolled = cut_and_roll(std::array{stream}, true);
  EXPECT_EQ(rolled.edges.at(StreamId(1)).commit, CommitNumber(1));
  EXPECT_EQ(rolled.edges.at(StreamId(1)).end, position(3, 2));
  ASSERT_EQ(rolled.views.size(), 1U);
  EXPECT_EQ(all(*view), "a 3 3 ; b 2 2 ; ");
  stream->apply(entries(entry(0, 3, "a", 1)));
  EXPECT_EQ(lookup(*view, "a"), "a 4 4 ; ");

  const auto input = view->batch_input();
  ASSERT_TRUE(input.frozen);
  publish(*view, 1, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
          run_of(*view, *input.frozen));
  EXPECT_EQ(lookup(*view, "a"), "a 4 4 ; ");
  EXPECT_EQ(lookup(*view, "b"), "b 2 2 ; ");
  EXPECT_EQ(lookup(*view, "c"), "");
  EXPECT_EQ(all(*view), "a 4 4 ; b 2 2 ; ");
  const auto coverage = view->coverage();
  EXPECT_EQ(coverage.generation, GenerationNumber(1));
  EXPECT_EQ(coverage.streams[0].cut, position(3, 2));
  EXPECT_EQ(coverage.streams[0].delta_end, position(4, 2));
  EXPECT_EQ(view->delta_groups(), 1U);
  EXPECT_EQ(view->base_groups(), 2U);
  EXPECT_EQ(view->delta_events(), 1U);

  const auto snapshot = view->snapshot();
  ASSERT_TRUE(snapshot);
  stream->apply(entries(entry(0, 4, "c", 1)));
  EXPECT_EQ(all(*view, *snapshot), "a 4 4 ; b 2 2 ; ") << "a snapshot never changes";
  EXPECT_EQ(snapshot->coverage.streams[0].delta_end, position(4, 2));
}

TEST_F(SpeedTest, KeepsBothSegmentsWhereABatchRunDidNotEndWell) {
  const auto stream = make_stream();
  const auto view = live_view(stream);
  stream->apply(entries(entry(0, 0, "a", 3)));
  cut_and_roll(std::array{stream}, true);
  stream->apply(entries(entry(0, 3, "a", 1)));
  const auto again = cut_and_roll(std::array{stream}, true);
  EXPECT_EQ(again.edges.at(StreamId(1)).commit, CommitNumber(2));
  EXPECT_EQ(all(*view), "a 4 4 ; ");
  publish(*view, 1, again.edges.at(StreamId(1)).commit, again.edges.at(StreamId(1)).end,
          run_of(*view, *view->batch_input().frozen));
  EXPECT_EQ(all(*view), "a 4 4 ; ");
  EXPECT_EQ(view->delta_groups(), 0U);
}

TEST_F(SpeedTest, AnswersTheSameWhereItsDeltaIsOnDisk) {
  const auto stream = make_stream();
  const auto view = live_view(stream);
  view::ScratchInMemory scratch;
  const auto spill_all = [&] {
    for (;;) {
      const auto spilled = view->spill(scratch);
      ASSERT_TRUE(spilled) << spilled.error().text();
      if (!*spilled) return;
    }
  };
  const auto answers = [&](const std::string& expected) {
    EXPECT_EQ(all(*view), expected);
    EXPECT_EQ(all(*view, *view->snapshot()), expected);
    std::string each;
    for (const auto* key : {"a", "b", "c"}) each += lookup(*view, key);
    EXPECT_EQ(each, expected);
    const std::vector<std::string> keys = {key_bytes("a"), key_bytes("b"), key_bytes("c")};
    const auto units = view->read_units([&](auto& chosen) { chosen = keys; });
    ASSERT_TRUE(units) << units.error().text();
    EXPECT_EQ(text_of(*units->rows), expected);
  };
  stream->apply(entries(entry(0, 0, "a", 3)));
  spill_all();
  EXPECT_EQ(scratch.spills, 1);
  answers("a 3 3 ; ");
  stream->apply(entries(entry(0, 3, "a", 1)));
  stream->apply(entries(entry(1, 0, "b", 2)));
  answers("a 4 4 ; b 2 2 ; ");
  spill_all();
  EXPECT_EQ(view->delta_groups(), 3U) << "a in both runs";
  const auto draft = view->checkpoint(CommitNumber(9));
  ASSERT_TRUE(draft);
  const auto& compiled = view->compiled();
  EXPECT_EQ(view::run_file(1, draft->states, compiled.plan),
            view::run_file(1, view->snapshot()->parts, compiled.plan));
  const auto rolled = cut_and_roll(std::array{stream}, true);
  stream->apply(entries(entry(0, 4, "c", 5)));
  spill_all();
  answers("a 4 4 ; b 2 2 ; c 5 5 ; ");
  publish(*view, 1, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
          run_of(*view, *view->batch_input().frozen));
  answers("a 4 4 ; b 2 2 ; c 5 5 ; ");
  EXPECT_EQ(view->delta_groups(), 1U);
  EXPECT_EQ(view->base_groups(), 2U);
}

TEST_F(SpeedTest, KeepsTheDeltasWithinTheirMemory) {
  SpeedLayer layer(options_);
  const auto stream = layer.add_stream(events(), CommitNumber(0), Position(kPartitions));
  const auto view = live_view(stream, 1, "SELECT k, count(*) AS c FROM events GROUP BY k");
  layer.add_view(view);
  view::ScratchInMemory scratch;
  constexpr std::uint64_t kBytes = 64 << 10;
  std::uint64_t next = 0;
  {
    const DeltaSpiller spiller(layer, scratch, kBytes);
    // The table that a full one leaves behind is small: so many keys need several runs.
    while (spiller.spills() < 3) {
      ASSERT_LT(next, 10'000'000U);
      stream->apply(entries(entry(0, next, fmt::format("a key of some length {}", next), 1)));
      ++next;
    }
  }
  EXPECT_EQ(view->delta_groups(), next) << "each key came once";
  const auto rows = all_rows(*view);
  ASSERT_TRUE(rows) << rows.error().text();
  EXPECT_EQ((*rows)->rows(), next);
}

TEST_F(SpeedTest, CountsSkippedRowsOnceThroughRollAndPublish) {
  const auto stream = make_stream();
  const auto view =
      live_view(stream, 1, "SELECT k::INTEGER AS i, count(*) AS c FROM events GROUP BY i");
  stream->apply(entries(entry(0, 0, "bad", 2)));
  stream->apply(entries(entry(0, 2, "7", 1)));
  EXPECT_EQ(view->coverage().skipped_rows, 2U);
  const auto rolled = cut_and_roll(std::array{stream}, true);
  stream->apply(entries(entry(0, 3, "worse", 1)));
  EXPECT_EQ(view->coverage().skipped_rows, 3U);
  EXPECT_EQ(view->batch_input().frozen_skipped, 2U);
  publish(*view, 1, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
          run_of(*view, *view->batch_input().frozen), 2);
  EXPECT_EQ(view->coverage().skipped_rows, 3U);
  EXPECT_EQ(all(*view), "7 1 ; ");
}

TEST_F(SpeedTest, AnswersThatAViewIsBuildingUntilItsFirstGeneration) {
  const auto stream = make_stream();
  const auto view = make_view(1, kSelect);
  stream->apply(entries(entry(0, 0, "a", 5)));
  CommitNumber edge;
  add_view(std::array{stream}, view, [&](std::span<const catalog::Cut> edges) {
    edge = edges[0].commit;
    view->start_building({edges[0].end}, GenerationNumber(4));
  });
  EXPECT_EQ(edge, CommitNumber(1));
  stream->apply(entries(entry(0, 5, "a", 1)));
  const std::string key = key_bytes("a");
  for (const auto& id : {view->snapshot().error().id, view->lookup(std::span(&key, 1)).error().id,
                         view->snapshot(view::KeyRanges::prefix(key)).error().id}) {
    EXPECT_EQ(id, error_id::kViewBuilding);
  }
  EXPECT_EQ(view->batch_input().base, nullptr);
  EXPECT_EQ(view->checkpoint(CommitNumber(1)).has_value(), false);
  const auto rolled = cut_and_roll(std::array{stream}, true);
  view::GroupParts known = *view->batch_input().frozen;
  auto history = std::make_shared<view::GroupTable>(view->compiled().plan);
  const auto base = make_view(2, kSelect);  // the history before the view, computed elsewhere
  const StreamBatch old[] = {entry(0, 0, "a", 5).batch};
  std::uint64_t skipped = 0;
  auto evaluator = view::Evaluator::make(*database_, view->compiled(), 0, events());
  ASSERT_TRUE((*evaluator)->run(old, *history, skipped));
  known.tables.push_back(std::move(history));
  publish(*view, 5, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
          run_of(*view, known));
  EXPECT_EQ(view->phase(), ViewPhase::kLive);
  EXPECT_EQ(all(*view), "a 6 6 ; ");
}

TEST_F(SpeedTest, AFailedViewAnswersItsErrorAndHoldsNobodyUp) {
  const auto stream = make_stream();
  const auto view = live_view(stream);
  const auto other = live_view(stream, 2);
  view->fail(Error{.code = ErrorCode::kDataLoss,
                   .id = "MR4003",
                   .message = "its file is damaged",
                   .hint = {},
                   .place = {}});
  stream->apply(entries(entry(0, 0, "a", 5)));
  EXPECT_EQ(view->phase(), ViewPhase::kFailed);
  EXPECT_EQ(view->snapshot().error().message, "its file is damaged");
  const std::string key = key_bytes("a");
  EXPECT_EQ(view->lookup(std::span(&key, 1)).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(all(*other), "a 5 5 ; ");
  EXPECT_EQ(stream->applied(), position(5, 0));
}

TEST_F(SpeedTest, NumbersEdgesAsCommitsAndHandsThemOutInOrder) {
  options_.commit_rows = 4;
  const auto stream = make_stream();
  EXPECT_EQ(stream->cut_edge().commit, CommitNumber(0)) << "nothing to commit";
  EXPECT_EQ(stream->next_pending(), std::nullopt);
  stream->apply(entries(entry(0, 0, "a", 3)));
  EXPECT_EQ(stream->next_pending(), std::nullopt);
  EXPECT_EQ(stream->unedged_age_us(1'000'005), 5);
  stream->apply(entries(entry(1, 0, "b", 2)));  // 5 rows: the edge is due
  EXPECT_EQ(stream->unedged_age_us(1'000'005), 0);
  stream->apply(entries(entry(1, 2, "b", 1)));
  EXPECT_EQ(stream->cut_edge().commit, CommitNumber(2));
  EXPECT_EQ(stream->cut_edge().commit, CommitNumber(2));
  EXPECT_EQ(stream->tail_rows(), 6U);

  auto pending = stream->next_pending();
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending->edge.commit, CommitNumber(1));
  EXPECT_EQ(pending->edge.end, position(3, 2));
  EXPECT_EQ(pending->edge.rows, 5U);
  EXPECT_EQ(pending->entries.size(), 2U);
  stream->committed(CommitNumber(1));
  EXPECT_EQ(stream->tail_rows(), 1U);
  pending = stream->next_pending();
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending->edge.commit, CommitNumber(2));
  EXPECT_EQ(pending->edge.end, position(3, 3));
  stream->committed(CommitNumber(2));
  EXPECT_EQ(stream->next_pending(), std::nullopt);
  EXPECT_EQ(stream->snapshot().tail.size(), 0U);
  EXPECT_EQ(stream->snapshot().applied, position(3, 3));
  EXPECT_EQ(tail_bytes_, 0U);
}

TEST_F(SpeedTest, GoesOnBehindWhatTheLakeHas) {
  StreamState stream(events(), options_, tail_bytes_, CommitNumber(7), position(10, 20));
  EXPECT_EQ(stream.applied(), position(10, 20));
  stream.apply(entries(entry(1, 20, "a")));
  const auto edge = stream.cut_edge();
  EXPECT_EQ(edge.commit, CommitNumber(8));
  EXPECT_EQ(edge.end, position(10, 21));
}

TEST_F(SpeedTest, LetsColumnsGoBeyondTheBudgetButKeepsTheirPlace) {
  const std::uint64_t one = entry(0, 0, "a", 10).batch.columns->size_bytes();
  options_.tail_bytes_max = 2 * one;
  const auto stream = make_stream();
  const auto view = live_view(stream);
  for (std::uint64_t n = 0; n < 5; ++n) stream->apply(entries(entry(0, 10 * n, "a", 10)));
  const auto tail = stream->snapshot().tail;
  ASSERT_EQ(tail.size(), 5U);
  for (std::size_t i = 0; i < tail.size(); ++i) {
    EXPECT_EQ(tail[i].batch.columns != nullptr, i < 2) << i;
    EXPECT_EQ(tail[i].place.offset, 10 * i);
    EXPECT_EQ(tail[i].end_offset(), Offset(10 * i + 10));
  }
  EXPECT_EQ(tail_bytes_, 2 * one);
  EXPECT_EQ(all(*view), "a 50 50 ; ");
  stream->cut_edge();
  stream->committed(CommitNumber(1));
  EXPECT_EQ(tail_bytes_, 0U);
  stream->apply(entries(entry(0, 50, "a", 10)));
  EXPECT_NE(stream->snapshot().tail.front().batch.columns, nullptr) << "there is room again";
}

TEST_F(SpeedTest, DraftsACheckpointAtAnEdgeWhenItIsDueOrWanted) {
  options_.checkpoint_rows = 5;
  const auto stream = make_stream();
  const auto view = live_view(stream);
  stream->apply(entries(entry(0, 0, "a", 2)));
  stream->cut_edge();
  EXPECT_TRUE(stream->next_pending()->edge.checkpoints.empty()) << "2 of 5 rows";
  stream->committed(CommitNumber(1));
  stream->apply(entries(entry(0, 2, "b", 4)));
  stream->cut_edge();
  const auto due = stream->next_pending()->edge.checkpoints;
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].view, ViewId(1));
  EXPECT_EQ(due[0].base_commit, CommitNumber(0));
  EXPECT_EQ(due[0].commit, CommitNumber(2));
  EXPECT_EQ(due[0].states.groups(), 2U);
  stream->committed(CommitNumber(2));

  // A batch run holds the delta in two parts: no draft, and it stays wanted.
  stream->want_checkpoint();
  stream->apply(entries(entry(0, 6, "c", 1)));
  const auto rolled = cut_and_roll(std::array{stream}, true);
  stream->committed(CommitNumber(3));
  stream->apply(entries(entry(0, 7, "d", 1)));
  stream->want_checkpoint();
  stream->cut_edge();
  EXPECT_TRUE(stream->next_pending()->edge.checkpoints.empty());
  stream->committed(CommitNumber(4));
  publish(*view, 1, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
          run_of(*view, *view->batch_input().frozen));
  stream->apply(entries(entry(0, 8, "e", 1)));
  stream->cut_edge();
  const auto wanted = stream->next_pending()->edge.checkpoints;
  ASSERT_EQ(wanted.size(), 1U);
  EXPECT_EQ(wanted[0].base_commit, CommitNumber(3));
  EXPECT_EQ(wanted[0].states.groups(), 2U) << "d and e, which the generation does not have";
}

TEST_F(SpeedTest, GivesWhatAPrefixOfTheKeyNames) {
  const auto stream = make_stream();
  const auto view = live_view(stream, 1, "SELECT k, n, count(*) AS c FROM events GROUP BY k, n");
  stream->apply(entries(entry(0, 0, "a", 2)));
  cut_and_roll(std::array{stream}, true);
  stream->apply(entries(entry(0, 2, "ab", 3)));
  const auto wanted = view::KeyRanges::prefix(key_bytes("a"));
  const auto snapshot = view->snapshot(wanted);
  ASSERT_TRUE(snapshot);
  const auto keys = keys_in(*snapshot, wanted);
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_EQ(keys->size(), 1U) << "a, and not what begins with the same letter";
  EXPECT_EQ(snapshot->coverage.streams[0].delta_end, position(5, 0));
}

TEST_F(SpeedTest, FindsStreamsAndViewsByNameWithoutCaseUntilTheyGo) {
  SpeedLayer layer(options_);
  const auto stream = layer.add_stream(events(), CommitNumber(0), Position(kPartitions));
  const auto view = live_view(stream);
  layer.add_view(view);
  EXPECT_EQ(layer.find_stream("EVENTS"), stream);
  EXPECT_EQ(layer.stream(StreamId(1)), stream);
  EXPECT_EQ(layer.find_view("view1"), view);
  EXPECT_EQ(layer.find_view("view2"), nullptr);
  stream->apply(entries(entry(0, 0, "a", 2)));
  EXPECT_GT(layer.delta_bytes(), 0U);
  EXPECT_GT(layer.tail_bytes(), 0U);
  stream->remove_view(ViewId(1));
  layer.remove_view(ViewId(1));
  layer.remove_stream(StreamId(1));
  EXPECT_EQ(layer.find_stream("events"), nullptr);
  EXPECT_EQ(layer.find_view("view1"), nullptr);
  EXPECT_TRUE(layer.streams().empty());
  EXPECT_TRUE(layer.views().empty());
}

// Every answer, whenever it is asked, is that of one position: with one event per key and round,
// all keys have the count that the covered position tells.
TEST_F(SpeedTest, GivesAnswersOfOnePositionWhileEventsRollsAndGenerationsComeIn) {
  options_.commit_rows = 50;
  const auto stream = make_stream();
  const auto view = live_view(stream);
  constexpr std::uint64_t kRounds = 400;
  std::atomic<bool> done{false};
  std::thread applier([&] {
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      std::vector<TailEntry> both;
      both.push_back(entry(0, round, "a"));
      both.push_back(entry(1, round, "b"));
      stream->apply(std::move(both));
    }
    done = true;
  });
  std::thread lake([&] {
    while (!done) {
      while (const auto pending = stream->next_pending()) stream->committed(pending->edge.commit);
      std::this_thread::yield();
    }
  });
  std::thread batch([&] {
    for (std::uint64_t number = 1; !done; ++number) {
      const auto rolled = cut_and_roll(std::array{stream}, true);
      const auto input = view->batch_input();
      view::GroupParts known = *input.frozen;
      known.runs.push_back(input.base);
      publish(*view, number, rolled.edges.at(StreamId(1)).commit, rolled.edges.at(StreamId(1)).end,
              run_of(*view, known));
      stream->want_checkpoint();
    }
  });
  view::ScratchInMemory scratch;
  std::thread spiller([&] {
    while (!done) {
      ASSERT_TRUE(view->spill(scratch));
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> readers;
  for (int n = 0; n < 2; ++n) {
    readers.emplace_back([&, n] {
      const std::string keys[] = {key_bytes("a"), key_bytes("b")};
      while (!done) {
        if (n == 0) {
          const auto found = view->lookup(keys);
          ASSERT_TRUE(found);
          const auto rounds = found->coverage.streams[0].delta_end.end(PartitionId(0)).value;
          ASSERT_EQ(found->coverage.streams[0].delta_end, position(rounds, rounds));
          ASSERT_TRUE(found->coverage.streams[0].delta_end.covers(found->coverage.streams[0].cut));
          ASSERT_EQ(text_of(*found->rows),
                    rounds == 0 ? "" : fmt::format("a {0} {0} ; b {0} {0} ; ", rounds));
        } else {
          const auto snapshot = view->snapshot();
          ASSERT_TRUE(snapshot);
          const auto rounds = snapshot->coverage.streams[0].delta_end.end(PartitionId(1)).value;
          ASSERT_EQ(all(*view, *snapshot),
                    rounds == 0 ? "" : fmt::format("a {0} {0} ; b {0} {0} ; ", rounds));
          const auto tail = stream->snapshot();
          std::uint64_t waiting = 0;
          for (const auto& one : tail.tail) waiting += one.rows;
          ASSERT_LE(waiting, tail.applied.events());
        }
      }
    });
  }
  applier.join();
  lake.join();
  batch.join();
  spiller.join();
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(all(*view), fmt::format("a {0} {0} ; b {0} {0} ; ", kRounds));
}

}  // namespace
}  // namespace millrace::speed
