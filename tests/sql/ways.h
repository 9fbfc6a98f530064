// Runs the cases of one file on a real node, in one of four ways, and compares each view with what
// DuckDB answers over the whole input (promise 3). A failure is one text that begins with
// file:line and the way. Thread: one.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sql/case_file.h"
#include "tests/sql/reference.h"

namespace millrace::sql_cases {

enum class Way {
  kBatchOnly,            // all events are before the cut
  kSpeedOnly,            // all are behind it
  kCutAndMerged,         // batch runs at random positions, some views made in between
  kKilledAndBegunAgain,  // the same, the process killed in the middle, also within a batch run
};
inline constexpr std::array kWays = {Way::kBatchOnly, Way::kSpeedOnly, Way::kCutAndMerged,
                                     Way::kKilledAndBegunAgain};
[[nodiscard]] std::string_view name(Way way);

class CaseRunner {
 public:
  /// `folder` is empty and belongs to the runner.
  CaseRunner(CaseFile file, std::filesystem::path folder);

  /// The same seed cuts at the same positions.
  std::vector<std::string> run(Way way, std::uint64_t seed);

 private:
  class Run;
  CaseFile file_;
  std::filesystem::path folder_;
  std::vector<StreamInput> inputs_;
  std::unique_ptr<Reference> reference_;  // made by the first run
  int runs_ = 0;
};

}  // namespace millrace::sql_cases
