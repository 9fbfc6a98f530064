// Any bytes as the input of a worker: it answers every whole frame, and it goes on.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "op/sample_events.h"
#include "op/worker.h"

namespace {

using millrace::Status;
using millrace::op::Frame;
using millrace::op::FrameOp;
using millrace::op::FrameReader;
using millrace::op::Worker;

FrameOp last_answer = FrameOp::kErr;

std::unique_ptr<Worker> start() {
  return std::make_unique<Worker>(millrace::op::sample_plan(), std::uint64_t{8} << 20,
                                  [](FrameOp op, std::uint32_t, std::string_view) -> Status {
                                    last_answer = op;
                                    return {};
                                  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::unique_ptr<Worker> worker = start();
  FrameReader reader;
  reader.feed({reinterpret_cast<const char*>(data), size});
  for (;;) {
    const auto frame = reader.next();
    if (!frame || !*frame) break;
    last_answer = static_cast<FrameOp>(0);
    if (!worker->handle(**frame)) std::abort();
    if (last_answer != (*frame)->op && last_answer != FrameOp::kErr) std::abort();
  }
  // What one input left behind does not meet the next. A state that was damaged ends an operator.
  if (!worker->handle({.op = FrameOp::kFlush, .seq = 0, .payload = {}})) std::abort();
  if (last_answer == FrameOp::kErr) worker = start();
  return 0;
}
