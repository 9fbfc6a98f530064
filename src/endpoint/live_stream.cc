#include "endpoint/live_stream.h"

#include <utility>

#include "endpoint/problem.h"
#include "format/row_text.h"

namespace millrace::endpoint {
namespace {

constexpr std::uint64_t kRowsOfPiece = 2'000;

}  // namespace

LiveStream::~LiveStream() { live_->on_ready({}); }

void LiveStream::begin() {
  // Called by the feed, which must not be held up, and before its rows can be taken.
  live_->on_ready([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->hand_over();
  });
  go_on();
}

void LiveStream::go_on() {
  if (live_->is_ready()) hand_over();
}

void LiveStream::hand_over() {
  {
    const MutexLock lock(mutex_);
    if (ended_ || working_ || !has_room_) return;
    working_ = true;
  }
  if (pool_.post(share_, [self = shared_from_this()] { self->make_rows(); })) return;
  // A full pool: the next row, or the next heartbeat, tries again.
  const MutexLock lock(mutex_);
  working_ = false;
}

void LiveStream::make_rows() {
  auto piece = live_->next(kRowsOfPiece);
  if (!piece) return end(piece.error());
  if (piece->rows != nullptr) {
    std::string text;
    format::append_json_lines(text, live_->columns(), *piece->rows);
    {
      const MutexLock lock(mutex_);
      has_room_ = false;
      working_ = false;
    }
    writer_.write(std::move(text));
    return;
  }
  {
    const MutexLock lock(mutex_);
    working_ = false;
  }
  go_on();
}

void LiveStream::end(const Error& error) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(ended_, true)) return;
    working_ = false;
    if (lease_ != nullptr) lease_->failed();
    lease_.reset();
  }
  writer_.finish(R"({"_position":null,"_op":"end","_key":null,"error":)" + problem(error).body +
                 "}\n");
}

void LiveStream::drained() {
  {
    const MutexLock lock(mutex_);
    has_room_ = true;
  }
  go_on();
}

void LiveStream::heartbeat() {
  {
    const MutexLock lock(mutex_);
    if (ended_) return;
  }
  writer_.write("\n");
  go_on();
}

void LiveStream::closed() {
  live_->cancel();
  const MutexLock lock(mutex_);
  ended_ = true;
  lease_.reset();
}

}  // namespace millrace::endpoint
