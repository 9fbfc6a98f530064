#include "model/topic_rule.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TopicRule rule(std::string_view text) {
  auto parsed = TopicRule::parse(text);
  EXPECT_TRUE(parsed) << parsed.error().text();
  return parsed ? *parsed : TopicRule{};
}

TEST(TopicRule, HasColumnsInBracesAndWildcards) {
  const auto parsed = rule("site/{site}/+/x/#");
  ASSERT_EQ(parsed.levels.size(), 5U);
  EXPECT_EQ(parsed.levels[1].kind, TopicRule::Kind::kColumn);
  EXPECT_EQ(parsed.levels[1].text, "site");
  EXPECT_EQ(parsed.filter(), "site/+/+/x/#");
}

TEST(TopicRule, RefusesWhatIsNoTopic) {
  for (const std::string_view text :
       {"", "$SYS/a", "a/#/b", "a+", "a/{x}b", "{x}/{x}", "{", "a/{"}) {
    const auto parsed = TopicRule::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().id, error_id::kBadOption);
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(TopicRule, KnowsWhetherATopicIsBoths) {
  EXPECT_TRUE(rule("a/{x}").overlaps(rule("a/b")));
  EXPECT_TRUE(rule("a/#").overlaps(rule("a")));
  EXPECT_TRUE(rule("+/b").overlaps(rule("a/{x}")));
  EXPECT_TRUE(rule("#").overlaps(rule("a/b/c")));
  EXPECT_FALSE(rule("a/{x}").overlaps(rule("a/b/c")));
  EXPECT_FALSE(rule("a/{x}/c").overlaps(rule("a/{y}/d")));
  EXPECT_FALSE(rule("a/b/#").overlaps(rule("a/c/#")));
}

TEST(TopicRule, a_word_before_the_topic_says_how_payloads_are_written) {
  const auto content_type = [](std::string_view text) {
    const auto rule = TopicRule::parse(text);
    return rule ? rule->filter() + " " + rule->content_type : rule.error().text();
  };
  EXPECT_EQ(content_type("csv:in/{site}"), "in/+ text/csv; header=absent");
  EXPECT_EQ(content_type("avro:in"), "in application/avro");
  EXPECT_EQ(content_type("json:in"), "in ");
  EXPECT_EQ(content_type("urn:in"), "urn:in ") << "a colon may be a part of the topic";
  EXPECT_FALSE(TopicRule::parse("csv:"));
  EXPECT_FALSE(TopicRule::parse("csv:$x"));
}

}  // namespace
}  // namespace millrace
