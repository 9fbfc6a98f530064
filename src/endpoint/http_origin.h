// Whose page it is that a request comes from, and which pages of other origins may talk to this
// server (CORS: the Fetch standard, 3.2). A browser sends what any page asks it to, also to servers
// that only its user may reach, and says so in Origin and Host; programs send no Origin. Without a
// list no other page may, and no answer says anything about it. `listed` are origins as a browser
// writes them, "https://app.example"; "*" lists all. Pure functions of a request, for
// any thread; no errors.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// What Access-Control-Allow-Origin says to this request; empty: nothing.
[[nodiscard]] std::string allowed_origin(const HttpRequest& request,
                                         std::span<const std::string> listed);

/// Whether a browser asks what it may send; the answer to that.
[[nodiscard]] bool is_preflight(const HttpRequest& request);
[[nodiscard]] HttpResponse preflight_answer();

/// Whether the request comes from no page, from a page of the server's own address, or from a
/// listed one.
[[nodiscard]] bool is_origin_allowed(const HttpRequest& request,
                                     std::span<const std::string> listed);

/// Whether the client named the server by an IP address or as localhost, or not at all. Any other
/// name means what its owner says, who may say that it is this machine, and so have browsers take
/// the owner's pages for the server's own.
[[nodiscard]] bool is_named_by_address(std::string_view host);

}  // namespace millrace::endpoint
