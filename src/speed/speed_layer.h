// The streams and views that live, by id and by name: the shared map of ingest, serving and the
// batch layer. Thread: any (one mutex, held for a look-up). Names are compared without case.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "speed/stream_state.h"
#include "speed/view_state.h"

namespace millrace::speed {

class SpeedLayer {
 public:
  explicit SpeedLayer(TailOptions options) : options_(options) {}
  /// Called after a name means a view, another view or none. Before anything uses this object.
  void on_names_changed(std::function<void()> call) { on_names_changed_ = std::move(call); }

  std::shared_ptr<StreamState> add_stream(const StreamDefinition& definition,
                                          CommitNumber last_commit, const Position& lake_end);
  void remove_stream(StreamId stream);
  void add_view(std::shared_ptr<ViewState> view);
  /// The next definition of view `replaced`: it lives, and no name finds it.
  void add_replacement(std::shared_ptr<ViewState> view, ViewId replaced);
  /// From here on the name finds `replacement`, and `replaced` is no more: one step for readers.
  void switch_view(ViewId replaced, ViewId replacement);
  void remove_view(ViewId view);

  /// nullptr where there is none.
  [[nodiscard]] std::shared_ptr<StreamState> stream(StreamId id) const;
  [[nodiscard]] std::shared_ptr<StreamState> find_stream(std::string_view name) const;
  /// Whether it is the quarantine of a stream that lives.
  [[nodiscard]] bool is_quarantine(StreamId id) const;
  [[nodiscard]] std::shared_ptr<ViewState> find_view(std::string_view name) const;
  /// The next definition of this view, while there is one.
  [[nodiscard]] std::shared_ptr<ViewState> replacement_of(ViewId replaced) const;
  [[nodiscard]] std::vector<std::shared_ptr<StreamState>> streams() const;
  /// The streams in sets: those that one view reads are in one set, and cut at one moment.
  [[nodiscard]] std::vector<std::vector<std::shared_ptr<StreamState>>> connected_streams() const;
  /// Those that the view reads, but for dropped ones.
  [[nodiscard]] std::vector<std::shared_ptr<StreamState>> streams_of(const ViewState& view) const;
  /// All that live, replacements too.
  [[nodiscard]] std::vector<std::shared_ptr<ViewState>> views() const;
  /// Those that a name finds.
  [[nodiscard]] std::vector<std::shared_ptr<ViewState>> named_views() const;

  /// Counts each stream that comes, goes or is altered: for those who keep what they made of the
  /// definitions.
  [[nodiscard]] std::uint64_t stream_changes() const {
    return stream_changes_.load(std::memory_order_acquire);
  }
  void stream_altered() { stream_changes_.fetch_add(1, std::memory_order_release); }

  [[nodiscard]] std::uint64_t delta_bytes() const;
  [[nodiscard]] std::uint64_t tail_bytes() const {
    return tail_bytes_.load(std::memory_order_relaxed);
  }

 private:
  const TailOptions options_;
  std::function<void()> on_names_changed_;
  std::atomic<std::uint64_t> tail_bytes_{0};
  std::atomic<std::uint64_t> stream_changes_{1};
  mutable Mutex mutex_;
  std::map<StreamId, std::shared_ptr<StreamState>> streams_ GUARDED_BY(mutex_);
  std::map<std::string, StreamId, std::less<>> stream_names_ GUARDED_BY(mutex_);
  std::map<ViewId, std::shared_ptr<ViewState>> views_ GUARDED_BY(mutex_);
  std::map<std::string, ViewId, std::less<>> view_names_ GUARDED_BY(mutex_);
  std::map<ViewId, ViewId> replacements_ GUARDED_BY(mutex_);  // by what they replace
};

}  // namespace millrace::speed
