// The operator behind one interface, by each of its two doors: the shared library, opened by its
// path, and a worker process. Both take and give Arrow streams; the library's arrays pass through
// the C Data Interface on the way.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "op/arrow_array.h"
#include "outcome.h"

namespace millrace::parity {

struct Emitted {
  std::vector<State> states;
  std::vector<Skipped> skipped;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// What the operator says of itself (JSON).
  virtual Result<std::string> hello() = 0;
  virtual Result<Emitted> partial(const op::OwnedBatch& rows) = 0;
  virtual Status merge(std::span<const State> states) = 0;
  virtual Result<std::vector<State>> flush() = 0;
  /// As Arrow streams, one behind the other.
  virtual Result<std::string> finalize() = 0;
  /// Ends it in the middle of its work and starts another; false where that cannot be.
  virtual Result<bool> kill_and_restart() = 0;
};

Result<std::unique_ptr<Transport>> open_library(const std::string& path, const std::string& plan,
                                                std::uint64_t memory_bytes);
Result<std::unique_ptr<Transport>> start_worker(const std::string& path, const std::string& plan,
                                                std::uint64_t memory_bytes);

}  // namespace millrace::parity
