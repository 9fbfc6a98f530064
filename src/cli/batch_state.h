// What GET /v1/batch says of the batch layer, and its text for people.
// Thread: any. Errors: those of ApiClient; kInternal where the document is not one of the batch
// layer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/api_client.h"
#include "cli/result_table.h"

namespace millrace::cli {

struct BatchRun {
  std::uint64_t run = 0;
  bool full = false;
  std::string reason;
  double seconds = 0;
  std::uint64_t generations = 0;
  std::uint64_t drift_rows = 0;
  std::optional<Error> error;
};

struct BatchState {
  std::string json;       // the whole document
  std::string state;      // idle, pending, running
  std::uint64_t run = 0;  // that runs now
  std::string view;       // in work
  std::uint64_t rows_done = 0;
  std::uint64_t rows_total = 0;
  double rows_per_second = 0;
  double seconds_left = 0;
  std::vector<BatchRun> last;  // newest first

  /// The run of this number, once it has ended.
  [[nodiscard]] const BatchRun* ended(std::uint64_t number) const;
  /// "run 3: view v, 1,000 of 2,000 rows (50 %), 500 rows/s, 2 s left"
  [[nodiscard]] std::string progress_text() const;
};

/// Starts a run, or joins the one that is requested already. Gives its number.
Result<std::uint64_t> start_batch(ApiClient& api, bool full);
Result<BatchState> batch_state(ApiClient& api);
/// Polls until the run has ended; calls `progress` with each state. Gives the error of the run
/// where it failed.
Result<BatchState> wait_for_batch(ApiClient& api, std::uint64_t run,
                                  const std::function<Status(const BatchState&)>& progress);
/// The generations that a document names, as a table.
[[nodiscard]] ResultTable generations_table(const BatchState& state);

}  // namespace millrace::cli
