// DuckDB with two threads and nothing of ours around it, over the Parquet files of a stream's lake:
// what the batch layer and ad-hoc statements are compared with. Thread: one owner. Errors:
// DuckDB's, kInternal where it does not see every event.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "event_generator.h"
#include "sql/database.h"

namespace millrace::bench {

class PlainDuckDb {
 public:
  static Result<PlainDuckDb> open(const std::filesystem::path& lake);
  /// Seconds for one view, its rows fetched; its column c must count all events.
  Result<double> count(const BenchView& view, std::uint64_t events);
  /// Seconds for a SELECT from {}, each chunk of its rows shown.
  Result<double> run(std::string_view select, const sql::ChunkVisitor& visit);

 private:
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<sql::Connection> connection_;
  std::string files_;
};

}  // namespace millrace::bench
