#include "event_generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace millrace::bench {

const std::string_view kTypeNames[kTypes] = {"click", "viewd", "carts", "order", "login"};

namespace {

constexpr std::size_t kGuideBits = 16;
constexpr std::uint32_t kHundredthsMax = 100'000;

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// Exactly `digits` digits, with zeros in front.
char* put_digits(char* at, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return at + digits;
}

char* put_number(char* at, std::uint64_t value) {
  int digits = 1;
  for (std::uint64_t rest = value; rest >= 10; rest /= 10) ++digits;
  return put_digits(at, value, digits);
}

void add(GroupTotals& group, std::uint32_t hundredths, __int128 scaled) {
  group.min = group.count == 0 ? hundredths : std::min(group.min, hundredths);
  group.max = std::max(group.max, hundredths);
  group.sum += scaled;
  ++group.count;
}

}  // namespace

double GroupTotals::rounded_sum() const { return std::ldexp(static_cast<double>(sum), -59); }

EventGenerator::EventGenerator(std::uint64_t seed) : state_(seed) {
  double all = 0;
  for (std::size_t i = 1; i <= kUsers; ++i) all += 1.0 / static_cast<double>(i);
  double sum = 0;
  ends_.reserve(kUsers);
  for (std::size_t i = 1; i <= kUsers; ++i) {
    sum += 1.0 / static_cast<double>(i);
    ends_.push_back(static_cast<std::uint32_t>(std::min(sum / all * 0x1p32, 0x1p32 - 1)));
  }
  ends_.back() = ~std::uint32_t{0};
  guide_.reserve(std::size_t{1} << kGuideBits);
  std::uint32_t user = 0;
  for (std::uint64_t part = 0; part < std::uint64_t{1} << kGuideBits; ++part) {
    while (user + 1 < kUsers && ends_[user] <= part << (32 - kGuideBits)) ++user;
    guide_.push_back(user);
  }
  scaled_.reserve(kHundredthsMax + 1);
  for (std::uint32_t i = 0; i <= kHundredthsMax; ++i) {
    scaled_.push_back(static_cast<__int128>(std::ldexp(static_cast<double>(i) / 100.0, 59)));
  }
}

std::uint64_t EventGenerator::next() {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint32_t EventGenerator::below(std::uint32_t limit) {
  return static_cast<std::uint32_t>((next() >> 32) * limit >> 32);
}

std::uint32_t EventGenerator::draw_user() {
  const auto point = static_cast<std::uint32_t>(next() >> 32);
  std::uint32_t user = guide_[point >> (32 - kGuideBits)];
  while (user + 1 < kUsers && ends_[user] <= point) ++user;
  return user;
}

void EventGenerator::append(std::string& out, std::size_t rows) {
  char line[192];
  for (std::size_t i = 0; i < rows; ++i) {
    const std::int64_t behind = below(100) == 0 ? below(5'001) : 0;
    const std::int64_t since = static_cast<std::int64_t>(totals_.events) - behind;
    const std::uint32_t user = draw_user();
    const std::uint32_t type = below(kTypes);
    const std::uint32_t page = below(kPages);
    const std::uint32_t country = below(676);
    const std::uint32_t value = below(kHundredthsMax + 1);
    const bool ok = below(10) != 0;
    char* at = put(line, R"({"ts":)");
    at = put_digits(at, static_cast<std::uint64_t>(kFirstEventMs + since), 13);
    at = put(at, R"(,"id":"e)");
    at = put_digits(at, totals_.events, 10);
    at = put(at, R"(","user":"u)");
    at = put_digits(at, user, 6);
    at = put(at, R"(","type":")");
    at = put(at, kTypeNames[type]);
    at = put(at, R"(","page":"/p/)");
    at = put_digits(at, page, 4);
    at = put(at, R"(","country":")");
    *at++ = static_cast<char>('A' + country / 26);
    *at++ = static_cast<char>('A' + country % 26);
    at = put(at, R"(","value":)");
    at = put_number(at, value / 100);
    *at++ = '.';
    at = put_digits(at, value % 100, 2);
    at = put(at, ok ? std::string_view(R"(,"ok":true})") : std::string_view(R"(,"ok":false})"));
    *at++ = '\n';
    out.append(line, static_cast<std::size_t>(at - line));

    add(totals_.users[user], value, scaled_[value]);
    add(totals_.pages[page * kTypes + type], value, scaled_[value]);
    const auto minute = static_cast<std::size_t>((since + 60'000) / 60'000) * kTypes + type;
    if (minute >= totals_.minutes.size()) totals_.minutes.resize((minute / kTypes + 60) * kTypes);
    add(totals_.minutes[minute], value, scaled_[value]);
    ++totals_.events;
  }
}

}  // namespace millrace::bench
