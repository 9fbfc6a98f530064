// At the start: the log's tail back into columns and views. Record batches are gathered into
// rounds, decoded by several threads, and applied in log order, as they were the first time; one
// round is applied while the next is read and decoded. Thread: one. Errors: kDataLoss where a
// record of the log does not decode.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ingest/duplicate_filter.h"
#include "log/commit_log.h"
#include "speed/speed_layer.h"

namespace millrace::ingest {

class Replay {
 public:
  Replay(speed::SpeedLayer& speed, DuplicateFilters& filters, std::uint32_t threads)
      : speed_(speed), filters_(filters), threads_(threads) {}

  /// Takes a batch as the log's recovery visits it. Those of dropped streams are passed over.
  Status add(const log::RecoveredBatch& batch);
  /// Applies what is still gathered; afterwards all of it is visible.
  Status finish();
  [[nodiscard]] std::uint64_t records() const { return records_; }

  /// After finish(): the rows on which views failed, for Ingest::report().
  using Failures =
      std::vector<std::pair<std::shared_ptr<speed::StreamState>, std::vector<speed::ViewFailures>>>;
  [[nodiscard]] Failures take_failures() { return std::move(failures_); }

 private:
  struct Gathered {
    std::shared_ptr<speed::StreamState> stream;
    log::RecoveredBatch batch;  // its bytes lie in `bytes`
    std::string bytes;
  };
  using Rounds = std::map<std::shared_ptr<speed::StreamState>, std::vector<speed::TailEntry>>;
  Status decode_round();
  void join_round();

  speed::SpeedLayer& speed_;
  DuplicateFilters& filters_;
  const std::uint32_t threads_;
  std::future<Failures> applying_;
  Failures failures_;
  std::vector<Gathered> gathered_;
  std::uint64_t gathered_bytes_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace millrace::ingest
