#include "sql/duration.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/ascii_case.h"

namespace millrace::sql {

namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};
constexpr std::int64_t kSecond = 1'000'000;
constexpr auto kUnits = std::to_array<Unit>({{"microsecond", 1},
                                             {"us", 1},
                                             {"millisecond", 1000},
                                             {"ms", 1000},
                                             {"second", kSecond},
                                             {"sec", kSecond},
                                             {"s", kSecond},
                                             {"minute", 60 * kSecond},
                                             {"min", 60 * kSecond},
                                             {"hour", 3600 * kSecond},
                                             {"h", 3600 * kSecond},
                                             {"day", 86400 * kSecond},
                                             {"d", 86400 * kSecond},
                                             {"week", 7 * 86400 * kSecond}});

const Unit* find_unit(std::string_view word) {
  for (const Unit& unit : kUnits) {
    if (same_name(word, unit.name)) return &unit;
    if (unit.name.size() > 2 && word.size() == unit.name.size() + 1 &&
        same_name(word.substr(0, unit.name.size()), unit.name) &&
        (word.back() == 's' || word.back() == 'S')) {
      return &unit;
    }
  }
  return nullptr;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::int64_t> parse_duration(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    auto error = fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                      "'{}' is not a length of time: {}", text.substr(0, 60), why);
    error.error().hint =
        "write a number and a unit, as '7 days', '36 hours' or '1 day 12 hours'; units are weeks, "
        "days, hours, minutes, seconds, milliseconds and microseconds";
    return error;
  };
  constexpr auto kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::int64_t sum = 0;
  std::string_view rest = without_blanks(text);
  if (rest.empty()) return wrong("it is empty");
  while (!rest.empty()) {
    std::int64_t count = 0;
    const auto [stop, code] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (code != std::errc() || count < 0) return wrong("a number is expected");
    rest = without_blanks(rest.substr(static_cast<std::size_t>(stop - rest.data())));
    const std::string_view word = rest.substr(0, rest.find_first_not_of(kLetters));
    const Unit* unit = find_unit(word);
    if (unit == nullptr) return wrong("a unit is expected behind the number");
    rest = without_blanks(rest.substr(word.size()));
    std::int64_t part = 0;
    if (__builtin_mul_overflow(count, unit->us, &part) || __builtin_add_overflow(sum, part, &sum))
      return wrong("it is too long");
  }
  if (sum == 0) return wrong("it is 0");
  return sum;
}

}  // namespace millrace::sql
