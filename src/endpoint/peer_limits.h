// How much of a server one address may have: connections, and requests a second. For IPv6 a network
// of 64 bits is one address, for that is what one customer gets. Off unless it is set. Owns: what
// is known of each address, until it has no connection and has waited long enough. Thread: any.
// Errors: none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/mutex.h"
#include "endpoint/peer.h"

namespace millrace::endpoint {

/// What one address has; its connections hold it.
class PeerShare {
 public:
  /// A request at `now`. Where it comes too early: how long it should have waited. As a bucket of
  /// one second's requests that is filled steadily.
  [[nodiscard]] std::optional<std::chrono::microseconds> take_request(
      std::chrono::steady_clock::time_point now, std::uint32_t per_second);
  [[nodiscard]] bool is_fresh(std::chrono::steady_clock::time_point now) const;

 private:
  /// When the bucket is full again.
  std::atomic<std::int64_t> full_at_us_{0};
};

class PeerLimits {
 public:
  struct Entry {
    std::shared_ptr<PeerShare> share;
    /// With this one.
    std::size_t connections = 0;
  };

  /// A new connection of that address.
  [[nodiscard]] Entry enter(const Peer& peer) EXCLUDES(mutex_);
  /// Addresses that are remembered.
  [[nodiscard]] std::size_t size() const EXCLUDES(mutex_);

 private:
  void forget_the_gone() REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<PeerShare>> shares_ GUARDED_BY(mutex_);
  std::size_t forget_at_ GUARDED_BY(mutex_) = 1024;
};

}  // namespace millrace::endpoint
