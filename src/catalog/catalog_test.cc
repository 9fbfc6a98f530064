#include "catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "catalog/record_store.h"
#include "runtime/file_system.h"

namespace millrace::catalog {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
}

Position position(std::initializer_list<std::uint64_t> ends) {
  Position out;
  std::uint32_t partition = 0;
  for (const auto end : ends) out.set_end(PartitionId(partition++), Offset(end));
  return out;
}

StreamDefinition flights() {
  StreamDefinition out;
  out.name = "flights";
  out.columns = {{"date", {TypeKind::kTimestamp}},
                 {"origin", {TypeKind::kVarchar}},
                 {"delay", {TypeKind::kBigInt}},
                 {"price", {TypeKind::kDecimal, 18, 3}},
                 {"extra \"x\" \xc3\xa4", {TypeKind::kJson}}};
  out.time_column = 0;
  out.partitions = 2;
  out.sql = "CREATE STREAM flights (…)";
  return out;
}

ViewRecord view_of(const StreamDefinition& stream, std::string name) {
  ViewRecord out;
  out.name = std::move(name);
  out.materialized = true;
  out.streams = {stream.id};
  out.select = "SELECT origin, count(*) FROM flights GROUP BY origin";
  out.sql = "CREATE MATERIALIZED VIEW v AS " + out.select;
  out.created_us = 1'700'000'000'000'000;
  return out;
}

LakeCommit commit_of(StreamId stream, std::uint64_t number, Position begin, Position end) {
  LakeCommit out;
  out.stream = stream;
  out.number = CommitNumber(number);
  out.begin = std::move(begin);
  out.end = std::move(end);
  out.files = {{fmt::format("{}-0.parquet", number), 1234, 0xdeadbeef, 10},
               {fmt::format("{}-1.parquet", number), 99, 0x1, 1}};
  out.committed_us = 1'700'000'000'000'001;
  return out;
}

Generation generation_of(ViewId view, std::uint64_t number, std::uint64_t commit, Position cut) {
  Generation out;
  out.view = view;
  out.number = GenerationNumber(number);
  out.cuts = {{CommitNumber(commit), std::move(cut)}};
  out.file = {fmt::format("v{}-g{}", view, number), 77, 0xcafe, 5};
  out.events = 30;
  out.created_us = 5;
  out.duration_us = 6;
  out.full = number % 2 == 0;
  out.drift_rows = 7;
  out.skipped_rows = 8;
  return out;
}

Checkpoint checkpoint_of(const ViewRecord& view, std::uint64_t base, std::uint64_t commit) {
  return {.view = view.id,
          .stream = view.streams.front(),
          .base_commit = CommitNumber(base),
          .commit = CommitNumber(commit),
          .file = {fmt::format("v{}-c{}", view.id, commit), 3, 4, 5},
          .skipped_rows = 2};
}

/// All that a catalog says, for comparison.
struct Content {
  std::vector<StreamDefinition> streams;
  std::vector<ViewRecord> views;
  std::vector<std::vector<LakeCommit>> commits;
  std::vector<std::vector<Generation>> generations;
  std::vector<std::vector<Checkpoint>> checkpoints;
  bool operator==(const Content&) const = default;
};

Content content(const Catalog& catalog) {
  Content out{.streams = catalog.streams(),
              .views = catalog.views(),
              .commits = {},
              .generations = {},
              .checkpoints = {}};
  for (const auto& stream : out.streams) out.commits.push_back(catalog.lake_commits(stream.id));
  for (const auto& view : out.views) {
    out.generations.push_back(catalog.generations(view.id));
    out.checkpoints.push_back(catalog.checkpoints(view.id));
  }
  return out;
}

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / fmt::format("millrace-catalog-{}-{}", getpid(),
                                                testing::UnitTest::GetInstance()->random_seed());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path path() const { return folder_ / "catalog.db"; }
  [[nodiscard]] fs::path log_path() const { return folder_ / "catalog.db-wal"; }

  std::unique_ptr<Catalog> open() {
    auto opened = Catalog::open(path());
    if (!opened) {
      ADD_FAILURE() << opened.error().text();
      return nullptr;
    }
    return std::move(*opened);
  }

  /// Two streams, two views, five commits, three generations, four checkpoints.
  static void fill(Catalog& catalog) {
    const auto stream = *catalog.create_stream(flights());
    auto other = flights();
    other.name = "clicks";
    const auto clicks = *catalog.create_stream(other);
    const auto view = *catalog.create_view(view_of(stream, "by_origin"));
    ASSERT_TRUE(catalog.create_view(view_of(clicks, "of_clicks")));
    Position begin;
    for (std::uint64_t n = 1; n <= 4; ++n) {
      const auto end = position({n * 10, n * 7});
      ASSERT_TRUE(catalog.add_lake_commit(commit_of(stream.id, n, begin, end)));
      ASSERT_TRUE(catalog.add_checkpoint(checkpoint_of(view, std::min<std::uint64_t>(n, 2), n)));
      begin = end;
    }
    ASSERT_TRUE(catalog.add_lake_commit(commit_of(clicks.id, 1, {}, position({0, 3}))));
    for (std::uint64_t g = 1; g <= 3; ++g) {
      const auto commit = g == 3 ? 2 : g;
      ASSERT_TRUE(catalog.add_generation(
          generation_of(view.id, g, commit, position({commit * 10, commit * 7})), 2));
    }
  }

  fs::path folder_;
};

