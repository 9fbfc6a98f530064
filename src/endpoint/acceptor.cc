#include "endpoint/acceptor.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// After a failed accept, most often for want of file descriptors, the next one waits for some to be
// closed.
constexpr std::chrono::milliseconds kAcceptPause{50};

}  // namespace

Acceptor::Acceptor(std::vector<asio::io_context*> contexts, Take take)
    : contexts_(std::move(contexts)),
      take_(std::move(take)),
      acceptor_(*contexts_.front()),
      pause_(*contexts_.front()) {}

Status Acceptor::listen(const std::string& address, std::uint16_t port, std::string_view what) {
  error_code ec;
  const auto parsed = asio::ip::make_address(address, ec);
  if (ec) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "\"{}\" is not an IP address to listen on", address);
  }
  const tcp::endpoint endpoint(parsed, port);
  acceptor_.open(endpoint.protocol(), ec);
  if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
  if (!ec) port_ = acceptor_.local_endpoint(ec).port();
  if (!ec) return {};
  auto failed = fail(ErrorCode::kUnavailable, error_id::kBadConfig,
                     "cannot listen on {}:{} for {}: {}", address, port, what, ec.message());
  return std::unexpected(
      std::move(failed.error()).with_hint("port 0 picks a free one; does another program listen?"));
}

void Acceptor::stop() {
  asio::post(*contexts_.front(), [this] {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  });
}

void Acceptor::accept() {
  const std::size_t context = next_++ % contexts_.size();
  acceptor_.async_accept(*contexts_[context], from_,
                         [this, context](const error_code& ec, tcp::socket socket) {
                           if (!acceptor_.is_open()) return;
                           if (!ec) {
                             take_(context, std::move(socket), peer_at(from_.address()));
                             accept();
                             return;
                           }
                           pause_.expires_after(kAcceptPause);
                           pause_.async_wait([this](const error_code&) {
                             if (acceptor_.is_open()) accept();
                           });
                         });
}

void ConnectionCount::closed() {
  const MutexLock lock(mutex_);
  if (open_.fetch_sub(1) == 1) none_.notify_all();
}

bool ConnectionCount::wait_until_none(std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  const MutexLock lock(mutex_);
  while (open_.load() != 0) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= left.zero() || !none_.wait_for(mutex_, left)) return open_.load() == 0;
  }
  return true;
}

}  // namespace millrace::endpoint
