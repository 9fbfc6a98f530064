#include "format/text_field.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "base/error.h"
#include "format/json_text.h"
#include "format/json_value.h"

namespace millrace::format {

namespace {

constexpr std::size_t kShownBytesMax = 64;

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

FieldFault no_value(std::string_view text, const Type& type) {
  return {error_id::kBadValue,
          fmt::format("\"{}\" is not a {}", shortened(text, kShownBytesMax), type.sql())};
}

}  // namespace

TextFieldReader::TextFieldReader() = default;
TextFieldReader::~TextFieldReader() = default;

bool TextFieldReader::put(std::string_view text, ColumnVector& column, Arena& arena,
                          FieldFault& fault) {
  switch (column.type().kind) {
    case TypeKind::kVarchar:
      column.push_string(text, arena);
      return true;
    case TypeKind::kJson:
      return put_json(text, column, arena, fault);
    case TypeKind::kBoolean: {
      const auto word = without_blanks(text);
      const bool yes = same_name(word, "true");
      if (!yes && !same_name(word, "false")) break;
      column.push(static_cast<std::uint8_t>(yes));
      return true;
    }
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInteger:
    case TypeKind::kBigInt:
    case TypeKind::kHugeInt:
    case TypeKind::kUTinyInt:
    case TypeKind::kUSmallInt:
    case TypeKind::kUInteger:
    case TypeKind::kUBigInt:
    case TypeKind::kFloat:
    case TypeKind::kDouble:
    case TypeKind::kDecimal:
      return put_number(without_blanks(text), column, arena, fault);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz: {
      const auto value = without_blanks(text);
      JsonNumber number;
      if (!value.empty() && scan_number(value, number))
        return put_field(value, column, arena, scratch_, fault);
      return put_quoted(value, column, arena, fault);
    }
    case TypeKind::kBlob:
    case TypeKind::kDate:
    case TypeKind::kTime:
    case TypeKind::kUuid:
      return put_quoted(without_blanks(text), column, arena, fault);
    case TypeKind::kInterval:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      break;  // no stream has such a column
  }
  fault = no_value(text, column.type());
  return false;
}

bool TextFieldReader::put_number(std::string_view text, ColumnVector& column, Arena& arena,
                                 FieldFault& fault) {
  JsonNumber number;
  if (!text.empty() && scan_number(text, number))
    return put_field(text, column, arena, scratch_, fault);
  const auto kind = column.type().kind;
  if ((kind == TypeKind::kDouble || kind == TypeKind::kFloat) &&
      (text == "NaN" || text == "Infinity" || text == "-Infinity")) {
    return put_quoted(text, column, arena, fault);
  }
  fault = no_value(text, column.type());
  return false;
}

bool TextFieldReader::put_quoted(std::string_view text, ColumnVector& column, Arena& arena,
                                 FieldFault& fault) {
  const bool plain = std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\'; });
  if (!plain) {
    fault = no_value(text, column.type());
    return false;
  }
  quoted_ = '"';
  quoted_ += text;
  quoted_ += '"';
  return put_field(quoted_, column, arena, scratch_, fault);
}

bool TextFieldReader::put_json(std::string_view text, ColumnVector& column, Arena& arena,
                               FieldFault& fault) {
  if (json_ == nullptr) json_ = std::make_unique<JsonValueCheck>();
  const auto value = json_->value_of(text, fault);
  if (!value) return false;
  if (*value == "null") {
    column.push_null();
  } else {
    column.push_string(*value, arena);
  }
  return true;
}

}  // namespace millrace::format
