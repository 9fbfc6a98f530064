#include "lake/lake.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "base/crc32c.h"
#include "runtime/clock.h"
#include "sql/scalar_stage.h"

namespace millrace::lake {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = std::size_t{8} << 20;
constexpr std::string_view kParquetSuffix = ".parquet";

/// What changes when somebody writes to a file or puts another in its place.
struct FileIdentity {
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

std::optional<FileIdentity> identity(const fs::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{
      .size_bytes = static_cast<std::uint64_t>(status.st_size),
      .modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
      .inode = status.st_ino};
}

/// The folders of streams are named by their ids.
std::optional<StreamId> stream_of_folder(std::string_view name) {
  std::uint32_t id = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc() || stop != name.data() + name.size()) return std::nullopt;
  return StreamId(id);
}

std::unexpected<Error> unreadable(const fs::path& folder, const std::error_code& error) {
  return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{}: {}", folder.string(),
              error.message());
}

struct FileChecksum {
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};

Result<FileChecksum> checksum(runtime::File& file) {
  FileChecksum out;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadBytes);
  while (true) {
    MR_TRY(const std::size_t read, file.read_at(out.size_bytes, {buffer.get(), kReadBytes}));
    out.crc32c = crc32c(ByteSpan(buffer.get(), read), out.crc32c);
    out.size_bytes += read;
    if (read < kReadBytes) return out;
  }
}

/// The batches are exactly the events from `begin` to `end`, those of a partition in order.
Status check_tiling(const StreamDefinition& stream, const Position& begin, const Position& end,
                    std::span<const StreamBatch> batches) {
  const auto wrong = [&](std::string_view what) {
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "lake commit of stream {} from {} to {}: {}", stream.name, begin.json(), end.json(),
                what);
  };
  if (!end.covers(begin) || end == begin) return wrong("the range is empty or goes back");
  Position reached = begin;
  for (const auto& batch : batches) {
    if (batch.stream != stream.id)
      return wrong(fmt::format("a batch is of stream {}", batch.stream));
    if (batch.partition.value >= stream.partitions) {
      return wrong(fmt::format("there is no partition {}", batch.partition));
    }
    if (batch.columns == nullptr || batch.columns->column_count() != stream.columns.size()) {
      return wrong("a batch has other columns than the stream");
    }
    if (batch.base_offset != reached.end(batch.partition)) {
      return wrong(fmt::format("in partition {} offset {} follows {}", batch.partition,
                               batch.base_offset, reached.end(batch.partition)));
    }
    reached.set_end(batch.partition, batch.end_offset());
  }
  if (reached != end) return wrong(fmt::format("the batches end at {}", reached.json()));
  return {};
}

sql::ParquetStatistics statistics_of(std::span<const StreamBatch> batches) {
  sql::ParquetStatistics out;
  for (const auto& batch : batches) {
    const auto rows = static_cast<Int128>(batch.columns->rows());
    out.rows += batch.columns->rows();
    out.offset_sum += rows * static_cast<Int128>(batch.base_offset.value) + rows * (rows - 1) / 2;
  }
  return out;
}

/// The least and the most event time, in microseconds; none where the stream has none, or all are
/// NULL.
using Times = catalog::Between<std::int64_t>;
std::optional<Times> times_of(const StreamDefinition& stream,
                              std::span<const StreamBatch> batches) {
  std::optional<Times> out;
  if (!stream.time_column) return out;
  const auto kind = stream.columns[*stream.time_column].type.kind;
  if (kind != TypeKind::kTimestamp && kind != TypeKind::kTimestampTz) return out;
  for (const auto& batch : batches) {
    const ColumnVector& times = batch.columns->column(*stream.time_column);
    const auto* values = times.data<std::int64_t>();
    for (std::size_t row = 0; row < times.rows(); ++row) {
      if (!times.valid(row)) continue;
      const std::int64_t time = values[row];
      if (!out) out = Times{time, time};
      out->include(time);
    }
  }
  return out;
}

/// Of batches that are not empty, one at least.
catalog::EventRange range_of(const StreamDefinition& stream, std::span<const StreamBatch> batches) {
  const StreamBatch& first = batches.front();
  catalog::EventRange out;
  out.partition = {first.partition.value, first.partition.value};
  out.offset = {first.base_offset.value, first.end_offset().value - 1};
  out.arrival_us = {first.arrival_us, first.arrival_us};
  for (const StreamBatch& batch : batches) {
    out.partition.include(batch.partition.value);
    out.offset.include(batch.base_offset.value);
    out.offset.include(batch.end_offset().value - 1);
    out.arrival_us.include(batch.arrival_us);
  }
  out.time_us = times_of(stream, batches);
  if (out.time_us) out.time_field = stream.field_id(*stream.time_column);
  return out;
}

