// Flights: departures between airports, with the delay at arrival in minutes and the distance in
// miles.
#include <array>
#include <iterator>

#include "client/event_source.h"
#include "model/value_text.h"

namespace millrace::client {

namespace {

constexpr std::array<std::string_view, 40> kAirports = {
    "ATL", "ORD", "DFW", "LAX", "PHX", "DEN", "IAH", "LAS", "DTW", "STL",
    "MSP", "SFO", "BWI", "MCO", "CLT", "EWR", "SEA", "PHL", "BOS", "LGA",
    "SLC", "OAK", "SAN", "MDW", "PIT", "MIA", "TPA", "CLE", "CVG", "PDX",
    "DCA", "JFK", "MCI", "SJC", "BNA", "HOU", "DAL", "SMF", "MSY", "ABQ"};

class FlightEvents final : public EventSource {
 public:
  void append_event(std::string& out, Draw& random, bool late) override {
    // One departure every 9 seconds: about the traffic of one country in a year of three million.
    now_ms_ += 4'000 + static_cast<std::int64_t>(random.below(10'001));
    const std::int64_t behind_ms =
        late ? 600'000 + static_cast<std::int64_t>(random.below(86'400'000)) : 0;
    const std::int64_t minute_us = (now_ms_ - behind_ms) / 60'000 * 60'000'000;
    const std::size_t origin = airports_.draw(random);
    std::size_t destination = airports_.draw(random);
    if (destination == origin) destination = (origin + 1) % kAirports.size();
    // Most flights are a little early; one in six is really late.
    std::int64_t delay = random.around_zero(15) - 3;
    if (random.below(6) == 0) delay += 15 + random.around_zero(60) + 60;
    // The same for both directions, as if the airports lay somewhere.
    const std::size_t low = std::min(origin, destination);
    const std::size_t high = std::max(origin, destination);
    const std::size_t distance = 120 + (low * 7919 + high * 104'729) % 2'500;
    fmt::format_to(std::back_inserter(out),
                   R"({{"date":"{}","delay":{},"distance":{},"origin":"{}","destination":"{}"}})",
                   timestamp_text(minute_us, false), delay, distance, kAirports[origin],
                   kAirports[destination]);
  }

 protected:
  [[nodiscard]] BadNames bad_names() const override { return {"date", "delay", "origin"}; }

 private:
  ZipfTable airports_{kAirports.size()};
  std::int64_t now_ms_ = kFirstEventMs;
};

}  // namespace

std::unique_ptr<EventSource> flight_events() { return std::make_unique<FlightEvents>(); }

}  // namespace millrace::client
