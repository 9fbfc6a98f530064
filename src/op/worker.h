// What the worker does with each frame; the program around it reads and writes bytes (main.cc).
// Every frame is answered by frames with its sequence number; the last one has the op of the frame,
// or is ERR. Before it: STATES of PARTIAL (a full table) and of FLUSH, SKIPPED of PARTIAL, ROWS of
// FINALIZE. Thread: one at a time. Errors: only those of `send`; all others are ERR frames.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "op/frame.h"
#include "op/operator.h"

namespace millrace::op {

class Worker {
 public:
  using Send = std::function<Status(FrameOp op, std::uint32_t seq, std::string_view payload)>;

  /// Without a plan the first frame is a HELLO that has it.
  Worker(std::string plan, std::uint64_t memory_bytes, Send send)
      : plan_(std::move(plan)), memory_bytes_(memory_bytes), send_(std::move(send)) {}

  Status handle(const Frame& frame);
  /// An ERR frame.
  Status send_error(std::uint32_t seq, const Error& error);

 private:
  Status serve(const Frame& frame);
  Status hello(std::string_view payload);
  Status partial(Operator& op, const Frame& frame);
  /// Reads the batches of a frame. When a later one is refused, the first ones are in the table:
  /// then the operator gives up.
  Status read_batches(Operator& op, std::string_view payload, const ArrayBatchVisitor& take);
  Result<Operator*> opened();
  /// Sends each batch as a frame of its own.
  BatchVisitor sender(FrameOp op, std::uint32_t seq);

  std::string plan_;
  std::uint64_t memory_bytes_;
  Send send_;
  std::unique_ptr<Operator> operator_;
  /// What `send` said when it failed: this is no error of a frame.
  Status sent_;
};

/// Serves the frames of one descriptor on another until the first ends. Gives the exit code of the
/// program: 0 at an end between two frames, 1 where answers cannot be written, 2 where the frames
/// are out of step.
int serve_worker(int in, int out, std::string plan, std::uint64_t memory_bytes);

}  // namespace millrace::op
