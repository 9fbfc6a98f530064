#include "op/frame.h"

#include "base/bytes.h"

namespace millrace::op {

void append_frame(std::string& out, FrameOp op, std::uint32_t seq, std::string_view payload) {
  ByteWriter writer(out);
  writer.put(static_cast<std::uint32_t>(payload.size()));
  writer.put(static_cast<std::uint8_t>(op));
  writer.put(seq);
  writer.put_bytes(payload);
}

void FrameReader::feed(std::string_view bytes) {
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = 0;
  }
  bytes_.append(bytes);
}

Result<std::optional<Frame>> FrameReader::next() {
  ByteReader reader(std::string_view(bytes_).substr(begin_));
  if (reader.remaining() < kFrameHeadBytes) return std::optional<Frame>();
  const auto size = reader.get<std::uint32_t>();
  Frame frame;
  frame.op = static_cast<FrameOp>(reader.get<std::uint8_t>());
  frame.seq = reader.get<std::uint32_t>();
  if (size > kFrameBytesMax) {
    return fail(ErrorCode::kInvalidArgument, error_id::kFrame,
                "a frame has {} bytes, at most {} are taken", size, kFrameBytesMax);
  }
  if (reader.remaining() < size) return std::optional<Frame>();
  frame.payload = reader.get_bytes(size);
  begin_ += kFrameHeadBytes + size;
  if (begin_ > bytes_.size() / 2) {
    bytes_.erase(0, begin_);
    begin_ = 0;
  }
  return std::optional<Frame>(std::move(frame));
}

}  // namespace millrace::op
