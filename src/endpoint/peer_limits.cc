#include "endpoint/peer_limits.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <utility>

namespace millrace::endpoint {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::size_t kForgetAtLeast = 1024;

std::int64_t us_of(steady_clock::time_point time) {
  return std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
}

/// The address, or its first 64 bits.
std::string key_of(const Peer& peer) {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(peer.address, ec);
  if (ec || !address.is_v6()) return peer.address;
  const auto bytes = address.to_v6().to_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size() / 2};
}

}  // namespace

std::optional<microseconds> PeerShare::take_request(steady_clock::time_point now,
                                                    std::uint32_t per_second) {
  const std::int64_t now_us = us_of(now);
  const std::int64_t cost_us = kSecondUs / per_second;
  std::int64_t before = full_at_us_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t after = std::max(before, now_us) + cost_us;
    if (after > now_us + kSecondUs) return microseconds(after - now_us - kSecondUs);
    if (full_at_us_.compare_exchange_weak(before, after, std::memory_order_relaxed))
      return std::nullopt;
  }
}

bool PeerShare::is_fresh(steady_clock::time_point now) const {
  return full_at_us_.load(std::memory_order_relaxed) <= us_of(now);
}

PeerLimits::Entry PeerLimits::enter(const Peer& peer) {
  const MutexLock lock(mutex_);
  if (shares_.size() >= forget_at_) forget_the_gone();
  auto& share = shares_[key_of(peer)];
  if (share == nullptr) share = std::make_shared<PeerShare>();
  Entry entry{.share = share};
  entry.connections = static_cast<std::size_t>(share.use_count()) - 1;  // one is the map's
  return entry;
}

std::size_t PeerLimits::size() const {
  const MutexLock lock(mutex_);
  return shares_.size();
}

void PeerLimits::forget_the_gone() {
  const auto now = steady_clock::now();
  std::erase_if(shares_, [&](const auto& one) {
    return one.second.use_count() == 1 && one.second->is_fresh(now);
  });
  forget_at_ = std::max(kForgetAtLeast, shares_.size() * 2);
}

}  // namespace millrace::endpoint
