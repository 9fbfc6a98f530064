#include "bridge/broker_url.h"

#include <charconv>

namespace millrace::bridge {

Result<BrokerUrl> BrokerUrl::parse(std::string_view url) {
  constexpr std::string_view kScheme = "mqtt://";
  const auto bad = [&](std::string_view why) {
    auto failed = fail(ErrorCode::kInvalidArgument, error_id::kBadOption, "url '{}': {}",
                       url.substr(0, 200), why);
    return std::unexpected(std::move(failed.error()).with_hint("as in 'mqtt://10.0.0.7:1883'"));
  };
  // What stands before '@' may be a secret, which no error repeats.
  if (url.find('@') != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "the url holds a user: give it as user = '...', password = '...'");
  }
  if (!url.starts_with(kScheme)) return bad("it must begin with mqtt://");
  url.remove_prefix(kScheme.size());
  if (url.ends_with('/')) url.remove_suffix(1);
  BrokerUrl out;
  std::string_view rest;
  if (url.starts_with('[')) {
    const auto end = url.find(']');
    if (end == std::string_view::npos) return bad("']' is missing");
    out.host = url.substr(1, end - 1);
    rest = url.substr(end + 1);
  } else {
    const auto colon = url.find(':');
    out.host = url.substr(0, colon);
    rest = colon == std::string_view::npos ? "" : url.substr(colon);
  }
  if (out.host.empty() || out.host.find_first_of("/?# \0") != std::string::npos)
    return bad("the host is missing or none");
  if (rest.empty()) return out;
  rest.remove_prefix(1);
  const auto [stop, code] = std::from_chars(rest.data(), rest.data() + rest.size(), out.port);
  if (code != std::errc() || stop != rest.data() + rest.size() || out.port == 0)
    return bad("the port is not a number from 1 to 65535");
  return out;
}

}  // namespace millrace::bridge