class LocalLake final : public Lake {
 public:
  LocalLake(runtime::FileSystem& files, catalog::Catalog& catalog,
            std::shared_ptr<sql::Database> database, fs::path folder, LakeOptions options)
      : files_(files),
        catalog_(catalog),
        database_(std::move(database)),
        folder_(std::move(folder)),
        options_(options) {}

  Result<catalog::LakeCommit> commit(const StreamDefinition& stream, const Position& end,
                                     std::span<const StreamBatch> batches) override {
    const auto before = snapshot(stream.id);
    MR_RETURN_IF_ERROR(check_tiling(stream, before->end, end, batches));
    catalog::LakeCommit commit;
    commit.stream = stream.id;
    commit.number = CommitNumber(before->last().value + 1);
    commit.begin = before->end;
    commit.schema_version = stream.version;
    commit.end = end;

    auto written = write_files(stream, commit, batches);
    if (written) {
      commit.committed_us = runtime::wall_us();
      written = catalog_.add_lake_commit(commit);
    }
    if (!written) {
      // After a failed sync of the catalog the commit may be there at the next start: then it needs
      // its files, and if it is not, the sweep takes them.
      if (catalog_.usable()) remove_files(commit);
      return std::unexpected(std::move(written).error().within("lake commit {} of stream {}",
                                                               commit.number, stream.name));
    }

    auto after = std::make_shared<LakeSnapshot>(*before);
    after->commits.push_back(commit);
    after->end = end;
    const MutexLock lock(mutex_);
    snapshots_[stream.id] = std::move(after);
    // They were just read in whole.
    for (const auto& file : commit.files) remember(path(stream.id, file));
    return commit;
  }

  [[nodiscard]] std::shared_ptr<const LakeSnapshot> snapshot(StreamId stream) const override {
    const MutexLock lock(mutex_);
    auto& known = snapshots_[stream];
    if (known == nullptr) {
      auto loaded = std::make_shared<LakeSnapshot>();
      loaded->commits = catalog_.lake_commits(stream);
      if (!loaded->commits.empty()) loaded->end = loaded->commits.back().end;
      known = std::move(loaded);
    }
    return known;
  }

  [[nodiscard]] fs::path path(StreamId stream, const catalog::FileRecord& file) const override {
    return stream_folder(stream) / file.name;
  }

