// What one client, or all together, can make the broker hold. Each has a key in the configuration.
#pragma once

#include <cstdint>

namespace millrace::broker {

struct Limits {
  std::uint64_t sessions_max = 100'000;
  std::uint64_t subscriptions_per_client_max = 1'000'000;
  std::uint64_t topic_levels_max = 32;
  std::uint64_t retained_max = 1'000'000;
  std::uint64_t retained_bytes_max = std::uint64_t{256} << 20;
  std::uint64_t queue_messages_max = 100'000;
  std::uint64_t queue_bytes_max = std::uint64_t{64} << 20;
  /// All messages that are held anywhere.
  std::uint64_t message_bytes_max = std::uint64_t{512} << 20;
  std::uint32_t session_expiry_max_s = 30 * 86'400;
};

}  // namespace millrace::broker