TEST_F(CatalogTest, SaysTheSameAfterAReopen) {
  Content before;
  {
    const auto catalog = open();
    fill(*catalog);
    before = content(*catalog);
    EXPECT_EQ(before.streams.size(), 4U);
    EXPECT_EQ(before.commits[0].size(), 4U);
    EXPECT_EQ(before.generations[0].size(), 2U);
    EXPECT_EQ(before.checkpoints[0].size(), 1U);
  }
  EXPECT_FALSE(fs::exists(log_path()) && fs::file_size(log_path()) > 0)
      << "closing leaves one whole file";
  EXPECT_EQ(content(*open()), before);
}

TEST_F(CatalogTest, SaysTheSameWhenTheProgramDiedWithoutClosing) {
  const auto catalog = open();
  fill(*catalog);
  const auto copy = folder_ / "copy";
  fs::create_directories(copy);
  for (const auto* name : {"catalog.db", "catalog.db-wal", "catalog.epoch"}) {
    fs::copy_file(folder_ / name, copy / name);
  }
  const auto reopened = Catalog::open(copy / "catalog.db");
  ASSERT_TRUE(reopened) << reopened.error().text();
  EXPECT_EQ(content(**reopened), content(*catalog));
}

TEST_F(CatalogTest, ComparesNamesWithoutCaseInOneSpaceOfStreamsAndViews) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  EXPECT_EQ(catalog->find_stream("FlightS")->id, stream.id);
  EXPECT_EQ(catalog->find_stream("FLIGHTS__Quarantine")->id, *stream.quarantine);
  auto again = flights();
  again.name = "FLIGHTS";
  EXPECT_EQ(catalog->create_stream(again).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(catalog->create_view(view_of(stream, "Flights")).error().code,
            ErrorCode::kAlreadyExists);
  const auto view = *catalog->create_view(view_of(stream, "Routes"));
  EXPECT_EQ(catalog->find_view("routes")->id, view.id);
  again.name = "ROUTES";
  EXPECT_EQ(catalog->create_stream(again).error().code, ErrorCode::kAlreadyExists);
  EXPECT_FALSE(catalog->find_stream("routes"));
}

TEST_F(CatalogTest, CreatesTheQuarantineStreamWithItsStream) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto quarantine = *catalog->stream(*stream.quarantine);
  EXPECT_EQ(quarantine.name, "flights__quarantine");
  EXPECT_EQ(quarantine.columns, quarantine_columns());
  EXPECT_EQ(quarantine.partitions, 1U);
  EXPECT_FALSE(quarantine.time_column);
  EXPECT_FALSE(quarantine.quarantine);
  EXPECT_EQ(catalog->drop_stream(quarantine.id).error().id, error_id::kInUse);
  auto bad = flights();
  bad.name = "x__Quarantine";
  EXPECT_EQ(catalog->create_stream(bad).error().id, error_id::kBadName);
  bad.name = std::string(52, 'n');
  EXPECT_EQ(catalog->create_stream(bad).error().id, error_id::kBadName);
  bad.name = "no name";
  EXPECT_EQ(catalog->create_stream(bad).error().id, error_id::kBadName);
}

