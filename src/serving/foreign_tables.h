// Reference tables that are copies of tables in another PostgreSQL: reads them again as often as
// their statements say. Owns: a thread. Thread: any for start(), stop() and counters(). Errors: a
// table that cannot be read stays as it is and is tried again when it is due; the log and last
// errors say so. Invariant: a table that is the same there changes nothing here.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "model/column_batch.h"
#include "sql/statement.h"

namespace millrace::serving {

class StatementRunner;

struct ForeignRows {
  std::vector<Column> columns;
  std::shared_ptr<ColumnBatch> rows;
};
/// Reads the table that the statement's file is the address of; of no columns its own. Errors:
/// kInvalidArgument (kForeignTable, kBadValue), kResourceExhausted (kTableTooLarge), and those of
/// sink/postgres_link.h.
Result<ForeignRows> read_foreign_table(const sql::CreateTable& statement,
                                       std::vector<Column> columns, std::uint64_t bytes_max,
                                       const std::atomic<bool>& stopping);
/// Whether two have the same rows, in whatever order.
[[nodiscard]] bool same_rows(const ColumnBatch& a, const ColumnBatch& b);

class ForeignTables {
 public:
  ForeignTables(catalog::Catalog& catalog, StatementRunner& statements)
      : catalog_(catalog), statements_(statements) {}
  ~ForeignTables() { stop(); }
  void start();
  /// Idempotent.
  void stop() EXCLUDES(mutex_);

  struct Counters {
    std::atomic<std::uint64_t> refreshes{0};
    std::atomic<std::uint64_t> changes{0};
    std::atomic<std::uint64_t> errors{0};
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Plan {
    sql::CreateTable statement;
    std::int64_t due_us = 0;
    bool failed = false;
  };
  void loop();
  void look_at_catalog();
  void refresh(TableId table, Plan& plan);

  catalog::Catalog& catalog_;
  StatementRunner& statements_;
  Counters counters_;
  std::atomic<bool> stopping_{false};
  Mutex mutex_;
  CondVar changed_;
  std::thread thread_;
  // Of the thread. Tables that are not read again have no plan.
  std::map<TableId, std::optional<Plan>> plans_;
};

}  // namespace millrace::serving
