// What two streams are joined by, found in the conditions of a SELECT over both: equalities of an
// expression of the one with an expression of the other, comparisons that bound the time between
// them, and conditions on one of them alone. Conditions that are none of these are left to the
// view's SQL. Thread: any. Errors: kNotMergeable with the reason alone; what DuckDB says to an
// expression.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "view/stream_join.h"

namespace millrace::view {

class JoinAnalysis {
 public:
  /// Names and types of a SELECT's columns, over relations with the streams' names.
  using Describe =
      std::function<Result<std::vector<std::pair<std::string, std::string>>>(std::string_view)>;
  struct Source {
    const StreamDefinition* stream = nullptr;
    std::string alias;
  };
  JoinAnalysis(std::array<Source, 2> sources, Describe describe)
      : sources_(std::move(sources)), describe_(std::move(describe)) {}

  [[nodiscard]] const std::array<Source, 2>& sources() const { return sources_; }
  /// A condition that holds for each pair.
  Status add_condition(const boost::json::object& condition);
  /// An expression over the pairs, whose columns the view reads.
  void add_use(const boost::json::value& tree);
  /// All but the SQL over pairs.
  Result<StreamJoin> finish();
  /// The conditions that need both rows.
  [[nodiscard]] const std::vector<std::string>& conditions_of_both() const {
    return conditions_of_both_;
  }

 private:
  enum class Scale { kTime, kInteger };
  struct Span {
    std::string low;
    std::string high;
  };
  static std::optional<Scale> scale_of(std::string_view type);
  [[nodiscard]] unsigned sides_in(const boost::json::value& expression) const;
  Result<std::string> type_of(std::size_t side, std::string_view expression) const;
  Status add_bound(const boost::json::value& small, const boost::json::value& large);
  Status add_comparison(const boost::json::object& condition);
  Status make_keys_alike();

  std::array<Source, 2> sources_;
  Describe describe_;
  std::array<JoinSide, 2> sides_;
  /// By scale, then by side.
  std::array<std::array<Span, 2>, 2> spans_;
  std::vector<std::string> conditions_of_both_;
  std::array<std::vector<bool>, 2> used_;
};

}  // namespace millrace::view
