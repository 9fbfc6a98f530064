#include "endpoint/peer.h"

namespace millrace::endpoint {

Peer peer_at(const boost::asio::ip::address& address) {
  boost::asio::ip::address plain = address;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    plain = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  }
  return {.address = plain.to_string(), .local = plain.is_loopback()};
}

bool is_loopback(std::string_view address) {
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address, error);
  return !error && peer_at(parsed).local;
}

}  // namespace millrace::endpoint
