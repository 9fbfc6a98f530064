#include "endpoint/problem.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace millrace::endpoint {
namespace {

// The length of the well-formed UTF-8 sequence at the front (Unicode 15, table 3-7), 0 where there
// is none.
std::size_t utf8_sequence_bytes(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(text[at]); };
  const auto in = [&](std::size_t at, std::uint8_t low, std::uint8_t high) {
    return at < text.size() && byte(at) >= low && byte(at) <= high;
  };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return in(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const std::uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;
    const std::uint8_t high = lead == 0xed ? 0x9f : 0xbf;
    return in(1, low, high) && in(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const std::uint8_t low = lead == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;
    return in(1, low, high) && in(2, 0x80, 0xbf) && in(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  append_json_text(out, text);
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t bytes = utf8_sequence_bytes(text);
    if (bytes == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    const char letter = text.front();
    if (letter == '"' || letter == '\\') {
      out += '\\';
      out += letter;
    } else if (letter == '\n') {
      out += "\\n";
    } else if (static_cast<std::uint8_t>(letter) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(letter));
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  out += '"';
}

HttpResponse problem_with_status(int status, const Error& error, std::string_view request_id) {
  const std::string_view code = error.id.empty() ? name(error.code) : std::string_view(error.id);
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  std::string& out = response.body;
  out += "{\"type\":";
  append_json_text(out, fmt::format("urn:millrace:error:{}", code));
  append_member(out, "title", reason_phrase(status));
  fmt::format_to(std::back_inserter(out), ",\"status\":{}", status);
  append_member(out, "code", code);
  append_member(out, "detail", error.message);
  if (!error.hint.empty()) append_member(out, "hint", error.hint);
  if (error.place.line != 0) {
    fmt::format_to(std::back_inserter(out), ",\"line\":{},\"column\":{}", error.place.line,
                   error.place.column);
  }
  if (!request_id.empty()) append_member(out, "instance", request_id);
  out += "}";
  if (status == 429 || status == 503) response.headers.emplace_back("Retry-After", "1");
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse problem(const Error& error, std::string_view request_id) {
  // A full or failed disk is the server's trouble and not the client's quota.
  const bool disk = error.id == error_id::kDiskFull || error.id == error_id::kDiskFailed;
  return problem_with_status(disk ? 503 : http_status(error.code), error, request_id);
}

Error request_error(ErrorCode code, std::string_view id, std::string message, std::string hint) {
  return Error{.code = code,
               .id = std::string(id),
               .message = std::move(message),
               .hint = std::move(hint),
               .place = {}};
}

}  // namespace millrace::endpoint
