// The request target (RFC 9112, section 3.2) taken apart and decoded (RFC 3986, section 2.1).
// Thread: any. Errors: nullopt where an escape is broken or the text is not UTF-8 without NUL.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::endpoint {

struct HttpTarget {
  /// As sent, without the query; begins with '/' or is "*". Routes are matched on it, segment by
  /// segment, so that an escaped slash stays inside its segment.
  std::string_view raw_path;
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
};

/// The result views into `target`.
[[nodiscard]] std::optional<HttpTarget> parse_target(std::string_view target);

/// "a%20b" -> "a b"; with `plus_is_blank` also "a+b", as HTML forms send queries.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text,
                                                         bool plus_is_blank = false);

}  // namespace millrace::endpoint
