#include "batch/state_files.h"

#include <algorithm>

#include "base/crc32c.h"
#include "batch/run_file.h"

namespace millrace::batch {

namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

Result<std::uint32_t> checksum_of(const RunFile& file) {
  std::string piece;
  std::uint32_t sum = 0;
  for (std::uint64_t at = 0; at < file.size(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kReadBytes, file.size() - at));
    MR_RETURN_IF_ERROR(file.read(at, piece));
    sum = crc32c(piece, sum);
  }
  return sum;
}

}  // namespace

Result<std::unique_ptr<StateFiles>> StateFiles::open(runtime::FileSystem& files,
                                                     std::filesystem::path folder,
                                                     StateFileOptions options) {
  MR_RETURN_IF_ERROR(files.create_directories(folder));
  return std::unique_ptr<StateFiles>(new StateFiles(files, std::move(folder), options));
}

std::string StateFiles::generation_name(ViewId view, GenerationNumber number) {
  return fmt::format("view-{}-generation-{}.run", view, number);
}

std::string StateFiles::checkpoint_name(ViewId view, CommitNumber base, CommitNumber commit) {
  return fmt::format("view-{}-checkpoint-{}-{}.run", view, base, commit);
}

Result<view::StateRunWriter::Written> StateFiles::write_file(const std::filesystem::path& path,
                                                             std::uint64_t fingerprint,
                                                             const Fill& fill, bool durable) {
  if (files_.exists(path)) MR_RETURN_IF_ERROR(files_.remove(path));
  MR_TRY(const auto file, files_.open(path, runtime::OpenMode::kCreate));
  RunFileBuffer buffer(*file, durable);
  view::StateRunWriter writer(fingerprint,
                              [&](std::string_view bytes) { return buffer.append(bytes); });
  MR_RETURN_IF_ERROR(fill(writer));
  MR_TRY(const auto written, writer.finish());
  MR_RETURN_IF_ERROR(buffer.flush());
  if (durable) MR_RETURN_IF_ERROR(file->sync_data());
  return written;
}

Result<StateFiles::Written> StateFiles::write(const std::string& name, std::uint64_t fingerprint,
                                              const Fill& fill) {
  const auto path = folder_ / name;
  auto temporary = path;
  temporary += ".tmp";
  const auto written = write_file(temporary, fingerprint, fill, true);
  if (!written) {
    static_cast<void>(files_.remove(temporary));
    return std::unexpected(written.error());
  }
  MR_RETURN_IF_ERROR(files_.rename(temporary, path));
  MR_RETURN_IF_ERROR(files_.sync_directory(folder_));
  MR_TRY(auto bytes, RunFile::open(files_, path, false));
  MR_TRY(auto run, view::StateRun::open(std::move(bytes), fingerprint, cache_));
  return Written{.record = {.name = name,
                            .size_bytes = written->size_bytes,
                            .crc32c = written->crc32c,
                            .rows = written->entries},
                 .run = std::move(run)};
}

Result<std::shared_ptr<const view::StateRun>> StateFiles::read(const catalog::FileRecord& record,
                                                               std::uint64_t fingerprint) {
  const auto path = folder_ / record.name;
  MR_TRY(auto bytes, RunFile::open(files_, path, false));
  if (bytes->size() != record.size_bytes) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "state file {}: {} bytes were written, {} bytes are read", path.string(),
                record.size_bytes, bytes->size());
  }
  if (record.size_bytes <= options_.checked_bytes_max) {
    MR_TRY(const auto sum, checksum_of(*bytes));
    if (sum != record.crc32c) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "state file {}: {} bytes with checksum {:08x} were written, with {:08x} they are "
                  "read",
                  path.string(), record.size_bytes, record.crc32c, sum);
    }
  }
  return view::StateRun::open(std::move(bytes), fingerprint, cache_);
}

Result<std::shared_ptr<const view::StateRun>> StateFiles::spill(std::uint64_t fingerprint,
                                                                const Fill& fill) {
  const auto path = folder_ / fmt::format("scratch-{}.run", next_scratch_.fetch_add(1));
  if (const auto written = write_file(path, fingerprint, fill, false); !written) {
    static_cast<void>(files_.remove(path));
    return std::unexpected(written.error());
  }
  MR_TRY(auto bytes, RunFile::open(files_, path, true));
  return view::StateRun::open(std::move(bytes), fingerprint, cache_);
}

void StateFiles::remove(const std::vector<std::string>& names) {
  for (const auto& name : names) static_cast<void>(files_.remove(folder_ / name));
}

Status StateFiles::sweep(const std::set<std::string>& named) {
  MR_TRY(const auto present, files_.list(folder_));
  for (const auto& name : present) {
    if (!named.contains(name)) MR_RETURN_IF_ERROR(files_.remove(folder_ / name));
  }
  return {};
}

}  // namespace millrace::batch
