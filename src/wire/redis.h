// The protocol of Redis from a client's side: commands out, replies in (RESP2, and what RESP3
// adds). Source: the Redis serialization protocol specification
// (redis.io/docs/reference/protocol-spec). Pure functions: any thread. Errors: kUnavailable
// (kStoreLost) for bytes that are no reply; the connection cannot go on. Invariant: a reply takes
// no more memory than its own bytes and kNodeBytes for each item, whatever lengths it announces.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::wire::redis {

/// "*3" and the like: so many arguments follow by append_argument().
void append_command_head(std::size_t arguments, std::string& out);
void append_argument(std::string_view bytes, std::string& out);
void append_command(std::initializer_list<std::string_view> arguments, std::string& out);

struct Reply {
  enum class Kind : std::uint8_t { kNull, kText, kError, kInteger, kItems };
  Kind kind = Kind::kNull;
  std::string text;  // of kText and kError
  std::int64_t integer = 0;
  std::vector<Reply> items;  // of a map its keys and values in turn

  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
  bool operator==(const Reply&) const = default;
};

struct ReplyLimits {
  std::size_t bytes_max = std::size_t{64} << 20;  // of one reply
  std::size_t items_max = 1'000'000;
  std::size_t depth_max = 8;
};

/// Takes one reply off the front of `bytes`; nullopt where it is not whole yet. Pushes of RESP3,
/// which answer nothing, and attributes are passed over.
Result<std::optional<Reply>> take_reply(std::string_view& bytes, const ReplyLimits& limits = {});

}  // namespace millrace::wire::redis
