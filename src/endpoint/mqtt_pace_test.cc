// A second's worth at once, then the rate; what is too large for the bucket is paid for afterwards.
#include "endpoint/mqtt_pace.h"

#include <gtest/gtest.h>

namespace millrace::endpoint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// How many messages come through in that time, where each comes as soon as it may.
int messages_in(seconds time, std::uint64_t amount, std::uint64_t per_second) {
  MqttPace pace;
  auto now = MqttPace::Clock::time_point(seconds(1000));
  const auto end = now + time;
  int count = 0;
  for (;;) {
    now += pace.wait(now);
    if (now >= end) return count;
    pace.charge(now, amount, per_second);
    ++count;
  }
}

TEST(MqttPace, LetsASecondsWorthThroughAtOnceAndThenTheRate) {
  EXPECT_NEAR(messages_in(seconds(10), 1, 100), 1100, 2);
  EXPECT_NEAR(messages_in(seconds(1), 1, 100), 200, 2);
}

TEST(MqttPace, TakesWhatIsLargerThanItsBucketAndWaitsLongerBehindIt) {
  EXPECT_NEAR(messages_in(seconds(100), 5000, 1000), 20, 2);
}

TEST(MqttPace, AnyRateIsNoWait) {
  MqttPace pace;
  const auto now = MqttPace::Clock::time_point(seconds(1000));
  for (int i = 0; i < 100; ++i) pace.charge(now, 1'000'000, 0);
  EXPECT_EQ(pace.wait(now), MqttPace::Clock::duration(0));
}

TEST(MqttPace, APauseGivesNoMoreThanASecondsWorth) {
  MqttPace pace;
  auto now = MqttPace::Clock::time_point(seconds(1000));
  pace.charge(now, 1, 10);
  now += seconds(60);
  int at_once = 0;
  while (pace.wait(now) == MqttPace::Clock::duration(0)) {
    pace.charge(now, 1, 10);
    ++at_once;
  }
  EXPECT_NEAR(at_once, 10, 1);
  EXPECT_LE(pace.wait(now), milliseconds(100));
}

}  // namespace
}  // namespace millrace::endpoint
