// Any bytes as replies of a Redis: no fault, and what is read twice is the same, cut or not.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/redis.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::wire::redis;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const ReplyLimits limits{.bytes_max = 4096, .items_max = 512, .depth_max = 6};
  std::string_view left = all;
  for (;;) {
    const std::string_view before = left;
    const auto reply = take_reply(left, limits);
    if (!reply || !*reply) break;
    MR_CHECK(left.size() < before.size(), "a reply of no bytes");
    // Its own bytes alone, and those but the last.
    const std::string_view own = before.substr(0, before.size() - left.size());
    std::string_view again = own;
    const auto second = take_reply(again, limits);
    MR_CHECK(second && *second && **second == **reply && again.empty(), "read otherwise");
    std::string_view cut = own.substr(0, own.size() - 1);
    const auto third = take_reply(cut, limits);
    MR_CHECK(third && !*third, "a part of a reply is one");
  }
  return 0;
}
