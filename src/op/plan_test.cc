// A plan comes back as it was written; what is wrong in one is named.
#include "op/plan.h"

#include <gtest/gtest.h>

#include "op/sample_events.h"

namespace millrace::op {
namespace {

TEST(Plan, ComesBackAsItWasWritten) {
  Plan plan{.view = "v", .select = "SELECT \"a b\" FROM e", .streams = {}, .program = "1.2.3"};
  StreamDefinition stream = sample_stream();
  stream.columns.push_back({"a b", *Type::parse("DECIMAL(18,3)")});
  stream.columns.push_back({"at", *Type::parse("TIMESTAMPTZ")});
  stream.time_column = 4;
  stream.key_column = 0;
  plan.streams = {stream, sample_stream()};
  plan.streams[1].name = "f";
  const auto read = read_plan(write_plan(plan));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->view, "v");
  EXPECT_EQ(read->select, plan.select);
  EXPECT_EQ(read->program, "1.2.3");
  ASSERT_EQ(read->streams.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->streams[i].id, StreamId(static_cast<std::uint32_t>(i + 1)));
    EXPECT_EQ(read->streams[i].name, plan.streams[i].name);
    EXPECT_EQ(read->streams[i].columns, plan.streams[i].columns);
    EXPECT_EQ(read->streams[i].time_column, plan.streams[i].time_column);
    EXPECT_EQ(read->streams[i].key_column, plan.streams[i].key_column);
  }
}

TEST(Plan, SaysWhatIsWrongWithIt) {
  const std::string good = sample_plan();
  const auto reason = [&](std::string_view from, std::string_view to) -> std::string {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto read = read_plan(text);
    return read ? "" : read.error().message;
  };
  EXPECT_NE(reason("}", "").find("it is no JSON document"), std::string::npos);
  EXPECT_NE(reason("\"millrace_plan\":1", "\"millrace_plan\":2").find("version 2"),
            std::string::npos);
  EXPECT_NE(reason("\"millrace_plan\":1", "\"plan\":1").find("`millrace plan`"), std::string::npos);
  EXPECT_EQ(reason("\"view\"", "\"name\""),
            "plan: it has a member \"name\" that this version does not know");
  EXPECT_EQ(reason("\"select\":\"", "\"select\":1,\"tables\":[{}],\"program\":\""),
            "plan: the view joins reference tables, which the operator does not have");
  EXPECT_EQ(reason("BIGINT", "NOTHING").find("plan"), std::string::npos);
  EXPECT_NE(reason("BIGINT", "NOTHING"), "");
  EXPECT_EQ(reason("\"name\":\"n\"", "\"name\":\"K\""), "plan: two columns are named K");
  EXPECT_EQ(reason("[{", "[4,{"), "plan: a stream is no object");
}

}  // namespace
}  // namespace millrace::op
