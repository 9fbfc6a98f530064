// Whose page it is that a request comes from. A browser sends what any page asks it to, also to
// servers that only its user may reach, and says so in Origin and Host; programs send no Origin.
// Pure functions of a request, for any thread; no errors.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// Whether the request comes from no page, from a page of the server's own address, or from one of
/// `allowed`, each as a browser writes it: "https://app.example".
[[nodiscard]] bool is_origin_allowed(const HttpRequest& request,
                                     std::span<const std::string> allowed);

/// Whether the client named the server by an IP address or as localhost, or not at all. Any other
/// name means what its owner says, who may say that it is this machine, and so have browsers take
/// the owner's pages for the server's own.
[[nodiscard]] bool is_named_by_address(std::string_view host);

}  // namespace millrace::endpoint
