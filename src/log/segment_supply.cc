// Free segments by rename, new ones by writing zeros.
#include "log/segment_supply.h"

#include <algorithm>

namespace millrace::log {
namespace {

constexpr std::string_view kFreeSuffix = ".free";
constexpr std::string_view kUnfinishedSuffix = ".tmp";
/// Synced piece by piece, so that the commits meanwhile do not wait for a whole segment of zeros.
constexpr std::uint64_t kFillBytes = std::uint64_t{2} << 20;

}  // namespace

Status SegmentSupply::open() {
  const MutexLock lock(mutex_);
  MR_TRY(const std::vector<std::string> names, files_.list(options_.folder));
  for (const std::string& name : names) {
    const bool free = name.ends_with(kFreeSuffix);
    if (!free && !name.ends_with(kUnfinishedSuffix)) continue;
    if (free && free_.size() < options_.spare_segments_max) {
      MR_TRY(const auto file, files_.open(options_.folder / name, runtime::OpenMode::kRead));
      MR_TRY(const std::uint64_t size, file->size());
      if (size == options_.segment_bytes) {
        free_.push_back(name);
        continue;
      }
    }
    MR_RETURN_IF_ERROR(files_.remove(options_.folder / name));
  }
  return {};
}

bool SegmentSupply::has_free() {
  const MutexLock lock(mutex_);
  return !free_.empty();
}

Result<PreparedSegment> SegmentSupply::prepare(std::uint64_t number) {
  std::string name;
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      name = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (name.empty()) return create(number);
  const auto path = segment_path(options_.folder, number);
  MR_RETURN_IF_ERROR(files_.rename(options_.folder / name, path));
  MR_RETURN_IF_ERROR(files_.sync_directory(options_.folder));
  MR_TRY(auto file, files_.open(path, runtime::OpenMode::kReadWrite));
  return PreparedSegment{
      .number = number, .file = std::move(file), .size_bytes = options_.segment_bytes};
}

Result<PreparedSegment> SegmentSupply::create(std::uint64_t number) {
  const auto path = segment_path(options_.folder, number);
  auto unfinished = path;
  unfinished += kUnfinishedSuffix;
  if (files_.exists(unfinished)) MR_RETURN_IF_ERROR(files_.remove(unfinished));
  MR_TRY(auto file, files_.open(unfinished, runtime::OpenMode::kCreate));
  if (auto filled = fill(*file, 0, options_.segment_bytes); !filled) {
    // A full disk gets its space back. The error that counts is the first one.
    file.reset();
    static_cast<void>(files_.remove(unfinished));
    return std::unexpected(std::move(filled).error());
  }
  MR_RETURN_IF_ERROR(files_.rename(unfinished, path));
  MR_RETURN_IF_ERROR(files_.sync_directory(options_.folder));
  return PreparedSegment{
      .number = number, .file = std::move(file), .size_bytes = options_.segment_bytes};
}

Status SegmentSupply::fill(runtime::File& file, std::uint64_t begin, std::uint64_t end) {
  const Bytes zeros(std::min(kFillBytes, end - begin));
  while (begin < end) {
    const std::uint64_t piece = std::min<std::uint64_t>(zeros.size(), end - begin);
    MR_RETURN_IF_ERROR(file.write_at(begin, ByteSpan(zeros.data(), piece)));
    MR_RETURN_IF_ERROR(file.sync_data());
    begin += piece;
  }
  return {};
}

Status SegmentSupply::release(std::uint64_t number) {
  const MutexLock lock(mutex_);
  const auto path = segment_path(options_.folder, number);
  if (free_.size() >= options_.spare_segments_max) return files_.remove(path);
  MR_TRY(const auto file, files_.open(path, runtime::OpenMode::kRead));
  MR_TRY(const std::uint64_t size, file->size());
  if (size != options_.segment_bytes) return files_.remove(path);
  const std::string name = fmt::format("{:020}{}", number, kFreeSuffix);
  MR_RETURN_IF_ERROR(files_.rename(path, options_.folder / name));
  free_.push_back(name);
  return {};
}

}  // namespace millrace::log
