#include "model/nested_value.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace millrace {
namespace {

/// What DuckDB puts between quotes inside a nested value, so that it can be read again.
bool needs_quotes(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  if (text.empty() || is_blank(text.front()) || is_blank(text.back())) return true;
  if (text.size() == 4 && std::ranges::equal(text, std::string_view("null"), [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == b;
      })) {
    return true;
  }
  return text.find_first_of("\"'(),:=[]{}") != std::string_view::npos;
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('\'');
  for (const char c : text) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('\'');
}

void append_value_text(std::string& out, const Type& type, NestedReader& reader);

void append_element_text(std::string& out, const Type& type, NestedReader& reader,
                         bool quotes = true) {
  if (reader.is_null()) {
    out += "NULL";
    return;
  }
  if (type.is_nested()) {
    append_value_text(out, type, reader);
    return;
  }
  const ScalarValue value = reader.read_scalar(type);
  const std::string text = *value_text(value.column(), 0);
  if (quotes && needs_quotes(text)) {
    append_quoted(out, text);
  } else {
    out += text;
  }
}

void append_value_text(std::string& out, const Type& type, NestedReader& reader) {
  const auto& fields = type.fields();
  if (type.kind == TypeKind::kStruct) {
    const bool named = !fields.front().name.empty();
    out.push_back(named ? '{' : '(');
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i != 0) out += ", ";
      if (named) {
        append_quoted(out, fields[i].name);
        out += ": ";
      }
      append_element_text(out, fields[i].type, reader);
    }
    out.push_back(named ? '}' : ')');
    return;
  }
  const bool map = type.kind == TypeKind::kMap;
  const std::size_t count = reader.read_count();
  out.push_back(map ? '{' : '[');
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    if (i != 0) out += ", ";
    // DuckDB casts a list of JSON by a function of its own, which adds no quotes.
    append_element_text(out, fields[0].type, reader, map || fields[0].type.kind != TypeKind::kJson);
    if (!map) continue;
    out.push_back('=');
    append_element_text(out, fields[1].type, reader);
  }
  out.push_back(map ? '}' : ']');
}

void append_value_json(std::string& out, const Type& type, NestedReader& reader);

void append_element_json(std::string& out, const Type& type, NestedReader& reader) {
  if (reader.is_null()) {
    out += "null";
  } else if (type.is_nested()) {
    append_value_json(out, type, reader);
  } else {
    append_json(out, reader.read_scalar(type).column(), 0);
  }
}

void append_value_json(std::string& out, const Type& type, NestedReader& reader) {
  const auto& fields = type.fields();
  if (type.kind == TypeKind::kStruct) {
    const bool named = !fields.front().name.empty();
    out.push_back(named ? '{' : '[');
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i != 0) out.push_back(',');
      if (named) {
        append_json_string(out, fields[i].name);
        out.push_back(':');
      }
      append_element_json(out, fields[i].type, reader);
    }
    out.push_back(named ? '}' : ']');
    return;
  }
  const bool map = type.kind == TypeKind::kMap;
  const std::size_t count = reader.read_count();
  out.push_back(map ? '{' : '[');
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    if (i != 0) out.push_back(',');
    if (map) {
      std::string key;
      append_element_text(key, fields[0].type, reader, false);
      append_json_string(out, key);
      out.push_back(':');
    }
    append_element_json(out, fields[map ? 1 : 0].type, reader);
  }
  out.push_back(map ? '}' : ']');
}

}  // namespace

void append_element(std::string& out, const ColumnView& column, std::size_t row) {
  if (!column.valid(row)) {
    append_null_element(out);
    return;
  }
  out.push_back('\1');
  if (column.type.is_string()) {
    const std::string_view bytes = column.as<StringRef>()[row].view();
    if (!column.type.is_nested()) append_count(out, bytes.size());
    out += bytes;
    return;
  }
  const std::size_t width = size_bytes(column.type.physical());
  out.append(static_cast<const char*>(column.data) + row * width, width);
}

std::size_t NestedReader::read_count() {
  const std::uint64_t count = reader_.get_varint();
  if (count <= reader_.remaining()) return count;
  turn_bad();
  return 0;
}

bool NestedReader::is_null() {
  const auto byte = reader_.get<std::uint8_t>();
  if (byte > 1) turn_bad();
  return byte != 1;
}

ScalarValue NestedReader::read_scalar(const Type& type) {
  ScalarValue value(type);
  if (type.is_string()) {
    const StringRef text(reader_.get_string());
    std::memcpy(value.bytes_.data(), &text, sizeof(text));
    return value;
  }
  const std::string_view bytes = reader_.get_bytes(size_bytes(type.physical()));
  // A bool that is neither 0 nor 1 is undefined behaviour for whoever reads it.
  if (type.kind == TypeKind::kBoolean && !bytes.empty() && (bytes[0] & ~1) != 0) {
    turn_bad();
    return value;
  }
  if (!bytes.empty()) std::memcpy(value.bytes_.data(), bytes.data(), bytes.size());
  return value;
}

void NestedReader::skip_value(const Type& type) {
  const auto& fields = type.fields();
  const auto skip_element = [&](const Type& element, bool may_be_null) {
    if (is_null()) {
      if (!may_be_null) turn_bad();
    } else {
      skip_value(element);
    }
  };
  switch (type.kind) {
    case TypeKind::kStruct:
      for (const Type::Field& field : fields) skip_element(field.type, true);
      return;
    case TypeKind::kList:
      for (std::size_t left = read_count(); left > 0 && ok(); --left)
        skip_element(fields[0].type, true);
      return;
    case TypeKind::kMap:
      for (std::size_t left = read_count(); left > 0 && ok(); --left) {
        skip_element(fields[0].type, false);
        skip_element(fields[1].type, true);
      }
      return;
    default:
      (void)read_scalar(type);
  }
}

bool is_nested_value(const Type& type, std::string_view bytes) {
  NestedReader reader(bytes);
  reader.skip_value(type);
  return reader.at_end();
}

void append_nested_text(std::string& out, const Type& type, std::string_view bytes) {
  NestedReader reader(bytes);
  append_value_text(out, type, reader);
}

void append_nested_json(std::string& out, const Type& type, std::string_view bytes) {
  NestedReader reader(bytes);
  append_value_json(out, type, reader);
}

}  // namespace millrace
