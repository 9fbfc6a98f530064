// The broker's state as one file: what a start would otherwise read from the whole log. Each
// message stands in it once. Bytes: docs/internals/mqtt_events.md.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "broker/broker.h"

namespace millrace::broker {

namespace {

using wire::mqtt::QoS;

constexpr std::uint32_t kMagic = 0x514d'524d;  // "MRMQ"
constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kFile = "checkpoint";
/// The log holds at least this much of the broker's events before a checkpoint is worth it.
constexpr std::uint64_t kEventBytes = std::uint64_t{32} << 20;
/// However few the events: so much of the log must not wait for them.
constexpr std::uint64_t kLogBytes = std::uint64_t{128} << 20;

/// Messages by number, in the order in which they were met.
class MessageTable {
 public:
  void put(ByteWriter& out, const std::shared_ptr<const Message>& message) {
    const auto [place, fresh] = numbers_.emplace(message.get(), numbers_.size());
    if (fresh) all_.push_back(message.get());
    out.put_varint(place->second);
  }
  [[nodiscard]] const std::vector<const Message*>& all() const { return all_; }

 private:
  std::unordered_map<const Message*, std::uint64_t> numbers_;
  std::vector<const Message*> all_;
};

void put_options(ByteWriter& out, const SubscriptionOptions& options) {
  out.put(static_cast<std::uint8_t>(options.qos));
  out.put(static_cast<std::uint8_t>((options.no_local ? 1U : 0U) |
                                    (options.retain_as_published ? 2U : 0U)));
  out.put(options.id);
}

SubscriptionOptions get_options(ByteReader& in) {
  SubscriptionOptions options;
  options.qos = static_cast<QoS>(std::min<std::uint8_t>(in.get<std::uint8_t>(), 2));
  const auto flags = in.get<std::uint8_t>();
  options.no_local = (flags & 1U) != 0;
  options.retain_as_published = (flags & 2U) != 0;
  options.id = in.get<std::uint32_t>();
  return options;
}

void put_queue(ByteWriter& out, const Session& session, MessageTable& messages) {
  std::uint64_t count = 0;
  session.for_each_queued([&](std::uint64_t, const Delivery&) { ++count; });
  out.put_varint(count);
  session.for_each_queued([&](std::uint64_t sequence, const Delivery& delivery) {
    out.put_varint(sequence);
    messages.put(out, delivery.message);
    const bool received = delivery.state == Delivery::State::kReceived;
    out.put(static_cast<std::uint8_t>(static_cast<unsigned>(delivery.qos) |
                                      (delivery.retain ? 4U : 0U) | (received ? 8U : 0U) |
                                      (delivery.dup ? 16U : 0U)));
    out.put_varint(delivery.ids.all().size());
    for (const auto id : delivery.ids.all()) out.put_varint(id);
  });
}

}  // namespace

std::string Broker::encode_checkpoint() {
  MessageTable messages;
  std::string body;
  ByteWriter out(body);
  std::uint64_t durable = 0;
  for (const auto& [id, session] : sessions_) durable += session->durable() ? 1 : 0;
  out.put_varint(durable);
  for (const auto& [id, session] : sessions_) {
    if (!session->durable()) continue;
    out.put(id);
    out.put_string(session->client_id());
    out.put(session->expiry_s);
    out.put(session->detached_at_ms);
    out.put(static_cast<std::uint8_t>(session->will ? 1 : 0));
    if (session->will) {
      out.put(session->will->delay_s);
      messages.put(out, session->will->message);
    }
    out.put_varint(session->subscriptions.size());
    for (const auto& [filter, options] : session->subscriptions) {
      out.put_string(filter);
      put_options(out, options);
    }
    const auto received = session->received();
    out.put_varint(received.size());
    for (const auto packet_id : received) out.put(packet_id);
    out.put(session->next_sequence());
    put_queue(out, *session, messages);
  }
  out.put_varint(retained_.size());
  retained_.for_each_value(
      [&](const std::shared_ptr<const Message>& message) { messages.put(out, message); });

  std::string file;
  ByteWriter head(file);
  head.put(kMagic);
  head.put(kVersion);
  head.put(applied_end_);
  head.put_varint(messages.all().size());
  for (const Message* message : messages.all()) message->encode(file);
  file += body;
  head.put(crc32c(file));
  return file;
}

Status Broker::decode_checkpoint(std::string_view bytes) {
  const auto damaged = [&](std::string_view what) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "{}: {}", (folder_ / kFile).string(),
                what);
  };
  if (bytes.size() < sizeof(std::uint32_t)) return damaged("is too short");
  ByteReader tail(bytes.substr(bytes.size() - sizeof(std::uint32_t)));
  bytes.remove_suffix(sizeof(std::uint32_t));
  if (tail.get<std::uint32_t>() != crc32c(bytes)) return damaged("the checksum is wrong");
  ByteReader in(bytes);
  if (in.get<std::uint32_t>() != kMagic) return damaged("is no checkpoint of the broker");
  if (in.get<std::uint8_t>() != kVersion) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
                "{}: another version of Millrace wrote it", (folder_ / kFile).string());
  }
  const MutexLock lock(mutex_);
  applied_end_ = in.get<std::uint64_t>();
  std::vector<std::shared_ptr<const Message>> messages;
  for (std::uint64_t left = in.get_varint(); left != 0 && in.ok(); --left) {
    messages.push_back(Message::decode(in));
    if (messages.back() == nullptr) return damaged("a message does not decode");
  }
  const auto message = [&]() -> std::shared_ptr<const Message> {
    const std::uint64_t number = in.get_varint();
    return number < messages.size() ? messages[number] : nullptr;
  };
  for (std::uint64_t left = in.get_varint(); left != 0 && in.ok(); --left) {
    const auto id = in.get<std::uint64_t>();
    const std::string client_id(in.get_string());
    const auto session = add_session(id, client_id, true);
    session->expiry_s = in.get<std::uint32_t>();
    session->detached_at_ms = in.get<std::int64_t>();
    if (in.get<std::uint8_t>() != 0) {
      Will will{.message = {}, .delay_s = in.get<std::uint32_t>()};
      will.message = message();
      if (will.message != nullptr) session->will = std::move(will);
    }
    for (std::uint64_t i = in.get_varint(); i != 0 && in.ok(); --i) {
      const std::string filter(in.get_string());
      subscriptions_.add(*session, filter, get_options(in));
    }
    for (std::uint64_t i = in.get_varint(); i != 0 && in.ok(); --i)
      session->receive_stored(in.get<std::uint16_t>());
    const auto next_sequence = in.get<std::uint64_t>();
    for (std::uint64_t i = in.get_varint(); i != 0 && in.ok(); --i) {
      const std::uint64_t sequence = in.get_varint();
      Delivery delivery;
      delivery.message = message();
      const auto flags = in.get<std::uint8_t>();
      delivery.qos = static_cast<QoS>(flags & 3U);
      delivery.retain = (flags & 4U) != 0;
      if ((flags & 8U) != 0) delivery.state = Delivery::State::kReceived;
      delivery.dup = (flags & 16U) != 0;
      for (std::uint64_t n = in.get_varint(); n != 0 && in.ok(); --n)
        delivery.ids.add(static_cast<std::uint32_t>(in.get_varint()));
      if (delivery.message == nullptr) return damaged("a queued message is not there");
      session->restore(sequence, std::move(delivery));
    }
    session->set_next_sequence(next_sequence);
    if (session->detached_at_ms != 0) {
      const std::int64_t at = session->detached_at_ms;
      if (session->will) set_due(*session, at + std::int64_t{session->will->delay_s} * 1000);
      if (session->expiry_s != kNeverExpires)
        set_due(*session, at + std::int64_t{session->expiry_s} * 1000);
    }
  }
  for (std::uint64_t left = in.get_varint(); left != 0 && in.ok(); --left) {
    const auto kept = message();
    if (kept == nullptr) return damaged("a retained message is not there");
    retain(kept);
  }
  if (!in.at_end()) return damaged("does not decode");
  subscription_count_.store(subscriptions_.size(), std::memory_order_release);
  checkpoint_bytes_ = bytes.size();
  covered_.store(applied_end_, std::memory_order_release);
  return {};
}

