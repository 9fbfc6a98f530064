#include "endpoint/http_origin.h"

#include <algorithm>

#include "base/ascii_case.h"

namespace millrace::endpoint {

bool is_origin_allowed(const HttpRequest& request, std::span<const std::string> allowed) {
  if (!request.fields.contains("origin")) return true;
  const std::string_view origin = request.header("origin");
  if (std::ranges::find(allowed, origin) != allowed.end()) return true;
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"http://", "https://"}, [&](std::string_view scheme) {
        return origin.starts_with(scheme) &&
               equal_ignoring_case(origin.substr(scheme.size()), request.header("host"));
      });
}

bool is_named_by_address(std::string_view host) {
  if (host.empty() || host.starts_with('[')) return true;
  host = host.substr(0, host.rfind(':'));
  // A browser takes a last label of digits for a part of an address, and of no name.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos) return true;
  return same_name(last, "localhost");
}

}  // namespace millrace::endpoint
