// Any bytes as a position token, as they are and with a checksum that fits: either it is refused,
// or it is the very text that the token gives.
#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "serving/position_token.h"

namespace {

void look_at(std::string_view text) {
  const auto token = millrace::serving::PositionToken::parse(text);
  MR_CHECK(!token || token->text() == text, "a token of {} bytes reads as another", text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  look_at(text);
  look_at(fmt::format("{}~{:08x}", text, millrace::crc32c(text)));
  return 0;
}