  Status verify(StreamId stream, const catalog::FileRecord& file) const override {
    const auto place = path(stream, file);
    if (!files_.exists(place)) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "{}: the lake file is gone; restore it from a backup", place.string());
    }
    MR_TRY(const auto opened, files_.open(place, runtime::OpenMode::kRead));
    MR_TRY(const auto found, checksum(*opened));
    if (found.size_bytes != file.size_bytes || found.crc32c != file.crc32c) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "{}: the lake file has {} bytes with checksum 0x{:08x}, committed were {} bytes "
                  "with 0x{:08x}; "
                  "restore it from a backup",
                  place.string(), found.size_bytes, found.crc32c, file.size_bytes, file.crc32c);
    }
    return {};
  }

  Status verify_once(StreamId stream, const catalog::FileRecord& file) override {
    const auto place = path(stream, file);
    const auto now = identity(place);
    {
      const MutexLock lock(mutex_);
      const auto found = verified_.find(place);
      if (now && found != verified_.end() && found->second == *now) return {};
    }
    MR_RETURN_IF_ERROR(verify(stream, file));
    const MutexLock lock(mutex_);
    // What was there before the file was read: a write in between makes the next call read it
    // again.
    if (now) verified_.insert_or_assign(place, *now);
    return {};
  }

  Status sweep() override {
    // A catalog whose last write is in doubt may not know a commit that is in its file.
    MR_RETURN_IF_ERROR(catalog_.usable());
    std::vector<StreamId> found;
    std::error_code error;
    fs::directory_iterator entry(folder_, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (const auto id = stream_of_folder(entry->path().filename().string())) found.push_back(*id);
    }
    if (error) return unreadable(folder_, error);
    for (const auto id : found) {
      if (id >= catalog_.next_stream_id()) {
        return fail(
            ErrorCode::kDataLoss, error_id::kChecksum,
            "{}: the catalog never had a stream {}, so it is not the catalog of this lake; restore "
            "both from the same backup",
            stream_folder(id).string(), id);
      }
    }
    for (const auto id : found) {
      MR_RETURN_IF_ERROR(catalog_.stream(id) ? sweep_files(id) : remove_folder(id));
    }
    return {};
  }

 private:
  [[nodiscard]] fs::path stream_folder(StreamId stream) const {
    return folder_ / fmt::format("{}", stream);
  }

  /// Fills commit.files as the files come into being, so that the caller can remove them again.
  Status write_files(const StreamDefinition& stream, catalog::LakeCommit& commit,
                     std::span<const StreamBatch> batches) {
    const auto folder = stream_folder(stream.id);
    if (!files_.exists(folder)) {
      MR_RETURN_IF_ERROR(files_.create_directories(folder));
      MR_RETURN_IF_ERROR(files_.sync_directory(folder_));
    }
    // Long runs of one partition compress better and are read back as fewer batches.
    std::vector<StreamBatch> sorted;
    std::ranges::copy_if(batches, std::back_inserter(sorted),
                         [](const StreamBatch& batch) { return batch.columns->rows() != 0; });
    std::ranges::sort(sorted, {}, [](const StreamBatch& batch) {
      return std::pair(batch.partition, batch.base_offset);
    });

    std::span<const StreamBatch> rest = sorted;
    while (!rest.empty()) {
      std::uint64_t rows = rest.front().columns->rows();
      std::size_t count = 1;
      while (count < rest.size() &&
             rows + rest[count].columns->rows() <= options_.rows_per_file_max) {
        rows += rest[count++].columns->rows();
      }
      auto& file = commit.files.emplace_back();
      file.name = fmt::format("{}-{}{}", commit.number, commit.files.size() - 1, kParquetSuffix);
      MR_RETURN_IF_ERROR(write_file(stream, file, rest.first(count)));
      rest = rest.subspan(count);
    }
    return files_.sync_directory(folder);
  }

  Status write_file(const StreamDefinition& stream, catalog::FileRecord& file,
                    std::span<const StreamBatch> batches) {
    const auto place = path(stream.id, file);
    // Of a commit that a crash cut short.
    if (files_.exists(place)) MR_RETURN_IF_ERROR(files_.remove(place));
    const auto wanted = statistics_of(batches);
    MR_TRY(const auto written, sql::write_parquet(*database_, place, stream, batches));
    {
      MR_TRY(const auto opened, files_.open(place, runtime::OpenMode::kReadWrite));
      MR_RETURN_IF_ERROR(opened->sync_data());
      MR_TRY(const auto sum, checksum(*opened));
      file.size_bytes = sum.size_bytes;
      file.crc32c = sum.crc32c;
    }
    MR_TRY(const auto read, sql::read_parquet_statistics(*database_, place));
    for (const auto& [statistics, how] :
         {std::pair(written, "written"), std::pair(read, "read back")}) {
      if (statistics.rows != wanted.rows || statistics.offset_sum != wanted.offset_sum) {
        return fail(ErrorCode::kInternal, error_id::kInternal,
                    "{}: {} rows were {}, {} were handed over, or their offsets differ",
                    place.string(), statistics.rows, how, wanted.rows);
      }
    }
    file.rows = wanted.rows;
    file.range = range_of(stream, batches);
    return {};
  }

  void remove_files(const catalog::LakeCommit& commit) {
    for (const auto& file : commit.files) {
      const auto place = path(commit.stream, file);
      // What cannot be removed is garbage that the sweep takes.
      if (files_.exists(place)) static_cast<void>(files_.remove(place));
    }
  }

  Status sweep_files(StreamId stream) {
    std::set<std::string, std::less<>> named;
    for (const auto& commit : catalog_.lake_commits(stream)) {
      for (const auto& file : commit.files) named.insert(file.name);
    }
    const auto folder = stream_folder(stream);
    MR_TRY(const auto present, files_.list(folder));
    for (const auto& name : present) {
      if (name.ends_with(kParquetSuffix) && !named.contains(name)) {
        MR_RETURN_IF_ERROR(files_.remove(folder / name));
      }
    }
    return {};
  }

  Status remove_folder(StreamId stream) {
    const auto folder = stream_folder(stream);
    std::error_code error;
    fs::remove_all(folder, error);
    if (error) return unreadable(folder, error);
    const MutexLock lock(mutex_);
    snapshots_.erase(stream);
    std::erase_if(verified_,
                  [&](const auto& entry) { return entry.first.parent_path() == folder; });
    return {};
  }

  void remember(const fs::path& place) REQUIRES(mutex_) {
    if (const auto now = identity(place)) verified_.insert_or_assign(place, *now);
  }

  runtime::FileSystem& files_;
  catalog::Catalog& catalog_;
  std::shared_ptr<sql::Database> database_;
  fs::path folder_;
  LakeOptions options_;

  mutable Mutex mutex_;
  mutable std::map<StreamId, std::shared_ptr<const LakeSnapshot>> snapshots_ GUARDED_BY(mutex_);
  std::map<fs::path, FileIdentity> verified_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<Lake>> Lake::open(runtime::FileSystem& files, catalog::Catalog& catalog,
                                         std::shared_ptr<sql::Database> database, fs::path folder,
                                         LakeOptions options) {
  // DuckDB and the query workers see these paths from wherever they run.
  folder = fs::absolute(folder).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  MR_RETURN_IF_ERROR(files.create_directories(folder));
  MR_RETURN_IF_ERROR(files.sync_directory(folder.parent_path()));
  return std::make_unique<LocalLake>(files, catalog, std::move(database), std::move(folder),
                                     options);
}

}  // namespace millrace::lake
