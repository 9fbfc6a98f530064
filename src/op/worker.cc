#include "op/worker.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

#include "op/arrow_ipc.h"

namespace millrace::op {

namespace {

template <class... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalidArgument, error_id::kFrame, format, std::forward<Args>(args)...);
}

/// PARTIAL begins with the length of the stream's name in a byte, and the name.
Result<std::string_view> take_stream(std::string_view& payload) {
  if (payload.empty()) return refuse("a PARTIAL frame is empty");
  const auto size = static_cast<unsigned char>(payload.front());
  if (payload.size() < 1U + size) return refuse("a PARTIAL frame ends inside the stream's name");
  const std::string_view name = payload.substr(1, size);
  payload.remove_prefix(1U + size);
  return name;
}

}  // namespace

Result<Operator*> Worker::opened() {
  if (operator_ == nullptr) {
    if (plan_.empty())
      return refuse("there is no plan: start with --plan, or send a HELLO frame that has it");
    MR_TRY(operator_, Operator::open(plan_, memory_bytes_));
  }
  return operator_.get();
}

BatchVisitor Worker::sender(FrameOp op, std::uint32_t seq) {
  return [this, op, seq](const OwnedBatch& batch) -> Status {
    std::string payload;
    append_arrow_stream(batch, payload);
    sent_ = send_(op, seq, payload);
    return sent_;
  };
}

Status Worker::hello(std::string_view payload) {
  if (payload.empty()) return {};
  if (plan_.empty()) {
    plan_ = payload;
    auto made = opened();
    if (made) return {};
    plan_.clear();
    return std::unexpected(std::move(made).error());
  }
  if (plan_ != payload) return refuse("this worker has another plan");
  return {};
}

Status Worker::read_batches(Operator& op, std::string_view payload, const ArrayBatchVisitor& take) {
  std::size_t taken = 0;
  auto status = read_arrow_stream(payload, [&](const ArrayBatchView& batch) -> Status {
    MR_RETURN_IF_ERROR(take(batch));
    ++taken;
    return {};
  });
  if (!status && taken != 0) op.give_up(status.error());
  return status;
}

Status Worker::partial(Operator& op, const Frame& frame) {
  std::string_view payload = frame.payload;
  MR_TRY(const std::string_view stream, take_stream(payload));
  MR_RETURN_IF_ERROR(read_batches(op, payload, [&](const ArrayBatchView& batch) -> Status {
    MR_RETURN_IF_ERROR(op.partial(stream, batch));
    if (!op.is_full()) return {};
    return op.drain_states(sender(FrameOp::kStates, frame.seq));
  }));
  return op.drain_skipped(sender(FrameOp::kSkipped, frame.seq));
}

Status Worker::serve(const Frame& frame) {
  switch (frame.op) {
    case FrameOp::kHello: {
      MR_RETURN_IF_ERROR(hello(frame.payload));
      MR_TRY(const Operator* const op, opened());
      return send_(frame.op, frame.seq, op->hello());
    }
    case FrameOp::kPartial: {
      MR_TRY(Operator* const op, opened());
      MR_RETURN_IF_ERROR(partial(*op, frame));
      break;
    }
    case FrameOp::kMerge: {
      MR_TRY(Operator* const op, opened());
      MR_RETURN_IF_ERROR(read_batches(
          *op, frame.payload, [&](const ArrayBatchView& batch) { return op->merge(batch); }));
      break;
    }
    case FrameOp::kFlush: {
      MR_TRY(Operator* const op, opened());
      if (!frame.payload.empty()) return refuse("a FLUSH frame has no payload");
      MR_RETURN_IF_ERROR(op->drain_states(sender(FrameOp::kStates, frame.seq)));
      break;
    }
    case FrameOp::kFinalize: {
      MR_TRY(Operator* const op, opened());
      if (frame.payload.size() != 1 || static_cast<unsigned char>(frame.payload[0]) > 1)
        return refuse("a FINALIZE frame has one byte: 1 where it has all groups, else 0");
      MR_RETURN_IF_ERROR(op->finalize(frame.payload[0] == 1, sender(FrameOp::kRows, frame.seq)));
      break;
    }
    case FrameOp::kStates:
    case FrameOp::kRows:
    case FrameOp::kErr:
    case FrameOp::kSkipped:
      return refuse("op {} is an answer, not a request", static_cast<int>(frame.op));
    default:
      return refuse("there is no op {}", static_cast<int>(frame.op));
  }
  return send_(frame.op, frame.seq, {});
}

Status Worker::handle(const Frame& frame) {
  const auto status = serve(frame);
  if (!sent_) return sent_;
  return status ? Status() : send_error(frame.seq, status.error());
}

Status Worker::send_error(std::uint32_t seq, const Error& error) {
  boost::json::object object;
  object["code"] = error.id;
  object["message"] = error.message;
  if (!error.hint.empty()) object["hint"] = error.hint;
  sent_ = send_(FrameOp::kErr, seq, boost::json::serialize(object));
  return sent_;
}

namespace {

Status write_all(int out, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(out, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return fail(ErrorCode::kUnavailable, error_id::kFrame, "an answer cannot be written: {}",
                  std::strerror(errno));
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

int serve_worker(int in, int out, std::string plan, std::uint64_t memory_bytes) {
  std::string bytes;
  Worker worker(std::move(plan), memory_bytes,
                [&](FrameOp op, std::uint32_t seq, std::string_view payload) {
                  bytes.clear();
                  append_frame(bytes, op, seq, payload);
                  return write_all(out, bytes);
                });
  FrameReader reader;
  std::vector<char> piece(std::size_t{256} << 10);
  for (;;) {
    auto frame = reader.next();
    if (!frame) {
      (void)worker.send_error(0, frame.error());
      return 2;
    }
    if (*frame) {
      if (!worker.handle(**frame)) return 1;
      continue;
    }
    const ssize_t size = read(in, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    reader.feed({piece.data(), static_cast<std::size_t>(size)});
  }
  if (reader.is_between_frames()) return 0;
  (void)worker.send_error(0, Error{.code = ErrorCode::kInvalidArgument,
                                   .id = std::string(error_id::kFrame),
                                   .message = "the frames end inside of one",
                                   .hint = {},
                                   .place = {}});
  return 2;
}

}  // namespace millrace::op