TEST_F(CatalogTest, NeverGivesAnIdTwice) {
  StreamId first_stream;
  ViewId first_view;
  {
    const auto catalog = open();
    const auto stream = *catalog->create_stream(flights());
    const auto view = *catalog->create_view(view_of(stream, "v"));
    first_stream = stream.id;
    first_view = view.id;
    ASSERT_TRUE(catalog->drop_view(view.id));
    ASSERT_TRUE(catalog->drop_stream(stream.id));
    EXPECT_TRUE(catalog->streams().empty());
  }
  const auto catalog = open();
  EXPECT_EQ(catalog->next_stream_id(), StreamId(first_stream.value + 2));
  const auto stream = *catalog->create_stream(flights());
  EXPECT_GT(stream.id, StreamId(first_stream.value + 1));
  EXPECT_GT(catalog->create_view(view_of(stream, "v"))->id, first_view);
}

TEST_F(CatalogTest, RefusesToDropAStreamThatAMaterializedViewReads) {
  const auto catalog = open();
  fill(*catalog);
  const auto stream = catalog->find_stream("flights")->id;
  const auto refused = catalog->drop_stream(stream);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("by_origin"));
  ASSERT_TRUE(catalog->drop_view(catalog->find_view("by_origin")->id));
  ASSERT_TRUE(catalog->drop_stream(stream));
  EXPECT_TRUE(catalog->lake_commits(stream).empty());
  EXPECT_FALSE(catalog->find_stream("flights__quarantine"));
  EXPECT_EQ(catalog->drop_stream(stream).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog->drop_view(ViewId(99)).error().code, ErrorCode::kNotFound);
}

TEST_F(CatalogTest, AReplacementTakesThePlaceOfItsViewWithEverythingThatIsOfIt) {
  auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto old = *catalog->create_view(view_of(stream, "v"));
  ASSERT_TRUE(catalog->add_lake_commit(commit_of(stream.id, 1, Position(), position({3, 4}))));
  ASSERT_TRUE(catalog->add_generation(generation_of(old.id, 1, 1, position({3, 4})), 2));
  auto next = view_of(stream, "V");
  next.replaces = old.id;
  next.select = "SELECT 1";
  next = *catalog->create_view(next);
  EXPECT_EQ(catalog->find_view("v"), old) << "no name finds the next definition";
  EXPECT_EQ(catalog->replacement_of(old.id), next);
  EXPECT_FALSE(catalog->create_view(next)) << "a view has at most one";
  ASSERT_TRUE(catalog->add_generation(generation_of(next.id, 1, 1, position({3, 4})), 2));
  catalog.reset();
  catalog = open();
  EXPECT_EQ(catalog->replacement_of(old.id), next);

  EXPECT_THAT(*catalog->switch_view(next.id), testing::ElementsAre(fmt::format("v{}-g1", old.id)));
  next.replaces.reset();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(catalog->find_view("v"), next);
    EXPECT_THAT(catalog->views(), testing::ElementsAre(next));
    EXPECT_TRUE(catalog->generations(old.id).empty());
    EXPECT_EQ(catalog->generations(next.id).size(), 1U);
    catalog.reset();
    catalog = open();
  }
}

