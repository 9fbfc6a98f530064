// Measurements of devices at sites: temperature in degrees Celsius, humidity and battery in per
// cent.
#include <array>
#include <iterator>

#include "client/event_source.h"
#include "model/value_text.h"

namespace millrace::client {

namespace {

constexpr std::array<std::string_view, 6> kSites = {"north", "south",   "east",
                                                    "west",  "harbour", "hill"};
constexpr std::size_t kDevices = 500;

class IotEvents final : public EventSource {
 public:
  void append_event(std::string& out, Draw& random, bool late) override {
    now_ms_ += 1 + static_cast<std::int64_t>(random.below(40));
    const std::int64_t behind_ms =
        late ? 10'000 + static_cast<std::int64_t>(random.below(3'600'000)) : 0;
    const std::size_t device = random.below(kDevices);
    // Each device has its own level, and a slow wave over six hours.
    const std::int64_t phase = (now_ms_ / 1000 + static_cast<std::int64_t>(device) * 97) % 21'600;
    const std::int64_t wave = (phase < 10'800 ? phase : 21'600 - phase) / 20;
    const std::int64_t temperature =
        1'500 + static_cast<std::int64_t>(device % 40) * 25 + wave + random.around_zero(80);
    const bool ok = random.below(200) != 0;
    std::string when = timestamp_text((now_ms_ - behind_ms) * 1000, false);
    when[10] = 'T';
    fmt::format_to(std::back_inserter(out),
                   R"({{"ts":"{}Z","device":"dev-{:04}","site":"{}","temperature":)", when, device,
                   kSites[device % kSites.size()]);
    append_hundredths(out, ok ? temperature : temperature + 6'000);
    out += R"(,"humidity":)";
    // A sensor that gave no answer.
    if (random.below(50) == 0) {
      out += "null";
    } else {
      append_hundredths(out, 5'000 + random.around_zero(3'000));
    }
    const std::int64_t used =
        (now_ms_ - kFirstEventMs) / 3'600'000 + static_cast<std::int64_t>(device % 30);
    fmt::format_to(std::back_inserter(out), R"(,"battery":{},"ok":{}}})", 100 - used % 100, ok);
  }

 protected:
  [[nodiscard]] BadNames bad_names() const override { return {"ts", "battery", "device"}; }

 private:
  std::int64_t now_ms_ = kFirstEventMs;
};

}  // namespace

std::unique_ptr<EventSource> iot_events() { return std::make_unique<IotEvents>(); }

}  // namespace millrace::client
