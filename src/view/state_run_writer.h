// Writes a state run as its entries come, in no more memory than a block, a filter's hashes and the
// index. Thread: one at a time. Errors: those of the sink, and then the same at each call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace millrace::view {

/// Keys must come in strictly ascending order of bytes.
class StateRunWriter {
 public:
  /// Takes the file's bytes from its beginning to its end.
  using Sink = std::function<Status(std::string_view bytes)>;
  /// `fingerprint`: of the view's definition, so that a file is never read as another view's.
  StateRunWriter(std::uint64_t fingerprint, Sink sink);
  ~StateRunWriter();
  StateRunWriter(const StateRunWriter&) = delete;
  StateRunWriter& operator=(const StateRunWriter&) = delete;

  [[nodiscard]] Status add(std::string_view key, std::string_view state);
  struct Written {
    std::uint64_t entries = 0;
    std::uint64_t size_bytes = 0;
    std::uint32_t crc32c = 0;  // of the whole file
  };
  /// The end of the file; nothing may be added afterwards.
  Result<Written> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::view
