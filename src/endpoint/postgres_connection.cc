#include "endpoint/postgres_connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <utility>

#include "endpoint/postgres_error.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
namespace postgres = wire::postgres;
using boost::system::error_code;

constexpr std::size_t kOutBytes = std::size_t{64} * 1024;
constexpr std::size_t kKeptBytes = std::size_t{4} * 1024;
/// Read ahead while a statement runs.
constexpr std::size_t kAheadBytes = std::size_t{64} * 1024;
/// Of clients of whom nothing is known yet; PostgreSQL takes 10,000.
constexpr std::size_t kStartupBytes = 10'000;
/// When the pool had no place.
constexpr std::chrono::milliseconds kAgain{50};

/// A buffer that grew for a burst does not stay.
void release_if_large(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) std::string().swap(buffer);
}

}  // namespace

PostgresConnection::PostgresConnection(PostgresLoop& loop, std::uint64_t id, Transport transport)
    : keeps_loop_(loop.shared_from_this()),
      loop_(loop),
      server_(loop.state()),
      id_(id),
      transport_(std::move(transport)) {}

void PostgresConnection::start() {
  share_ = {.owner = std::hash<const PeerShare*>{}(transport_.share()),
            .client = std::hash<const PostgresConnection*>{}(this)};
  began_ = std::chrono::steady_clock::now();
  set_deadline();
  receive();
}

bool PostgresConnection::may_read() const {
  if (state_ == State::kClosed) return false;
  if (state_ == State::kLeaving || state_ == State::kNew) return true;
  if (working_ || (state_ == State::kOpen && dialog_->is_answering() && !dialog_->has_rows()))
    return in_.size() < kAheadBytes;
  if (state_ == State::kAuthenticating) return true;
  return !dialog_->has_rows() && sending_.size() - sent_ + out_.size() < kOutBytes;
}

void PostgresConnection::receive() {
  if (receiving_ || !may_read()) return;
  receiving_ = true;
  // Idle connections wait without a buffer.
  transport_.async_wait_read(
      [self = shared_from_this()](const error_code& ec) { self->on_readable(ec); });
}

void PostgresConnection::on_readable(const error_code& ec) {
  receiving_ = false;
  if (state_ == State::kClosed) return;
  if (ec) {
    close();
    return;
  }
  // TLS without a request for it (libpq's sslnegotiation=direct) begins with a handshake record.
  constexpr char kHandshake = 0x16;
  if (state_ == State::kNew && entrance_ == nullptr && !transport_.is_encrypted() &&
      server_.options.tls != nullptr && transport_.peek() == kHandshake)
    transport_.start_tls(*server_.options.tls, TlsProtocol::kPostgres);
  auto& scratch = loop_.scratch();
  error_code failure;
  const std::size_t got = transport_.read_some(asio::buffer(scratch), failure);
  if (failure == asio::error::would_block || failure == asio::error::try_again) {
    receive();
    return;
  }
  if (failure || got == 0) {
    close();
    return;
  }
  server_.metrics.received_bytes.fetch_add(got, std::memory_order_relaxed);
  if (state_ == State::kLeaving) {
    receive();  // nobody wants it; a reset would destroy the farewell on its way
    return;
  }
  take({scratch.data(), got});
}

void PostgresConnection::take(std::string_view bytes) {
  in_.append(bytes);
  if (state_ == State::kNew || state_ == State::kAuthenticating) take_first_messages();
  if (state_ == State::kOpen) pump();
  if (state_ == State::kClosed) return;
  charge_unfinished();
  send();
  set_deadline();
  receive();
}

void PostgresConnection::take_first_messages() {
  while (state_ == State::kNew || state_ == State::kAuthenticating) {
    if (working_) return;
    const auto framing =
        state_ == State::kNew ? postgres::Framing::kStartup : postgres::Framing::kTyped;
    const auto frame = postgres::try_frame(in_, framing, kStartupBytes);
    if (frame.state == postgres::Frame::State::kNeedMore) return;
    const bool wrong = frame.state != postgres::Frame::State::kComplete ||
                       (framing == postgres::Framing::kTyped && frame.type != 'p');
    if (wrong) {
      server_.metrics.violations.fetch_add(1, std::memory_order_relaxed);
      // Of whoever speaks something else nothing is known that could be answered.
      if (state_ == State::kNew) return close();
      refuse(kProtocolViolation, "another message than the authentication needs");
      return;
    }
    const std::string body(frame.body);
    const bool more_behind = in_.size() > frame.size;
    in_.erase(0, frame.size);
    if (state_ == State::kNew) {
      take_first(body, more_behind);
    } else {
      on_authentication(body);
    }
  }
}

