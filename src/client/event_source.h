// The three kinds of events that the generator makes: their fields, how the values spread, and how
// time goes on. Each kind is one class in one file (flight_events.cc, iot_events.cc,
// click_events.cc). Thread: one owner. Errors: none. Invariant: the bytes follow from the seed
// alone; no library distribution is used, since those differ between standard libraries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/generator.h"

namespace millrace::client {

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and a mix, any seed is good.
class Draw {
 public:
  explicit Draw(std::uint64_t& state) : state_(state) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 .. limit - 1.
  std::uint64_t below(std::uint64_t limit) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * limit) >> 64);
  }
  /// [0, 1) in steps of 2^-53.
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// About a bell from -spread to spread: the sum of four even draws.
  std::int64_t around_zero(std::int64_t spread) {
    std::int64_t sum = 0;
    for (int i = 0; i < 4; ++i)
      sum += static_cast<std::int64_t>(below(static_cast<std::uint64_t>(spread) + 1));
    return sum / 2 - spread;
  }

 private:
  std::uint64_t& state_;
};

/// Index i with weight 1 / (i + 1): few things are very common, most are rare.
class ZipfTable {
 public:
  explicit ZipfTable(std::size_t size);
  [[nodiscard]] std::size_t draw(Draw& random) const;

 private:
  std::vector<double> ends_;
};

class EventSource {
 public:
  virtual ~EventSource() = default;
  /// Appends one event without a line end. `late`: its time lies before that of events made
  /// already.
  virtual void append_event(std::string& out, Draw& random, bool late) = 0;
  /// Appends a record that the stream must refuse, of one of kBadForms forms.
  void append_bad(std::string& out, Draw& random, std::uint64_t form);
  static constexpr std::uint64_t kBadForms = 8;

 protected:
  /// Names of the time column, of a number column, and of a text column of the kind.
  struct BadNames {
    std::string_view time;
    std::string_view number;
    std::string_view text;
  };
  [[nodiscard]] virtual BadNames bad_names() const = 0;
};

std::unique_ptr<EventSource> flight_events();
std::unique_ptr<EventSource> iot_events();
std::unique_ptr<EventSource> click_events();

/// 2026-01-01 00:00:00 UTC, where the time of every kind begins.
inline constexpr std::int64_t kFirstEventMs = 1'767'225'600'000;

/// Appends hundredths as a decimal number: -1234 is "-12.34".
void append_hundredths(std::string& out, std::int64_t hundredths);

}  // namespace millrace::client
