// The lake's files through DuckDB: written, read back, scanned by the scalar stage of a view.
#include <map>
#include <numeric>
#include <thread>
#include <unordered_map>

#include "base/mutex.h"
#include "sql/lake_page.h"
#include "sql/lake_select.h"
#include "sql/scalar_stage.h"
#include "sql/sink_statement.h"

namespace millrace::sql {

namespace {

/// The sinks of one scan, one for each thread that takes part.
class ThreadSinks {
 public:
  explicit ThreadSinks(const std::function<RowSink()>& make) : make_(make) {}

  const RowSink& mine() {
    const MutexLock lock(mutex_);
    const auto [place, is_new] = sinks_.try_emplace(std::this_thread::get_id());
    // References into the map stay valid when others come in.
    if (is_new) place->second = make_();
    return place->second;
  }

 private:
  const std::function<RowSink()>& make_;
  Mutex mutex_;
  std::unordered_map<std::thread::id, RowSink> sinks_ GUARDED_BY(mutex_);
};

/// Cuts rows of lake files into batches of one partition, one arrival time and consecutive offsets.
class BatchCutter {
 public:
  BatchCutter(const StreamDefinition& stream,
              const std::function<Status(const StreamBatch&)>& visit)
      : stream_(stream), types_(stream.types()), visit_(visit) {}

  Status add(const BatchView& view) {
    const std::size_t hidden = types_.size();
    const auto* partitions = view.columns[hidden].as<std::int32_t>();
    const auto* offsets = view.columns[hidden + 1].as<std::int64_t>();
    const auto* arrivals = view.columns[hidden + 2].as<std::int64_t>();
    for (std::size_t column = hidden; column < hidden + 3; ++column) {
      for (std::size_t row = 0; row < view.rows; ++row) {
        if (!view.columns[column].valid(row))
          return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                      "a row of a lake file has no place in its stream");
      }
    }
    rows_.resize(view.rows);
    std::iota(rows_.begin(), rows_.end(), 0U);
    const BatchView columns{view.columns.first(hidden), view.rows};
    for (std::size_t begin = 0; begin < view.rows;) {
      if (!goes_on(partitions[begin], offsets[begin], arrivals[begin])) {
        MR_RETURN_IF_ERROR(flush());
        start(partitions[begin], offsets[begin], arrivals[begin]);
      }
      std::size_t end = begin + 1;
      const std::size_t space = kRowsMax - batch_->rows();
      while (end < view.rows && end - begin < space && partitions[end] == partitions[begin] &&
             offsets[end] == offsets[end - 1] + 1 && arrivals[end] == arrivals[begin]) {
        ++end;
      }
      batch_->append_rows(columns, std::span(rows_).subspan(begin, end - begin));
      begin = end;
    }
    return {};
  }

  Status flush() {
    if (!batch_) return {};
    const StreamBatch out{.stream = stream_.id,
                          .partition = PartitionId(static_cast<std::uint32_t>(partition_)),
                          .base_offset = Offset(static_cast<std::uint64_t>(base_offset_)),
                          .arrival_us = arrival_us_,
                          .columns = std::move(batch_)};
    batch_.reset();
    return visit_(out);
  }

 private:
  static constexpr std::size_t kRowsMax = 2048;

  [[nodiscard]] bool goes_on(std::int32_t partition, std::int64_t offset,
                             std::int64_t arrival_us) const {
    return batch_ && batch_->rows() < kRowsMax && partition == partition_ &&
           offset == base_offset_ + static_cast<std::int64_t>(batch_->rows()) &&
           arrival_us == arrival_us_;
  }

  void start(std::int32_t partition, std::int64_t offset, std::int64_t arrival_us) {
    batch_ = std::make_shared<ColumnBatch>(types_);
    partition_ = partition;
    base_offset_ = offset;
    arrival_us_ = arrival_us;
  }

