// From the aggregate calls of a view's SELECT to what the aggregate stage keeps and gives: each
// call becomes components (aggregate_plan.h), columns of a group, and an SQL expression over those
// columns, which the final stage computes. Equal arguments, components and columns are kept once.
// Thread: one at a time. Errors: kInvalidArgument (kNotMergeable) for calls that have no mergeable
// state; the caller adds the place.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/aggregate_plan.h"

namespace millrace::view {

/// How a row tells its place in the order of its stream: SQL for its event time (the arrival where
/// the stream has none), partition and offset; of a pair of rows those of both.
using RowPlace = std::vector<std::string>;

class AggregateCalls {
 public:
  explicit AggregateCalls(RowPlace place) : place_(std::move(place)) {}

  /// SQL over the columns of a group (group_column_name()) that gives the value of `call`.
  Result<std::string> add(const boost::json::object& call);
  /// A view of keys alone still needs a state, so that a group is told from none.
  void ensure_component();

  /// The expressions whose columns the scalar stage gives, and those whose types alone are asked
  /// for.
  [[nodiscard]] const std::vector<boost::json::value>& arguments() const { return arguments_; }
  [[nodiscard]] const std::vector<boost::json::value>& probes() const { return probes_; }

  /// Components and columns with their types; once, at the end. Errors: an argument of a type that
  /// has no state.
  Status resolve(std::span<const Type> arguments, std::span<const Type> probes, AggregatePlan& plan,
                 std::vector<OutputColumn>& columns);
  /// The call that resolve() refused.
  [[nodiscard]] const boost::json::value& blamed() const { return blamed_; }

 private:
  struct Call;
  using ComponentId = std::uint32_t;

  std::uint32_t argument(const boost::json::value& tree);
  Result<std::uint32_t> argument(std::string_view sql);
  std::uint32_t probe(const boost::json::value& tree);
  ComponentId component(Component wanted);
  /// The name of a column of a group.
  std::string column(OutputKind kind, std::vector<std::uint32_t> inputs, std::uint32_t column = 0,
                     std::uint32_t limit = 0, std::vector<double> quantiles = {},
                     std::optional<std::uint32_t> probe = {});

  Result<std::string> counts(const Call& call);
  Result<std::string> sums(const Call& call);
  Result<std::string> extremes(const Call& call);
  Result<std::string> moments(const Call& call);
  Result<std::string> pairs(const Call& call);
  Result<std::string> ordered(const Call& call);
  Result<std::string> best(const Call& call);
  Result<std::string> collected(const Call& call);
  Result<std::string> sketches(const Call& call);
  Result<std::string> tops(const Call& call);
  /// kRows over: the order, then the place of the row, then the values.
  Result<ComponentId> rows(const Call& call, std::vector<ComponentArgument> order, bool newest,
                           std::span<const std::uint32_t> values, std::uint32_t limit,
                           std::optional<std::uint32_t> filter, std::uint32_t& first_value);

  const RowPlace place_;
  std::vector<boost::json::value> arguments_;
  std::vector<std::string> argument_identities_;
  std::vector<boost::json::value> probes_;
  std::vector<Component> components_;
  struct GroupColumn {
    OutputColumn output;
    std::optional<std::uint32_t> probe;
    boost::json::value call;
  };
  std::vector<GroupColumn> columns_;
  boost::json::value call_;  // that is being added
  boost::json::value blamed_;
};

/// The name of a group's column in the final stage's SQL: k0, k1, … the keys, a0, a1, … the rest.
[[nodiscard]] std::string key_column_name(std::size_t key);
[[nodiscard]] std::string group_column_name(std::size_t column);

}  // namespace millrace::view