TEST_F(CatalogTest, AReplacementGoesWithItsViewAndTheViewStaysWithoutIt) {
  auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto old = *catalog->create_view(view_of(stream, "v"));
  auto next = view_of(stream, "v");
  next.replaces = old.id;
  next = *catalog->create_view(next);
  ASSERT_TRUE(catalog->drop_view(next.id));
  EXPECT_EQ(catalog->switch_view(next.id).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(catalog->views(), testing::ElementsAre(old));
  next = *catalog->create_view(next);
  ASSERT_TRUE(catalog->drop_view(old.id));
  EXPECT_TRUE(catalog->views().empty());
  catalog.reset();
  catalog = open();
  EXPECT_TRUE(catalog->views().empty());
}

TEST_F(CatalogTest, KeepsTheContentsOfATableThatAViewIsMadeOf) {
  auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto content = [](std::uint64_t version) {
    return TableContent{TableVersion(version), {fmt::format("t{}", version), 1, 2, 3}, 4};
  };
  TableRecord record;
  record.name = "city";
  record.columns = {{"code", {TypeKind::kVarchar}}, {"fare", {TypeKind::kDecimal, 9, 2}}};
  record.primary_key = {1, 0};
  record.sql = "CREATE TABLE …";
  record.contents = {content(1)};
  const auto table = *catalog->create_table(record);
  EXPECT_EQ(catalog->create_table(record).error().id, error_id::kAlreadyExists);
  record.name = "flights";
  EXPECT_EQ(catalog->create_table(record).error().id, error_id::kAlreadyExists);
  auto view = view_of(stream, "v");
  view.tables = {{table.id, TableVersion(1)}};
  view = *catalog->create_view(view);
  EXPECT_TRUE(catalog->add_table_content(table.id, content(2))->empty());
  EXPECT_THAT(*catalog->add_table_content(table.id, content(3)), testing::ElementsAre("t2"));
  EXPECT_EQ(catalog->drop_table(table.id).error().id, error_id::kInUse);
  auto next = view;
  next.replaces = view.id;
  next.tables = {{table.id, TableVersion(2)}};
  EXPECT_FALSE(catalog->create_view(next)) << "that content is gone";
  next.tables = {{table.id, TableVersion(3)}};
  next = *catalog->create_view(next);
  catalog.reset();
  catalog = open();
  EXPECT_EQ(catalog->find_table("CITY")->contents, (std::vector{content(1), content(3)}));
  EXPECT_EQ(catalog->replacement_of(view.id), next);
  ASSERT_TRUE(catalog->switch_view(next.id));
  EXPECT_THAT(*catalog->drop_old_table_contents(), testing::ElementsAre("t1"));
  EXPECT_TRUE(catalog->drop_old_table_contents()->empty());
  catalog.reset();
  catalog = open();
  auto kept = table;
  kept.contents = {content(3)};
  EXPECT_EQ(catalog->table(table.id), kept);
  ASSERT_TRUE(catalog->drop_view(next.id));
  EXPECT_THAT(*catalog->drop_table(table.id), testing::ElementsAre("t3"));
  record.name = "city";
  EXPECT_GT(catalog->create_table(record)->id, table.id) << "ids are never given twice";
}

TEST_F(CatalogTest, TakesLakeCommitsOnlyWhereTheyTile) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto id = stream.id;
  const auto refused = [&](const LakeCommit& commit) {
    return catalog->add_lake_commit(commit).error().code;
  };
  EXPECT_EQ(refused(commit_of(id, 2, {}, position({5}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(commit_of(id, 1, position({1}), position({5}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(commit_of(id, 1, {}, {})), ErrorCode::kInternal);
  ASSERT_TRUE(catalog->add_lake_commit(commit_of(id, 1, position({0, 0}), position({5}))));
  EXPECT_EQ(refused(commit_of(id, 1, {}, position({5}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(commit_of(id, 2, position({5}), position({4, 9}))), ErrorCode::kInternal);
  ASSERT_TRUE(catalog->add_lake_commit(commit_of(id, 2, position({5, 0}), position({5, 9}))));
  EXPECT_EQ(refused(commit_of(StreamId(77), 1, {}, position({5}))), ErrorCode::kNotFound);
  EXPECT_EQ(catalog->lake_commits(id).size(), 2U);
}

TEST_F(CatalogTest, AGenerationDropsOldOnesAndTheCheckpointsThatItCovers) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  const auto view = *catalog->create_view(view_of(stream, "v"));
  ASSERT_TRUE(catalog->add_generation(generation_of(view.id, 1, 0, {}), 2));
  ASSERT_TRUE(catalog->add_lake_commit(commit_of(stream.id, 1, {}, position({1}))));
  ASSERT_TRUE(catalog->add_lake_commit(commit_of(stream.id, 2, position({1}), position({2}))));
  EXPECT_TRUE(catalog->add_checkpoint(checkpoint_of(view, 0, 1))->empty());
  EXPECT_THAT(*catalog->add_checkpoint(checkpoint_of(view, 0, 2)), testing::ElementsAre("v1-c1"));
  EXPECT_EQ(catalog->checkpoints(view.id).size(), 1U);
  EXPECT_EQ(catalog->add_checkpoint(checkpoint_of(view, 0, 3)).error().code, ErrorCode::kInternal);
  EXPECT_EQ(catalog->add_checkpoint(checkpoint_of(view, 2, 1)).error().code, ErrorCode::kInternal);

  const auto first = catalog->add_generation(generation_of(view.id, 2, 1, position({1})), 2);
  EXPECT_THAT(*first, testing::ElementsAre("v1-c2"));
  ASSERT_TRUE(catalog->add_checkpoint(checkpoint_of(view, 1, 2)));
  auto third = generation_of(view.id, 4, 2, position({2}));
  const auto second = catalog->add_generation(third, 2);
  EXPECT_THAT(*second, testing::ElementsAre("v1-c2", "v1-g1"));
  ASSERT_TRUE(catalog->add_checkpoint(checkpoint_of(view, 2, 2)));
  EXPECT_EQ(catalog->generations(view.id).back(), third);

  third.number = GenerationNumber(5);
  const auto same_file = catalog->add_generation(third, 1);
  EXPECT_THAT(*same_file, testing::ElementsAre("v1-g2"))
      << "a file that a kept generation names stays";
  EXPECT_EQ(catalog->checkpoints(view.id).size(), 1U) << "it begins at the cut";

  const auto refused = [&](const Generation& generation) {
    return catalog->add_generation(generation, 2).error().code;
  };
  EXPECT_EQ(refused(generation_of(view.id, 5, 2, position({2}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(generation_of(view.id, 6, 1, position({1}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(generation_of(view.id, 6, 2, position({1}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(generation_of(view.id, 6, 3, position({2}))), ErrorCode::kInternal);
  EXPECT_EQ(refused(generation_of(ViewId(9), 6, 2, position({2}))), ErrorCode::kNotFound);
}

TEST_F(CatalogTest, KeepsStatementsWhoseTextIsNotUtf8) {
  ViewRecord record;
  record.name = "odd";
  record.sql = std::string("SELECT '\xff\xfe \0 \n'", 16);
  {
    const auto catalog = open();
    record = *catalog->create_view(record);
  }
  EXPECT_EQ(*open()->find_view("odd"), record);
}

TEST_F(CatalogTest, RefusesANewerFormat) {
  {
    const auto catalog = open();
  }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 2", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  const auto opened = Catalog::open(path());
  EXPECT_EQ(opened.error().id, error_id::kFormatVersion);
}

TEST_F(CatalogTest, FindsRowsThatSomebodyChangedOrRemoved) {
  {
    const auto catalog = open();
    fill(*catalog);
  }
  const auto whole = read_bytes(path());
  for (const auto* change :
       {"DELETE FROM record WHERE kind = 'lake_commit' AND owner = 1 AND number = 4",
        "DELETE FROM record WHERE kind IN ('lake_commit', 'lake_end')", "DELETE FROM record",
        "UPDATE record SET content = replace(content, '10', '11') WHERE kind = 'lake_commit'",
        "UPDATE record SET number = 9 WHERE kind = 'checkpoint' AND number = 4",
        "UPDATE seal SET epoch = epoch + 1", "DELETE FROM seal", "CREATE TABLE other (x)",
        "INSERT INTO record VALUES ('mystery', 1, 1, '{}', 1)"}) {
    write_bytes(path(), whole);
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, change, nullptr, nullptr, nullptr), SQLITE_OK) << change;
    sqlite3_close(database);
    const auto opened = Catalog::open(path());
    ASSERT_FALSE(opened) << change;
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss) << change;
    EXPECT_THAT(opened.error().message, HasSubstr("catalog.db")) << change;
  }
}

TEST_F(CatalogTest, NoticesThatTransactionsAreLost) {
  {
    const auto catalog = open();
    fill(*catalog);
    fs::copy_file(path(), folder_ / "early.db");
  }
  const auto whole = read_bytes(path());
  const auto epoch = read_bytes(epoch_path(path()));
  const auto expect_lost = [&](std::string_view what) {
    const auto opened = Catalog::open(path());
    ASSERT_FALSE(opened) << what;
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss) << what;
  };
  {
    const auto catalog = open();
    ASSERT_TRUE(catalog->create_view(view_of(*catalog->find_stream("flights"), "late")));
  }
  write_bytes(path(), whole);
  expect_lost("an old database beside a new epoch");
  fs::remove(path());
  expect_lost("no database");
  write_bytes(path(), whole);
  write_bytes(epoch_path(path()), epoch);
  ASSERT_NE(open(), nullptr);
  fs::remove(epoch_path(path()));
  expect_lost("no epoch");
}

// Promise 1. SQLite drops a damaged tail of its log silently; the catalog must not.
TEST_F(CatalogTest, AFlippedBitIsReportedAndNeverChangesWhatTheCatalogSays) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto closed = folder_ / "closed";
  const auto killed = folder_ / "killed";
  fs::create_directories(closed);
  fs::create_directories(killed);
  const std::vector<std::string> names = {"catalog.db", "catalog.db-wal", "catalog.epoch"};
  Content expected;
  {
    const auto catalog = open();
    fill(*catalog);
    expected = content(*catalog);
    for (const auto& name : names) fs::copy_file(folder_ / name, killed / name);
  }
  for (const auto& name : names) {
    if (fs::exists(folder_ / name)) fs::copy_file(folder_ / name, closed / name);
  }
  const auto trial = folder_ / "trial";
  std::map<std::string, int> reported;
  for (const auto& from : {closed, killed}) {
    for (const auto& name : names) {
      if (!fs::exists(from / name) || fs::file_size(from / name) == 0) continue;
      const auto whole = read_bytes(from / name);
      for (int round = 0; round < 250; ++round) {
        fs::remove_all(trial);
        fs::copy(from, trial);
        auto bytes = whole;
        const auto bit =
            std::uniform_int_distribution<std::size_t>(0, bytes.size() * 8 - 1)(random);
        bytes[bit / 8] =
            static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) ^ (1U << (bit % 8)));
        write_bytes(trial / name, bytes);
        const auto opened = Catalog::open(trial / "catalog.db");
        if (opened) {
          ASSERT_EQ(content(**opened), expected) << name << " bit " << bit;
        } else {
          ++reported[name];
          ASSERT_THAT(opened.error().message, HasSubstr((trial / "catalog").string()));
          const bool known = opened.error().code == ErrorCode::kDataLoss ||
                             opened.error().id == error_id::kFormatVersion ||
                             opened.error().id == error_id::kDiskFailed;
          ASSERT_TRUE(known) << opened.error().text();
        }
      }
    }
  }
  EXPECT_EQ(reported["catalog.epoch"], 500);
  EXPECT_GT(reported["catalog.db-wal"], 0);

  // Most of a database file is free space: a random flip there says nothing. One in a record does.
  const auto whole = read_bytes(closed / "catalog.db");
  const auto record = whole.find("flights");
  ASSERT_NE(record, std::string::npos);
  for (std::size_t bit = 0; bit < std::string_view("flights").size() * 8; ++bit) {
    fs::remove_all(trial);
    fs::copy(closed, trial);
    auto bytes = whole;
    auto& byte = bytes[record + bit / 8];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (bit % 8)));
    write_bytes(trial / "catalog.db", bytes);
    EXPECT_FALSE(Catalog::open(trial / "catalog.db")) << "bit " << bit;
  }
}

TEST_F(CatalogTest, ATruncatedFileIsReported) {
  {
    const auto catalog = open();
    fill(*catalog);
  }
  const auto whole = read_bytes(path());
  for (std::size_t size = 0; size < whole.size(); size += 509) {
    write_bytes(path(), whole.substr(0, size));
    EXPECT_FALSE(Catalog::open(path())) << size;
  }
}

TEST_F(CatalogTest, IsReadWhileItIsWritten) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const auto commits = catalog->lake_commits(stream.id);
      for (std::size_t n = 0; n < commits.size(); ++n) ASSERT_EQ(commits[n].number.value, n + 1);
    }
  });
  Position begin;
  for (std::uint64_t n = 1; n <= 30; ++n) {
    const auto end = position({n});
    ASSERT_TRUE(catalog->add_lake_commit(commit_of(stream.id, n, begin, end)));
    begin = end;
  }
  done = true;
  reader.join();
  EXPECT_EQ(catalog->lake_commits(stream.id).size(), 30U);
}

TEST_F(CatalogTest, RefusesChangesAfterAWriteWhoseOutcomeIsUnknown) {
  const auto catalog = open();
  const auto stream = *catalog->create_stream(flights());
  // A folder where the epoch's new file would be written makes that write fail after the commit.
  fs::create_directories(folder_ / "catalog.epoch.tmp" / "x");
  const auto failed = catalog->add_lake_commit(commit_of(stream.id, 1, {}, position({1})));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(catalog->usable());
  EXPECT_EQ(catalog->drop_stream(stream.id).error().code, ErrorCode::kUnavailable);
  fs::remove_all(folder_ / "catalog.epoch.tmp");
  EXPECT_FALSE(catalog->usable());
}

}  // namespace
}  // namespace millrace::catalog
