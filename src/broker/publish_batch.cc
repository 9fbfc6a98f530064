#include "broker/publish_batch.h"

#include <algorithm>

#include "runtime/clock.h"

namespace millrace::broker {

using wire::mqtt::Publish;
using wire::mqtt::QoS;
using wire::mqtt::ReasonCode;

namespace {

bool is_logged(const Event& event) {
  const auto* published = std::get_if<Published>(&event);
  return published == nullptr || !published->passing;
}

}  // namespace

PublishBatch::Part& PublishBatch::part_of(const std::shared_ptr<speed::StreamState>& stream) {
  const auto found = std::ranges::find_if(
      parts_, [&](const Part& part) { return part.stream == stream && !part.type; });
  if (found != parts_.end()) return *found;
  Part& part = parts_.emplace_back();
  part.stream = stream;
  return part;
}

PublishBatch::Part& PublishBatch::part_for(const StreamTopic* topic,
                                           std::optional<std::string_view> content_type,
                                           std::string_view payload) {
  if (topic == nullptr) return part_of(nullptr);
  if (auto type = topic->type_of(content_type, payload)) {
    Part& part = parts_.emplace_back();
    part.stream = topic->stream;
    part.lines.append(payload);
    part.type = std::move(type);
    part.bound = topic->bound;
    return part;
  }
  Part& part = part_of(topic->stream);
  topic->append_event(payload, part.lines);
  return part;
}

PublishBatch::Added PublishBatch::add(const std::shared_ptr<Session>& session,
                                      const Publish& publish, std::uint64_t slot,
                                      std::int64_t now_ms) {
  const bool exactly_once = publish.qos == QoS::kExactlyOnce;
  if (exactly_once) {
    switch (session->receive(publish.packet_id)) {
      case Session::Inbound::kStored:
        return {Outcome::kAnswered, ReasonCode::kSuccess};
      case Session::Inbound::kPending:
        return {Outcome::kFull};  // on its way since an earlier connection: soon it is known
      case Session::Inbound::kNew:
        break;
    }
  }
  const StreamTopic* topic = topics_.find(publish.topic);
  Broker::Route route;
  std::shared_ptr<const Message> message;
  if (publish.retain || !broker_.routes_nothing()) {
    message = Message::of(publish, session->id(), now_ms);
    route = broker_.route(*message);
    if (route.reason != ReasonCode::kSuccess) {
      if (exactly_once) session->release(publish.packet_id);
      return {Outcome::kFull, route.reason};
    }
  }
  auto& counters = broker_.counters();
  counters.published.fetch_add(1, std::memory_order_relaxed);
  counters.published_bytes.fetch_add(publish.payload.size(), std::memory_order_relaxed);
  const bool keeps_id = exactly_once && session->durable();
  if (topic == nullptr && !route.durable && !keeps_id) {
    if (route.any) broker_.pass({std::move(message), std::move(route.chosen), true});
    if (exactly_once) session->receive_stored(publish.packet_id);
    return {Outcome::kAnswered,
            route.any ? ReasonCode::kSuccess : ReasonCode::kNoMatchingSubscribers};
  }
  Part& part = part_for(topic, publish.content_type, publish.payload);
  if (topic != nullptr) counters.stream_messages.fetch_add(1, std::memory_order_relaxed);
  bytes_ += publish.payload.size() + publish.topic.size();
  part.slots.push_back(slot);
  if (exactly_once) part.received.emplace_back(session, publish.packet_id);
  if (keeps_id) part.events.emplace_back(Received{session->id(), publish.packet_id});
  if (route.any || publish.retain) {
    part.events.emplace_back(
        Published{std::move(message), std::move(route.chosen), !route.durable});
  }
  return {Outcome::kPending};
}

void PublishBatch::add_event(const StreamTopic& topic, const Publish& publish, std::uint64_t slot) {
  auto& counters = broker_.counters();
  counters.published.fetch_add(1, std::memory_order_relaxed);
  counters.published_bytes.fetch_add(publish.payload.size(), std::memory_order_relaxed);
  counters.stream_messages.fetch_add(1, std::memory_order_relaxed);
  Part& part = part_for(&topic, publish.content_type, publish.payload);
  bytes_ += publish.payload.size();
  part.slots.push_back(slot);
}

void PublishBatch::add_own(const std::shared_ptr<const Message>& message, std::vector<Event> with) {
  const StreamTopic* topic = topics_.find(message->topic());
  auto route = broker_.route(*message);
  // Nobody can be told to wait: what has no room is dropped.
  const bool has_room = route.reason == ReasonCode::kSuccess;
  if (!has_room) broker_.counters().refused.fetch_add(1, std::memory_order_relaxed);
  Part& part = part_for(topic, message->publish(0).content_type, message->payload());
  if (topic != nullptr) part.slots.push_back(kNoSlot);
  if (has_room && (route.any || message->retain()))
    part.events.emplace_back(Published{message, std::move(route.chosen), !route.durable});
  for (auto& event : with) part.events.push_back(std::move(event));
}

void PublishBatch::flush() {
  auto parts = std::exchange(parts_, {});
  bytes_ = 0;
  for (auto& part : parts) send(std::move(part));
}

void PublishBatch::send(Part part) {
  const bool logged = std::ranges::any_of(part.events, is_logged);
  std::optional<ingest::Attached> attached;
  auto passing = std::make_shared<std::vector<Event>>();
  if (logged) {
    attached = broker_.attach(std::move(part.events));
  } else {
    *passing = std::move(part.events);
  }
  auto answered = [broker = &broker_, slots = std::move(part.slots),
                   received = std::move(part.received), passing, done = done_,
                   stream = part.stream != nullptr,
                   alone = part.type.has_value()](Result<ingest::IngestReply> reply) {
    std::vector<Answer> answers;
    answers.reserve(slots.size());
    for (const auto slot : slots) answers.push_back({slot, ReasonCode::kSuccess});
    if (!reply) {
      for (const auto& [session, packet_id] : received) session->release(packet_id);
      if (done) done(std::move(answers), std::move(reply).error());
      return;
    }
    for (const auto& [session, packet_id] : received) session->receive_stored(packet_id);
    for (const auto& event : *passing) broker->pass(std::get<Published>(event));
    if (stream) {
      for (const auto& record : reply->rejected) {
        // Of a message on its own every record is that message's.
        const std::uint64_t line = alone ? 1 : record.line;
        if (line >= 1 && line <= answers.size())
          answers[line - 1].reason = ReasonCode::kPayloadFormatInvalid;
      }
    }
    std::erase_if(answers, [](const Answer& answer) { return answer.slot == kNoSlot; });
    if (done && !answers.empty()) done(std::move(answers), std::nullopt);
  };
  if (part.stream != nullptr) {
    broker_.ingest().submit(std::move(part.stream), std::move(part.lines),
                            part.type.value_or(format::JsonFraming::kLines), "mqtt",
                            std::move(answered),
                            {.bound = std::move(part.bound),
                             .whole_when_too_many_bad = part.type.has_value(),
                             .attached = std::move(attached)});
  } else if (attached) {
    broker_.ingest().append(std::move(*attached), std::move(answered));
  } else {
    answered(ingest::IngestReply{});
  }
}

}  // namespace millrace::broker
