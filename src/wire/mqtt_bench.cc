// What the codec costs per PUBLISH: framing and decoding of a stream of packets in memory, and
// encoding into one buffer.
#include <benchmark/benchmark.h>

#include "wire/mqtt.h"

namespace millrace::wire::mqtt {
namespace {

constexpr int kPackets = 1'000;

Publish sample(bool properties) {
  static const std::string list = [] {
    std::string bytes;
    append_user_property("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                         bytes);
    return bytes;
  }();
  Publish packet{.qos = QoS::kAtLeastOnce,
                 .packet_id = 7,
                 .topic = "site/berlin/sensor/4711/reading",
                 .payload = R"({"time":"2026-01-01T00:00:00Z","value":21.5,"unit":"C","ok":true})"};
  if (properties) {
    packet.content_type = "application/json";
    packet.message_expiry_s = 3'600;
    packet.repeated = RepeatedProperties(list);
  }
  return packet;
}

void decode_stream(benchmark::State& state, Version version, bool properties) {
  std::string bytes;
  for (int i = 0; i < kPackets; ++i) encode(sample(properties), version, bytes);
  for (auto _ : state) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const Frame frame = try_frame(rest, 1 << 20);
      auto packet = decode_publish(frame.bytes, version, Receiver::kServer);
      benchmark::DoNotOptimize(packet);
      rest.remove_prefix(frame.size);
    }
  }
  state.SetItemsProcessed(state.iterations() * kPackets);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}

void encode_stream(benchmark::State& state, Version version, bool properties) {
  const Publish packet = sample(properties);
  std::string bytes;
  for (auto _ : state) {
    bytes.clear();
    for (int i = 0; i < kPackets; ++i) encode(packet, version, bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetItemsProcessed(state.iterations() * kPackets);
}

BENCHMARK_CAPTURE(decode_stream, v311, Version::k311, false);
BENCHMARK_CAPTURE(decode_stream, v5, Version::k5, false);
BENCHMARK_CAPTURE(decode_stream, v5_properties, Version::k5, true);
BENCHMARK_CAPTURE(encode_stream, v311, Version::k311, false);
BENCHMARK_CAPTURE(encode_stream, v5_properties, Version::k5, true);

}  // namespace
}  // namespace millrace::wire::mqtt
