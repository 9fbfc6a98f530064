// Any bytes as a position token: either it is refused, or it is the very text that the token gives.
#include "base/check.h"
#include "serving/feed_token.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto token = millrace::serving::FeedToken::parse(text);
  MR_CHECK(!token || token->text() == text, "a token of {} bytes reads as another", size);
  return 0;
}
