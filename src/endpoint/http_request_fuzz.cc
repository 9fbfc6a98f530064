// Any bytes on an HTTP connection: the reader must neither crash nor loop, and must find the same
// requests and the same refusal however the bytes are cut into pieces.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "endpoint/http_request_reader.h"
#include "endpoint/http_router.h"

namespace millrace::endpoint {
namespace {

constexpr std::size_t kHeadBytesMax = 1024;
constexpr std::uint64_t kBodyBytesMax = 2048;

// What was read, as text that can be compared.
std::string read_all(std::string_view bytes, std::size_t piece_bytes) {
  static const HttpRouter router = [] {
    HttpRouter routes;
    routes.add("POST", "/v1/streams/{stream}/events", [](HttpRequest, Responder) {});
    routes.add("GET", "/v1/views/{view}", [](HttpRequest, Responder) {});
    return routes;
  }();
  HttpRequestReader reader(kHeadBytesMax);
  std::string found;
  for (;;) {
    switch (reader.next()) {
      case HttpRequestReader::Step::kNeedMore: {
        if (bytes.empty()) return found;
        const auto space = reader.space();
        MR_CHECK(!space.empty(), "no room although more bytes are needed");
        const std::size_t count = std::min({space.size(), bytes.size(), piece_bytes});
        std::memcpy(space.data(), bytes.data(), count);
        bytes.remove_prefix(count);
        reader.received(count);
        break;
      }
      case HttpRequestReader::Step::kHead: {
        const HttpHead& head = reader.head();
        const auto match = router.match(head.request.method, head.raw_path);
        found += fmt::format("{} {} {} {} {} {} {}\n", head.request.method, head.request.path,
                             head.keep_alive, head.chunked, head.content_bytes, match.params.size(),
                             match.allowed);
        for (const auto& [name, value] : head.request.query) {
          found.append(name).append("=").append(value).append("\n");
        }
        MR_CHECK(!head.chunked || head.content_bytes == 0, "a body framed twice");
        if (head.content_bytes % 2 == 1) {
          reader.discard_body(kBodyBytesMax);
        } else {
          reader.take_body(kBodyBytesMax);
        }
        break;
      }
      case HttpRequestReader::Step::kRequest: {
        const HttpRequest request = reader.take_request();
        MR_CHECK(request.body.size() <= kBodyBytesMax, "a body over its limit");
        for (std::size_t i = 0; i < request.fields.size(); ++i) {
          const auto [name, value] = request.fields.at(i);
          found.append(name).append(":").append(value).append("\n");
        }
        found.append(request.body.view()).append("\n");
        break;
      }
      case HttpRequestReader::Step::kRefused:
        return found;
    }
  }
}

}  // namespace
}  // namespace millrace::endpoint

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using millrace::endpoint::read_all;
  if (size == 0) return 0;
  const std::size_t piece_bytes = data[0] % 64 + 1U;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read_all(bytes, bytes.size());
  for (const std::size_t piece : {std::size_t{1}, piece_bytes}) {
    const std::string cut = read_all(bytes, piece);
    MR_CHECK(cut == whole, "in pieces of {} bytes: {}\nas a whole: {}", piece, cut, whole);
  }
  return 0;
}
