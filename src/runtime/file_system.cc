// The machine's own file system by plain system calls: pread, pwrite, fdatasync, rename. No
// buffering of our own, so that what write_at() returned from is in the page cache and what
// sync_data() returned from is on the device. Thread: as file_system.h says. Errors name the path
// and the system's reason.
#include "runtime/file_system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

namespace millrace::runtime {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> failed(int error, std::string_view what, const fs::path& path) {
  const std::string reason = std::generic_category().message(error);
  if (error == ENOSPC || error == EDQUOT) {
    return fail(ErrorCode::kResourceExhausted, error_id::kDiskFull, "cannot {} {}: {}", what,
                path.string(), reason);
  }
  if (error == ENOENT) {
    return fail(ErrorCode::kNotFound, error_id::kDiskFailed, "cannot {} {}: {}", what,
                path.string(), reason);
  }
  if (error == EEXIST) {
    return fail(ErrorCode::kAlreadyExists, error_id::kDiskFailed, "cannot {} {}: {}", what,
                path.string(), reason);
  }
  return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "cannot {} {}: {}", what,
              path.string(), reason);
}

class SystemFile final : public File {
 public:
  SystemFile(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { ::close(fd_); }
  SystemFile(const SystemFile&) = delete;
  SystemFile& operator=(const SystemFile&) = delete;

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got =
          ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got < 0) {
        if (errno == EINTR) continue;
        return failed(errno, "read", path_);
      }
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status write_at(std::uint64_t offset, ByteSpan bytes) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset + done));
      if (put < 0) {
        if (errno == EINTR) continue;
        return failed(errno, "write", path_);
      }
      if (put == 0) return failed(EIO, "write", path_);
      done += static_cast<std::size_t>(put);
    }
    return {};
  }

  Status sync_data() override {
    // Never repeated on an error, EINTR included: after a failure the kernel has marked the pages
    // clean, and the next call would say "done" of bytes that are not on the device.
    if (::fdatasync(fd_) != 0) return failed(errno, "sync", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status{};
    if (::fstat(fd_, &status) != 0) return failed(errno, "stat", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Status truncate(std::uint64_t size) override {
    while (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return failed(errno, "truncate", path_);
    }
    return {};
  }

  Status forget_cached() override {
    // Dirty pages stay; what a failed sync left behind is clean, and goes.
    if (const int error = ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); error != 0) {
      return failed(error, "drop cached pages of", path_);
    }
    return {};
  }

 private:
  const int fd_;
  const fs::path path_;
};

class SystemFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const fs::path& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::kRead:
        flags |= O_RDONLY;
        break;
      case OpenMode::kReadWrite:
        flags |= O_RDWR;
        break;
      case OpenMode::kCreate:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    int fd = -1;
    do {
      fd = ::open(path.c_str(), flags, 0640);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return failed(errno, mode == OpenMode::kCreate ? "create" : "open", path);
    return std::make_unique<SystemFile>(fd, path);
  }

  Status create_directories(const fs::path& path) override {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return failed(error.value(), "create folder", path);
    return {};
  }

  Status rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return failed(errno, "rename to " + to.string(), from);
    }
    return {};
  }

  Status remove(const fs::path& path) override {
    if (::unlink(path.c_str()) != 0) return failed(errno, "remove", path);
    return {};
  }

  Result<std::vector<std::string>> list(const fs::path& directory) override {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    if (error == std::errc::no_such_file_or_directory) return names;
    if (error) return failed(error.value(), "list", directory);
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      std::error_code of_entry;
      if (entries->is_regular_file(of_entry)) names.push_back(entries->path().filename().string());
      if (error) break;
    }
    if (error) return failed(error.value(), "list", directory);
    std::ranges::sort(names);
    return names;
  }

  Status sync_directory(const fs::path& directory) override {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed(errno, "open folder", directory);
    const int outcome = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (outcome != 0) return failed(error, "sync folder", directory);
    return {};
  }

  bool exists(const fs::path& path) override {
    std::error_code error;
    return fs::exists(path, error);
  }
};

}  // namespace

FileSystem& system_files() {
  static SystemFiles files;
  return files;
}

Result<std::string> read_file(FileSystem& files, const fs::path& path) {
  MR_TRY(const auto file, files.open(path, OpenMode::kRead));
  MR_TRY(const std::uint64_t size, file->size());
  std::string bytes(size, '\0');
  MR_TRY(const std::size_t got,
         file->read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))));
  bytes.resize(got);
  return bytes;
}

Status write_file_durably(FileSystem& files, const fs::path& path, std::string_view bytes) {
  fs::path temporary = path;
  temporary += ".tmp";
  if (files.exists(temporary)) MR_RETURN_IF_ERROR(files.remove(temporary));
  {
    MR_TRY(const auto file, files.open(temporary, OpenMode::kCreate));
    MR_RETURN_IF_ERROR(file->write_at(0, as_bytes(bytes)));
    MR_RETURN_IF_ERROR(file->sync_data());
  }
  MR_RETURN_IF_ERROR(files.rename(temporary, path));
  return files.sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

/// How long the lock of an owner that is no more is waited for.
constexpr std::chrono::seconds kDeadOwnerPause{3};

Result<std::unique_ptr<FolderLock>> FolderLock::acquire(const fs::path& folder) {
  const fs::path path = folder / "lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return failed(errno, "open", path);
  char owner[32] = {};
  ssize_t got = 0;
  int error = 0;
  const auto until = std::chrono::steady_clock::now() + kDeadOwnerPause;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    error = errno;
    got = ::pread(fd, owner, sizeof(owner) - 1, 0);
    // A process that was killed may leave a child between its fork and its exec, which has the lock
    // for a moment more.
    const auto id = static_cast<pid_t>(std::strtol(owner, nullptr, 10));
    const bool owner_is_dead = id > 0 && ::kill(id, 0) != 0 && errno == ESRCH;
    if (error != EWOULDBLOCK || !owner_is_dead || std::chrono::steady_clock::now() > until) break;
    error = 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (error != 0) {
    ::close(fd);
    if (error != EWOULDBLOCK) return failed(error, "lock", path);
    std::string_view id(owner, got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!id.empty() && id.back() == '\n') id.remove_suffix(1);
    return fail(ErrorCode::kFailedPrecondition, error_id::kLocked,
                "the folder {} is in use by process {}", folder.string(),
                id.empty() ? std::string_view("unknown") : id);
  }
  // From here on the descriptor, and with it the lock, goes with this object.
  std::unique_ptr<FolderLock> lock(new FolderLock(fd));
  const std::string id = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0) return failed(errno, "truncate", path);
  if (::pwrite(fd, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return failed(errno, "write", path);
  }
  return lock;
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace millrace::runtime