Result<Offset> Broker::open() {
  MR_RETURN_IF_ERROR(files_.create_directories(folder_));
  if (files_.exists(folder_ / kFile)) {
    MR_TRY(const std::string bytes, runtime::read_file(files_, folder_ / kFile));
    MR_RETURN_IF_ERROR(decode_checkpoint(bytes));
  }
  return covered();
}

bool Broker::checkpoint_is_due() const {
  if (log_ == nullptr || applied_end_ == covered_.load(std::memory_order_relaxed)) return false;
  if (bytes_since_checkpoint_ >= std::max(kEventBytes, 2 * checkpoint_bytes_)) return true;
  return log_->statistics().bytes >= log_bytes_at_checkpoint_ + kLogBytes;
}

void Broker::write_checkpoints() {
  for (;;) {
    std::string bytes;
    std::uint64_t end = 0;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && !checkpoint_is_due()) checkpoint_due_.wait(mutex_);
      if (stopping_) return;
      end = applied_end_;
      bytes = encode_checkpoint();
      checkpoint_bytes_ = bytes.size();
      bytes_since_checkpoint_ = 0;
      log_bytes_at_checkpoint_ = log_->statistics().bytes;
    }
    if (auto written = runtime::write_file_durably(files_, folder_ / kFile, bytes); !written) {
      // The log keeps what the file would have covered; the next one tries again.
      spdlog::error("mqtt: checkpoint: {}", written.error().message);
      continue;
    }
    covered_.store(end, std::memory_order_release);
    counters_.checkpoints.fetch_add(1, std::memory_order_relaxed);
    covers_more_();
  }
}

}  // namespace millrace::broker
