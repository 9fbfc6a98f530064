// Executes any statement: makes and drops streams and views, shows them, and answers SELECTs over
// both in the worker processes. Every endpoint that takes SQL calls this. Thread: any; statements
// that change what exists run one after the other. Errors: those of sql/statement.h,
// sql/allow_list.h, view/compiler.h and sql/query_worker.h, with the place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "ingest/ingest.h"
#include "lake/lake.h"
#include "log/commit_log.h"
#include "serving/batch_scheduler.h"
#include "speed/speed_layer.h"
#include "sql/query_worker.h"
#include "sql/statement.h"

namespace millrace::serving {

/// What an answer says of one stream or view that it read.
struct SourceCoverage {
  std::string name;
  bool is_stream = false;
  /// Of a stream: generation and cut are those of the lake's last commit.
  speed::Coverage coverage;
  std::uint64_t quarantined = 0;
};

struct StatementResult {
  /// "SELECT", "CREATE STREAM", ...
  std::string command;
  std::vector<Column> columns;
  std::vector<std::shared_ptr<const ColumnBatch>> batches;
  std::uint64_t rows = 0;
  bool truncated = false;
  std::vector<SourceCoverage> sources;
};

struct StatementOptions {
  std::uint64_t deadline_ms = 30'000;
  std::uint64_t rows_max = 100'000;
  std::uint64_t result_bytes_max = std::uint64_t{128} << 20;
};

class StatementRunner {
 public:
  StatementRunner(catalog::Catalog& catalog, log::CommitLog& log, lake::Lake& lake,
                  speed::SpeedLayer& speed, sql::Database& speed_database,
                  sql::QueryWorkers& workers, BatchScheduler& batch, StatementOptions options);

  Result<StatementResult> run(std::string_view sql);

  /// Makes the view of a record live: compiled, prepared, not yet part of a stream. Also used at
  /// the start.
  static Result<std::shared_ptr<speed::ViewState>> make_view_state(
      sql::Database& database, const catalog::ViewRecord& record, const StreamDefinition& stream);
  /// Records of a stream that went to its quarantine, so far.
  [[nodiscard]] std::uint64_t quarantined(const StreamDefinition& stream) const;
  [[nodiscard]] SourceCoverage source_of(const speed::ViewState& view,
                                         const speed::Coverage& coverage) const;

 private:
  Result<StatementResult> create_stream(const sql::CreateStream& statement);
  Result<StatementResult> create_view(const sql::CreateView& statement);
  Result<StatementResult> create_materialized_view(const sql::CreateView& statement);
  Result<StatementResult> drop(const sql::Drop& statement);
  Result<StatementResult> show(const sql::Show& statement);
  Result<StatementResult> describe(const sql::Describe& statement);
  Result<StatementResult> select(std::string_view text, std::uint64_t rows_max);

  /// The catalog's spelling of a stream's or view's name; empty where there is none.
  [[nodiscard]] std::string resolve(std::string_view name) const;
  /// Fills in what the query reads of a name, and of what that reads if it is a plain view.
  Status add_relation(const std::string& name, bool hidden_columns, sql::Query& query,
                      std::vector<SourceCoverage>& sources, std::vector<std::string>& seen);
  Status add_stream(const StreamDefinition& stream, bool hidden_columns, sql::Query& query,
                    std::vector<SourceCoverage>& sources);
  /// Plain views that read `name`.
  [[nodiscard]] std::vector<std::string> readers_of(std::string_view name) const;
  Status check_name_is_free(std::string_view name) const;

  catalog::Catalog& catalog_;
  log::CommitLog& log_;
  lake::Lake& lake_;
  speed::SpeedLayer& speed_;
  sql::Database& speed_database_;
  sql::QueryWorkers& workers_;
  BatchScheduler& batch_;
  const StatementOptions options_;
  Mutex definitions_;  // held by one statement that changes what exists
};

}  // namespace millrace::serving