  const StreamDefinition& stream_;
  const std::vector<Type> types_;
  const std::function<Status(const StreamBatch&)>& visit_;
  std::vector<std::uint32_t> rows_;
  std::shared_ptr<ColumnBatch> batch_;
  std::int32_t partition_ = 0;
  std::int64_t base_offset_ = 0;
  std::int64_t arrival_us_ = 0;
};

/// A lake file that DuckDB cannot read is not the fault of whoever asked.
Error file_error(Error error) {
  if (error.code == ErrorCode::kInvalidArgument) {
    error.code = ErrorCode::kDataLoss;
    error.id = error_id::kChecksum;
  }
  return std::move(error).within("the files of the lake cannot be read");
}

/// Runs the stage over relations that the connection knows by name.
Status scan(Connection& connection, const ScanStage& stage, std::atomic<std::uint64_t>& rows_done,
            const std::atomic<bool>& cancel) {
  Connection::Handle& handle = connection.handle();
  MR_RETURN_IF_ERROR(make_tables(connection, stage.tables));

  ThreadSinks sinks(stage.make_sink);
  std::atomic<std::uint64_t> seen = 0;
  auto receiver = std::make_shared<RowReceiver>();
  receiver->receive = [&](const BatchView& view) -> Status {
    if (cancel.load(std::memory_order_relaxed))
      return fail(ErrorCode::kCancelled, error_id::kSqlFailed, "the scan was cancelled");
    sinks.mine()(view);
    seen.fetch_add(view.rows, std::memory_order_relaxed);
    rows_done.fetch_add(view.rows, std::memory_order_relaxed);
    return {};
  };
  const RowFunctionId id(handle.functions, receiver);
  MR_TRY(const Prepared statement,
         prepare_sink(connection, stage.stage_sql, id.id(), SinkResult::kSum));
  QueryRows rows;
  auto status = run_statement(handle, statement.get(), rows,
                              [&] { return cancel.load(std::memory_order_relaxed); });
  if (status) status = check_rows(rows, SinkResult::kSum, seen);
  // Also where the last of its rows was already on the way.
  if (cancel.load())
    return fail(ErrorCode::kCancelled, error_id::kSqlFailed, "the scan was cancelled");
  if (status) return {};
  return std::unexpected(evaluation_error(std::move(status).error()));
}

Status name_files(Connection& connection, const LakeRelation& files) {
  auto status =
      name_relation(connection, files.name, lake_select(files.files, *files.stream, true));
  if (!status) return std::unexpected(file_error(std::move(status).error()));
  return {};
}

}  // namespace

Status scan_lake_files(Database& database, std::span<const LakeFile> files,
                       const StreamDefinition& stream, const ScanStage& stage,
                       std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel) {
  if (files.empty()) return {};
  MR_TRY(const auto connection, database.connect());
  MR_RETURN_IF_ERROR(name_files(*connection, {stream.name, &stream, files}));
  return scan(*connection, stage, rows_done, cancel);
}

Status scan_lake_relations(Database& database, std::span<const LakeRelation> files,
                           std::span<const NamedSelect> selects, const ScanStage& stage,
                           std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel) {
  MR_TRY(const auto connection, database.connect());
  for (const auto& relation : files) MR_RETURN_IF_ERROR(name_files(*connection, relation));
  for (const auto& [name, select] : selects)
    MR_RETURN_IF_ERROR(name_relation(*connection, name, select));
  return scan(*connection, stage, rows_done, cancel);
}

Status query_lake_files(Database& database, const LakeRelation& files, std::string_view select,
                        const ChunkVisitor& visit) {
  MR_TRY(const auto connection, database.connect());
  MR_RETURN_IF_ERROR(name_files(*connection, files));
  auto asked = connection->query(select, visit);
  if (!asked) return std::unexpected(std::move(asked).error());
  return {};
}

