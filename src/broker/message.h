// An application message as the broker holds it: once, however many sessions wait for it. Constant
// after construction, so any thread may read it. What a publisher said of it is kept and passed on:
// the properties of MQTT 5, 3.3.2.3. Errors: decode() gives nothing where the bytes are no message.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/mqtt.h"

namespace millrace::broker {

class Message {
 public:
  /// `publisher` is a session, for "no local"; 0 is the server. The times are wall clock.
  [[nodiscard]] static std::shared_ptr<const Message> of(const wire::mqtt::Publish& publish,
                                                         std::uint64_t publisher,
                                                         std::int64_t now_ms);
  /// A message of the server's own, without properties.
  [[nodiscard]] static std::shared_ptr<const Message> of(std::string_view topic,
                                                         std::string_view payload,
                                                         wire::mqtt::QoS qos, bool retain);

  Message() = default;
  ~Message();
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  /// Of all messages that live.
  [[nodiscard]] static std::uint64_t held_bytes();

  [[nodiscard]] std::string_view topic() const { return part(0, topic_size_); }
  [[nodiscard]] std::string_view payload() const { return part(topic_size_, payload_size_); }
  [[nodiscard]] wire::mqtt::QoS qos() const { return qos_; }
  [[nodiscard]] bool retain() const { return (flags_ & kRetain) != 0; }
  [[nodiscard]] std::uint64_t publisher() const { return publisher_; }
  [[nodiscard]] bool expired(std::int64_t now_ms) const {
    return expires_at_ms_ != 0 && now_ms >= expires_at_ms_;
  }
  /// Everything but what depends on who gets it. The views live as long as the message.
  [[nodiscard]] wire::mqtt::Publish publish(std::int64_t now_ms) const;
  [[nodiscard]] std::size_t size_bytes() const { return sizeof(Message) + bytes_.size(); }

  void encode(std::string& out) const;
  [[nodiscard]] static std::shared_ptr<const Message> decode(ByteReader& reader);

 private:
  static constexpr std::uint8_t kRetain = 1;
  static constexpr std::uint8_t kUtf8 = 2;
  static constexpr std::uint8_t kContentType = 4;
  static constexpr std::uint8_t kResponseTopic = 8;
  static constexpr std::uint8_t kCorrelation = 16;
  [[nodiscard]] std::string_view part(std::size_t at, std::size_t size) const {
    return std::string_view(bytes_).substr(at, size);
  }

  void account();

  std::uint64_t publisher_ = 0;
  std::int64_t expires_at_ms_ = 0;  // 0: never
  std::uint32_t payload_size_ = 0;
  std::uint16_t topic_size_ = 0;
  std::uint16_t content_type_size_ = 0;
  std::uint16_t response_topic_size_ = 0;
  std::uint16_t correlation_size_ = 0;
  std::uint8_t flags_ = 0;
  wire::mqtt::QoS qos_ = wire::mqtt::QoS::kAtMostOnce;
  /// Topic, payload, content type, response topic, correlation data, user properties.
  std::string bytes_;
};

}  // namespace millrace::broker
