#include "endpoint/event_follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "endpoint/problem.h"
#include "model/column_batch.h"
#include "serving/position_text.h"

namespace millrace::endpoint {

namespace {

/// A page has about so many bytes: it grows while the events are small, and shrinks where they are
/// large.
constexpr std::size_t kPageBytes = std::size_t{1} << 20;
constexpr std::uint64_t kPageRowsMax = 2000;
/// Between two looks whether there is something new.
constexpr std::chrono::milliseconds kPause{20};
/// Looks after which those who wait are asked whether they still may.
constexpr int kLooksPerReview = 50;

std::string time_json(std::int64_t time_us) {
  const Type type{TypeKind::kTimestampTz};
  ColumnBatch value(std::span(&type, 1));
  value.column(0).push(time_us);
  std::string out;
  append_json(out, value.column(0).view(), 0);
  return out;
}

}  // namespace

EventFollower::EventFollower(EventPages& pages, EventRequest request, HttpStreamWriter writer)
    : pages_(pages),
      request_(std::move(request)),
      writer_(std::move(writer)),
      position_(request_.from),
      stop_(request_.stream->applied()) {}

void EventFollower::drained() {
  {
    const MutexLock lock(writing_);
    auto sending = State::kSending;
    if (!state_.compare_exchange_strong(sending, State::kReady)) return;
  }
  pages_.wake(*this);
}

void EventFollower::heartbeat() {
  // JSON Lines takes an empty line for nothing.
  writer_.write(request_.server_sent ? ":\n\n" : "\n");
}

bool EventFollower::has_news() const {
  return request_.stream->events() > position_.events() ||
         pages_.speed_.stream(request_.stream->definition().id) != request_.stream;
}

void EventFollower::step() {
  if (gone_) return;
  if (request_.allowed) {
    if (const auto allowed = request_.allowed(); !allowed) {
      give_error(allowed.error());
      return;
    }
  }
  const auto id = request_.stream->definition().id;
  if (pages_.speed_.stream(id) != request_.stream) {
    give_error({.code = ErrorCode::kNotFound,
                .id = std::string(error_id::kStreamNotFound),
                .message = fmt::format("stream {} was dropped", request_.stream->definition().name),
                .hint = {},
                .place = {}});
    return;
  }
  if (!request_.follow && position_.covers(stop_)) {
    writer_.finish();
    return;
  }
  std::uint64_t rows = page_rows_;
  if (request_.limit != 0) rows = std::min(rows, request_.limit - given_);
  auto page = pages_.reader_.read(*request_.stream, position_, rows);
  if (!page) {
    give_error(page.error());
    return;
  }
  std::uint64_t count = 0;
  for (const auto& batch : page->batches) count += batch.columns->rows();
  given_ += count;
  const bool last = (request_.limit != 0 && given_ == request_.limit) ||
                    (!request_.follow && page->end.covers(stop_));
  if (count == 0 && !last) {
    state_ = State::kWaiting;
    return;
  }
  give(*page, last);
}

void EventFollower::give(const serving::EventPage& page, bool last) {
  std::string out;
  for (const auto& batch : page.batches) {
    const auto views = batch.columns->views();
    const std::string arrival = time_json(batch.arrival_us);
    for (std::size_t row = 0; row < batch.columns->rows(); ++row) {
      const std::uint64_t offset = batch.base_offset.value + row;
      std::string event =
          fmt::format("{{\"partition\":{},\"offset\":{},\"arrival\":{},\"event\":{{",
                      batch.partition, offset, arrival);
      for (std::size_t c = 0; c < page.stream.columns.size(); ++c) {
        if (c != 0) event += ',';
        append_json_text(event, page.stream.columns[c].name);
        event += ':';
        append_json(event, views[c], row);
      }
      event += "}}";
      // A value of type JSON may have line ends between its tokens.
      std::ranges::replace_if(event, [](char c) { return c == '\n' || c == '\r'; }, ' ');
      if (request_.server_sent) {
        position_.set_end(batch.partition, Offset(offset + 1));
        out += fmt::format("id: {}\ndata: {}\n\n", serving::position_text(position_), event);
      } else {
        out += event;
        out += '\n';
      }
    }
  }
  if (out.size() > kPageBytes) {
    page_rows_ = std::max<std::uint64_t>(1, page_rows_ * kPageBytes / out.size());
  } else if (out.size() < kPageBytes / 2) {
    page_rows_ = std::min(kPageRowsMax, page_rows_ * 2);
  }
  position_ = page.end;
  // Together, so that drained() of an earlier sign of life does not count for this page before it
  // is on its way.
  const MutexLock lock(writing_);
  state_ = State::kSending;
  if (last) {
    writer_.finish(std::move(out));
  } else {
    writer_.write(std::move(out));
  }
}

void EventFollower::give_error(const Error& error) {
  const std::string body = problem(error).body;
  writer_.finish(request_.server_sent ? fmt::format("event: end\ndata: {}\n\n", body)
                                      : fmt::format("{{\"problem\":{}}}\n", body));
}

EventPages::EventPages(serving::EventReader& reader, speed::SpeedLayer& speed,
                       runtime::WorkerPool& pool)
    : reader_(reader), speed_(speed), pool_(pool), thread_([this] { loop(); }) {}

EventPages::~EventPages() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void EventPages::add(const std::shared_ptr<EventFollower>& follower) {
  {
    const MutexLock lock(mutex_);
    followers_.push_back(follower);
    changed_.notify_one();
  }
  wake(*follower);
}

void EventPages::wake(EventFollower& follower, bool look_anyway) {
  using State = EventFollower::State;
  auto state = follower.state_.load();
  if (state == State::kWaiting && !look_anyway && !follower.has_news()) return;
  if (state != State::kReady && state != State::kWaiting) return;
  if (!follower.state_.compare_exchange_strong(state, State::kReading)) return;
  // Where the pool is full it is tried again after a pause.
  if (!pool_.post(follower.request_.share, [kept = follower.shared_from_this()] { kept->step(); }))
    follower.state_ = State::kReady;
}

void EventPages::loop() {
  for (int look = 0;; look = (look + 1) % kLooksPerReview) {
    std::vector<std::shared_ptr<EventFollower>> followers;
    {
      const MutexLock lock(mutex_);
      while (followers_.empty() && !stopping_) changed_.wait(mutex_);
      if (!stopping_) changed_.wait_for(mutex_, kPause);
      if (stopping_) return;
      std::erase_if(followers_, [&](const auto& weak) {
        auto follower = weak.lock();
        if (follower == nullptr || follower->gone_) return true;
        followers.push_back(std::move(follower));
        return false;
      });
    }
    for (const auto& follower : followers) wake(*follower, look == 0);
  }
}

}  // namespace millrace::endpoint
