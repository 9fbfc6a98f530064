#include "model/type_codec.h"

namespace millrace {
namespace {

Type bad(ByteReader& reader) {
  (void)reader.get_bytes(reader.remaining() + 1);
  return {};
}

bool fits(const Type& type) {
  if (type.kind != TypeKind::kDecimal) return type.width == 0 && type.scale == 0;
  return type.width >= 1 && type.width <= 38 && type.scale <= type.width;
}

Type read_at_depth(ByteReader& reader, std::size_t depth) {
  const auto kind = reader.get<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(kLastTypeKind) || depth > kTypeDepthMax) return bad(reader);
  Type type{.kind = static_cast<TypeKind>(kind)};
  type.width = reader.get<std::uint8_t>();
  type.scale = reader.get<std::uint8_t>();
  if (!fits(type)) return bad(reader);
  switch (type.kind) {
    case TypeKind::kList:
      return Type::list(read_at_depth(reader, depth + 1));
    case TypeKind::kMap: {
      Type key = read_at_depth(reader, depth + 1);
      return Type::map(std::move(key), read_at_depth(reader, depth + 1));
    }
    case TypeKind::kStruct: {
      const std::uint64_t count = reader.get_varint();
      // Each field takes a byte at least.
      if (count == 0 || count > reader.remaining()) return bad(reader);
      std::vector<Type::Field> fields;
      for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
        std::string name(reader.get_string());
        fields.push_back({.name = std::move(name), .type = read_at_depth(reader, depth + 1)});
      }
      if (!reader.ok()) return {};
      return Type::structure(std::move(fields));
    }
    default:
      return type;
  }
}

}  // namespace

void append_type(std::string& out, const Type& type) {
  ByteWriter writer(out);
  writer.put<std::uint8_t>(static_cast<std::uint8_t>(type.kind));
  writer.put<std::uint8_t>(type.width);
  writer.put<std::uint8_t>(type.scale);
  if (type.kind == TypeKind::kStruct) writer.put_varint(type.fields().size());
  for (const Type::Field& field : type.fields()) {
    if (type.kind == TypeKind::kStruct) writer.put_string(field.name);
    append_type(out, field.type);
  }
}

Type read_type(ByteReader& reader) { return read_at_depth(reader, 0); }

}  // namespace millrace
