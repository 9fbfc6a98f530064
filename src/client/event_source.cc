#include "client/event_source.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace millrace::client {

ZipfTable::ZipfTable(std::size_t size) {
  ends_.reserve(size);
  double sum = 0;
  for (std::size_t i = 1; i <= size; ++i) ends_.push_back(sum += 1.0 / static_cast<double>(i));
}

std::size_t ZipfTable::draw(Draw& random) const {
  const double at = random.unit() * ends_.back();
  const auto place = std::ranges::upper_bound(ends_, at);
  return std::min(static_cast<std::size_t>(place - ends_.begin()), ends_.size() - 1);
}

void append_hundredths(std::string& out, std::int64_t hundredths) {
  const auto magnitude = std::abs(hundredths);
  fmt::format_to(std::back_inserter(out), "{}{}.{:02}", hundredths < 0 ? "-" : "", magnitude / 100,
                 magnitude % 100);
}

void EventSource::append_bad(std::string& out, Draw& random, std::uint64_t form) {
  const auto names = bad_names();
  std::string event;
  append_event(event, random, false);
  // What stands behind the opening bracket, to put a wrong field in front.
  const std::string_view fields = std::string_view(event).substr(1);
  switch (form) {
    case 0:  // cut off in the middle
      out += std::string_view(event).substr(0, event.size() / 2);
      break;
    case 1:  // no event time
      fmt::format_to(std::back_inserter(out), R"({{"{}":{}}})", names.number, random.below(100));
      break;
    case 2:  // text in place of a number
      fmt::format_to(std::back_inserter(out), R"({{"{}":"{}","{}":"n/a"}})", names.time,
                     "2026-01-01T00:00:00", names.number);
      break;
    case 3:  // a number that no column holds
      fmt::format_to(std::back_inserter(out), R"({{"{}":"{}","{}":1e{}}})", names.time,
                     "2026-01-01T00:00:00", names.number, 400 + random.below(300));
      break;
    case 4:  // a field given twice
      fmt::format_to(std::back_inserter(out), R"({{"{}":"a",{})", names.text, fields);
      break;
    case 5:  // bytes that are no UTF-8
      fmt::format_to(std::back_inserter(out), "{{\"note\":\"caf\xe9\",{}", fields);
      break;
    case 6:  // no object
      fmt::format_to(std::back_inserter(out), "[{}]", event);
      break;
    default:  // brackets without end
      fmt::format_to(std::back_inserter(out), "{{\"note\":{}",
                     std::string(100 + random.below(100), '['));
  }
}

}  // namespace millrace::client
