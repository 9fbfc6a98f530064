// The rows that a SUBSCRIBE has told so far, as JSON Lines say them (docs/reference/sql.md), and
// what is to be seen of them: so many as fit a screen, the newest changes marked. Bounded: beyond
// kRowsMax keys it keeps those that changed last, and says that it does. Thread: one. Errors:
// kInternal for a line that is none; the server's, where the last line tells one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/result_table.h"

namespace millrace::cli {

class LiveRows {
 public:
  static constexpr std::size_t kRowsMax = 10'000;
  using Clock = std::chrono::steady_clock;

  /// Takes a line. Gives whether the rows are those of one position now.
  Result<bool> take(std::string_view line, Clock::time_point now);

  [[nodiscard]] std::size_t keys() const { return keys_.size(); }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] const std::string& position() const { return position_; }
  [[nodiscard]] bool is_whole() const { return !forgot_; }
  /// Rows in the order of their keys, at most so many; `is_new` says which changed since then.
  struct Shown {
    ResultTable table;
    std::vector<bool> is_new;
  };
  [[nodiscard]] Shown shown(std::size_t rows_max, Clock::time_point since) const;

 private:
  struct Key {
    std::vector<std::vector<std::string>> rows;  // cells as JSON texts
    Clock::time_point changed;
  };
  void forget_oldest();

  std::vector<std::string> names_;
  std::map<std::string, Key> keys_;
  std::string position_;
  std::uint64_t changes_ = 0;
  bool forgot_ = false;
};

}  // namespace millrace::cli
