// What is remembered of long walks is what a walk would find: filters and subscribers come and go.
#include "broker/subscriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace millrace::broker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kLevels = 9;

/// Every way to write the topic l0/l1/.../l8 with '+'.
std::vector<std::string> overlapping() {
  std::vector<std::string> out;
  for (int mask = 0; mask < 1 << kLevels; ++mask) {
    std::string& filter = out.emplace_back();
    for (int level = 0; level < kLevels; ++level) {
      if (level != 0) filter += '/';
      filter += (mask >> level & 1) != 0 ? "+" : "l" + std::to_string(level);
    }
  }
  return out;
}

class SubscriptionsTest : public testing::Test {
 protected:
  SubscriptionsTest() {
    for (const auto& filter : overlapping()) index_.add(greedy_, filter, {});
    topic_ = overlapping().front();
  }
  std::set<SessionId> found(std::string_view topic, SessionId publisher = 0) {
    std::set<SessionId> out;
    for (const auto& match : index_.match(topic, publisher)) out.insert(match.session->id());
    return out;
  }

  Session greedy_{1, "greedy", false};
  Session other_{2, "other", false};
  Subscriptions index_;
  std::string topic_;
};

TEST_F(SubscriptionsTest, AClientOfManyOverlappingFiltersIsFoundOnce) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(index_.match(topic_, 0).size(), 1U);
    EXPECT_THAT(found("l0/l1"), IsEmpty());
  }
}

TEST_F(SubscriptionsTest, WhatComesAndGoesIsSeenAtTheNextMessage) {
  EXPECT_THAT(found(topic_), ElementsAre(1));
  index_.add(other_, "l0/#", {});  // a filter that nobody had
  EXPECT_THAT(found(topic_), ElementsAre(1, 2));
  index_.remove(other_, "l0/#");
  EXPECT_THAT(found(topic_), ElementsAre(1));
  index_.add(other_, topic_, {});  // one that another has, too
  EXPECT_THAT(found(topic_), ElementsAre(1, 2));
  index_.remove_all(greedy_);
  EXPECT_THAT(found(topic_), ElementsAre(2));
  index_.remove_all(other_);
  EXPECT_THAT(found(topic_), IsEmpty());
}

TEST_F(SubscriptionsTest, OptionsCountAsTheyAreNow) {
  EXPECT_THAT(found(topic_), ElementsAre(1));
  index_.add(other_, topic_, {.no_local = true});
  EXPECT_THAT(found(topic_, 2), ElementsAre(1));
  EXPECT_THAT(found(topic_, 3), ElementsAre(1, 2));
  index_.add(greedy_, topic_, {.qos = wire::mqtt::QoS::kExactlyOnce});
  EXPECT_EQ(index_.match(topic_, 2).front().qos, wire::mqtt::QoS::kExactlyOnce);
}

TEST_F(SubscriptionsTest, MoreTopicsThanAreRememberedAreFoundAllTheSame) {
  const std::string large(8000, 'x');
  for (int i = 0; i < 500; ++i)
    ASSERT_THAT(found("l0/l1/l2/l3/l4/l5/l6/l7/" + std::to_string(i) + large), ElementsAre(1));
  EXPECT_THAT(found(topic_), ElementsAre(1));
}

}  // namespace
}  // namespace millrace::broker
