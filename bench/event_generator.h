// The events that the benchmarks send, 129 bytes of JSON each, and the exact answers of the three
// views over them, kept while they are made. The same seed gives the same events: ts in steps of 1
// ms with 1 % up to 5 s late, 100,000 users by Zipf's law, 5 types, 2,000 pages, 676 countries,
// value 0 to 1000.00. Thread: one owner. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::bench {

inline constexpr std::size_t kUsers = 100'000;
inline constexpr std::size_t kPages = 2'000;
inline constexpr std::size_t kTypes = 5;
inline constexpr std::int64_t kFirstEventMs = 1'767'225'600'000;  // 2026-01-01
extern const std::string_view kTypeNames[kTypes];

inline constexpr std::string_view kStreamSql =
    "CREATE STREAM ev (ts TIMESTAMP, id VARCHAR, \"user\" VARCHAR, type VARCHAR, page VARCHAR, "
    "country VARCHAR,"
    " value DOUBLE, ok BOOLEAN) WITH (time = ts)";
struct BenchView {
  std::string_view name;
  std::string_view select;  // with the source as {}
};
inline constexpr BenchView kViews[] = {
    {"v1",
     "SELECT \"user\", count(*) AS c, sum(value) AS s, min(value) AS mn, max(value) AS mx FROM {} "
     "GROUP BY \"user\""},
    {"v2", "SELECT page, type, count(*) AS c, sum(value) AS s FROM {} GROUP BY page, type"},
    {"v3",
     "SELECT date_trunc('minute', ts) AS minute, type, count(*) AS c, sum(value) AS s FROM {} "
     "GROUP BY minute, type"},
};

/// count, sum, min and max of the values of one group.
struct GroupTotals {
  std::uint64_t count = 0;
  __int128 sum = 0;  // of the doubles, in units of 2^-59, which every one of them is a multiple of
  std::uint32_t min = 0;  // hundredths
  std::uint32_t max = 0;

  /// The exact sum, rounded once.
  [[nodiscard]] double rounded_sum() const;
};

struct Totals {
  std::uint64_t events = 0;
  std::vector<GroupTotals> users = std::vector<GroupTotals>(kUsers);
  std::vector<GroupTotals> pages = std::vector<GroupTotals>(kPages * kTypes);
  /// By (minute + 1) * kTypes + type, minutes since kFirstEventMs; late events reach minute -1.
  std::vector<GroupTotals> minutes;
};

class EventGenerator {
 public:
  explicit EventGenerator(std::uint64_t seed = 42);
  /// Appends `rows` lines and counts them.
  void append(std::string& out, std::size_t rows);
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  std::uint64_t next();
  std::uint32_t below(std::uint32_t limit);
  std::uint32_t draw_user();

  std::uint64_t state_;
  std::vector<std::uint32_t> ends_;   // user i takes [ends_[i - 1], ends_[i]) of 2^32
  std::vector<std::uint32_t> guide_;  // first user for each of 2^16 equal parts
  std::vector<__int128> scaled_;      // value in units of 2^-59 of each number of hundredths
  Totals totals_;
};

}  // namespace millrace::bench
