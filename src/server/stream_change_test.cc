// Streams that change while they live: columns come, go, get other names and wider types, between
// events, lake commits, batch runs and restarts. Old files keep reading right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "server/node_fixture_test.h"
#include "server/random_events_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class StreamChange : public NodeTest {};

TEST_F(StreamChange, OldEventsHaveDefaultsNewNamesAndWiderTypes) {
  open();
  sql("CREATE STREAM e (k VARCHAR, n INTEGER, f FLOAT, m DECIMAL(6,2), d DATE, gone BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM e GROUP BY k");
  post("e", "{\"k\":\"a\",\"n\":1,\"f\":0.1,\"m\":1.25,\"d\":\"2024-02-29\",\"gone\":7}\n");
  sql("ALTER STREAM e ADD COLUMN city VARCHAR DEFAULT 'Lima''s'");
  sql("ALTER STREAM e ALTER COLUMN n TYPE BIGINT");
  sql("ALTER STREAM e ALTER f SET DATA TYPE DOUBLE");
  sql("ALTER STREAM e ALTER m TYPE DECIMAL(18,4)");
  sql("ALTER STREAM e ALTER d TYPE TIMESTAMP");
  sql("ALTER STREAM e RENAME COLUMN n TO number");
  sql("ALTER STREAM e DROP COLUMN gone");
  post("e",
       "{\"k\":\"b\",\"number\":3000000000,\"f\":0.1,\"m\":1.2345,\"d\":\"2024-03-01T12:00\"}\n"
       "{\"k\":\"b\",\"number\":2,\"city\":null,\"gone\":8,\"n\":9}\n");
  const std::string all =
      "a|1|3fb99999a0000000|1.2500|2024-02-29 00:00:00|Lima's|\n"
      "b|3000000000|3fb999999999999a|1.2345|2024-03-01 12:00:00|Lima's|\n"
      "b|2|NULL|NULL|NULL|NULL|\n";
  const auto* columns = "SELECT k, number, f, m, d, city FROM e ORDER BY _offset";
  EXPECT_EQ(rows(columns), all);
  EXPECT_EQ(text_of(*all_rows("v").rows), "a|1|\nb|2|\n");
  open();
  EXPECT_EQ(rows(columns), all);
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  commit_to_lake("e");
  open();
  EXPECT_EQ(rows(columns), all);
  EXPECT_EQ(text_of(*all_rows("v").rows), "a|1|\nb|2|\n");
  sql("CREATE MATERIALIZED VIEW w AS SELECT city, sum(number) AS s, max(d) AS d FROM e GROUP BY "
      "city");
  EXPECT_EQ(rows("SELECT * FROM w ORDER BY s"),
            "NULL|2|NULL|\nLima's|3000000001|2024-03-01 12:00:00|\n");
  // A name that was given up is free, and means another column.
  sql("ALTER STREAM e ADD gone VARCHAR");
  EXPECT_EQ(rows("SELECT count(gone) FROM e"), "0|\n");
}

TEST_F(StreamChange, AColumnThatAViewUsesStaysAndTheErrorNamesTheView) {
  open();
  sql("CREATE STREAM e (k VARCHAR, n INTEGER, o INTEGER)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k AS x, sum(n) AS s FROM e GROUP BY x");
  sql("CREATE VIEW plain AS SELECT o + 1 AS p FROM e");
  for (const auto* text : {"ALTER STREAM e DROP COLUMN N", "ALTER STREAM e RENAME k TO key",
                           "ALTER STREAM e ALTER n TYPE BIGINT"}) {
    const auto error = refused(text);
    EXPECT_EQ(error.id, error_id::kInUse) << text;
    EXPECT_THAT(error.message, HasSubstr("used by v")) << text;
    EXPECT_THAT(error.hint, HasSubstr("CREATE OR REPLACE")) << text;
  }
  EXPECT_THAT(refused("ALTER STREAM e DROP o").message, HasSubstr("used by plain"));
  sql("ALTER STREAM e ALTER o TYPE BIGINT");
  EXPECT_THAT(refused("ALTER STREAM e ALTER o TYPE INTEGER").message, HasSubstr("not every value"));
  EXPECT_EQ(refused("ALTER STREAM e ADD n BIGINT").id, error_id::kAlreadyExists);
  EXPECT_EQ(refused("ALTER STREAM e DROP nothing").id, error_id::kColumnNotFound);
  EXPECT_EQ(refused("ALTER STREAM e ADD z BIGINT DEFAULT 'x'").id, error_id::kBadOption);
  sql("DROP MATERIALIZED VIEW v");
  sql("ALTER STREAM e DROP n");
}

TEST_F(StreamChange, UnknownFieldsAreIgnoredRefusedOrKept) {
  open();
  sql("CREATE STREAM e (n BIGINT, rest JSON) WITH (unknown_fields = 'keep:rest')");
  post("e", "{\"a\":[1, 2],\"n\":1,\"b\":{\"c\":\"d\"},\"rest\":true}\n{\"n\":2}\n");
  const std::string kept = "1|{\"a\":[1, 2],\"b\":{\"c\":\"d\"},\"rest\":true}|\n2|NULL|\n";
  EXPECT_EQ(rows("SELECT * FROM e ORDER BY n"), kept);
  open();
  EXPECT_EQ(rows("SELECT * FROM e ORDER BY n"), kept);
  sql("ALTER STREAM e SET (unknown_fields = 'refuse')");
  const auto reply = post("e", "{\"n\":3,\"nn\":3}\n{\"n\":4}\n");
  ASSERT_EQ(reply.rejected.size(), 1U);
  EXPECT_EQ(reply.rejected[0].id, error_id::kUnknownField);
  EXPECT_THAT(reply.rejected[0].reason, HasSubstr("\"nn\""));
  open();
  sql("ALTER STREAM e ADD COLUMN nn BIGINT");
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "1|0|0|\n");
  EXPECT_EQ(rows("SELECT n, nn FROM e ORDER BY n"), "1|NULL|\n2|NULL|\n3|3|\n4|NULL|\n");
  sql("ALTER STREAM e SET (unknown_fields = 'ignore')");
  EXPECT_TRUE(post("e", "{\"n\":5,\"nnn\":3}\n").rejected.empty());
  EXPECT_EQ(refused("ALTER STREAM e SET (unknown_fields = 'keep:n')").id, error_id::kBadOption);
}

