// Derived streams: CREATE STREAM clean AS SELECT … FROM raw. Each request's events are turned into
// the derived stream's before the log has them, and both become durable in one commit: so a derived
// event is there exactly once for each event that is acknowledged, with no position to keep. The
// SELECT works row by row; what it gives is read back as any producer's JSON is, so that the log
// holds nothing that a later start could not decode. Thread: any; a Derivation runs as many
// requests at once as have come together. Errors: none of one row ends a request: such rows are
// given back with DuckDB's reason.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/padded_bytes.h"
#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "sql/scalar_stage.h"

namespace millrace::ingest {

class Derivation {
 public:
  /// `select` is view::compile_row_select()'s: its columns are those of `derived`.
  static Result<std::shared_ptr<Derivation>> make(sql::Database& database,
                                                  const StreamDefinition& source,
                                                  const StreamDefinition& derived,
                                                  std::string select);

  [[nodiscard]] StreamId derived() const { return derived_.id; }

  struct FailedRow {
    std::uint32_t row = 0;
    std::string reason;
  };
  struct Output {
    std::string lines;  // JSON Lines
    std::vector<FailedRow> failed;
  };
  /// Errors: what the stage cannot blame on a row; then nothing of the request may be stored.
  Result<Output> run(const std::shared_ptr<const ColumnBatch>& events, std::int64_t arrival_us);

 private:
  Derivation(sql::Database& database, StreamDefinition source, StreamDefinition derived,
             std::string select);
  Result<std::unique_ptr<sql::ScalarStage>> take_stage();
  Status run_rows(sql::ScalarStage& stage, const StreamBatch& batch, std::uint32_t first_row,
                  Output& out) const;

  sql::Database& database_;
  const StreamDefinition source_;
  const StreamDefinition derived_;
  const std::string select_;
  std::vector<std::string> names_;  // of the columns, as the beginnings of JSON members
  Mutex mutex_;
  std::vector<std::unique_ptr<sql::ScalarStage>> free_ GUARDED_BY(mutex_);
};

/// The derivations of all streams, by source.
class Derivations {
 public:
  void add(StreamId source, std::shared_ptr<Derivation> derivation);
  void remove(StreamId derived);
  [[nodiscard]] std::vector<std::shared_ptr<Derivation>> of(StreamId source) const;

 private:
  mutable Mutex mutex_;
  std::map<StreamId, std::vector<std::shared_ptr<Derivation>>> by_source_ GUARDED_BY(mutex_);
};

}  // namespace millrace::ingest
