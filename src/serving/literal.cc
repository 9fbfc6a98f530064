#include "serving/literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "model/value_text.h"
#include "serving/value_parser.h"
#include "view/select_tree.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;
using view::array_of;
using view::object_of;
using view::text_of;

/// More are a list for the engine.
constexpr std::size_t kElementsMax = 10'000;

bool flag_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// A type of the tree; none where it has parameters beyond those of DECIMAL.
std::optional<Type> type_of(const json::object& node) {
  const auto id = text_of(node, "id");
  const auto* info = object_of(node, "type_info");
  if (id == "DECIMAL" && info != nullptr) {
    const json::value* width = info->if_contains("width");
    const json::value* scale = info->if_contains("scale");
    if (width == nullptr || scale == nullptr || !width->is_int64() || !scale->is_int64())
      return std::nullopt;
    return Type{TypeKind::kDecimal, static_cast<std::uint8_t>(width->get_int64()),
                static_cast<std::uint8_t>(scale->get_int64())};
  }
  if (info != nullptr) return std::nullopt;
  const auto type = Type::parse(id);
  return type ? std::optional(*type) : std::nullopt;
}

/// 525 with scale 2 as 5.25.
std::string decimal_text(std::string digits, std::uint8_t scale) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.erase(0, 1);
  if (digits.size() <= scale) digits.insert(0, scale + 1U - digits.size(), '0');
  if (scale != 0) digits.insert(digits.size() - scale, 1, '.');
  return negative ? "-" + digits : digits;
}

std::optional<Literal> constant_of(const json::object& node) {
  const auto* value = object_of(node, "value");
  const auto* type = value == nullptr ? nullptr : object_of(*value, "type");
  if (type == nullptr) return std::nullopt;
  if (flag_of(*value, "is_null")) return Literal{.type = std::nullopt, .text = {}, .null = true};
  const json::value* held = value->if_contains("value");
  const auto parsed = type_of(*type);
  if (held == nullptr || !parsed) return std::nullopt;
  if (parsed->kind == TypeKind::kVarchar && held->is_string())
    return Literal{.type = std::nullopt, .text = std::string(held->get_string())};
  if (held->is_int64() || held->is_uint64()) {
    if (parsed->is_integer()) return Literal{.type = parsed, .text = json::serialize(*held)};
    if (parsed->kind == TypeKind::kDecimal)
      return Literal{.type = parsed, .text = decimal_text(json::serialize(*held), parsed->scale)};
  }
  if (parsed->kind == TypeKind::kDouble && held->is_double())
    return Literal{.type = parsed, .text = fmt::format("{}", held->get_double())};
  return std::nullopt;
}

/// What a cast makes of it, where that is the same value in another type for sure.
std::optional<Literal> cast_of(Literal inner, const Type& type) {
  if (inner.null) return inner;
  const bool same =
      !inner.type || *inner.type == type || (inner.type->is_integer() && type.is_integer());
  if (!same) return std::nullopt;
  if (type.kind == TypeKind::kBoolean) {
    if (inner.text == "t") inner.text = "true";
    if (inner.text == "f") inner.text = "false";
  }
  // That the text is a value of the type, without rounding.
  ColumnBatch probe(std::span(&type, 1));
  if (!push_parsed(inner.text, probe.column(0), probe.arena())) return std::nullopt;
  inner.type = type;
  return inner;
}

bool has_zone(std::string_view text) {
  const auto time = text.find_first_of("T ");
  return text.ends_with('Z') || (time != std::string_view::npos &&
                                 text.find_first_of("+-", time) != std::string_view::npos);
}

/// Whether a value of one type means the same when it is compared with a column of another.
bool compares_as(const std::optional<Type>& from, const Type& to, std::string_view text) {
  if (to.kind == TypeKind::kTimestampTz) {
    // What has no zone means one that only the engine knows.
    return (!from || from->kind == TypeKind::kTimestampTz) && has_zone(text);
  }
  if (!from) {
    switch (to.kind) {
      case TypeKind::kVarchar:
      case TypeKind::kDate:
      case TypeKind::kUuid:
      case TypeKind::kTimestamp:
      case TypeKind::kBoolean:
        return true;
      default:
        return to.is_integer();
    }
  }
  if (to.is_integer()) return from->is_integer();
  switch (to.kind) {
    case TypeKind::kVarchar:
    case TypeKind::kDate:
    case TypeKind::kUuid:
    case TypeKind::kBoolean:
      return from->kind == to.kind;
    case TypeKind::kTimestamp:
      return from->kind == to.kind || from->kind == TypeKind::kDate;
    case TypeKind::kDecimal:
      return from->kind == to.kind || from->is_integer();
    case TypeKind::kDouble:
      // Of so few digits there is one double, whoever makes it.
      return from->kind == to.kind || (from->is_integer() && text.size() <= 15) ||
             (from->kind == TypeKind::kDecimal && from->width <= 15);
    default:
      return false;
  }
}

}  // namespace

