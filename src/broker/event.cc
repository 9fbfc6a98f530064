#include "broker/event.h"

#include "base/bytes.h"

namespace millrace::broker {

namespace {

using wire::mqtt::QoS;

constexpr std::uint8_t kVersion = 1;

void put_options(ByteWriter& out, const SubscriptionOptions& options) {
  out.put(static_cast<std::uint8_t>(static_cast<unsigned>(options.qos) |
                                    (options.no_local ? 4U : 0U) |
                                    (options.retain_as_published ? 8U : 0U)));
  out.put_varint(options.id);
}

SubscriptionOptions get_options(ByteReader& in) {
  const auto flags = in.get<std::uint8_t>();
  SubscriptionOptions options;
  options.qos = static_cast<QoS>(flags & 3U);
  options.no_local = (flags & 4U) != 0;
  options.retain_as_published = (flags & 8U) != 0;
  options.id = static_cast<std::uint32_t>(in.get_varint());
  return options;
}

struct Encoder {
  std::string& bytes;
  ByteWriter out{bytes};

  void operator()(const Opened& event) {
    out.put_string(event.client_id);
    out.put(static_cast<std::uint8_t>(event.clean ? 1 : 0));
    out.put(event.expiry_s);
    out.put(static_cast<std::uint8_t>(event.will ? 1 : 0));
    if (!event.will) return;
    out.put(event.will->delay_s);
    event.will->message->encode(bytes);
  }
  void operator()(const Ended& event) { out.put(event.session); }
  void operator()(const Subscribed& event) {
    out.put(event.session);
    out.put(event.at_ms);
    out.put_varint(event.all.size());
    for (const auto& one : event.all) {
      out.put_string(one.filter);
      put_options(out, one.options);
      out.put(static_cast<std::uint8_t>(one.send_retained ? 1 : 0));
    }
  }
  void operator()(const Unsubscribed& event) {
    out.put(event.session);
    out.put_varint(event.filters.size());
    for (const auto& filter : event.filters) out.put_string(filter);
  }
  void operator()(const Published& event) {
    event.message->encode(bytes);
    out.put_varint(event.chosen.size());
    for (const auto& chosen : event.chosen) {
      out.put(chosen.session);
      put_options(out, chosen.options);
    }
  }
  void operator()(const Received& event) {
    out.put(event.session);
    out.put(event.packet_id);
  }
  void operator()(const Released& event) {
    out.put(event.session);
    out.put(event.packet_id);
  }
  void operator()(const Acked& event) { sequences(event.session, event.sequences); }
  void operator()(const PubReceived& event) { sequences(event.session, event.sequences); }
  void operator()(const Detached& event) {
    out.put(event.session);
    out.put(event.at_ms);
    out.put(static_cast<std::uint8_t>((event.keeps_will ? 1U : 0U) | (event.expiry_s ? 2U : 0U)));
    if (event.expiry_s) out.put(*event.expiry_s);
  }
  void operator()(const WillDone& event) { out.put(event.session); }

 private:
  void sequences(SessionId session, const std::vector<std::uint64_t>& all) {
    out.put(session);
    out.put_varint(all.size());
    for (const auto sequence : all) out.put_varint(sequence);
  }
};

/// A count of things that take at least one byte each.
std::size_t get_count(ByteReader& in) {
  const std::uint64_t count = in.get_varint();
  if (count <= in.remaining()) return static_cast<std::size_t>(count);
  in.get_bytes(in.remaining() + 1);  // turns bad
  return 0;
}

template <class T>
T decode_sequences(ByteReader& in) {
  T event;
  event.session = in.get<std::uint64_t>();
  event.sequences.resize(get_count(in));
  for (auto& sequence : event.sequences) sequence = in.get_varint();
  return event;
}

template <class T>
T decode_packet(ByteReader& in) {
  T event;
  event.session = in.get<std::uint64_t>();
  event.packet_id = in.get<std::uint16_t>();
  return event;
}

std::optional<Event> decode_opened(ByteReader& in) {
  Opened event;
  event.client_id = std::string(in.get_string());
  event.clean = in.get<std::uint8_t>() != 0;
  event.expiry_s = in.get<std::uint32_t>();
  if (in.get<std::uint8_t>() != 0) {
    Will will;
    will.delay_s = in.get<std::uint32_t>();
    will.message = Message::decode(in);
    if (will.message == nullptr) return std::nullopt;
    event.will = std::move(will);
  }
  return event;
}

Event decode_subscribed(ByteReader& in) {
  Subscribed event;
  event.session = in.get<std::uint64_t>();
  event.at_ms = in.get<std::int64_t>();
  const std::size_t count = get_count(in);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    Subscribed::One one;
    one.filter = std::string(in.get_string());
    one.options = get_options(in);
    one.send_retained = in.get<std::uint8_t>() != 0;
    event.all.push_back(std::move(one));
  }
  return event;
}

std::optional<Event> decode_published(ByteReader& in) {
  Published event;
  event.message = Message::decode(in);
  if (event.message == nullptr) return std::nullopt;
  const std::size_t count = get_count(in);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    Published::Chosen chosen;
    chosen.session = in.get<std::uint64_t>();
    chosen.options = get_options(in);
    event.chosen.push_back(chosen);
  }
  return event;
}

std::optional<Event> decode_body(std::size_t kind, ByteReader& in) {
  switch (kind) {
    case 0:
      return decode_opened(in);
    case 1:
      return Ended{in.get<std::uint64_t>()};
    case 2:
      return decode_subscribed(in);
    case 3: {
      Unsubscribed event;
      event.session = in.get<std::uint64_t>();
      const std::size_t count = get_count(in);
      for (std::size_t i = 0; i < count && in.ok(); ++i)
        event.filters.emplace_back(in.get_string());
      return event;
    }
    case 4:
      return decode_published(in);
    case 5:
      return decode_packet<Received>(in);
    case 6:
      return decode_packet<Released>(in);
    case 7:
      return decode_sequences<Acked>(in);
    case 8:
      return decode_sequences<PubReceived>(in);
    case 9: {
      Detached event;
      event.session = in.get<std::uint64_t>();
      event.at_ms = in.get<std::int64_t>();
      const auto flags = in.get<std::uint8_t>();
      event.keeps_will = (flags & 1U) != 0;
      if ((flags & 2U) != 0) event.expiry_s = in.get<std::uint32_t>();
      return event;
    }
    case 10:
      return WillDone{in.get<std::uint64_t>()};
    default:
      return std::nullopt;
  }
}

}  // namespace

void encode_event(const Event& event, std::string& out) {
  ByteWriter writer(out);
  writer.put(kVersion);
  writer.put(static_cast<std::uint8_t>(event.index()));
  std::visit(Encoder{out}, event);
}

std::optional<Event> decode_event(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.get<std::uint8_t>() != kVersion) return std::nullopt;
  const auto kind = in.get<std::uint8_t>();
  auto event = decode_body(kind, in);
  if (!event || !in.at_end()) return std::nullopt;
  return event;
}

}  // namespace millrace::broker