Result<std::vector<std::optional<FileSpan>>> lake_file_spans(Database& database,
                                                             const LakeRelation& files,
                                                             std::string_view low,
                                                             std::string_view high) {
  std::map<std::string, std::size_t, std::less<>> numbers;
  std::map<std::uint32_t, std::vector<std::filesystem::path>> by_version;
  for (std::size_t i = 0; i < files.files.size(); ++i) {
    const auto& file = files.files[i];
    numbers.emplace(absolute_text(file.path), i);
    by_version[file.version].push_back(file.path);
  }
  std::string rows;
  for (const auto& [version, paths] : by_version) {
    rows += fmt::format(
        "{}{}", rows.empty() ? "" : " UNION ALL ",
        select_from_files(lake_items(*files.stream, version, true) + ", _file", paths, "_file"));
  }
  std::vector<std::optional<FileSpan>> spans(files.files.size());
  MR_TRY(const auto connection, database.connect());
  const auto asked = connection->query(
      fmt::format("SELECT _file, min(TRY({})), max(TRY({})) FROM ({}) AS {} GROUP BY _file", low,
                  high, rows, quote_identifier(files.name)),
      [&](const BatchView& chunk) -> Status {
        for (std::size_t row = 0; row < chunk.rows; ++row) {
          const auto name = chunk.columns[0].as<StringRef>()[row].view();
          const auto found = numbers.find(name);
          if (found == numbers.end()) {
            return fail(ErrorCode::kInternal, error_id::kInternal, "no file {} was asked for",
                        name);
          }
          if (!chunk.columns[1].valid(row) || !chunk.columns[2].valid(row)) continue;
          spans[found->second] = {.low = chunk.columns[1].as<std::int64_t>()[row],
                                  .high = chunk.columns[2].as<std::int64_t>()[row]};
        }
        return {};
      });
  if (!asked) return std::unexpected(file_error(Error(asked.error())));
  return spans;
}

Status read_lake_files(Database& database, std::span<const LakeFile> files,
                       const StreamDefinition& stream,
                       const std::function<Status(const StreamBatch&)>& visit) {
  if (files.empty()) return {};
  MR_TRY(const auto connection, database.connect());
  BatchCutter cutter(stream, visit);
  bool refused = false;
  auto columns = connection->query(lake_select(files, stream, true), [&](const BatchView& view) {
    auto status = cutter.add(view);
    refused = !status;
    return status;
  });
  if (!columns && refused) return std::unexpected(std::move(columns).error());
  if (!columns) return std::unexpected(file_error(std::move(columns).error()));
  return cutter.flush();
}

Status read_lake_page(Database& database, std::span<const LakeFile> files,
                      const StreamDefinition& stream, const Position& from, std::uint64_t rows_max,
                      const std::function<Status(const StreamBatch&)>& visit) {
  if (files.empty()) return {};
  std::string wanted;
  for (std::uint32_t p = 0; p < stream.partitions; ++p) {
    wanted += fmt::format("{}({} = {} AND {} >= {})", p == 0 ? "" : " OR ", kPartitionColumn, p,
                          kOffsetColumn, from.end(PartitionId(p)));
  }
  MR_TRY(const auto connection, database.connect());
  BatchCutter cutter(stream, visit);
  bool refused = false;
  auto columns =
      connection->query(fmt::format("SELECT * FROM ({}) WHERE {} ORDER BY {}, {} LIMIT {}",
                                    lake_select(files, stream, true), wanted, kPartitionColumn,
                                    kOffsetColumn, rows_max),
                        [&](const BatchView& view) {
                          auto status = cutter.add(view);
                          refused = !status;
                          return status;
                        });
  if (!columns && refused) return std::unexpected(std::move(columns).error());
  if (!columns) return std::unexpected(file_error(std::move(columns).error()));
  return cutter.flush();
}

