#include "batch/run_file.h"

namespace millrace::batch {

namespace {
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
constexpr std::uint64_t kSyncBytes = std::uint64_t{64} << 20;
}  // namespace

Result<std::shared_ptr<const RunFile>> RunFile::open(runtime::FileSystem& files,
                                                     std::filesystem::path path, bool scratch) {
  const std::shared_ptr<RunFile> out(new RunFile(files, std::move(path), scratch));
  MR_TRY(out->file_, files.open(out->path_, runtime::OpenMode::kRead));
  MR_TRY(out->size_, out->file_->size());
  return out;
}

RunFile::~RunFile() {
  file_.reset();
  if (scratch_) static_cast<void>(files_.remove(path_));
}

Status RunFile::read(std::uint64_t offset, std::span<char> out) const {
  MR_TRY(const auto got, file_->read_at(offset, std::as_writable_bytes(out)));
  if (got == out.size()) return {};
  return fail(ErrorCode::kDataLoss, error_id::kChecksum,
              "state file {}: {} bytes at {} are asked for, and it has {}", path_.string(),
              out.size(), offset, got);
}

Status RunFileBuffer::append(std::string_view bytes) {
  waiting_.append(bytes);
  return waiting_.size() < kWriteBytes ? Status() : flush();
}

Status RunFileBuffer::flush() {
  MR_RETURN_IF_ERROR(file_.write_at(written_, as_bytes(waiting_)));
  written_ += waiting_.size();
  waiting_.clear();
  if (!sync_ || written_ - synced_ < kSyncBytes) return {};
  synced_ = written_;
  return file_.sync_data();
}

}  // namespace millrace::batch
