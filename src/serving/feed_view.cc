#include "serving/feed_view.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "runtime/clock.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {
/// Rows of a batch beyond which the next one has fewer keys, and below which it has more.
constexpr std::size_t kBatchBytesMax = std::size_t{1} << 20;
constexpr std::size_t kBatchBytesMin = std::size_t{256} << 10;
}  // namespace

FeedView::FeedView(std::shared_ptr<speed::ViewState> view, const FeedOptions& options,
                   FeedCounters& counters, std::size_t& walk_bytes, std::function<void()> wake)
    : view_(std::move(view)),
      options_(options),
      counters_(counters),
      walk_bytes_(walk_bytes),
      wake_(std::move(wake)),
      idle_since_us_(runtime::monotonic_us()) {
  watch();
}

FeedView::~FeedView() { view_->watch(nullptr); }

void FeedView::watch() {
  const auto& compiled = view_->compiled();
  touched_ = std::make_shared<TouchedKeys>(compiled, options_.touched, wake_);
  view_->watch(touched_);
  shape_ = std::make_shared<const FeedShape>(
      FeedShape{view_, columns_of(compiled), unit_columns(compiled)});
}

void FeedView::add(std::shared_ptr<FeedSubscription> handle, std::shared_ptr<FeedSink> sink,
                   FeedRequest request) {
  auto& follower = followers_.emplace_back();
  follower.handle = std::move(handle);
  follower.sink = std::move(sink);
  follower.request = std::move(request);
  follower.keys_max = follower.request.keys_max == 0
                          ? options_.keys_per_batch_max
                          : std::min(follower.request.keys_max, options_.keys_per_batch_max);
  follower.keys_per_batch = std::min(follower.keys_per_batch, follower.keys_max);
  auto filter = FeedFilter::bind(*view_, follower.request.where);
  if (!filter) {
    end_one(follower, filter.error());
    return;
  }
  follower.filter = std::move(*filter);
}

void FeedView::replace(std::shared_ptr<speed::ViewState> view) {
  view_->watch(nullptr);
  view_ = std::move(view);
  watch();
  for (auto& follower : followers_) {
    if (follower.state == State::kEnded) continue;
    auto filter = FeedFilter::bind(*view_, follower.request.where);
    if (!filter) {
      end_one(follower, filter.error());
      continue;
    }
    follower.filter = std::move(*filter);
    restart(follower, FeedStart::kReplaced);
  }
}

void FeedView::end(const Error& error) {
  for (auto& follower : followers_) end_one(follower, error);
  remove_ended();
}

void FeedView::review() {
  for (auto& follower : followers_) {
    if (!follower.request.allowed) continue;
    if (const auto allowed = follower.request.allowed(); !allowed)
      end_one(follower, allowed.error());
  }
  remove_ended();
}

void FeedView::end_one(Follower& follower, const Error& error) {
  if (follower.state == State::kEnded) return;
  end_walk(follower);
  follower.state = State::kEnded;
  follower.handle->stand_at(nullptr, {}, 0);
  if (!follower.handle->cancelled_) follower.sink->end(error);
}

void FeedView::end_walk(Follower& follower) {
  if (!follower.walk) return;
  walk_bytes_ -= follower.walk->size_bytes();
  follower.walk.reset();
}

void FeedView::restart(Follower& follower, FeedStart why) {
  end_walk(follower);
  follower.handle->stand_at(nullptr, {}, 0);
  follower.state = State::kNew;
  follower.why = why;
  restarted_ = true;
  if (why == FeedStart::kSlow) ++counters_.fell_behind;
}

void FeedView::remove_ended() {
  const auto removed = std::erase_if(followers_, [&](Follower& follower) {
    if (follower.handle->cancelled_) {
      end_walk(follower);
      follower.state = State::kEnded;
    }
    return follower.state == State::kEnded;
  });
  counters_.subscribers -= removed;
  if (removed != 0 && followers_.empty()) idle_since_us_ = runtime::monotonic_us();
}

bool FeedView::has_credit(const Follower& follower) {
  return follower.handle->credit_.load(std::memory_order_acquire) != 0;
}

