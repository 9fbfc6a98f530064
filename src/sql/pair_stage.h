// The scalar stage of a view that joins two streams: a SELECT over two relations that have as many
// rows each, candidates for a pair by their place ("… FROM a POSITIONAL JOIN b WHERE condition").
// As scalar_stage.h otherwise: it ends in a sink function inside DuckDB. Thread: one at a time.
// Errors: kInvalidArgument (kEvaluation) where an expression fails on some candidate; then the sink
// has seen any part of the rows, and the caller throws away what it made of them.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/scalar_stage.h"

namespace millrace::sql {

/// The columns that rows have behind those of their stream: partition, offset, arrival.
[[nodiscard]] std::vector<Column> hidden_columns();

class PairStage {
 public:
  struct Relation {
    std::string name;
    std::vector<Column> columns;
  };
  static Result<std::unique_ptr<PairStage>> prepare(Database& database, std::string_view stage_sql,
                                                    const std::array<Relation, 2>& relations,
                                                    std::span<const ReferenceTable> tables = {});
  ~PairStage();
  [[nodiscard]] const std::vector<Type>& types() const;
  /// Runs over as many rows of each relation. The sink must not keep the views.
  Status run(std::array<BatchView, 2> rows, const RowSink& sink);

 private:
  struct Handle;
  explicit PairStage(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace::sql
