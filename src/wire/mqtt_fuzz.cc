// Any bytes as a stream of MQTT packets; the first byte chooses version and direction. No crash, no
// read past the end; whatever decodes encodes again, to bytes that decode to the same packet.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "wire/mqtt.h"

namespace {

using namespace millrace::wire::mqtt;

Version version_of(const Packet& packet, Version connection) {
  const auto* connect = std::get_if<Connect>(&packet);
  return connect != nullptr ? connect->version : connection;
}

void check(std::string_view frame, Version version, Receiver receiver) {
  const auto packet = decode(frame, version, receiver);
  if (!packet) {
    MR_CHECK(!packet.error().clause.empty() && is_error(packet.error().reason), "no clause");
    return;
  }
  const Version spoken = version_of(*packet, version);
  std::string once;
  encode(*packet, spoken, once);
  MR_CHECK(try_frame(once, kMaxPacketBytes).bytes.size() == once.size(), "no whole packet");
  const auto again = decode(once, spoken, receiver);
  MR_CHECK(again.has_value(), "refused what was accepted: {}", again.error().text());
  MR_CHECK(again->index() == packet->index(), "another packet");
  // Every field is encoded (the round-trip test compares them one by one), so equal bytes say that
  // the packets are equal.
  std::string twice;
  encode(*again, spoken, twice);
  MR_CHECK(once == twice, "encoded in two ways");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Version version = data[0] % 3 == 0   ? Version::k31
                          : data[0] % 3 == 1 ? Version::k311
                                             : Version::k5;
  const Receiver receiver = (data[0] & 0x80) != 0 ? Receiver::kClient : Receiver::kServer;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (Frame frame = try_frame(rest, kMaxPacketBytes); frame.state == Frame::State::kComplete;
       frame = try_frame(rest, kMaxPacketBytes)) {
    check(frame.bytes, version, receiver);
    rest.remove_prefix(frame.size);
  }
  return 0;
}