std::string FeedView::token_of(std::vector<Position> position) const {
  return FeedToken{view_->record().id, std::move(position)}.text();
}

void FeedView::begin(Follower& follower) {
  const auto phase = view_->phase();
  if (phase == speed::ViewPhase::kBuilding) return;
  if (phase == speed::ViewPhase::kFailed) {
    end_one(follower, *view_->trouble());
    return;
  }
  if (!follower.request.after.empty()) {
    const std::string after = std::exchange(follower.request.after, {});
    const auto token = FeedToken::parse(after);
    const auto cursor = token && token->view == view_->record().id
                            ? touched_->cursor_at(token->position)
                            : std::nullopt;
    if (cursor) {
      follower.cursor = *cursor;
      follower.state = State::kLive;
      follower.sink->start(FeedStart::kResumed, shape_, after);
      follower.handle->stand_at(touched_, view_->record().id, follower.cursor);
      return;
    }
    if (follower.why == FeedStart::kSubscribed) follower.why = FeedStart::kPositionUnknown;
  }
  auto now = touched_->now();
  if (!follower.request.snapshot) {
    follower.cursor = now.newest;
    follower.state = State::kLive;
    follower.sink->start(follower.why, shape_, token_of(std::move(now.position)));
    follower.handle->stand_at(touched_, view_->record().id, follower.cursor);
    return;
  }
  if (walk_bytes_ >= options_.walk_bytes_max) return;
  auto walk = KeyWalk::begin(*view_, follower.filter);
  if (!walk) {
    end_one(follower, walk.error());
    return;
  }
  follower.cursor = now.newest;
  follower.walk = std::move(*walk);
  walk_bytes_ += follower.walk->size_bytes();
  follower.state = State::kWalking;
  ++counters_.snapshots;
  follower.sink->start(follower.why, shape_, {});
}

FeedView::Left FeedView::serve(bool changes_too) {
  remove_ended();
  Left left;
  std::map<std::pair<std::uint64_t, std::string>, Group> groups;
  for (auto& follower : followers_) {
    if (follower.state == State::kNew) begin(follower);
    if (follower.state == State::kWalking && has_credit(follower)) walk_on(follower);
    if (follower.state == State::kWalking && has_credit(follower)) left.at_once = true;
  }
  if (changes_too) {
    if (view_->phase() == speed::ViewPhase::kFailed) end(*view_->trouble());
    const std::uint64_t newest = touched_->newest();
    for (auto& follower : followers_) {
      if (follower.state == State::kLive && follower.cursor != newest && has_credit(follower))
        groups[{follower.cursor, follower.filter.id()}].push_back(&follower);
    }
    for (const auto& [place, group] : groups) give_changes(group);
  }
  const std::uint64_t newest = touched_->newest();
  left.later = std::ranges::any_of(followers_, [&](const Follower& follower) {
    return follower.state == State::kLive && follower.cursor != newest && has_credit(follower);
  });
  left.at_once = std::exchange(restarted_, false) || left.at_once;
  remove_ended();
  return left;
}

void FeedView::walk_on(Follower& follower) {
  std::vector<std::string> units;
  if (auto walked = follower.walk->next(*view_, follower.filter, follower.keys_per_batch, units);
      !walked) {
    end_one(follower, walked.error());
    return;
  }
  std::ranges::sort(units);
  const auto repeated = std::ranges::unique(units);
  units.erase(repeated.begin(), repeated.end());
  const std::unordered_set<std::string> planned(units.begin(), units.end());
  const bool is_last = follower.walk->is_done();
  auto taken = TouchedKeys::Taken::kMore;
  std::uint64_t cursor = follower.cursor;
  auto read = view_->read_units([&](std::vector<std::string>& chosen) {
    if (is_last) {
      // What changed since the walk began comes with its last piece, so that all is of one moment.
      taken = touched_->take(
          cursor,
          [&](std::string_view unit) {
            return follower.filter.matches(unit) && !planned.contains(std::string(unit));
          },
          std::max(units.size(), follower.keys_max), units);
    }
    chosen = units;
  });
  if (!read) {
    end_one(follower, read.error());
    return;
  }
  if (taken == TouchedKeys::Taken::kLost) {
    restart(follower, FeedStart::kSlow);
    return;
  }
  follower.cursor = cursor;
  const bool more = taken != TouchedKeys::Taken::kAll;
  auto batch = std::make_shared<FeedBatch>(make_batch(units, std::move(*read), more));
  batch->snapshot = true;
  batch->touched_too = is_last;
  if (is_last) {
    end_walk(follower);
    follower.state = State::kLive;
  }
  give(follower, std::move(batch));
  // It stands there when it has the rows, and not before.
  if (is_last && follower.state == State::kLive)
    follower.handle->stand_at(touched_, view_->record().id, cursor);
}

