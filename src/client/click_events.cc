// Clicks of a shop: who looked at, put away or bought what, and for how much.
#include <array>
#include <iterator>

#include "client/event_source.h"

namespace millrace::client {

namespace {

constexpr std::array<std::string_view, 5> kTypes = {"view", "search", "cart", "remove", "purchase"};
constexpr std::array<std::string_view, 12> kCountries = {"DE", "FR", "US", "BR", "IN", "JP",
                                                         "NG", "PL", "ES", "MX", "KE", "NZ"};
constexpr std::size_t kUsers = 20'000;
constexpr std::size_t kPages = 500;

class ClickEvents final : public EventSource {
 public:
  void append_event(std::string& out, Draw& random, bool late) override {
    now_ms_ += static_cast<std::int64_t>(random.below(20));
    const std::int64_t behind_ms =
        late ? 5'000 + static_cast<std::int64_t>(random.below(900'000)) : 0;
    const std::size_t user = users_.draw(random);
    const std::size_t type = types_.draw(random);
    const std::int64_t value =
        kTypes[type] == "purchase" ? 500 + static_cast<std::int64_t>(random.below(20'000)) : 0;
    // A visit lasts half an hour.
    const std::int64_t visit = (now_ms_ - kFirstEventMs) / 1'800'000;
    fmt::format_to(
        std::back_inserter(out),
        R"({{"ts":{},"user":"u{:06}","session":"s{:06}-{}","page":"/item/{}","type":"{}","country":"{}","value":)",
        now_ms_ - behind_ms, user, user, visit, pages_.draw(random), kTypes[type],
        kCountries[user % kCountries.size()]);
    append_hundredths(out, value);
    out += '}';
  }

 protected:
  [[nodiscard]] BadNames bad_names() const override { return {"ts", "value", "user"}; }

 private:
  ZipfTable users_{kUsers};
  ZipfTable pages_{kPages};
  ZipfTable types_{kTypes.size()};
  std::int64_t now_ms_ = kFirstEventMs;
};

}  // namespace

std::unique_ptr<EventSource> click_events() { return std::make_unique<ClickEvents>(); }

}  // namespace millrace::client
