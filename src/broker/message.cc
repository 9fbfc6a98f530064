#include "broker/message.h"

#include <algorithm>
#include <atomic>

namespace millrace::broker {

using wire::mqtt::Publish;
using wire::mqtt::QoS;

namespace {
std::atomic<std::uint64_t> held{0};
}  // namespace

Message::~Message() {
  if (!bytes_.empty()) held.fetch_sub(size_bytes(), std::memory_order_relaxed);
}

std::uint64_t Message::held_bytes() { return held.load(std::memory_order_relaxed); }

/// After the bytes are there, which never are none: a topic is not empty.
void Message::account() {
  if (!bytes_.empty()) held.fetch_add(size_bytes(), std::memory_order_relaxed);
}

std::shared_ptr<const Message> Message::of(const Publish& publish, std::uint64_t publisher,
                                           std::int64_t now_ms) {
  auto made = std::make_shared<Message>();
  Message& message = *made;
  const std::string_view content_type = publish.content_type.value_or(std::string_view());
  const std::string_view response_topic = publish.response_topic.value_or(std::string_view());
  const std::string_view correlation = publish.correlation_data.value_or(std::string_view());
  const std::string_view user = publish.repeated.bytes();
  message.publisher_ = publisher;
  if (publish.message_expiry_s)
    message.expires_at_ms_ = now_ms + std::int64_t{*publish.message_expiry_s} * 1000;
  message.topic_size_ = static_cast<std::uint16_t>(publish.topic.size());
  message.payload_size_ = static_cast<std::uint32_t>(publish.payload.size());
  message.content_type_size_ = static_cast<std::uint16_t>(content_type.size());
  message.response_topic_size_ = static_cast<std::uint16_t>(response_topic.size());
  message.correlation_size_ = static_cast<std::uint16_t>(correlation.size());
  message.qos_ = publish.qos;
  const auto flag = [&](bool set, std::uint8_t bit) {
    if (set) message.flags_ = static_cast<std::uint8_t>(message.flags_ | bit);
  };
  flag(publish.retain, kRetain);
  flag(publish.payload_is_utf8, kUtf8);
  flag(publish.content_type.has_value(), kContentType);
  flag(publish.response_topic.has_value(), kResponseTopic);
  flag(publish.correlation_data.has_value(), kCorrelation);
  message.bytes_.reserve(publish.topic.size() + publish.payload.size() + content_type.size() +
                         response_topic.size() + correlation.size() + user.size());
  message.bytes_.append(publish.topic).append(publish.payload).append(content_type);
  message.bytes_.append(response_topic).append(correlation).append(user);
  message.account();
  return made;
}

std::shared_ptr<const Message> Message::of(std::string_view topic, std::string_view payload,
                                           QoS qos, bool retain) {
  Publish publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.qos = qos;
  publish.retain = retain;
  return of(publish, 0, 0);
}

Publish Message::publish(std::int64_t now_ms) const {
  Publish out;
  out.qos = qos_;
  out.topic = topic();
  out.payload = payload();
  out.payload_is_utf8 = (flags_ & kUtf8) != 0;
  if (expires_at_ms_ != 0) {
    // What is left of it [MQTT-3.3.2-6]; a started second counts.
    const std::int64_t left_ms = std::max<std::int64_t>(0, expires_at_ms_ - now_ms);
    out.message_expiry_s =
        static_cast<std::uint32_t>(std::min<std::int64_t>((left_ms + 999) / 1000, 0xffff'ffff));
  }
  std::size_t at = std::size_t{topic_size_} + payload_size_;
  const auto next = [&](std::size_t size) {
    const auto view = part(at, size);
    at += size;
    return view;
  };
  const auto content_type = next(content_type_size_);
  const auto response_topic = next(response_topic_size_);
  const auto correlation = next(correlation_size_);
  if ((flags_ & kContentType) != 0) out.content_type = content_type;
  if ((flags_ & kResponseTopic) != 0) out.response_topic = response_topic;
  if ((flags_ & kCorrelation) != 0) out.correlation_data = correlation;
  out.repeated = wire::mqtt::RepeatedProperties(part(at, bytes_.size() - at));
  return out;
}

void Message::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.put(publisher_);
  writer.put(expires_at_ms_);
  writer.put(payload_size_);
  writer.put(topic_size_);
  writer.put(content_type_size_);
  writer.put(response_topic_size_);
  writer.put(correlation_size_);
  writer.put(flags_);
  writer.put(static_cast<std::uint8_t>(qos_));
  writer.put_string(bytes_);
}

std::shared_ptr<const Message> Message::decode(ByteReader& reader) {
  auto made = std::make_shared<Message>();
  Message& message = *made;
  message.publisher_ = reader.get<std::uint64_t>();
  message.expires_at_ms_ = reader.get<std::int64_t>();
  message.payload_size_ = reader.get<std::uint32_t>();
  message.topic_size_ = reader.get<std::uint16_t>();
  message.content_type_size_ = reader.get<std::uint16_t>();
  message.response_topic_size_ = reader.get<std::uint16_t>();
  message.correlation_size_ = reader.get<std::uint16_t>();
  message.flags_ = reader.get<std::uint8_t>();
  const auto qos = reader.get<std::uint8_t>();
  message.bytes_ = std::string(reader.get_string());
  message.account();
  const std::size_t parts = std::size_t{message.topic_size_} + message.payload_size_ +
                            message.content_type_size_ + message.response_topic_size_ +
                            message.correlation_size_;
  if (!reader.ok() || qos > 2 || parts > message.bytes_.size()) return nullptr;
  message.qos_ = static_cast<QoS>(qos);
  return made;
}

}  // namespace millrace::broker
