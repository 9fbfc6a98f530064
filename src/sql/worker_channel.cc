#include "sql/worker_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/clock.h"

namespace millrace::sql {
namespace {

std::unexpected<Error> gone() {
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "the other side of a query is gone");
}

}  // namespace

WorkerChannel::WorkerChannel(FileDescriptor socket) : socket_(std::move(socket)) {}

Result<std::pair<FileDescriptor, FileDescriptor>> WorkerChannel::make_sockets() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "a query worker gets no socket: {}",
                std::strerror(errno));
  }
  return std::pair(FileDescriptor(ends[0]), FileDescriptor(ends[1]));
}

Status WorkerChannel::wait(short events, std::int64_t deadline_us) const {
  while (true) {
    int timeout_ms = -1;
    if (deadline_us != kNever) {
      const std::int64_t left = deadline_us - runtime::monotonic_us();
      if (left <= 0) {
        return fail(ErrorCode::kDeadlineExceeded, error_id::kSqlDeadline, "the time is over");
      }
      timeout_ms = static_cast<int>(std::min<std::int64_t>((left + 999) / 1000, 1'000'000));
    }
    pollfd poller{.fd = socket_.get(), .events = events, .revents = 0};
    const int ready = poll(&poller, 1, timeout_ms);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return gone();
  }
}

Status WorkerChannel::send(FrameKind kind, std::string_view payload, int descriptor,
                           std::int64_t deadline_us) {
  char head[kHeadBytes];
  const std::uint64_t length = payload.size();
  head[0] = static_cast<char>(kind);
  std::memcpy(head + 1, &length, sizeof(length));
  iovec parts[2] = {{head, sizeof(head)}, {const_cast<char*>(payload.data()), payload.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
  }
  while (parts[0].iov_len + parts[1].iov_len > 0) {
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return gone();
      MR_RETURN_IF_ERROR(wait(POLLOUT, deadline_us));
      continue;
    }
    message.msg_control = nullptr;  // goes with the first byte
    message.msg_controllen = 0;
    auto left = static_cast<std::size_t>(sent);
    for (iovec& part : parts) {
      const std::size_t taken = std::min(left, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + taken;
      part.iov_len -= taken;
      left -= taken;
    }
  }
  return {};
}

Result<std::size_t> WorkerChannel::read_some(char* to, std::size_t size, std::int64_t deadline_us) {
  while (true) {
    iovec part{to, size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return gone();
      MR_RETURN_IF_ERROR(wait(POLLIN, deadline_us));
      continue;
    }
    for (cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr;
         rights = CMSG_NXTHDR(&message, rights)) {
      if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(rights), sizeof(int));
      frame_.descriptor = FileDescriptor(descriptor);
    }
    if (got == 0) return gone();
    return static_cast<std::size_t>(got);
  }
}

Result<Frame> WorkerChannel::receive(std::uint64_t payload_bytes_max, std::int64_t deadline_us) {
  while (head_size_ < kHeadBytes) {
    MR_TRY(const std::size_t got,
           read_some(head_ + head_size_, kHeadBytes - head_size_, deadline_us));
    head_size_ += got;
    if (head_size_ < kHeadBytes) continue;
    std::uint64_t length = 0;
    std::memcpy(&length, head_ + 1, sizeof(length));
    const auto kind = static_cast<std::uint8_t>(head_[0]);
    if (length > payload_bytes_max || kind < static_cast<std::uint8_t>(FrameKind::kSetup) ||
        kind > static_cast<std::uint8_t>(FrameKind::kError)) {
      head_size_ = 0;
      return fail(ErrorCode::kDataLoss, error_id::kInternal,
                  "a frame of a query has kind {} and {} bytes, {} are allowed", kind, length,
                  payload_bytes_max);
    }
    frame_.kind = static_cast<FrameKind>(kind);
    frame_.payload.resize(length);
    payload_size_ = 0;
  }
  while (payload_size_ < frame_.payload.size()) {
    MR_TRY(const std::size_t got, read_some(frame_.payload.data() + payload_size_,
                                            frame_.payload.size() - payload_size_, deadline_us));
    payload_size_ += got;
  }
  head_size_ = 0;
  return std::exchange(frame_, Frame());
}

void WorkerChannel::hang_up() const { (void)::shutdown(socket_.get(), SHUT_RDWR); }

bool WorkerChannel::is_closed() const {
  char byte = 0;
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace millrace::sql
