// Ctrl-C as a question that somebody asks: it ends nothing by itself while the guard lives. Thread:
// the main one. Errors: none.
#pragma once

namespace millrace::cli {

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Whether Ctrl-C was pressed since it was asked last.
[[nodiscard]] bool take_interrupt();
[[nodiscard]] bool is_interrupted();

}  // namespace millrace::cli