bool PostgresConnection::has_message() {
  const auto frame =
      postgres::try_frame(in_, postgres::Framing::kTyped, server_.options.message_bytes_max);
  switch (frame.state) {
    case postgres::Frame::State::kNeedMore:
      return false;
    case postgres::Frame::State::kComplete:
      return true;
    case postgres::Frame::State::kTooLong:
      server_.metrics.violations.fetch_add(1, std::memory_order_relaxed);
      refuse("54000", fmt::format("the message has {} bytes, the most are {}", frame.size,
                                  server_.options.message_bytes_max));
      return false;
    case postgres::Frame::State::kMalformed:
      server_.metrics.violations.fetch_add(1, std::memory_order_relaxed);
      refuse(kProtocolViolation, "the length of a message is less than that of its own");
      return false;
  }
  return false;
}

void PostgresConnection::pump() {
  while (state_ == State::kOpen && !working_) {
    if (dialog_->ended()) return finish();
    if (leaving_) {
      refuse("57P01", "the server stops, or what you logged in with is not valid any more");
      return;
    }
    if (sending_.size() - sent_ + out_.size() >= kOutBytes) return;
    if (dialog_->has_rows()) {
      dialog_->fill(out_);
      send();
    } else if (dialog_->has_statements() || (!dialog_->is_answering() && has_message())) {
      if (run_at_hand()) continue;
      hand_over();
      return;
    } else {
      return;
    }
  }
}

void PostgresConnection::go_on() {
  if (state_ != State::kOpen || working_) return;
  pump();
  if (state_ == State::kClosed) return;
  send();
  set_deadline();
  receive();
}

/// False where what comes next is the pool's.
bool PostgresConnection::run_at_hand() {
  if (dialog_->has_statements()) return false;
  const std::size_t taken = dialog_->run_at_hand(in_, out_);
  in_.erase(0, taken);
  if (in_.empty()) release_if_large(in_);
  return taken != 0;
}

void PostgresConnection::hand_over() {
  auto bytes = std::make_shared<std::string>(std::move(in_));
  in_.clear();
  const bool posted = server_.pool.post(
      share_, [self = weak_from_this(), loop = keeps_loop_, dialog = dialog_, bytes] {
        std::string out;
        const std::size_t taken = dialog->run(*bytes, out);
        loop->post([self, bytes, taken, out = std::move(out)]() mutable {
          if (const auto connection = self.lock())
            connection->worked(std::move(*bytes), taken, std::move(out));
        });
      });
  working_ = posted;
  waits_ = !posted;
  if (!posted) in_ = std::move(*bytes);
}

void PostgresConnection::worked(std::string bytes, std::size_t taken, std::string out) {
  working_ = false;
  if (state_ != State::kOpen) return;
  bytes.erase(0, taken);
  bytes += in_;
  in_ = std::move(bytes);
  if (in_.empty()) release_if_large(in_);
  if (out_.empty()) {
    out_ = std::move(out);
  } else {
    out_ += out;
  }
  send();
  pump();
  if (state_ == State::kClosed) return;
  charge_unfinished();
  send();
  set_deadline();
  receive();
}

// What has come of messages that are not whole is bounded for all clients together: whoever begins
// messages and does not end them must not fill the memory.
void PostgresConnection::charge_unfinished() {
  auto& all = server_.unfinished_bytes;
  const std::uint64_t bytes = in_.capacity() > kKeptBytes ? in_.capacity() : 0;
  const std::uint64_t before = std::exchange(unfinished_bytes_, bytes);
  if (bytes == before) return;
  const auto total = all.fetch_add(bytes - before, std::memory_order_relaxed) + bytes - before;
  if (bytes < before || working_ || state_ != State::kOpen ||
      total <= server_.options.unfinished_bytes_max)
    return;
  refuse("53200", "too many messages of all clients are not whole");
  std::string().swap(in_);
  all.fetch_sub(std::exchange(unfinished_bytes_, 0), std::memory_order_relaxed);
}

