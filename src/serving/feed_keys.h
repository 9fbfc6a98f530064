// Which keys of a view a subscriber wants, and the walk over them that a snapshot makes, a piece at
// a time and in no memory but for the keys of the delta. Thread: one at a time. Errors:
// kInvalidArgument (kColumnNotFound, kBadValue) for a condition that no key can have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/view_reader.h"
#include "speed/view_state.h"

namespace millrace::serving {

/// The columns that make a unit: the view's group key, without the start of a session. A column
/// that the view does not show has no name.
[[nodiscard]] std::vector<Column> unit_columns(const view::CompiledView& view);

class FeedFilter {
 public:
  FeedFilter() = default;
  /// The conditions are equalities on columns of the key.
  static Result<FeedFilter> bind(const speed::ViewState& view,
                                 std::span<const ViewRequest::Equal> where);

  [[nodiscard]] bool matches(std::string_view unit) const;
  /// The bytes that every unit that matches begins with.
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  /// Only one unit matches: prefix().
  [[nodiscard]] bool is_whole() const { return whole_; }
  /// The same for filters that let the same units pass.
  [[nodiscard]] const std::string& id() const { return id_; }

 private:
  struct Condition {
    std::size_t key = 0;
    std::string encoded;
  };
  std::vector<Type> types_;  // of a unit's columns
  std::vector<Condition> conditions_;
  std::string prefix_;
  std::string id_;
  bool whole_ = false;
};

/// All units that a view has when the walk begins, each once or more: those of the runs that it has
/// at each step, then those that only the delta's tables had.
class KeyWalk {
 public:
  static Result<KeyWalk> begin(const speed::ViewState& view, const FeedFilter& filter);
  /// Appends up to `units_max` units. Errors: those of the runs.
  Status next(const speed::ViewState& view, const FeedFilter& filter, std::size_t units_max,
              std::vector<std::string>& units);
  [[nodiscard]] std::size_t size_bytes() const { return rest_bytes_; }
  [[nodiscard]] bool is_done() const { return runs_done_ && rest_next_ == rest_.size(); }

 private:
  Status next_of_runs(const speed::ViewState& view, const FeedFilter& filter, std::size_t units_max,
                      std::vector<std::string>& units);

  bool runs_done_ = false;
  std::string last_;  // unit of the runs that was given last
  bool any_given_ = false;
  std::vector<std::string> rest_;
  std::size_t rest_next_ = 0;
  std::size_t rest_bytes_ = 0;
};

}  // namespace millrace::serving
