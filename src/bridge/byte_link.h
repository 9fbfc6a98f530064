// A TCP connection to another broker for one thread that waits for bytes and for a wake-up at once.
// Owns: the socket. Thread: one, but for Wake::set(). Errors: kUnavailable (kBusy).
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bridge/broker_url.h"

namespace millrace::bridge {

/// Ends a wait of the link's thread. Thread: any.
class Wake {
 public:
  Wake();
  ~Wake();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  void set();
  void clear();
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

class ByteLink {
 public:
  /// Waits at most `patience`, and not long after `stopping` is set.
  static Result<ByteLink> connect(const BrokerUrl& url, const std::atomic<bool>& stopping,
                                  std::chrono::milliseconds patience);
  ~ByteLink();
  ByteLink(ByteLink&& other) noexcept;
  ByteLink& operator=(ByteLink&&) = delete;

  /// Waits until there is something to read (where `reads`), or to write, or a wake-up, or the time
  /// is over.
  void wait(const Wake& wake, bool reads, bool writes, std::chrono::milliseconds patience) const;
  /// Appends what is there, at most a buffer full. Errors: also where the other side has closed.
  Status receive(std::string& in);
  /// Sends what goes, and takes it off the front.
  Status send(std::string& out);

 private:
  explicit ByteLink(int socket) : socket_(socket) {}
  int socket_;
};

}  // namespace millrace::bridge