Status first_arrivals(Database& database, std::span<const LakeFile> files,
                      const StreamDefinition& stream, std::int64_t time_us,
                      const std::function<void(PartitionId, Offset)>& visit) {
  if (files.empty()) return {};
  MR_TRY(const auto connection, database.connect());
  auto columns = connection->query(
      fmt::format("SELECT {0}, min({1}) FROM ({2}) WHERE epoch_us({3}) > {4} GROUP BY {0}",
                  kPartitionColumn, kOffsetColumn, lake_select(files, stream, true), kArrivalColumn,
                  time_us),
      [&](const BatchView& view) -> Status {
        for (std::size_t row = 0; row < view.rows; ++row) {
          visit(PartitionId(static_cast<std::uint32_t>(view.columns[0].as<std::int32_t>()[row])),
                Offset(static_cast<std::uint64_t>(view.columns[1].as<std::int64_t>()[row])));
        }
        return {};
      });
  if (!columns) return std::unexpected(file_error(std::move(columns).error()));
  return {};
}

namespace {
std::vector<LakeFile> present_files(std::span<const std::filesystem::path> paths,
                                    const StreamDefinition& stream) {
  std::vector<LakeFile> files;
  for (const auto& path : paths) files.push_back({path, stream.version});
  return files;
}
}  // namespace

Status scan_lake_files(Database& database, std::span<const std::filesystem::path> paths,
                       const StreamDefinition& stream, const ScanStage& stage,
                       std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel) {
  const auto files = present_files(paths, stream);
  return scan_lake_files(database, files, stream, stage, rows_done, cancel);
}

Status read_lake_files(Database& database, std::span<const std::filesystem::path> paths,
                       const StreamDefinition& stream,
                       const std::function<Status(const StreamBatch&)>& visit) {
  const auto files = present_files(paths, stream);
  return read_lake_files(database, files, stream, visit);
}

Result<ParquetStatistics> write_parquet(Database& database, const std::filesystem::path& path,
                                        const StreamDefinition& stream,
                                        std::span<const StreamBatch> batches) {
  ParquetStatistics statistics;
  for (const StreamBatch& batch : batches) {
    const std::uint64_t rows = batch.columns->rows();
    statistics.rows += rows;
    const Int128 first = batch.base_offset.value;
    statistics.offset_sum += first * rows + static_cast<Int128>(rows) * (rows - (rows != 0)) / 2;
  }
  MR_TRY(const auto connection, database.connect());
  Connection::Handle& handle = connection->handle();
  auto source = std::make_shared<RowSource>();
  source->columns = stream.columns;
  source->hidden_columns = true;
  source->parts = parts_of(batches);
  const RowFunctionId id(handle.functions, source);
  MR_TRY(const Prepared statement,
         prepare_statement(
             handle, fmt::format("COPY (SELECT {} FROM mr_source({})) TO {} (FORMAT parquet, "
                                 "COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880, "
                                 "USE_TMP_FILE false)",
                                 parquet_items(stream.columns), id.id(),
                                 quote_literal(absolute_text(path)))));
  QueryRows rows;
  MR_RETURN_IF_ERROR(run_statement(handle, statement.get(), false, rows));
  return statistics;
}

Result<ParquetStatistics> read_parquet_statistics(Database& database,
                                                  const std::filesystem::path& path) {
  MR_TRY(const auto connection, database.connect());
  ParquetStatistics statistics;
  // count(_offset) reads the column where count(*) would believe the footer.
  auto columns = connection->query(
      fmt::format("SELECT count({0}), coalesce(sum({0}), 0)::HUGEINT FROM ({1})",
                  quote_identifier(kOffsetColumn), lake_select({&path, 1}, {}, true)),
      [&](const BatchView& view) -> Status {
        statistics.rows = static_cast<std::uint64_t>(view.columns[0].as<std::int64_t>()[0]);
        statistics.offset_sum = view.columns[1].as<Int128>()[0];
        return {};
      });
  if (!columns) return std::unexpected(file_error(std::move(columns).error()));
  return statistics;
}

}  // namespace millrace::sql
