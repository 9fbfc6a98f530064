// The SELECT of a sink: which of a view's rows go into a store, and as what. Each row of the view
// gives one or none, so the group key must stay. Runs on DuckDB, a batch of the change feed at a
// time. Thread: compile() on any, project() on one. Errors: kInvalidArgument (kNotSinkable,
// kViewNotFound and those of sql/allow_list.h) with the place; kEvaluation where an expression
// fails on a row. Invariant: a row and its key are in the changes together, or the key is gone.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serving/change_feed.h"
#include "sink/store_url.h"
#include "sink/target.h"
#include "sql/database.h"
#include "sql/scalar_stage.h"

namespace millrace::serving {

/// The name that a SELECT's FROM has; what it means is for compile() to say. Errors: kNotSinkable
/// where it reads anything but one relation.
Result<std::string> relation_of_sink(std::string_view select);

class SinkSelect {
 public:
  static Result<std::unique_ptr<SinkSelect>> compile(sql::Database& database,
                                                     const speed::ViewState& view,
                                                     std::string_view select, sink::StoreKind kind);
  [[nodiscard]] const sink::TargetShape& shape() const { return shape_; }
  Result<sink::TargetChanges> project(const FeedBatch& batch);

 private:
  SinkSelect(std::unique_ptr<sql::ScalarStage> stage, sink::TargetShape shape, bool sessions);

  const std::unique_ptr<sql::ScalarStage> stage_;
  const sink::TargetShape shape_;
  const bool sessions_;
  std::vector<Type> row_types_;
  std::vector<Type> unit_types_;
};

}  // namespace millrace::serving
