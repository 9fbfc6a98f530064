#include "format/cloud_event.h"

#include <algorithm>

#include "base/error.h"
#include "format/base64.h"
#include "format/json_text.h"

namespace millrace::format {

namespace {

constexpr std::size_t kNameBytesMax = 64;

std::nullopt_t refuse(FieldFault& fault, std::string text) {
  fault = {error_id::kBadPayload, "the CloudEvent: " + std::move(text)};
  return std::nullopt;
}

bool is_attribute_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The text that a JSON string stands for.
std::optional<std::string> string_of(std::string_view token) {
  if (token.size() < 2 || token.front() != '"') return std::nullopt;
  std::string out;
  if (!unescape(token.substr(1, token.size() - 2), out)) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::vector<BoundText>> bind_attributes(std::span<const CloudAttribute> attributes,
                                                      FieldFault& fault) {
  std::vector<BoundText> out;
  std::string_view id;
  std::string_view source;
  std::string_view version;
  bool has_type = false;
  for (const auto& [name, value] : attributes) {
    if (!is_attribute_name(name))
      return refuse(fault, fmt::format("the attribute name '{}' has other characters than a-z and "
                                       "0-9",
                                       shortened(name, kNameBytesMax)));
    if (std::ranges::count(attributes, name, &CloudAttribute::name) != 1)
      return refuse(fault, fmt::format("the attribute {} is given twice", name));
    if (first_bad_utf8(value) != value.size())
      return refuse(fault, fmt::format("the attribute {} is not UTF-8", name));
    if (name == "id") id = value;
    if (name == "source") source = value;
    if (name == "specversion") version = value;
    if (name == "type") has_type = !value.empty();
    out.push_back({"ce_" + name, value});
  }
  if (version != "1.0") return refuse(fault, "specversion is not 1.0");
  if (id.empty()) return refuse(fault, "the attribute id is missing");
  if (source.empty()) return refuse(fault, "the attribute source is missing");
  if (!has_type) return refuse(fault, "the attribute type is missing");
  // A source is a URI reference, which has no blank.
  out.push_back({std::string(kCloudEventKeyColumn), fmt::format("{} {}", source, id)});
  return out;
}

std::string decoded_attribute(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const int high = value[i] == '%' && i + 2 < value.size() ? hex_digit(value[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(value[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += value[i];
    }
  }
  return out;
}

std::optional<CloudEvent> read_cloud_event(JsonValueCheck& json, std::string_view text,
                                           FieldFault& fault) {
  const auto fields = json.fields_of(text, fault);
  if (!fields) return std::nullopt;
  std::vector<CloudAttribute> attributes;
  std::optional<std::string_view> data;
  std::optional<std::string> packed;
  std::string content_type = "application/json";
  for (const auto& [name, value] : *fields) {
    if (name == "data") {
      data = value;
      continue;
    }
    if (value == "null") continue;
    auto string = string_of(value);
    if (!string && (value.front() == '{' || value.front() == '['))
      return refuse(fault, fmt::format("the attribute {} is an object or array",
                                       shortened(name, kNameBytesMax)));
    if (name == "data_base64") {
      packed = string ? base64_decode(*string) : std::nullopt;
      if (!packed) return refuse(fault, "data_base64 is not base64");
      continue;
    }
    if (name == "datacontenttype" && string) content_type = *string;
    attributes.push_back({name, string ? std::move(*string) : std::string(value)});
  }
  auto bound = bind_attributes(attributes, fault);
  if (!bound) return std::nullopt;
  auto type = payload_type_of(content_type);
  if (!type || type->format == Format::kCloudEvents)
    return refuse(fault, fmt::format("its data are {}, which no event can be",
                                     shortened(content_type, kNameBytesMax)));
  CloudEvent out;
  out.bound = std::move(*bound);
  out.type = *type;
  if (packed) {
    out.data = std::move(*packed);
  } else if (!data || *data == "null") {
    if (type->is_json()) out.data = "{}";
  } else if (type->is_json()) {
    out.data = std::string(*data);
  } else {
    auto string = string_of(*data);
    if (!string) return refuse(fault, "data that are not JSON come as a string, or as data_base64");
    out.data = std::move(*string);
  }
  return out;
}

}  // namespace millrace::format
