// Which web pages of other origins a browser may let talk to this server (the Fetch standard, 3.2).
// Without a list: none, and no answer says anything about it. Plain functions. Thread: any. Errors:
// none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// "*" lists all.
[[nodiscard]] bool is_listed_origin(std::string_view origin,
                                    const std::vector<std::string>& listed);

/// What Access-Control-Allow-Origin says to this request; empty: nothing.
[[nodiscard]] std::string allowed_origin(const HttpRequest& request,
                                         const std::vector<std::string>& listed);

/// Whether a browser asks what it may send; the answer to that.
[[nodiscard]] bool is_preflight(const HttpRequest& request);
[[nodiscard]] HttpResponse preflight_answer();

}  // namespace millrace::endpoint
