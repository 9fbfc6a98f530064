// The index against the naive matcher, events against their bytes.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "broker/event.h"
#include "broker/subscriptions.h"
#include "broker/topic_tree.h"

namespace millrace::broker {
namespace {

std::string join(const std::vector<std::string>& levels) {
  std::string out;
  for (std::size_t i = 0; i < levels.size(); ++i) out += (i == 0 ? "" : "/") + levels[i];
  return out;
}

rc::Gen<std::string> topics() {
  return rc::gen::map(
      rc::gen::resize(4, rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
                             rc::gen::element<std::string>("a", "b", "c", "", "$S")))),
      [](const std::vector<std::string>& levels) {
        const std::string topic = join(levels);
        return topic.empty() ? std::string("a") : topic;
      });
}

rc::Gen<std::string> filters() {
  return rc::gen::apply(
      [](std::vector<std::string> levels, bool rest) {
        if (rest) levels.emplace_back("#");
        const std::string filter = join(levels);
        return filter.empty() ? std::string("#") : filter;
      },
      rc::gen::resize(4, rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
                             rc::gen::element<std::string>("a", "b", "c", "", "+", "$S")))),
      rc::gen::arbitrary<bool>());
}

RC_GTEST_PROP(Subscriptions, FindThoseWhoseFiltersMatchWhateverCameAndWent, ()) {
  Subscriptions index;
  std::vector<std::unique_ptr<Session>> sessions;
  for (SessionId id = 1; id <= 5; ++id)
    sessions.push_back(std::make_unique<Session>(id, std::to_string(id), false));
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, bool, std::string>>>(
      rc::gen::tuple(rc::gen::inRange(0, 5),
                     rc::gen::weightedElement<bool>({{3, true}, {1, false}}), filters()));
  for (const auto& [who, add, filter] : steps) {
    auto& session = *sessions[static_cast<std::size_t>(who)];
    if (add) {
      index.add(session, filter, {});
    } else {
      index.remove(session, filter);
    }
  }
  for (int i = 0; i < 5; ++i) {
    const std::string topic = *topics();
    std::vector<SessionId> expected;
    for (const auto& session : sessions) {
      if (std::ranges::any_of(session->subscriptions,
                              [&](const auto& entry) { return matches(entry.first, topic); }))
        expected.push_back(session->id());
    }
    std::vector<SessionId> found;
    for (const auto& match : index.match(topic, 0)) found.push_back(match.session->id());
    std::ranges::sort(found);
    RC_ASSERT(found == expected);
  }
  for (const auto& session : sessions) index.remove_all(*session);
  RC_ASSERT(index.size() == 0U);
  RC_ASSERT(index.match("a/b", 0).empty());
}

RC_GTEST_PROP(TopicTree, FindsTheTopicsThatAFilterMatches, ()) {
  TopicTree<std::string> tree;
  const auto all = *rc::gen::container<std::set<std::string>>(topics());
  for (const auto& topic : all) tree.at(topic) = topic;
  const std::string filter = *filters();
  std::set<std::string> expected;
  for (const auto& topic : all) {
    if (matches(filter, topic)) expected.insert(topic);
  }
  std::set<std::string> found;
  tree.for_each_topic_of(filter, [&](const std::string& topic) {
    found.insert(topic);
    return true;
  });
  RC_ASSERT(found == expected);
  for (const auto& topic : all) tree.erase(topic);
  RC_ASSERT(tree.nodes() == 1U);
}

TEST(TopicMatch, FollowsTheExamplesOfTheSpecification) {
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1"));
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
  EXPECT_TRUE(matches("sport/#", "sport"));
  EXPECT_FALSE(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
  EXPECT_FALSE(matches("sport/+", "sport"));
  EXPECT_TRUE(matches("sport/+", "sport/"));
  EXPECT_TRUE(matches("+/+", "/finance"));
  EXPECT_FALSE(matches("+", "/finance"));
  EXPECT_FALSE(matches("#", "$SYS/a"));
  EXPECT_FALSE(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
  EXPECT_TRUE(matches("$SYS/#", "$SYS/a"));
}

RC_GTEST_PROP(Events, DecodeNothingOrWhatEncodesToTheSameBytes, (const std::string& bytes)) {
  const std::string framed = std::string("\x01", 1) + bytes;
  if (const auto event = decode_event(framed)) {
    std::string again;
    encode_event(*event, again);
    RC_ASSERT(decode_event(again).has_value());
  }
}

TEST(Events, OfEachKindComeBack) {
  wire::mqtt::Publish publish;
  publish.topic = "a/b";
  publish.payload = "x";
  publish.qos = wire::mqtt::QoS::kExactlyOnce;
  publish.content_type = "text/plain";
  publish.message_expiry_s = 7;
  const auto message = Message::of(publish, 3, 1000);
  const std::vector<Event> all = {
      Opened{"client", true, 60, Will{message, 5}},
      Ended{1},
      Subscribed{1, 2, {{"a/+", {wire::mqtt::QoS::kAtLeastOnce, true, true, 9}, true}}},
      Unsubscribed{1, {"a/+"}},
      Published{message, {{4, {wire::mqtt::QoS::kAtLeastOnce, false, false, 0}}}, false},
      Received{1, 2},
      Released{1, 2},
      Acked{1, {1, 2, 300}},
      PubReceived{1, {7}},
      Detached{1, 5, true, 9},
      WillDone{1}};
  for (const Event& event : all) {
    std::string bytes;
    encode_event(event, bytes);
    const auto back = decode_event(bytes);
    ASSERT_TRUE(back) << event.index();
    EXPECT_EQ(back->index(), event.index());
    std::string again;
    encode_event(*back, again);
    EXPECT_EQ(again, bytes);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      EXPECT_FALSE(decode_event(std::string_view(bytes).substr(0, cut))) << event.index();
  }
}

}  // namespace
}  // namespace millrace::broker