void PostgresConnection::send() {
  if (state_ == State::kClosed || sent_ < sending_.size() || out_.empty()) return;
  sending_.swap(out_);
  release_if_large(out_);
  sent_ = 0;
  write_began_ = std::chrono::steady_clock::now();
  // Most often the socket takes it at once.
  error_code ec;
  const std::size_t bytes = transport_.write_some(asio::buffer(sending_), ec);
  if (ec && ec != asio::error::would_block && ec != asio::error::try_again) {
    close();
    return;
  }
  sent_ = ec ? 0 : bytes;
  server_.metrics.sent_bytes.fetch_add(sent_, std::memory_order_relaxed);
  if (sent_ < sending_.size()) {
    on_sent({}, 0);
    return;
  }
  release_if_large(sending_);
  sent_ = 0;
}

void PostgresConnection::on_sent(const error_code& ec, std::size_t bytes) {
  if (state_ == State::kClosed) return;
  if (ec) {
    close();
    return;
  }
  server_.metrics.sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
  sent_ += bytes;
  if (bytes != 0) write_began_ = std::chrono::steady_clock::now();
  if (sent_ < sending_.size()) {
    transport_.async_write_some(
        asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
        [self = shared_from_this()](const error_code& failure, std::size_t written) {
          self->on_sent(failure, written);
        });
    set_deadline();
    return;
  }
  release_if_large(sending_);
  sent_ = 0;
  send();
  if (state_ == State::kLeaving && out_.empty() && sending_.empty()) transport_.shutdown_send();
  if (state_ == State::kOpen) pump();
  send();
  set_deadline();
  receive();
}

void PostgresConnection::set_deadline() {
  const auto& options = server_.options;
  auto deadline = std::chrono::steady_clock::time_point::max();
  if (state_ == State::kNew || state_ == State::kAuthenticating) {
    deadline = began_ + options.connect_time;
  } else if (state_ == State::kLeaving) {
    deadline = write_began_ + options.stop_grace_time;
  } else if (waits_) {
    deadline = std::chrono::steady_clock::now() + kAgain;
  } else if (state_ == State::kOpen && !working_) {
    deadline = dialog_->ready_by();
  }
  if (sent_ < sending_.size()) deadline = std::min(deadline, write_began_ + options.write_time);
  deadline_ = deadline;
}

void PostgresConnection::time_is_over(std::chrono::steady_clock::time_point now) {
  if (state_ == State::kOpen) {
    if (sent_ >= sending_.size() || write_began_ + server_.options.write_time > now) {
      pump();
      send();
      set_deadline();
      return;
    }
  } else {
    set_deadline();
    if (deadline_ > now) return;
  }
  server_.metrics.timeouts.fetch_add(1, std::memory_order_relaxed);
  if (state_ == State::kAuthenticating) {
    refuse("57014", "the authentication took too long");
  } else {
    close();
  }
}

void PostgresConnection::look_after() {
  if (state_ != State::kOpen || working_ || dialog_->is_answering() || dialog_->has_statements())
    return;
  dialog_->look_after(out_);
  if (dialog_->ended()) finish();
}

void PostgresConnection::review() {
  if (state_ == State::kOpen && !server_.access.is_current(dialog_->who())) leave();
}

void PostgresConnection::leave() {
  if (state_ == State::kLeaving || state_ == State::kClosed) return;
  leaving_ = true;
  if (state_ != State::kOpen) {
    refuse("57P01", "the server stops");
    return;
  }
  dialog_->abandon();
  pump();
  send();
  set_deadline();
}

void PostgresConnection::finish() {
  if (state_ == State::kLeaving || state_ == State::kClosed) return;
  state_ = State::kLeaving;
  std::string().swap(in_);
  write_began_ = std::chrono::steady_clock::now();
  if (dialog_ != nullptr) dialog_->abandon();
  send();
  if (state_ == State::kClosed) return;
  if (out_.empty() && sending_.empty()) transport_.shutdown_send();
  set_deadline();
  receive();
}

void PostgresConnection::refuse(std::string_view state, std::string_view message) {
  append_report(state, message, Severity::kFatal, out_);
  finish();
}

void PostgresConnection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  if (dialog_ != nullptr) {
    dialog_->abandon();
    server_.cancels.leave(ticket_);
  }
  server_.unfinished_bytes.fetch_sub(std::exchange(unfinished_bytes_, 0),
                                     std::memory_order_relaxed);
  transport_.close();
  loop_.remove(id_);
}

}  // namespace millrace::endpoint
