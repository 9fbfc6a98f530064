// The frames of the worker on standard input and output: u32 length of the payload, u8 op, u32
// sequence number, payload; little endian. Thread: any, values only. Errors: kInvalidArgument
// (kFrame) where the bytes are out of step; nothing behind them can be read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::op {

enum class FrameOp : std::uint8_t {
  kHello = 1,
  kPartial = 2,
  kStates = 3,
  kMerge = 4,
  kFinalize = 5,
  kRows = 6,
  kFlush = 7,
  kErr = 8,
  kSkipped = 9,
};

struct Frame {
  FrameOp op = FrameOp::kErr;  // of an unknown op the number that came
  std::uint32_t seq = 0;
  std::string payload;
};

inline constexpr std::size_t kFrameHeadBytes = 9;
/// Of one payload that comes in.
inline constexpr std::size_t kFrameBytesMax = std::size_t{64} << 20;

void append_frame(std::string& out, FrameOp op, std::uint32_t seq, std::string_view payload);

/// Cuts bytes that come in pieces of any size into frames. Holds at most one frame and one piece.
class FrameReader {
 public:
  void feed(std::string_view bytes);
  /// nullopt where the next frame is not whole yet.
  Result<std::optional<Frame>> next();
  /// Nothing of a frame has come that is not whole.
  [[nodiscard]] bool is_between_frames() const { return begin_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t begin_ = 0;
};

}  // namespace millrace::op
