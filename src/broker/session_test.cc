// Packet ids, order and repeats of one session.
#include "broker/session.h"

#include <gtest/gtest.h>

namespace millrace::broker {
namespace {

using wire::mqtt::QoS;

class Link : public ClientLink {
 public:
  void wake() override { ++wakes; }
  void end(wire::mqtt::ReasonCode) override { ++ends; }
  int wakes = 0;
  int ends = 0;
};

Delivery delivery(std::string_view payload, QoS qos) {
  return {.message = Message::of("t", payload, qos, false), .ids = {}, .qos = qos};
}

struct Sent {
  std::string payload;
  std::uint16_t packet_id = 0;
  bool dup = false;
};
std::vector<Sent> take(Session& session, std::uint16_t receive_maximum = 65'535) {
  std::vector<Sent> out;
  session.take(receive_maximum, [&](const Outgoing& outgoing) {
    if (outgoing.delivery == nullptr) {
      out.push_back({"PUBREL", outgoing.packet_id, false});
    } else {
      out.push_back({std::string(outgoing.delivery->message->payload()), outgoing.packet_id,
                     outgoing.delivery->dup});
    }
    return Session::Taken::kWritten;
  });
  return out;
}

TEST(Session, SendsNoMoreThanTheClientReceivesAtOnce) {
  Session session(1, "c", false);
  session.attach(std::make_shared<Link>());
  for (const char* payload : {"a", "b", "c"}) session.offer(delivery(payload, QoS::kAtLeastOnce));
  auto sent = take(session, 2);
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_TRUE(take(session, 2).empty());
  EXPECT_TRUE(session.puback(sent[1].packet_id));
  EXPECT_FALSE(session.puback(sent[1].packet_id));
  sent = take(session, 2);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].payload, "c");
}

TEST(Session, SendsAgainUnderTheSameIdAfterItCameBack) {
  Session session(1, "c", true);
  const auto link = std::make_shared<Link>();
  session.attach(link);
  session.offer(delivery("a", QoS::kExactlyOnce));
  session.offer(delivery("b", QoS::kExactlyOnce));
  const auto first = take(session);
  ASSERT_EQ(first.size(), 2U);
  std::uint64_t sequence = 0;
  ASSERT_EQ(session.pubrec(first[0].packet_id, false, sequence), Session::PubRec::kNew);
  const std::uint64_t sequences[] = {sequence};
  session.pubrec_stored(sequences);
  session.detach(link.get());

  // As a restart makes it from the log.
  Session again(1, "c", true);
  again.offer(delivery("a", QoS::kExactlyOnce));
  again.offer(delivery("b", QoS::kExactlyOnce));
  again.pubrec_stored(sequences);
  again.attach(std::make_shared<Link>());
  const auto second = take(again);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].payload, "PUBREL");
  EXPECT_EQ(second[0].packet_id, first[0].packet_id);
  EXPECT_EQ(second[1].payload, "b");
  EXPECT_EQ(second[1].packet_id, first[1].packet_id);
}

TEST(Session, GivesPacketIdsThatDifferWhileTheyAreUnderWay) {
  Session session(1, "c", false);
  session.attach(std::make_shared<Link>());
  for (int i = 0; i < 70'000; ++i) session.offer(delivery("x", QoS::kAtLeastOnce));
  auto sent = take(session);
  ASSERT_EQ(sent.size(), 49'151U);
  // The oldest one holds its id: nothing overtakes it by a whole round.
  EXPECT_TRUE(session.puback(sent[1].packet_id));
  EXPECT_TRUE(take(session).empty());
  EXPECT_TRUE(session.puback(sent[0].packet_id));
  EXPECT_EQ(take(session).size(), 2U);
}

TEST(Session, GivesRowsIdsThatTheQueueDoesNotUse) {
  Session session(1, "c", false);
  session.attach(std::make_shared<Link>());
  session.offer(delivery("x", QoS::kAtLeastOnce));
  EXPECT_EQ(take(session).front().packet_id, 1);
  const auto first = session.begin_row(3);
  const auto second = session.begin_row(3);
  EXPECT_GT(first, 49'151);
  EXPECT_NE(first, second);
  EXPECT_EQ(session.begin_row(3), 0) << "three are under way, the client's receive maximum";
  EXPECT_TRUE(session.puback(first));
  EXPECT_FALSE(session.puback(first));
  EXPECT_NE(session.begin_row(3), 0);
  session.attach(std::make_shared<Link>());
  EXPECT_FALSE(session.puback(second)) << "rows are not sent again on another connection";
}

TEST(Session, KeepsItsNumbersOverWhatWasDoneWith) {
  Session session(1, "c", true);
  const auto link = std::make_shared<Link>();
  session.attach(link);
  for (const char* payload : {"a", "b", "c"}) session.offer(delivery(payload, QoS::kAtLeastOnce));
  const auto sent = take(session);
  EXPECT_TRUE(session.puback(sent[1].packet_id));
  EXPECT_EQ(session.take_acked(), std::vector<std::uint64_t>{1});
  EXPECT_EQ(session.queued(), 2U);
  session.detach(link.get());

  Session restored(1, "c", true);
  session.for_each_queued([&](std::uint64_t sequence, const Delivery& from) {
    restored.restore(sequence, {.message = from.message, .ids = {}, .qos = from.qos});
  });
  restored.set_next_sequence(session.next_sequence());
  restored.offer(delivery("d", QoS::kAtLeastOnce));
  restored.attach(std::make_shared<Link>());
  const auto again = take(restored);
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[0].packet_id, sent[0].packet_id);
  EXPECT_EQ(again[1].packet_id, sent[2].packet_id);
  EXPECT_EQ(again[2].packet_id, sent[2].packet_id + 1);
}

TEST(Session, HoldsTheIdOfAMessageThatWasReceivedTwiceUntilItIsReleased) {
  Session session(1, "c", true);
  EXPECT_EQ(session.receive(5), Session::Inbound::kNew);
  EXPECT_EQ(session.receive(5), Session::Inbound::kPending);
  session.receive_stored(5);
  EXPECT_EQ(session.receive(5), Session::Inbound::kStored);
  EXPECT_TRUE(session.release(5));
  EXPECT_FALSE(session.release(5));
  EXPECT_EQ(session.receive(5), Session::Inbound::kNew);
}

}  // namespace
}  // namespace millrace::broker
