#include "op/arrow_type.h"

#include <charconv>

namespace millrace::op {

std::string ArrowType::text() const {
  switch (kind) {
    case ArrowKind::kBool:
      return "bool";
    case ArrowKind::kInteger:
      return fmt::format("{}int{}", is_signed ? "" : "u", bits);
    case ArrowKind::kFloat:
      return bits == 32 ? "float" : "double";
    case ArrowKind::kDecimal:
      return fmt::format("decimal128({}, {})", precision, scale);
    case ArrowKind::kUtf8:
      return bits == 64 ? "large_utf8" : "utf8";
    case ArrowKind::kBinary:
      return bits == 64 ? "large_binary" : "binary";
    case ArrowKind::kFixedBinary:
      return fmt::format("fixed_size_binary[{}]", byte_width);
    case ArrowKind::kTimestamp:
      return has_zone ? "timestamp[us, UTC]" : "timestamp[us]";
    case ArrowKind::kDate:
      return "date32";
    case ArrowKind::kTime:
      return "time64[us]";
    case ArrowKind::kInterval:
      return "month_day_nano_interval";
    case ArrowKind::kList:
      return "list";
    case ArrowKind::kStruct:
      return "struct";
    case ArrowKind::kMap:
      return "map";
    case ArrowKind::kOther:
      break;
  }
  return other;
}

std::string ArrowType::format() const {
  switch (kind) {
    case ArrowKind::kBool:
      return "b";
    case ArrowKind::kInteger: {
      const char letter = bits == 8 ? 'c' : bits == 16 ? 's' : bits == 32 ? 'i' : 'l';
      return {is_signed ? letter : static_cast<char>(letter - 'a' + 'A')};
    }
    case ArrowKind::kFloat:
      return bits == 32 ? "f" : "g";
    case ArrowKind::kDecimal:
      return fmt::format("d:{},{}", precision, scale);
    case ArrowKind::kUtf8:
      return bits == 64 ? "U" : "u";
    case ArrowKind::kBinary:
      return bits == 64 ? "Z" : "z";
    case ArrowKind::kFixedBinary:
      return fmt::format("w:{}", byte_width);
    case ArrowKind::kTimestamp:
      return has_zone ? "tsu:UTC" : "tsu:";
    case ArrowKind::kDate:
      return "tdD";
    case ArrowKind::kTime:
      return "ttu";
    case ArrowKind::kInterval:
      return "tin";
    case ArrowKind::kList:
      return "+l";
    case ArrowKind::kStruct:
      return "+s";
    case ArrowKind::kMap:
      return "+m";
    case ArrowKind::kOther:
      break;
  }
  return {};
}

std::size_t ArrowType::value_bits() const {
  switch (kind) {
    case ArrowKind::kBool:
      return 1;
    case ArrowKind::kInteger:
    case ArrowKind::kFloat:
      return bits;
    case ArrowKind::kDecimal:
      return 128;
    case ArrowKind::kFixedBinary:
      return static_cast<std::size_t>(byte_width) * 8;
    case ArrowKind::kTimestamp:
    case ArrowKind::kTime:
      return 64;
    case ArrowKind::kInterval:
      return 128;
    case ArrowKind::kDate:
      return 32;
    case ArrowKind::kUtf8:
    case ArrowKind::kBinary:
    case ArrowKind::kList:
    case ArrowKind::kStruct:
    case ArrowKind::kMap:
    case ArrowKind::kOther:
      break;
  }
  return 0;
}

namespace {

bool read_number(std::string_view& text, std::int32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<ArrowType> one_letter(char letter) {
  const auto integer = [](std::uint8_t bits, bool is_signed) {
    return ArrowType{.kind = ArrowKind::kInteger, .bits = bits, .is_signed = is_signed};
  };
  switch (letter) {
    case 'b':
      return ArrowType{.kind = ArrowKind::kBool};
    case 'c':
      return integer(8, true);
    case 'C':
      return integer(8, false);
    case 's':
      return integer(16, true);
    case 'S':
      return integer(16, false);
    case 'i':
      return integer(32, true);
    case 'I':
      return integer(32, false);
    case 'l':
      return integer(64, true);
    case 'L':
      return integer(64, false);
    case 'f':
      return ArrowType{.kind = ArrowKind::kFloat, .bits = 32};
    case 'g':
      return ArrowType{.kind = ArrowKind::kFloat, .bits = 64};
    case 'u':
      return ArrowType{.kind = ArrowKind::kUtf8, .bits = 32};
    case 'U':
      return ArrowType{.kind = ArrowKind::kUtf8, .bits = 64};
    case 'z':
      return ArrowType{.kind = ArrowKind::kBinary, .bits = 32};
    case 'Z':
      return ArrowType{.kind = ArrowKind::kBinary, .bits = 64};
    default:
      return std::nullopt;
  }
}

}  // namespace

ArrowType parse_arrow_format(std::string_view format) {
  const ArrowType other{.other = fmt::format("format \"{}\"", format.substr(0, 64))};
  if (format.size() == 1) return one_letter(format.front()).value_or(other);
  if (format == "tdD") return {.kind = ArrowKind::kDate};
  std::string_view rest = format;
  if (take(rest, "tsu:")) return {.kind = ArrowKind::kTimestamp, .has_zone = !rest.empty()};
  if (take(rest, "w:")) {
    ArrowType type{.kind = ArrowKind::kFixedBinary};
    const bool read = read_number(rest, type.byte_width) && rest.empty();
    return read && type.byte_width > 0 && type.byte_width <= kFixedBytesMax ? type : other;
  }
  if (take(rest, "d:")) {
    ArrowType type{.kind = ArrowKind::kDecimal};
    const bool read =
        read_number(rest, type.precision) && take(rest, ",") && read_number(rest, type.scale);
    // A third number is the width in bits, where it is not 128.
    if (read && (rest.empty() || rest == ",128")) return type;
  }
  return other;
}

ArrowType arrow_type_of(const Type& type) {
  const auto integer = [](std::uint8_t bits, bool is_signed) {
    return ArrowType{.kind = ArrowKind::kInteger, .bits = bits, .is_signed = is_signed};
  };
  switch (type.kind) {
    case TypeKind::kBoolean:
      return ArrowType{.kind = ArrowKind::kBool};
    case TypeKind::kTinyInt:
      return integer(8, true);
    case TypeKind::kSmallInt:
      return integer(16, true);
    case TypeKind::kInteger:
      return integer(32, true);
    case TypeKind::kBigInt:
      return integer(64, true);
    case TypeKind::kUTinyInt:
      return integer(8, false);
    case TypeKind::kUSmallInt:
      return integer(16, false);
    case TypeKind::kUInteger:
      return integer(32, false);
    case TypeKind::kUBigInt:
      return integer(64, false);
    case TypeKind::kHugeInt:
      return ArrowType{.kind = ArrowKind::kDecimal, .precision = 38};
    case TypeKind::kFloat:
      return ArrowType{.kind = ArrowKind::kFloat, .bits = 32};
    case TypeKind::kDouble:
      return ArrowType{.kind = ArrowKind::kFloat, .bits = 64};
    case TypeKind::kDecimal:
      return ArrowType{.kind = ArrowKind::kDecimal, .precision = type.width, .scale = type.scale};
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      return ArrowType{.kind = ArrowKind::kUtf8, .bits = 32};
    case TypeKind::kBlob:
      return ArrowType{.kind = ArrowKind::kBinary, .bits = 32};
    case TypeKind::kTimestamp:
      return ArrowType{.kind = ArrowKind::kTimestamp};
    case TypeKind::kTimestampTz:
      return ArrowType{.kind = ArrowKind::kTimestamp, .has_zone = true};
    case TypeKind::kDate:
      return ArrowType{.kind = ArrowKind::kDate};
    case TypeKind::kUuid:
      return ArrowType{.kind = ArrowKind::kFixedBinary, .byte_width = 16};
    case TypeKind::kTime:
      return ArrowType{.kind = ArrowKind::kTime};
    case TypeKind::kInterval:
      return ArrowType{.kind = ArrowKind::kInterval};
    case TypeKind::kList:
      return ArrowType{.kind = ArrowKind::kList};
    case TypeKind::kStruct:
      return ArrowType{.kind = ArrowKind::kStruct};
    case TypeKind::kMap:
      return ArrowType{.kind = ArrowKind::kMap};
  }
  return {};
}

ArrowField arrow_field_of(std::string_view name, const Type& type) {
  ArrowField out{.name = std::string(name), .type = arrow_type_of(type)};
  if (type.kind == TypeKind::kMap) {
    out.children.push_back({.name = "entries", .type = {.kind = ArrowKind::kStruct}});
    for (const auto& field : type.fields())
      out.children.front().children.push_back(arrow_field_of(field.name, field.type));
    return out;
  }
  for (const auto& field : type.fields()) {
    out.children.push_back(
        arrow_field_of(type.kind == TypeKind::kList ? "item" : field.name, field.type));
  }
  return out;
}

}  // namespace millrace::op