TEST_F(StreamChange, RequestsUnderWayMeetOneDefinitionOrTheOther) {
  open();
  sql("CREATE STREAM e (n INTEGER) WITH (partitions = 2, key = n)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT n % 10 AS k, count(*) AS c FROM e GROUP BY k");
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> accepted{0};
  std::vector<std::thread> producers;
  for (int t = 0; t < 3; ++t) {
    producers.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const auto reply = post("e", fmt::format("{{\"n\":{},\"c1\":{},\"c2\":{}}}\n", i, t, i));
        accepted += reply.accepted;
      }
    });
  }
  for (int step = 0; step < 10; ++step) {
    sql("ALTER STREAM e ADD c1 BIGINT DEFAULT 5");
    sql(fmt::format("ALTER STREAM e ADD c2_{} BIGINT", step));
    sql("ALTER STREAM e DROP c1");
  }
  stop = true;
  for (auto& producer : producers) producer.join();
  EXPECT_EQ(rows("SELECT count(*) FROM e"), fmt::format("{}|\n", accepted.load()));
  EXPECT_EQ(rows("SELECT sum(c)::BIGINT FROM v"), fmt::format("{}|\n", accepted.load()));
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  open();
  EXPECT_EQ(rows("SELECT count(*) FROM e"), fmt::format("{}|\n", accepted.load()));
}

TEST_F(StreamChange, HasTheLogicalRowsThroughRandomChanges) {
  auto random = seeded_random();
  open();
  sql("CREATE STREAM e (id BIGINT, c0 INTEGER)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT id % 5 AS k, count(*) AS c, sum(id) AS s FROM e GROUP "
      "BY k");
  // What the stream should have: columns by name in order, and rows by column number.
  struct Named {
    std::string name;
    int number;
    bool wide;
    std::optional<int> initial;
  };
  std::vector<Named> columns = {{"c0", 0, false, std::nullopt}};
  std::vector<std::map<int, std::optional<int>>> expected;
  int next = 1;
  for (int step = 0; step < 60; ++step) {
    switch (random() % 8) {
      case 0: {
        Named column{fmt::format("c{}", next), next, false, std::nullopt};
        ++next;
        if (random() % 2 == 0) column.initial = static_cast<int>(random() % 100);
        sql(fmt::format("ALTER STREAM e ADD {} INTEGER{}", column.name,
                        column.initial ? fmt::format(" DEFAULT {}", *column.initial) : ""));
        for (auto& row : expected) row[column.number] = column.initial;
        columns.push_back(column);
        break;
      }
      case 1:
        if (columns.size() > 1) {
          const auto index = random() % columns.size();
          sql(fmt::format("ALTER STREAM e DROP {}", columns[index].name));
          columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(index));
        }
        break;
      case 2: {
        auto& column = columns[random() % columns.size()];
        const std::string name = fmt::format("r{}", next++);
        sql(fmt::format("ALTER STREAM e RENAME {} TO {}", column.name, name));
        column.name = name;
        break;
      }
      case 3: {
        auto& column = columns[random() % columns.size()];
        sql(fmt::format("ALTER STREAM e ALTER {} TYPE BIGINT", column.name));
        column.wide = true;
        break;
      }
      case 4:
        EXPECT_EQ(run_batch(random() % 2 == 0).drift_rows, 0U);
        break;
      case 5:
        commit_to_lake("e");
        break;
      case 6:
        open();
        break;
      default:
        break;
    }
    std::string lines;
    for (std::uint64_t i = 0; i <= random() % 5; ++i) {
      auto& row = expected.emplace_back();
      lines += fmt::format("{{\"id\":{}", expected.size() - 1);
      for (const auto& column : columns) {
        row[column.number] = column.initial;
        const auto kind = random() % 3;
        if (kind == 0) continue;
        if (kind == 1) {
          row[column.number] = std::nullopt;
          lines += fmt::format(",\"{}\":null", column.name);
        } else {
          row[column.number] = static_cast<int>(random() % 1000);
          lines += fmt::format(",\"{}\":{}", column.name, *row[column.number]);
        }
      }
      lines += "}\n";
    }
    const auto reply = post("e", lines);
    ASSERT_TRUE(reply.rejected.empty()) << reply.rejected[0].reason;
    std::string wanted;
    for (std::size_t id = 0; id < expected.size(); ++id) {
      wanted += fmt::format("{}|", id);
      for (const auto& column : columns) {
        const auto value = expected[id].at(column.number);
        wanted += value ? fmt::format("{}|", *value) : "NULL|";
      }
      wanted += "\n";
    }
    ASSERT_EQ(rows("SELECT * FROM e ORDER BY id"), wanted) << "step " << step;
    ASSERT_EQ(rows("SELECT k, c, s FROM v ORDER BY k"),
              rows("SELECT id % 5 AS k, count(*), sum(id) FROM e GROUP BY k ORDER BY k"));
  }
}

}  // namespace
}  // namespace millrace::server
