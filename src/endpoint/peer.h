// Who is at the other end of a connection, as far as its address tells: found out once, when the
// connection is accepted. The one answer to "is this a client of this machine". Thread: any.
// Errors: none; what is no address is not of this machine.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>
#include <string_view>

namespace millrace::endpoint {

struct Peer {
  /// "192.0.2.7", "2001:db8::1"; an IPv4 address also where it came over an IPv6 socket.
  std::string address;
  /// Only this machine has the address.
  bool local = false;
};

[[nodiscard]] Peer peer_at(const boost::asio::ip::address& address);
[[nodiscard]] bool is_loopback(std::string_view address);

}  // namespace millrace::endpoint
