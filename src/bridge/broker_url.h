// The address of another broker: mqtt://host:port. Pure. Errors: kInvalidArgument (kBadOption).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::bridge {

struct BrokerUrl {
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 1883;
  static Result<BrokerUrl> parse(std::string_view url);
};

}  // namespace millrace::bridge
