// The subscribers of one view: what each of them gets next, and in which batches. Those who stand
// at the same place and want the same keys share one reading and one batch. Thread: the feed's.
// Errors: what a reading says ends the subscriptions. Invariant: a follower's cursor never passes a
// key that it wants and was not given.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "serving/change_feed.h"
#include "serving/feed_keys.h"

namespace millrace::serving {

class FeedView {
 public:
  /// `walk_bytes` is shared by all views. `wake` is called on any thread when something changed.
  FeedView(std::shared_ptr<speed::ViewState> view, const FeedOptions& options,
           FeedCounters& counters, std::size_t& walk_bytes, std::function<void()> wake);
  ~FeedView();
  FeedView(const FeedView&) = delete;
  FeedView& operator=(const FeedView&) = delete;

  [[nodiscard]] const std::shared_ptr<speed::ViewState>& view() const { return view_; }
  void add(std::shared_ptr<FeedSubscription> handle, std::shared_ptr<FeedSink> sink,
           FeedRequest request);
  /// From here on its name means another view.
  void replace(std::shared_ptr<speed::ViewState> view);
  void end(const Error& error);
  /// Ends the subscriptions of those who may not follow any more.
  void review();

  struct Left {
    bool at_once = false;  // a snapshot goes on
    bool later = false;    // somebody has credit and has not seen everything
  };
  /// Gives what can be given: a piece of each snapshot, and, with `changes_too`, what changed.
  Left serve(bool changes_too);

  [[nodiscard]] bool has_followers() const { return !followers_.empty(); }
  /// Since when it has none.
  [[nodiscard]] std::int64_t idle_since_us() const { return idle_since_us_; }

 private:
  enum class State : std::uint8_t { kNew, kWalking, kLive, kEnded };
  struct Follower {
    std::shared_ptr<FeedSubscription> handle;
    std::shared_ptr<FeedSink> sink;
    FeedRequest request;
    FeedFilter filter;
    State state = State::kNew;
    FeedStart why = FeedStart::kSubscribed;
    std::uint64_t cursor = 0;
    std::optional<KeyWalk> walk;
    std::size_t keys_per_batch = 256;
    std::size_t keys_max = 0;
  };
  using Group = std::vector<Follower*>;

  void watch();
  void begin(Follower& follower);
  void restart(Follower& follower, FeedStart why);
  void end_one(Follower& follower, const Error& error);
  void end_walk(Follower& follower);
  void walk_on(Follower& follower);
  void give_changes(const Group& group);
  void give(Follower& follower, const std::shared_ptr<const FeedBatch>& batch);
  void remove_ended();
  [[nodiscard]] FeedBatch make_batch(std::span<const std::string> units, speed::UnitRows read,
                                     bool more) const;
  [[nodiscard]] std::string token_of(std::vector<Position> position) const;
  [[nodiscard]] static bool has_credit(const Follower& follower);

  std::shared_ptr<speed::ViewState> view_;
  const FeedOptions& options_;
  FeedCounters& counters_;
  std::size_t& walk_bytes_;
  const std::function<void()> wake_;
  std::shared_ptr<TouchedKeys> touched_;
  std::shared_ptr<const FeedShape> shape_;
  std::list<Follower> followers_;
  std::int64_t idle_since_us_ = 0;
  bool restarted_ = false;  // somebody is to begin again
};

}  // namespace millrace::serving
