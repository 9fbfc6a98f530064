// An Error as an HTTP answer: RFC 9457 problem details with our stable code, place and hint. The
// one place that turns ErrorCode into an HTTP status is http_error_map.cc. Thread: any. Errors:
// none.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// The HTTP status of a code: docs/reference/errors.md has the table.
[[nodiscard]] int http_status(ErrorCode code);

/// The answer for an error, with Retry-After where the same request may succeed later.
/// {"type":"urn:millrace:error:MR1203","title":"Not
/// Found","status":404,"code":"MR1203","detail":"...",
///  "hint":"...","line":1,"column":8,"instance":"<request id>"}; what is not known is left out.
[[nodiscard]] HttpResponse problem(const Error& error, std::string_view request_id = {});
/// The same where HTTP has a more exact status than the code: 405, 408, 431 and the like.
[[nodiscard]] HttpResponse problem_with_status(int status, const Error& error,
                                               std::string_view request_id = {});

/// Appends a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the result is
/// JSON whatever a client sent.
void append_json_text(std::string& out, std::string_view text);

/// The error of a request that is refused.
[[nodiscard]] Error request_error(ErrorCode code, std::string_view id, std::string message,
                                  std::string hint = {});

}  // namespace millrace::endpoint
