// The two doors between our memory and a statement of DuckDB, registered once per Database:
//   mr_source(id): a table function that gives the rows of stream batches;
//   mr_sink(id, values...): a scalar function, 1 for each row, that shows the rows to a sink of
//   ours.
// Both find what belongs to an id when the statement is bound, and keep it as long as the statement
// lives. An id nobody holds is an error, so that no text can reach memory that is not its own.
// Thread: any; a source or sink is used by one execution at a time.
#pragma once

#include <duckdb.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::sql {

inline constexpr std::size_t kHiddenColumns = 3;

/// Rows for mr_source: columns with these names and types, in parts that come one after another.
struct RowSource {
  struct Part {
    std::vector<ColumnView> columns;
    std::size_t rows = 0;
    /// With hidden columns: the values of the part, unless they stand behind its columns.
    std::int32_t partition = 0;
    std::int64_t base_offset = 0;
    std::int64_t arrival_us = 0;
  };
  std::vector<Column> columns;
  /// Shows _partition, _offset and _arrival behind the columns.
  bool hidden_columns = false;
  /// Set before each execution; the memory they point to stays until its end.
  std::vector<Part> parts;
};

/// The parts of stream batches. The batches must outlive them.
std::vector<RowSource::Part> parts_of(std::span<const StreamBatch> batches);

/// What mr_sink calls. `types` are set when the statement is bound.
struct RowReceiver {
  std::vector<Type> types;
  /// On the threads of DuckDB, several at once. An error ends the statement.
  std::function<Status(const BatchView&)> receive;
};

class RowFunctions {
 public:
  /// Makes the registry and registers both functions.
  static Result<std::shared_ptr<RowFunctions>> install(duckdb_connection connection);

  /// An id for as long as the caller keeps it: remove() before the source goes.
  std::int64_t add(std::shared_ptr<RowSource> source);
  std::int64_t add(std::shared_ptr<RowReceiver> receiver);
  void remove(std::int64_t id);
  std::shared_ptr<RowSource> find_source(std::int64_t id);
  std::shared_ptr<RowReceiver> find_receiver(std::int64_t id);

 private:
  Mutex mutex_;
  std::int64_t next_id_ GUARDED_BY(mutex_) = 1;
  std::unordered_map<std::int64_t, std::shared_ptr<RowSource>> sources_ GUARDED_BY(mutex_);
  std::unordered_map<std::int64_t, std::shared_ptr<RowReceiver>> receivers_ GUARDED_BY(mutex_);
};

/// Holds an id and gives it back.
class RowFunctionId {
 public:
  RowFunctionId() = default;
  template <class Object>
  RowFunctionId(std::shared_ptr<RowFunctions> functions, std::shared_ptr<Object> object)
      : functions_(std::move(functions)), id_(functions_->add(std::move(object))) {}
  ~RowFunctionId() {
    if (functions_) functions_->remove(id_);
  }
  RowFunctionId(const RowFunctionId&) = delete;
  RowFunctionId& operator=(const RowFunctionId&) = delete;
  [[nodiscard]] std::int64_t id() const { return id_; }

 private:
  std::shared_ptr<RowFunctions> functions_;
  std::int64_t id_ = 0;
};

}  // namespace millrace::sql
