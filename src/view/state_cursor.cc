#include "view/state_cursor.h"

#include <algorithm>

#include "view/state_layout.h"

namespace millrace::view {

Status RunCursor::enter(std::size_t number, std::size_t index) {
  for (;; ++number, index = 0) {
    if (number >= run_->blocks()) {
      block_ = nullptr;
      return {};
    }
    if (block_ == nullptr || number != number_) {
      MR_TRY(block_, run_->block(number, keep_));
      number_ = number;
    }
    if (index < block_->entries()) break;
  }
  index_ = index;
  entry_ = block_->entry(index);
  return {};
}

Status RunCursor::seek(std::string_view key) {
  block_ = nullptr;
  if (run_->blocks() == 0) return {};
  number_ = run_->block_of(key);
  MR_TRY(block_, run_->block(number_, keep_));
  return enter(number_, block_->lower_bound(key));
}

Status RunCursor::seek_before(std::string_view key) {
  block_ = nullptr;
  if (run_->blocks() == 0) return {};
  number_ = key.empty() ? run_->blocks() - 1 : run_->block_of(key);
  MR_TRY(block_, run_->block(number_, keep_));
  index_ = key.empty() ? block_->entries() : block_->lower_bound(key);
  return prev();
}

Status RunCursor::prev() {
  if (index_ == 0) {
    block_ = nullptr;
    if (number_ == 0) return {};
    MR_TRY(block_, run_->block(--number_, keep_));
    index_ = block_->entries();
  }
  entry_ = block_->entry(--index_);
  return {};
}

Status RunCursor::next() { return enter(number_, index_ + 1); }

struct MergedCursor::Impl {
  Impl(const AggregatePlan& plan, std::vector<std::unique_ptr<StateCursor>> of)
      : layout(plan, 0), sum(layout), other(layout), parts(std::move(of)) {}

  /// Of two parts the one that stands behind: a heap has its greatest first.
  static bool behind(const StateCursor* a, const StateCursor* b) { return a->key() > b->key(); }

  Status start() {
    for (const auto& part : parts) {
      if (!part->at_end()) heap.push_back(part.get());
    }
    std::ranges::make_heap(heap, behind);
    return take();
  }

  /// The least key, with what all parts have of it. Where one part alone has it, its own bytes are
  /// the answer, and it stays where it is until the next step.
  Status take() {
    alone = nullptr;
    ended = heap.empty();
    if (ended) return {};
    std::ranges::pop_heap(heap, behind);
    StateCursor* const first = heap.back();
    heap.pop_back();
    if (heap.empty() || heap.front()->key() != first->key()) {
      alone = first;
      return {};
    }
    return take_merged(*first);
  }

  Status take_merged(StateCursor& first) {
    key.assign(first.key());
    sum.reset();
    texts = {};
    // Where the texts of a decoded state lie: until it is encoded.
    first_state.assign(first.state());
    if (!layout.decode(first_state, sum.get())) return no_state(first_state.size());
    MR_RETURN_IF_ERROR(go_on(&first));
    while (!heap.empty() && heap.front()->key() == key) {
      std::ranges::pop_heap(heap, behind);
      StateCursor* const part = heap.back();
      heap.pop_back();
      other.reset();
      if (!layout.decode(part->state(), other.get())) return no_state(part->state().size());
      layout.merge(sum.get(), other.get(), texts);
      other.reset();
      MR_RETURN_IF_ERROR(go_on(part));
    }
    state.clear();
    layout.encode(sum.get(), state);
    return {};
  }

  Status go_on(StateCursor* part) {
    MR_RETURN_IF_ERROR(part->next());
    if (part->at_end()) return {};
    heap.push_back(part);
    std::ranges::push_heap(heap, behind);
    return {};
  }

  StateLayout layout;
  TextKeeper texts;
  SingleState sum;
  SingleState other;
  std::vector<std::unique_ptr<StateCursor>> parts;
  std::vector<StateCursor*> heap;
  StateCursor* alone = nullptr;
  bool ended = true;
  std::string key;
  std::string state;
  std::string first_state;
};

MergedCursor::MergedCursor(const AggregatePlan& plan,
                           std::vector<std::unique_ptr<StateCursor>> parts)
    : impl_(std::make_unique<Impl>(plan, std::move(parts))) {}
MergedCursor::~MergedCursor() = default;

Status MergedCursor::start() { return impl_->start(); }
bool MergedCursor::at_end() const { return impl_->ended; }
std::string_view MergedCursor::key() const {
  return impl_->alone == nullptr ? impl_->key : impl_->alone->key();
}
std::string_view MergedCursor::state() const {
  return impl_->alone == nullptr ? impl_->state : impl_->alone->state();
}
Status MergedCursor::next() {
  if (impl_->alone != nullptr) MR_RETURN_IF_ERROR(impl_->go_on(impl_->alone));
  return impl_->take();
}

Status write_all(StateCursor& from, StateRunWriter& to) {
  while (!from.at_end()) {
    MR_RETURN_IF_ERROR(to.add(from.key(), from.state()));
    MR_RETURN_IF_ERROR(from.next());
  }
  return {};
}

}  // namespace millrace::view
