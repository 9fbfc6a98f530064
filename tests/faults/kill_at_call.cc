// A preload library for crash tests: kills the process with SIGKILL inside the n-th file call of a
// kind on a file of a kind, so that a crash falls exactly between two steps of a commit. The
// program under test needs no fault points of its own. Steered by the environment:
//   MILLRACE_FAULT_FOLDER   only calls on paths below this folder count (needed)
//   MILLRACE_FAULT_LOG      appends a line "<call> <class>" for every call, to learn what there is
//   to kill MILLRACE_FAULT_CALL     create, write, fsync, rename or unlink; fsync is also fdatasync
//   and folders MILLRACE_FAULT_CLASS    the path below the folder, with each run of digits, or of 8
//   or more hex digits, as '#' MILLRACE_FAULT_NTH      which matching call, counted from 1 in each
//   process MILLRACE_FAULT_WHEN     before, middle (half of a write's bytes are written) or after
// Thread: any. Children of the program count for themselves. Errors: none are made up; a call
// either happens or the process is gone.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

enum class When { kBefore, kMiddle, kAfter };

struct Settings {
  std::string folder;
  std::string call;
  std::string file_class;
  long nth = 0;
  When when = When::kBefore;
  int log = -1;
};

std::string text_of(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

const Settings& settings() {
  static const Settings kSettings = [] {
    Settings out;
    out.folder = text_of("MILLRACE_FAULT_FOLDER");
    out.call = text_of("MILLRACE_FAULT_CALL");
    out.file_class = text_of("MILLRACE_FAULT_CLASS");
    out.nth = strtol(text_of("MILLRACE_FAULT_NTH").c_str(), nullptr, 10);
    const std::string when = text_of("MILLRACE_FAULT_WHEN");
    out.when = when == "after" ? When::kAfter : when == "middle" ? When::kMiddle : When::kBefore;
    const std::string log = text_of("MILLRACE_FAULT_LOG");
    if (!log.empty()) {
      static const auto kOpen = next<int (*)(const char*, int, ...)>("open");
      out.log = kOpen(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    return out;
  }();
  return kSettings;
}

// "lake/3/17.parquet" and "lake/12/9.parquet" are the same kind of file: "lake/#/#.parquet".
std::string class_of(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size();) {
    std::size_t end = i;
    bool digits_only = true;
    while (end < path.size() && isxdigit(static_cast<unsigned char>(path[end])) != 0) {
      digits_only = digits_only && isdigit(static_cast<unsigned char>(path[end])) != 0;
      ++end;
    }
    if (end > i && (digits_only || end - i >= 8)) {
      out += '#';
      i = end;
    } else if (isdigit(static_cast<unsigned char>(path[i])) != 0) {
      while (i < path.size() && isdigit(static_cast<unsigned char>(path[i])) != 0) ++i;
      out += '#';
    } else {
      out += path[i++];
    }
  }
  return out;
}

std::string path_of(int fd) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path));
  return size <= 0 ? std::string() : std::string(path, static_cast<std::size_t>(size));
}

[[noreturn]] void die() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

std::atomic<long> calls_seen{0};

/// Whether this is the call to die in.
bool is_the_call(const char* call, const std::string& path) {
  const Settings& s = settings();
  if (s.folder.empty() || path.size() <= s.folder.size() || !path.starts_with(s.folder) ||
      path[s.folder.size()] != '/') {
    return false;
  }
  if (s.log < 0 && s.call != call) return false;
  const std::string file_class = class_of(std::string_view(path).substr(s.folder.size() + 1));
  if (s.log >= 0) {
    static const auto kWrite = next<ssize_t (*)(int, const void*, size_t)>("write");
    const std::string line = std::string(call) + " " + file_class + "\n";
    (void)!kWrite(s.log, line.data(), line.size());
  }
  return s.call == call && s.file_class == file_class && calls_seen.fetch_add(1) + 1 == s.nth;
}

template <class Call>
auto guarded(const char* name, const std::string& path, const Call& call) {
  const bool here = is_the_call(name, path);
  if (here && settings().when != When::kAfter) die();
  const auto result = call();
  if (here) die();
  return result;
}

template <class Call>
ssize_t guarded_write(int fd, size_t size, const Call& write_bytes) {
  const bool here = is_the_call("write", path_of(fd));
  if (here && settings().when == When::kBefore) die();
  if (here && settings().when == When::kMiddle) {
    write_bytes(size / 2);
    die();
  }
  const ssize_t result = write_bytes(size);
  if (here) die();
  return result;
}

int open_file(const char* symbol, const char* path, int flags, mode_t mode) {
  const auto real = next<int (*)(const char*, int, ...)>(symbol);
  if ((flags & O_CREAT) == 0) return real(path, flags, mode);
  return guarded("create", path, [&] { return real(path, flags, mode); });
}

int open_file_at(const char* symbol, int folder, const char* path, int flags, mode_t mode) {
  const auto real = next<int (*)(int, const char*, int, ...)>(symbol);
  if ((flags & O_CREAT) == 0) return real(folder, path, flags, mode);
  return guarded("create", path, [&] { return real(folder, path, flags, mode); });
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file("open64", path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file_at("openat", folder, path, flags, mode);
}

int openat64(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_file_at("openat64", folder, path, flags, mode);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  static const auto kReal = next<ssize_t (*)(int, const void*, size_t)>("write");
  return guarded_write(fd, size, [&](size_t count) { return kReal(fd, bytes, count); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  static const auto kReal = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return guarded_write(fd, size, [&](size_t count) { return kReal(fd, bytes, count, offset); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  static const auto kReal = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return guarded_write(fd, size, [&](size_t count) { return kReal(fd, bytes, count, offset); });
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  static const auto kReal = next<ssize_t (*)(int, const struct iovec*, int, off_t)>("pwritev");
  return guarded("write", path_of(fd), [&] { return kReal(fd, parts, count, offset); });
}

int fsync(int fd) {
  static const auto kReal = next<int (*)(int)>("fsync");
  return guarded("fsync", path_of(fd), [&] { return kReal(fd); });
}

int fdatasync(int fd) {
  static const auto kReal = next<int (*)(int)>("fdatasync");
  return guarded("fsync", path_of(fd), [&] { return kReal(fd); });
}

int rename(const char* from, const char* to) noexcept {
  static const auto kReal = next<int (*)(const char*, const char*)>("rename");
  return guarded("rename", to, [&] { return kReal(from, to); });
}

int unlink(const char* path) noexcept {
  static const auto kReal = next<int (*)(const char*)>("unlink");
  return guarded("unlink", path, [&] { return kReal(path); });
}

int remove(const char* path) noexcept {
  static const auto kReal = next<int (*)(const char*)>("remove");
  return guarded("unlink", path, [&] { return kReal(path); });
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto kReal = next<int (*)(int, const char*, int)>("unlinkat");
  return guarded("unlink", path, [&] { return kReal(folder, path, flags); });
}

}  // extern "C"
