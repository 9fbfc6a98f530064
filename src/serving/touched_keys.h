// Which keys of one view changed lately, each once, in the order of its newest change: the memory
// that all subscribers of the view share. A subscriber is a number, that of the last change that it
// knows; what is behind it is what it has not seen. So a slow subscriber costs nothing, skips what
// lies between, and ends with the newest. Bounded: beyond `keys_max` the oldest are forgotten, and
// whoever has not seen them starts anew. Thread: any; one mutex, taken under the view's own.
// Invariant: every key that changed after forgotten() is there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "speed/view_state.h"

namespace millrace::serving {

struct TouchedKeysLimits {
  std::size_t keys_max = 65'536;
  std::size_t bytes_max = std::size_t{16} << 20;
  /// Positions at which a subscriber may go on; kept at most this often.
  std::size_t positions_max = 16'384;
  std::int64_t position_pause_us = 10'000;
};

class TouchedKeys final : public speed::ViewWatcher {
 public:
  /// `wake` is called under the view's lock when something changed.
  TouchedKeys(const view::CompiledView& view, TouchedKeysLimits limits, std::function<void()> wake);

  void touched(const view::GroupTable& changed, std::span<const Position> delta_end) override;
  void phase_changed() override;

  /// Number of the newest change.
  [[nodiscard]] std::uint64_t newest() const;
  struct Now {
    std::uint64_t newest = 0;
    std::vector<Position> position;
  };
  [[nodiscard]] Now now() const;
  /// The position of the view where `cursor` is the newest change, otherwise none.
  [[nodiscard]] std::optional<std::vector<Position>> position_at(std::uint64_t cursor) const;
  /// The newest change that whoever stands at this position has surely seen; none where what came
  /// after is no longer known, or the position is none of this view.
  [[nodiscard]] std::optional<std::uint64_t> cursor_at(std::span<const Position> position) const;

  enum class Taken { kAll, kMore, kLost };
  using Matches = std::function<bool(std::string_view unit)>;
  /// Appends the units behind the cursor that match, until there are `units_max`, and moves the
  /// cursor. kLost: some are forgotten, and nothing was done.
  Taken take(std::uint64_t& cursor, const Matches& matches, std::size_t units_max,
             std::vector<std::string>& units) const;
  /// Moves the cursor behind units that do not match. kMore: one that does is next.
  Taken skip(std::uint64_t& cursor, const Matches& matches) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Order = std::map<std::uint64_t, const std::string*>;
  struct Reached {
    std::vector<Position> position;
    std::uint64_t newest = 0;
    std::int64_t since_us = 0;
  };

  void touch(std::string_view unit) REQUIRES(mutex_);
  void note_position(std::span<const Position> position) REQUIRES(mutex_);
  void forget_oldest() REQUIRES(mutex_);

  const TouchedKeysLimits limits_;
  const std::function<void()> wake_;
  const std::vector<Type> key_types_;
  const bool sessions_;

  mutable Mutex mutex_;
  Order order_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Order::iterator, Hash, std::equal_to<>> units_ GUARDED_BY(mutex_);
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t newest_ GUARDED_BY(mutex_) = 0;
  std::uint64_t forgotten_ GUARDED_BY(mutex_) = 0;
  std::vector<Position> position_ GUARDED_BY(mutex_);
  std::deque<Reached> reached_ GUARDED_BY(mutex_);
};

}  // namespace millrace::serving
