// Which groups of a view over sessions are one session: those that follow each other, in the order
// of their keys, by at most the gap. Thread: one at a time. Errors: kDataLoss for bytes that are no
// key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/aggregate_plan.h"

namespace millrace::view {

class SessionKeys {
 public:
  SessionKeys(const AggregatePlan& plan, std::int64_t gap_us) : keys_(plan.keys), gap_us_(gap_us) {}

  /// Takes the next key in ascending order; gives whether it begins a session.
  Result<bool> begins(std::string_view key);
  /// The key of the present session: that of its first group.
  [[nodiscard]] const std::string& session() const { return session_; }

 private:
  std::vector<Type> keys_;
  std::int64_t gap_us_;
  std::string session_;
  std::int64_t last_us_ = 0;
  std::vector<std::string_view> columns_;
};

}  // namespace millrace::view
