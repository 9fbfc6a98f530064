// Frames over the socket between the server and a query worker: a kind, a length, that many bytes,
// and perhaps a descriptor (SCM_RIGHTS). Bytes of another process: lengths are limited before
// anything is allocated. Thread: one sender and one receiver at a time, which may be two threads.
// Errors: kUnavailable when the other side is gone, kDeadlineExceeded, kDataLoss for a frame that
// is none.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "sql/file_descriptor.h"

namespace millrace::sql {

enum class FrameKind : std::uint8_t {
  kSetup = 1,  // server to worker, once: WorkerSetup
  kQuery,      // server to worker: WorkerQuery, with a memfd where there are rows
  kInterrupt,  // server to worker: end the running query
  kBegun,      // worker to server: the query has been taken; who dies before was dead already
  kRows,       // worker to server: an encoded column batch
  kDone,       // worker to server: WorkerDone
  kError,      // worker to server: an Error; instead of kDone
};

struct Frame {
  FrameKind kind = FrameKind::kError;
  std::string payload;
  FileDescriptor descriptor;
};

class WorkerChannel {
 public:
  /// On the clock of runtime::monotonic_us().
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  explicit WorkerChannel(FileDescriptor socket);
  /// Two ends that are connected; both are closed by exec.
  static Result<std::pair<FileDescriptor, FileDescriptor>> make_sockets();

  Status send(FrameKind kind, std::string_view payload, int descriptor, std::int64_t deadline_us);
  /// After kDeadlineExceeded the next call goes on with the frame that has begun.
  Result<Frame> receive(std::uint64_t payload_bytes_max, std::int64_t deadline_us);
  /// Whether the other side has closed the socket and nothing is left to read.
  [[nodiscard]] bool is_closed() const;
  /// Both sides see the end of the socket; a call that waits here returns. On any thread.
  void hang_up() const;

 private:
  static constexpr std::size_t kHeadBytes = 9;

  Status wait(short events, std::int64_t deadline_us) const;
  Result<std::size_t> read_some(char* to, std::size_t size, std::int64_t deadline_us);

  FileDescriptor socket_;
  char head_[kHeadBytes] = {};
  std::size_t head_size_ = 0;
  Frame frame_;
  std::size_t payload_size_ = 0;
};

}  // namespace millrace::sql
