// Walks one event through every stage of its life, and names the files that ARCHITECTURE.md names
// for them.
#include <gtest/gtest.h>

#include <fstream>

#include "client/http_client.h"
#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "server/node_fixture_test.h"
#include "sql/scalar_stage.h"
#include "wire/record_batch.h"

namespace millrace::server {
namespace {

class LifeOfAnEvent : public NodeTest {};

TEST_F(LifeOfAnEvent, GoesFromThePostThroughLogViewLakeAndGenerationToOneMergedAnswer) {
  open();
  sql("CREATE STREAM trips (at TIMESTAMP, city VARCHAR, minutes DOUBLE) WITH (time = at, key = "
      "city)");
  sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, sum(minutes) AS minutes "
      "FROM trips GROUP BY city");

  // src/endpoint/event_routes.cc: bytes over HTTP.
  runtime::WorkerPool pool("query", 1, 8);
  const auto services = node_->services(pool);
  auto server = endpoint::HttpServer::start({}, endpoint::api_routes(services));
  ASSERT_TRUE(server) << server.error().text();
  auto client = client::HttpClient::connect(fmt::format("http://127.0.0.1:{}", (*server)->port()));
  ASSERT_TRUE(client);
  const std::string event = R"({"at":"2026-01-01T08:00:00Z","city":"Lima","minutes":12.5})";
  auto posted = client->request("POST", "/v1/streams/trips/events", event + "\n{\"at\":3.5}\n",
                                {{"Content-Type", "application/x-ndjson"}});
  ASSERT_TRUE(posted) << posted.error().text();
  EXPECT_EQ(posted->status, 200);
  EXPECT_NE(posted->body.find("\"accepted\":1"), std::string::npos) << posted->body;
  EXPECT_NE(posted->body.find("\"line\":2"), std::string::npos) << posted->body;

  // src/ingest/ingest.cc and src/log/commit_log.cc: it is in the log, byte for byte, at offset 0.
  const auto stream = node_->speed().find_stream("trips");
  const auto tail = stream->snapshot().tail;
  ASSERT_EQ(tail.size(), 1U);
  const auto stored = node_->log().read(tail.front().place);
  ASSERT_TRUE(stored) << stored.error().text();
  std::string value;
  ASSERT_TRUE(wire::for_each_record(*stored, [&](std::string_view record) { value = record; }));
  EXPECT_EQ(value, event);
  EXPECT_EQ(tail.front().batch.base_offset, Offset(0));

  // src/speed/view_state.cc: it is in the view's delta, and no generation has it yet.
  const auto view = node_->speed().find_view("by_city");
  EXPECT_EQ(view->delta_groups(), 1U);
  EXPECT_EQ(view->coverage().streams[0].cut.events(), 0U);

  // src/ingest/lake_writer.cc and src/lake/lake.cc: one commit moves it into the lake, with the
  // position. src/serving/batch_scheduler.cc and src/batch/batch_job.cc: the batch layer computes
  // the generation up to there, and hands it over in one step.
  run_batch();
  const auto lake = node_->lake().snapshot(stream->definition().id);
  ASSERT_EQ(lake->commits.size(), 1U);
  EXPECT_EQ(lake->end.json(), "{\"0\":1}");
  EXPECT_TRUE(node_->lake().verify(stream->definition().id, lake->commits.front().files.front()));
  EXPECT_TRUE(stream->snapshot().tail.empty());
  EXPECT_EQ(view->coverage().streams[0].cut.json(), "{\"0\":1}");
  EXPECT_EQ(view->delta_groups(), 0U);
  EXPECT_EQ(view->base_groups(), 1U);

  // src/serving/view_reader.cc: a second event stays in the delta, and the answer merges both.
  post("trips", R"({"at":"2026-01-01T09:00:00Z","city":"Lima","minutes":0.5})");
  auto asked = client->request("GET", "/v1/views/by_city?city=Lima", {}, {});
  ASSERT_TRUE(asked) << asked.error().text();
  EXPECT_NE(asked->body.find(R"("rows":[["Lima",2,13.0]])"), std::string::npos) << asked->body;
  EXPECT_NE(asked->body.find(R"("cut":{"0":1},"delta_end":{"0":2},"quarantined":1)"),
            std::string::npos)
      << asked->body;

  // src/serving/select_statements.cc: the same by SQL; the record that could not be decoded waits
  // in quarantine.
  const auto rows = sql("SELECT city, trips FROM by_city");
  ASSERT_EQ(rows.rows, 1U);
  EXPECT_EQ(sql("SELECT code, reason, raw FROM trips__quarantine").rows, 1U);
  EXPECT_EQ(text_of(*sql("SELECT count(*) FROM trips").batches.front()), "2|\n");
  (*server)->stop();
}

TEST_F(LifeOfAnEvent, IsToldInArchitectureWithTheFilesThatThisTestNames) {
  std::ifstream architecture(std::filesystem::path(MR_SOURCE_FOLDER) / "ARCHITECTURE.md");
  ASSERT_TRUE(architecture);
  const std::string page((std::istreambuf_iterator<char>(architecture)), {});
  for (const auto* file :
       {"src/endpoint/event_routes.cc", "src/ingest/ingest.cc", "src/log/commit_log.cc",
        "src/speed/view_state.cc", "src/ingest/lake_writer.cc", "src/lake/lake.cc",
        "src/serving/batch_scheduler.cc", "src/batch/batch_job.cc", "src/serving/view_reader.cc",
        "src/serving/select_statements.cc"}) {
    EXPECT_NE(page.find(file), std::string::npos) << file;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(MR_SOURCE_FOLDER) / file)) << file;
  }
}

}  // namespace
}  // namespace millrace::server