void FeedView::give_changes(const Group& group) {
  const FeedFilter& filter = group.front()->filter;
  const auto matches = [&](std::string_view unit) { return filter.matches(unit); };
  std::uint64_t cursor = group.front()->cursor;
  auto taken = touched_->skip(cursor, matches);
  std::shared_ptr<const FeedBatch> batch;
  if (taken == TouchedKeys::Taken::kMore) {
    std::size_t keys_max = options_.keys_per_batch_max;
    for (const auto* follower : group) keys_max = std::min(keys_max, follower->keys_per_batch);
    std::vector<std::string> units;
    auto read = view_->read_units([&](std::vector<std::string>& chosen) {
      taken = touched_->take(cursor, matches, keys_max, units);
      chosen = units;
    });
    if (!read) {
      for (auto* follower : group) end_one(*follower, read.error());
      return;
    }
    batch = std::make_shared<FeedBatch>(
        make_batch(units, std::move(*read), taken != TouchedKeys::Taken::kAll));
  }
  for (auto* follower : group) {
    if (taken == TouchedKeys::Taken::kLost) {
      restart(*follower, FeedStart::kSlow);
      continue;
    }
    follower->cursor = cursor;
    if (batch != nullptr) give(*follower, batch);
    if (follower->state != State::kLive) continue;
    follower->handle->stand_at(touched_, view_->record().id, cursor);
  }
}

void FeedView::give(Follower& follower, const std::shared_ptr<const FeedBatch>& batch) {
  // Asked behind the rows' reading: who lost the right before an event came never sees its row.
  if (follower.request.allowed) {
    if (const auto allowed = follower.request.allowed(); !allowed)
      return end_one(follower, allowed.error());
  }
  const std::size_t bytes = batch->rows->size_bytes();
  auto& keys = follower.keys_per_batch;
  if (bytes > kBatchBytesMax) {
    keys = std::max<std::size_t>(1, keys / 2);
  } else if (bytes < kBatchBytesMin && batch->row_ends.size() >= keys) {
    keys = std::min(follower.keys_max, keys * 2);
  }
  follower.handle->credit_.fetch_sub(1, std::memory_order_acq_rel);
  ++counters_.batches;
  counters_.keys += batch->row_ends.size();
  if (!follower.handle->cancelled_) follower.sink->batch(batch);
}

FeedBatch FeedView::make_batch(std::span<const std::string> units, speed::UnitRows read,
                               bool more) const {
  std::vector<Type> types;
  for (const auto& column : shape_->key) types.push_back(column.type);
  auto keys = std::make_shared<ColumnBatch>(types);
  for (const auto& unit : units) {
    const auto decoded = view::decode_key(unit, types, *keys);
    MR_CHECK(decoded.has_value(), "view {}: a key of {} bytes is none", view_->record().name,
             unit.size());
  }
  std::vector<Position> position;
  for (const auto& stream : read.coverage.streams) position.push_back(stream.delta_end);
  return {.shape = shape_,
          .snapshot = false,
          .more = more,
          .keys = std::move(keys),
          .rows = std::move(read.rows),
          .row_ends = std::move(read.ends),
          .coverage = std::move(read.coverage),
          .token = more ? std::string() : token_of(std::move(position))};
}

}  // namespace millrace::serving
