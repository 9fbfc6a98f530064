// Where the bytes of a state run lie, and where runs go that nothing but this process knows of.
// What is in files lies above this module: batch/state_files.h. Thread: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace millrace::view {

class StateRun;
class StateRunWriter;

class RunBytes {
 public:
  virtual ~RunBytes() = default;
  /// All of `out`, or an error: also where the bytes end before.
  [[nodiscard]] virtual Status read(std::uint64_t offset, std::span<char> out) const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// What errors call it.
  [[nodiscard]] virtual std::string name() const = 0;
};

/// Takes sorted runs that memory has no room for. They live as long as they are used, and no longer
/// than the process.
class RunScratch {
 public:
  virtual ~RunScratch() = default;
  using Fill = std::function<Status(StateRunWriter& writer)>;
  /// The run that `fill` writes.
  virtual Result<std::shared_ptr<const StateRun>> spill(std::uint64_t fingerprint,
                                                        const Fill& fill) = 0;
};

}  // namespace millrace::view