std::optional<Literal> literal_of(const json::object& expression) {
  const auto kind = text_of(expression, "class");
  if (kind == "CONSTANT") return constant_of(expression);
  if (kind != "CAST" || flag_of(expression, "try_cast")) return std::nullopt;
  const auto* child = object_of(expression, "child");
  const auto* type = object_of(expression, "cast_type");
  if (child == nullptr || type == nullptr) return std::nullopt;
  const auto to = type_of(*type);
  auto inner = literal_of(*child);
  if (!to || !inner) return std::nullopt;
  return cast_of(std::move(*inner), *to);
}

std::optional<std::vector<Literal>> parse_literal_list(std::string_view text, const Type& element) {
  const bool postgres = text.starts_with('{') && text.ends_with('}');
  if (text.size() < 2 || !(postgres || (text.starts_with('[') && text.ends_with(']'))))
    return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::vector<Literal> out;
  while (!text.empty()) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    std::string value;
    const char quote = text.starts_with('"') || (!postgres && text.starts_with('\'')) ? text[0] : 0;
    std::size_t i = quote == 0 ? 0 : 1;
    for (; i < text.size() && text[i] != (quote == 0 ? ',' : quote); ++i) {
      // Escapes and nested lists are for the engine to read.
      if (text[i] == '\\' || (quote == 0 && std::string_view("\"'{}[]").contains(text[i])))
        return std::nullopt;
      value += text[i];
    }
    if (quote != 0) {
      if (i == text.size()) return std::nullopt;
      ++i;
    } else {
      while (value.ends_with(' ')) value.pop_back();
      if (value.empty()) return std::nullopt;
    }
    text.remove_prefix(i);
    while (text.starts_with(' ')) text.remove_prefix(1);
    const bool more = text.starts_with(',');
    if (!more && !text.empty()) return std::nullopt;
    if (more) text.remove_prefix(1);
    if (more && text.empty()) return std::nullopt;
    const bool null = quote == 0 && (value == "NULL" || value == "null");
    auto literal = null ? std::optional(Literal{.type = element, .text = {}, .null = true})
                        : cast_of({.type = std::nullopt, .text = std::move(value)}, element);
    if (!literal || out.size() == kElementsMax) return std::nullopt;
    out.push_back(std::move(*literal));
  }
  return out;
}

namespace {

/// [1, 2] and ARRAY[1, 2]; texts in them are texts, whatever they are compared with.
std::optional<std::vector<Literal>> elements_of(const json::object& expression) {
  std::vector<Literal> out;
  const auto* children = array_of(expression, "children");
  if (children == nullptr || children->size() > kElementsMax) return std::nullopt;
  for (const json::value& child : *children) {
    auto literal = child.is_object() ? literal_of(child.get_object()) : std::nullopt;
    if (!literal) return std::nullopt;
    if (!literal->type && !literal->null) literal->type = Type{TypeKind::kVarchar};
    // Elements of a list have one type, which may be none of theirs.
    if (!out.empty() && literal->type != out.front().type) return std::nullopt;
    out.push_back(std::move(*literal));
  }
  return out;
}

}  // namespace

std::optional<std::vector<Literal>> literal_list_of(const json::object& expression) {
  if (text_of(expression, "type") == "ARRAY_CONSTRUCTOR" ||
      (text_of(expression, "class") == "FUNCTION" &&
       text_of(expression, "function_name") == "list_value")) {
    return elements_of(expression);
  }
  const auto* child = object_of(expression, "child");
  const auto* type = object_of(expression, "cast_type");
  if (text_of(expression, "class") != "CAST" || child == nullptr || type == nullptr ||
      flag_of(expression, "try_cast") || text_of(*type, "id") != "LIST") {
    return std::nullopt;
  }
  const auto* info = object_of(*type, "type_info");
  const auto* element = info == nullptr ? nullptr : object_of(*info, "child_type");
  const auto element_type = element == nullptr ? std::nullopt : type_of(*element);
  if (!element_type) return std::nullopt;
  if (text_of(*child, "class") != "CONSTANT") {
    auto values = literal_list_of(*child);
    if (!values) return std::nullopt;
    for (auto& value : *values) {
      if (value.type && value.type->kind == TypeKind::kVarchar) value.type.reset();
      auto cast = cast_of(std::move(value), *element_type);
      if (!cast) return std::nullopt;
      value = std::move(*cast);
    }
    return values;
  }
  const auto inner = constant_of(*child);
  if (!inner || inner->type || inner->null) return std::nullopt;
  return parse_literal_list(inner->text, *element_type);
}

std::optional<std::uint64_t> count_of(const json::object& expression) {
  const auto literal = literal_of(expression);
  if (!literal || literal->null || !literal->type || !literal->type->is_integer())
    return std::nullopt;
  std::uint64_t count = 0;
  const auto& text = literal->text;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return count;
}

bool push_literal(const Literal& literal, ColumnVector& column, Arena& arena) {
  if (literal.null || !compares_as(literal.type, column.type(), literal.text)) return false;
  return push_parsed(literal.text, column, arena).has_value();
}

}  // namespace millrace::serving
