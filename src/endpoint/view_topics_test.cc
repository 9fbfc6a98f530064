// Values as levels of topics and back, and which filters can match rows of views.
#include "endpoint/view_topics.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "broker/topic_tree.h"
#include "wire/mqtt_topic.h"

namespace millrace::endpoint {
namespace {

std::string level(std::string_view text) {
  std::string out;
  append_topic_level(out, text, 1024);
  return out;
}

TEST(ViewTopics, levels_are_read_easily) {
  EXPECT_EQ(level("Lima"), "Lima");
  EXPECT_EQ(level("São Paulo"), "São Paulo");
  EXPECT_EQ(level("a/b+c#d%e"), "a%2Fb%2Bc%23d%25e");
  EXPECT_EQ(level(""), "%empty");
  EXPECT_EQ(level(std::string_view("\0\n\x7f", 3)), "%00%0A%7F");
  EXPECT_EQ(level("\xff\xc2\x85"), "%FF%C2%85") << "no UTF-8, and a control character";
  EXPECT_EQ(topic_of_view("a/b"), "views/a%2Fb");
}

TEST(ViewTopics, what_is_too_long_is_its_hash) {
  const std::string one = level(std::string(1025, 'x'));
  EXPECT_EQ(one.size(), std::string_view("%hash-").size() + 32);
  EXPECT_NE(one, level(std::string(1026, 'x')));
  EXPECT_EQ(level(std::string(1024, 'x')), std::string(1024, 'x'));
  EXPECT_FALSE(text_of_topic_level(one));
}

RC_GTEST_PROP(ViewTopics, every_text_is_a_legal_level_and_comes_back, (const std::string& text)) {
  const std::string made = level(text);
  const std::string topic = "views/v/" + made;
  RC_ASSERT(!wire::mqtt::check_topic_name(topic, wire::mqtt::Version::k5));
  RC_ASSERT(broker::count_levels(topic) == 3U);
  RC_ASSERT(text_of_topic_level(made) == text);
}

TEST(ViewTopics, no_other_level_has_a_text) {
  for (const auto* wrong : {"%", "%2", "%2f", "%zz", "%null", "a%"})
    EXPECT_FALSE(text_of_topic_level(wrong)) << wrong;
}

TEST(ViewTopics, filters_that_can_match_rows) {
  for (const auto* none :
       {"views", "view/#", "+", "$SYS/#", "a/views/#", "views/%zz/#", "/views/v"})
    EXPECT_FALSE(ViewFilter::parse(none)) << none;
  const auto all = ViewFilter::parse("#");
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->only_views);
  EXPECT_TRUE(all->open_end);
  const auto mixed = ViewFilter::parse("+/v/x");
  ASSERT_TRUE(mixed);
  EXPECT_FALSE(mixed->only_views);
  EXPECT_EQ(mixed->view, "v");
  const auto one = ViewFilter::parse("views/a%2Fb/+/x/#");
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->only_views);
  EXPECT_EQ(one->view, "a/b");
  ASSERT_EQ(one->key.size(), 2);
  EXPECT_FALSE(one->key[0]);
  EXPECT_EQ(one->key[1], "x");
  EXPECT_TRUE(one->open_end);
}

}  // namespace
}  // namespace millrace::endpoint
