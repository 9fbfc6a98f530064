#include "endpoint/http_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace::endpoint {
namespace {

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  const std::size_t begin = out.size();
  out.append(value).append("\r\n");
  for (std::size_t at = begin; at < out.size() - 2; ++at) {
    if (out[at] == '\r' || out[at] == '\n' || out[at] == '\0') out[at] = ' ';
  }
}

bool has_no_body(int status) { return status == 204 || status == 304; }

// ";q=0", ";q=0.0" ... say that the client does not want it.
bool is_switched_off(std::string_view parameters) {
  const std::size_t at = parameters.find("q=");
  if (at == std::string_view::npos) return false;
  const std::string_view weight = trimmed(parameters.substr(at + 2));
  return !weight.empty() && weight.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

void HttpFields::add(std::string_view name, std::string_view value) {
  places_.push_back({.begin = static_cast<std::uint32_t>(text_.size()),
                     .name_bytes = static_cast<std::uint32_t>(name.size()),
                     .value_bytes = static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(value);
}

void HttpFields::reserve(std::size_t text_bytes, std::size_t fields) {
  text_.reserve(text_bytes);
  places_.reserve(fields);
}

const HttpFields::Place* HttpFields::place_of(std::string_view name) const {
  for (const Place& place : places_) {
    if (place.name_bytes == name.size() &&
        equal_ignoring_case(std::string_view(text_).substr(place.begin, place.name_bytes), name)) {
      return &place;
    }
  }
  return nullptr;
}

std::string_view HttpFields::find(std::string_view name) const {
  const Place* place = place_of(name);
  if (place == nullptr) return {};
  return std::string_view(text_).substr(place->begin + place->name_bytes, place->value_bytes);
}

bool HttpFields::contains(std::string_view name) const { return place_of(name) != nullptr; }

std::pair<std::string_view, std::string_view> HttpFields::at(std::size_t index) const {
  const Place& place = places_[index];
  const std::string_view text = text_;
  return {text.substr(place.begin, place.name_bytes),
          text.substr(place.begin + place.name_bytes, place.value_bytes)};
}

std::string_view HttpRequest::param(std::string_view name) const {
  for (const auto& [key, value] : params) {
    if (key == name) return value;
  }
  return {};
}

std::optional<std::string_view> HttpRequest::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string HttpRequest::media_type() const {
  const std::string_view value = header("content-type");
  std::string type(trimmed(value.substr(0, value.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(), lower);
  return type;
}

std::string_view printable_request_id(const HttpRequest& request) {
  constexpr std::size_t kBytesMax = 128;
  const std::string_view id = request.header("x-request-id");
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char letter) { return letter >= ' ' && letter <= '~'; });
  return printable && id.size() <= kBytesMax ? id : std::string_view();
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

bool lists_token(std::string_view header, std::string_view token) {
  while (!header.empty()) {
    const std::size_t comma = header.find(',');
    const std::string_view item = header.substr(0, comma);
    const std::size_t semicolon = item.find(';');
    if (equal_ignoring_case(trimmed(item.substr(0, semicolon)), token)) {
      return semicolon == std::string_view::npos || !is_switched_off(item.substr(semicolon));
    }
    if (comma == std::string_view::npos) break;
    header.remove_prefix(comma + 1);
  }
  return false;
}

void append_response(std::string& out, const HttpResponse& response, const AnswerShape& shape) {
  if (response.status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status,
                   reason_phrase(response.status));
  }
  if (!shape.date.empty()) out.append("Date: ").append(shape.date).append("\r\n");
  if (shape.streamed) {
    append_field(out, "Content-Type", response.content_type);
    if (!shape.http10) out += "Transfer-Encoding: chunked\r\n";
  } else if (!has_no_body(response.status)) {
    if (!response.body.empty() && !response.content_type.empty()) {
      append_field(out, "Content-Type", response.content_type);
    }
    const fmt::format_int length(response.body.size());
    out.append("Content-Length: ").append(length.data(), length.size()).append("\r\n");
  }
  for (const auto& [name, value] : response.headers) append_field(out, name, value);
  if (!shape.request_id.empty()) append_field(out, "X-Request-Id", shape.request_id);
  if (shape.varies_by_origin) append_field(out, "Vary", "Origin");
  if (!shape.cors_origin.empty()) {
    append_field(out, "Access-Control-Allow-Origin", shape.cors_origin);
    append_field(out, "Access-Control-Expose-Headers", "*, WWW-Authenticate");
  }
  if (!shape.keep_alive) {
    out += "Connection: close\r\n";
  } else if (shape.http10) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  if (!shape.head_only && !has_no_body(response.status)) out += response.body;
}

}  // namespace millrace::endpoint
