#include "batch/state_files.h"

#include "base/crc32c.h"

namespace millrace::batch {

Result<std::unique_ptr<StateFiles>> StateFiles::open(runtime::FileSystem& files,
                                                     std::filesystem::path folder) {
  MR_RETURN_IF_ERROR(files.create_directories(folder));
  return std::unique_ptr<StateFiles>(new StateFiles(files, std::move(folder)));
}

std::string StateFiles::generation_name(ViewId view, GenerationNumber number) {
  return fmt::format("view-{}-generation-{}.run", view, number);
}

std::string StateFiles::checkpoint_name(ViewId view, CommitNumber base, CommitNumber commit) {
  return fmt::format("view-{}-checkpoint-{}-{}.run", view, base, commit);
}

Result<catalog::FileRecord> StateFiles::write(const std::string& name, std::string_view run,
                                              std::uint64_t entries) {
  MR_RETURN_IF_ERROR(runtime::write_file_durably(files_, folder_ / name, run));
  return catalog::FileRecord{
      .name = name, .size_bytes = run.size(), .crc32c = crc32c(run), .rows = entries};
}

Result<std::shared_ptr<const view::StateRun>> StateFiles::read(const catalog::FileRecord& record,
                                                               std::uint64_t fingerprint) {
  const auto path = folder_ / record.name;
  MR_TRY(std::string bytes, runtime::read_file(files_, path));
  const std::uint32_t sum = crc32c(bytes);
  if (bytes.size() != record.size_bytes || sum != record.crc32c) {
    return fail(
        ErrorCode::kDataLoss, error_id::kChecksum,
        "state file {}: {} bytes with checksum {:08x} were written, {} bytes with {:08x} are read",
        path.string(), record.size_bytes, record.crc32c, bytes.size(), sum);
  }
  auto run = view::StateRun::parse(std::move(bytes), fingerprint);
  if (!run) return std::unexpected(std::move(run).error().within("state file {}", path.string()));
  return run;
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
