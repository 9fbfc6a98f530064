// Files as the durable parts use them. Two implementations: the machine's own, and a simulated disk
// that loses, tears and fails on purpose (runtime/simulated_file_system.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace millrace::runtime {

/// An open file. Thread: reads on any thread, writes on one at a time.
/// Errors: kDiskFailed (kUnavailable; kNotFound, kAlreadyExists) where the system call failed,
/// kDiskFull (kResourceExhausted) on ENOSPC.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to out.size() bytes; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) = 0;
  /// Writes all or fails.
  virtual Status write_at(std::uint64_t offset, ByteSpan bytes) = 0;
  /// fdatasync. After a failure the bytes are of unknown state: never retry and acknowledge.
  virtual Status sync_data() = 0;
  virtual Result<std::uint64_t> size() = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  /// Drops what the system keeps of the file in memory and may drop, so that the next read comes
  /// from the device: after a failed sync the memory may show bytes that the device does not have.
  virtual Status forget_cached() { return {}; }
};

enum class OpenMode { kRead, kReadWrite, kCreate /* read-write, must not exist */ };

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) = 0;
  virtual Status create_directories(const std::filesystem::path& path) = 0;
  /// Atomic; replaces `to` where it exists. Durable only after sync_directory of the parent.
  virtual Status rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual Status remove(const std::filesystem::path& path) = 0;
  /// Names (not paths) of the plain files, sorted. A folder that does not exist is empty.
  virtual Result<std::vector<std::string>> list(const std::filesystem::path& directory) = 0;
  virtual Status sync_directory(const std::filesystem::path& directory) = 0;
  virtual bool exists(const std::filesystem::path& path) = 0;
};

/// The machine's own file system; lives for ever.
FileSystem& system_files();

Result<std::string> read_file(FileSystem& files, const std::filesystem::path& path);
/// Writes path + ".tmp", syncs it, renames it to `path`, syncs the directory: all or nothing, also
/// at a crash.
Status write_file_durably(FileSystem& files, const std::filesystem::path& path,
                          std::string_view bytes);

/// An advisory lock on a folder, held until destroyed; also when the process is killed it goes.
/// Errors: kFailedPrecondition (kLocked) with the owner's process id where another process has it.
class FolderLock {
 public:
  static Result<std::unique_ptr<FolderLock>> acquire(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace millrace::runtime
