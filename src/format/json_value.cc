#include "format/json_value.h"

#include <algorithm>

#include "base/error.h"
#include "format/decoded.h"
#include "format/json_text.h"

namespace millrace::format {

JsonValueCheck::JsonValueCheck()
    : no_rules_(no_stream_),
      reader_(no_stream_, no_rules_, no_columns_, DecodeLimits().depth_max) {}

std::optional<std::string_view> JsonValueCheck::value_of(std::string_view text, FieldFault& fault) {
  text_.clear();
  text_.append(text);
  std::ranges::replace(text_.data(), text_.data() + text_.size(), '\n', ' ');
  const auto refuse = [&](std::string why) {
    fault = {error_id::kBadValue, fmt::format("{} is not JSON: {}", shortened(text, 64), why)};
    return std::nullopt;
  };
  if (index_.build(text_.view()) != JsonIndex::Fault::kNone)
    return refuse("a string is not closed or not UTF-8, or holds a control character");
  TokenCursor cursor{text_.data(), index_.tokens(), static_cast<std::uint32_t>(text_.size())};
  if (cursor.at_end()) return refuse("it is empty");
  const std::uint32_t first = *cursor.at;
  if (!reader_.skip_value(cursor, first, 1, JsonRecordReader::Check::kAll))
    return refuse(reader_.fault().reason);
  if (!cursor.at_end()) return refuse("there is something behind the value");
  std::string_view value = text_.view().substr(first);
  while (value.back() == ' ' || value.back() == '\t' || value.back() == '\r')
    value.remove_suffix(1);
  return value;
}

bool JsonValueCheck::begin(std::string_view text, char bracket, TokenCursor& cursor,
                           FieldFault& fault) {
  if (index_.build(text) != JsonIndex::Fault::kNone) {
    fault = {error_id::kBadJson,
             "it is not JSON: a string is not closed or not UTF-8, or holds a control character"};
    return false;
  }
  cursor = {text.data(), index_.tokens(), static_cast<std::uint32_t>(text.size())};
  if (cursor.head() != bracket) {
    fault = {error_id::kBadJson,
             fmt::format("{} is expected, not {}", bracket == '{' ? "an object" : "an array",
                         cursor.at_end() ? "nothing" : shortened(cursor.token(), 64))};
    return false;
  }
  ++cursor.at;
  return true;
}

bool JsonValueCheck::take_value(TokenCursor& cursor, std::string_view& value, FieldFault& fault) {
  const std::uint32_t* const first = cursor.at;
  if (!reader_.skip_value(cursor, 0, 1, JsonRecordReader::Check::kAll)) {
    fault = {reader_.fault().id, reader_.fault().reason};
    return false;
  }
  const std::uint32_t last = cursor.at[-1];
  const bool nested = cursor.text[last] == '}' || cursor.text[last] == ']';
  const std::size_t end =
      nested ? last + 1 : *first + TokenCursor{cursor.text, first, cursor.end}.token().size();
  value = {cursor.text + *first, end - *first};
  return true;
}

bool JsonValueCheck::take_comma(TokenCursor& cursor, char bracket, bool& ended, FieldFault& fault) {
  const char next = cursor.head();
  ended = next == bracket;
  if (!ended && next != ',') {
    fault = {error_id::kBadJson, "a comma is missing"};
    return false;
  }
  ++cursor.at;
  if (ended && !cursor.at_end()) {
    fault = {error_id::kBadJson, "there is something behind the end"};
    return false;
  }
  return true;
}

std::optional<std::vector<JsonValueCheck::Field>> JsonValueCheck::fields_of(std::string_view text,
                                                                            FieldFault& fault) {
  TokenCursor cursor;
  if (!begin(text, '{', cursor, fault)) return std::nullopt;
  std::vector<Field> out;
  bool ended = cursor.head() == '}';
  while (!ended) {
    Field field;
    const bool is_name = cursor.head() == '"';
    const std::string_view name = is_name ? cursor.token() : std::string_view("\"\"");
    if (!is_name || !unescape(name.substr(1, name.size() - 2), field.name)) {
      fault = {error_id::kBadJson, "a field name in quotes is expected"};
      return std::nullopt;
    }
    ++cursor.at;
    if (cursor.head() != ':') {
      fault = {error_id::kBadJson, "':' behind a field name is expected"};
      return std::nullopt;
    }
    ++cursor.at;
    if (!take_value(cursor, field.value, fault) || !take_comma(cursor, '}', ended, fault))
      return std::nullopt;
    out.push_back(std::move(field));
  }
  return out;
}

std::optional<std::vector<std::string_view>> JsonValueCheck::elements_of(std::string_view text,
                                                                         FieldFault& fault) {
  TokenCursor cursor;
  if (!begin(text, '[', cursor, fault)) return std::nullopt;
  std::vector<std::string_view> out;
  bool ended = cursor.head() == ']';
  while (!ended) {
    std::string_view value;
    if (!take_value(cursor, value, fault) || !take_comma(cursor, ']', ended, fault))
      return std::nullopt;
    out.push_back(value);
  }
  return out;
}

}  // namespace millrace::format
