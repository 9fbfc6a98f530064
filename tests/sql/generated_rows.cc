#include "tests/sql/generated_rows.h"

#include <array>
#include <limits>
#include <random>

#include "base/check.h"
#include "model/value_text.h"

namespace millrace::sql_cases {

namespace {

constexpr auto kWords = std::to_array<const char*>(
    {"", "a", "A", "b", "ä", "Straße", "\u65e5\u672c\u8a9e",
     "\U0001F600 too long for the inline form", "zebra", "b ", "0", "null",
     "a rather long text that several rows share", "line\\nbreak", "quote\\\"d", "x\\u0000y"});

class Generator {
 public:
  Generator(const StreamDefinition& stream, std::uint64_t seed) : stream_(stream), random_(seed) {}

  std::string row(std::size_t number) {
    std::string out;
    for (std::uint32_t i = 0; i < stream_.columns.size(); ++i) {
      const auto& column = stream_.columns[i];
      const auto value = stream_.time_column == i  ? quoted(timestamp_text(time(), false))
                         : column.name == "seq"    ? std::to_string(number)
                         : stream_.key_column == i ? key(column)
                                                   : value_of(column);
      if (value.empty()) continue;
      out += fmt::format("{}\"{}\":{}", out.empty() ? "{" : ",", column.name, value);
    }
    return out.empty() ? "{}" : out + "}";
  }

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least) + 1));
  }
  static std::string quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

  /// Every third event has the time of the one before; every twentieth is up to 30 days late.
  std::int64_t time() {
    constexpr std::int64_t kStart = 1'704'067'200'000'000;  // 2024-01-01
    if (!one_in(3)) now_ += between(1, 600'000'000);
    const auto late = one_in(20) ? between(0, 30 * kMicrosPerDay) : 0;
    return kStart + now_ - late;
  }

  std::string key(const Column& column) {
    if (column.type.kind != TypeKind::kVarchar) return value_of(column);
    if (one_in(30)) return one_in(2) ? "null" : "";
    if (one_in(2)) return quoted("hot");
    if (one_in(4)) return quoted(kWords[below(kWords.size())]);
    return quoted(fmt::format("key {}", below(40)));
  }

  /// Empty: the field is missing.
  std::string value_of(const Column& column) {
    if (one_in(14)) return one_in(2) ? "null" : "";
    const auto& type = column.type;
    switch (type.kind) {
      case TypeKind::kBoolean:
        return one_in(2) ? "true" : "false";
      case TypeKind::kTinyInt:
        return integer<std::int8_t>();
      case TypeKind::kSmallInt:
        return integer<std::int16_t>();
      case TypeKind::kInteger:
        return integer<std::int32_t>();
      case TypeKind::kBigInt:
        return integer<std::int64_t>();
      case TypeKind::kUTinyInt:
        return integer<std::uint8_t>();
      case TypeKind::kUSmallInt:
        return integer<std::uint16_t>();
      case TypeKind::kUInteger:
        return integer<std::uint32_t>();
      case TypeKind::kUBigInt:
        return integer<std::uint64_t>();
      case TypeKind::kHugeInt:  // sums of many must stay in 128 bits, as DuckDB's do
        return one_in(2) ? std::to_string(between(-20, 20))
                         : quoted(int128_text(static_cast<Int128>(between(-1'000'000, 1'000'000)) *
                                              1'000'000'000'000'000'000 * 1'000'000'000));
      case TypeKind::kFloat:
      case TypeKind::kDouble:
        return floating(column);
      case TypeKind::kDecimal: {
        // Digits are left at the left for the sum of many rows.
        Int128 most = 1;
        for (int i = 0; i < type.width - (type.width > 18 ? 6 : 1); ++i) most *= 10;
        const auto value = one_in(3) ? static_cast<Int128>(between(-50, 50))
                                     : (static_cast<Int128>(random_()) << 62 ^ random_()) % most;
        return quoted(decimal_text(one_in(2) ? value : -value, type.scale));
      }
      case TypeKind::kTimestamp:
        return quoted(timestamp_text(between(-300, 2000) * 86'399'000'000 + between(0, 3), false));
      case TypeKind::kTimestampTz:
        return quoted(timestamp_text(between(-300, 2000) * 86'399'000'000 + between(0, 3), true));
      case TypeKind::kDate:
        return quoted(date_text(static_cast<std::int32_t>(between(-4000, 20'000))));
      case TypeKind::kTime:
        return quoted(fmt::format("{:02}:{:02}:00.{:06}", below(24), below(4) * 15, below(3)));
      case TypeKind::kUuid:
        return quoted(fmt::format("{:08x}-{:04x}-4000-8000-00000000000{}",
                                  one_in(2) ? 0xffffffffU : 0U, below(3), below(8)));
      case TypeKind::kJson:
        return fmt::format(R"({{"a":{},"b":[{},"ü"]}})", below(5), below(3));
      case TypeKind::kVarchar:
        return quoted(kWords[below(kWords.size())]);
      default:
        MR_CHECK(false, "no generator for {}", type.sql());
        return {};
    }
  }

  template <class T>
  std::string integer() {
    using Limits = std::numeric_limits<T>;
    if (one_in(25)) return std::to_string(one_in(2) ? Limits::max() : Limits::min());
    if (one_in(5)) {
      T value = 0;
      const auto bits = random_();
      std::memcpy(&value, &bits, sizeof(value));
      return std::to_string(value);
    }
    return std::to_string(std::is_signed_v<T> ? between(-20, 20) : between(0, 40));
  }

  std::string floating(const Column& column) {
    const bool is_float = column.type.kind == TypeKind::kFloat;
    if (column.name.starts_with("wild")) {
      switch (below(10)) {
        case 0:
          return "\"NaN\"";
        case 1:
          return one_in(2) ? "\"Infinity\"" : "\"-Infinity\"";
        case 2:
          return one_in(2) ? "-0.0" : "0.0";
        case 3:
          return is_float ? "1e-45" : "5e-324";
        case 4:
          return fmt::format("{}{}", one_in(2) ? "" : "-",
                             is_float ? "3.4028234e38" : "1.7976931348623157e308");
        case 5:
          return fmt::format("{}e{}", between(-999, 999), between(-30, 30));
        default:
          return fmt::format("{}", static_cast<double>(between(-1000, 1000)) / 8);
      }
    }
    if (one_in(40)) return "-0.0";
    if (column.name.starts_with("fine"))
      return fmt::format("{}", static_cast<double>(between(-1'000'000, 1'000'000)) / 1000);
    return fmt::format("{}", static_cast<double>(between(-20'000, 20'000)) / 8);
  }

  const StreamDefinition& stream_;
  std::mt19937_64 random_;
  std::int64_t now_ = 0;
};

}  // namespace

std::vector<std::string> generated_rows(const StreamDefinition& stream, std::size_t rows,
                                        std::uint64_t seed) {
  Generator generator(stream, seed);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < rows; ++i) out.push_back(generator.row(i));
  return out;
}

}  // namespace millrace::sql_cases
