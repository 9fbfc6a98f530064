#include "format/avro_schema.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

namespace millrace::format {

namespace json = boost::json;
using Kind = AvroNode::Kind;
using Logical = AvroNode::Logical;

namespace {

constexpr std::string_view kKindNames[] = {"null",   "boolean", "int",    "long",   "float",
                                           "double", "bytes",   "string", "record", "enum",
                                           "array",  "map",     "union",  "fixed"};
constexpr std::size_t kPrimitives = 8;

std::optional<Kind> primitive_named(std::string_view name) {
  for (std::size_t i = 0; i < kPrimitives; ++i) {
    if (kKindNames[i] == name) return static_cast<Kind>(i);
  }
  return std::nullopt;
}

bool is_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (name.empty() || !letter(name.front())) return false;
  return std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_full_name(std::string_view name) {
  for (;;) {
    const auto dot = name.find('.');
    if (!is_name(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

std::string_view text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

std::unexpected<Error> bad(std::string_view path, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadPayload, "the Avro schema{}{}: {}",
              path.empty() ? "" : " at ", path, why);
}

}  // namespace

std::string_view name_of(Kind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

class AvroSchemaParser {
 public:
  explicit AvroSchemaParser(AvroSchema& out) : out_(out) {}

  Result<std::uint32_t> parse(const json::value& value, const std::string& space,
                              const std::string& path, std::size_t depth) {
    if (depth > AvroSchema::kDepthMax) return bad(path, "types are nested too deep");
    if (out_.nodes_.size() >= AvroSchema::kNodesMax) return bad(path, "it has too many types");
    if (value.is_string()) return named(std::string_view(value.get_string()), space, path);
    if (value.is_array()) return parse_union(value.get_array(), space, path, depth);
    if (!value.is_object()) return bad(path, "a type is a name, an object or an array");
    const auto& object = value.get_object();
    const auto* type = object.if_contains("type");
    if (type == nullptr) return bad(path, "an object without \"type\"");
    if (!type->is_string()) return parse(*type, space, path, depth + 1);
    const auto word = std::string_view(type->get_string());
    if (const auto primitive = primitive_named(word)) {
      AvroNode node;
      node.kind = *primitive;
      set_logical(node, object);
      return add(std::move(node));
    }
    if (word == "array" || word == "map") {
      const auto* inner = object.if_contains(word == "array" ? "items" : "values");
      if (inner == nullptr) return bad(path, "it has no type of its elements");
      AvroNode node;
      node.kind = word == "array" ? Kind::kArray : Kind::kMap;
      MR_TRY(const auto child, parse(*inner, space, path + "[]", depth + 1));
      node.children.push_back(child);
      return add(std::move(node));
    }
    if (word == "record" || word == "error") return parse_record(object, space, path, depth);
    if (word == "enum") return parse_enum(object, space, path);
    if (word == "fixed") return parse_fixed(object, space, path);
    return named(word, space, path);
  }

 private:
  std::uint32_t add(AvroNode node) {
    out_.nodes_.push_back(std::move(node));
    return static_cast<std::uint32_t>(out_.nodes_.size() - 1);
  }

  Result<std::uint32_t> named(std::string_view name, const std::string& space,
                              const std::string& path) {
    if (const auto primitive = primitive_named(name)) {
      AvroNode node;
      node.kind = *primitive;
      return add(std::move(node));
    }
    const auto known = names_.find(full_name(name, space));
    if (known == names_.end())
      return bad(path, fmt::format("there is no type \"{}\"", name.substr(0, 200)));
    return known->second;
  }

  static std::string full_name(std::string_view name, const std::string& space) {
    if (name.find('.') != std::string_view::npos || space.empty()) return std::string(name);
    return space + "." + std::string(name);
  }

  /// Gives the node its name, and the namespace for what lies inside of it.
  Result<std::string> set_name(AvroNode& node, const json::object& object, const std::string& space,
                               const std::string& path) {
    const auto name = text_of(object.if_contains("name"));
    if (!is_full_name(name)) return bad(path, "its name is missing or not allowed");
    std::string inner = space;
    if (const auto* own = object.if_contains("namespace"); own != nullptr && own->is_string())
      inner = std::string(own->get_string());
    if (const auto dot = name.rfind('.'); dot != std::string_view::npos)
      inner = std::string(name.substr(0, dot));
    node.name = full_name(name, inner);
    if (const auto* aliases = object.if_contains("aliases");
        aliases != nullptr && aliases->is_array()) {
      for (const auto& alias : aliases->get_array())
        node.aliases.push_back(full_name(text_of(&alias), inner));
    }
    if (names_.contains(node.name))
      return bad(path, fmt::format("the name {} is given twice", node.name));
    return inner;
  }

  Result<std::uint32_t> parse_record(const json::object& object, const std::string& space,
                                     const std::string& path, std::size_t depth) {
    AvroNode node;
    node.kind = Kind::kRecord;
    MR_TRY(const auto inner, set_name(node, object, space, path));
    const auto* fields = object.if_contains("fields");
    if (fields == nullptr || !fields->is_array()) return bad(path, "a record without \"fields\"");
    const std::string name = node.name;
    const auto index = add(std::move(node));
    names_[name] = index;
    std::set<std::string> seen;
    std::vector<AvroNode::Field> made;
    for (const auto& entry : fields->get_array()) {
      if (!entry.is_object()) return bad(path, "a field that is no object");
      const auto& field = entry.get_object();
      AvroNode::Field out;
      out.name = std::string(text_of(field.if_contains("name")));
      const std::string here = path.empty() ? out.name : path + "." + out.name;
      if (!is_name(out.name)) return bad(path, "a field whose name is missing or not allowed");
      if (!seen.insert(out.name).second) return bad(here, "the field is there twice");
      const auto* type = field.if_contains("type");
      if (type == nullptr) return bad(here, "the field has no type");
      MR_TRY(out.type, parse(*type, inner, here, depth + 1));
      out.has_default = field.contains("default");
      if (const auto* aliases = field.if_contains("aliases");
          aliases != nullptr && aliases->is_array()) {
        for (const auto& alias : aliases->get_array()) out.aliases.emplace_back(text_of(&alias));
      }
      made.push_back(std::move(out));
    }
    out_.nodes_[index].fields = std::move(made);
    return index;
  }

  Result<std::uint32_t> parse_enum(const json::object& object, const std::string& space,
                                   const std::string& path) {
    AvroNode node;
    node.kind = Kind::kEnum;
    MR_TRY(const auto inner, set_name(node, object, space, path));
    const auto* symbols = object.if_contains("symbols");
    if (symbols == nullptr || !symbols->is_array()) return bad(path, "an enum without \"symbols\"");
    std::set<std::string_view> seen;
    for (const auto& symbol : symbols->get_array()) {
      if (!is_name(text_of(&symbol)) || !seen.insert(text_of(&symbol)).second)
        return bad(path, "a symbol that is not allowed, or there twice");
      node.symbols.emplace_back(text_of(&symbol));
    }
    if (const auto* fallback = object.if_contains("default")) {
      if (!seen.contains(text_of(fallback))) return bad(path, "its default is none of its symbols");
      node.fallback = std::string(text_of(fallback));
    }
    const std::string name = node.name;
    return names_[name] = add(std::move(node));
  }

  Result<std::uint32_t> parse_fixed(const json::object& object, const std::string& space,
                                    const std::string& path) {
    AvroNode node;
    node.kind = Kind::kFixed;
    MR_TRY(const auto inner, set_name(node, object, space, path));
    const auto* size = object.if_contains("size");
    if (size == nullptr || !size->is_int64() || size->get_int64() < 0 ||
        size->get_int64() > (1 << 20))
      return bad(path, "its size is missing or not allowed");
    node.size = static_cast<std::uint32_t>(size->get_int64());
    set_logical(node, object);
    const std::string name = node.name;
    return names_[name] = add(std::move(node));
  }

  Result<std::uint32_t> parse_union(const json::array& branches, const std::string& space,
                                    const std::string& path, std::size_t depth) {
    AvroNode node;
    node.kind = Kind::kUnion;
    std::set<std::string> seen;
    for (const auto& branch : branches) {
      MR_TRY(const auto child, parse(branch, space, path, depth + 1));
      const AvroNode& type = out_.nodes_[child];
      if (type.kind == Kind::kUnion) return bad(path, "a union directly in a union");
      if (!seen.insert(type.name.empty() ? std::string(name_of(type.kind)) : type.name).second)
        return bad(path, "a union with the same type twice");
      node.children.push_back(child);
    }
    if (node.children.empty()) return bad(path, "a union of nothing");
    return add(std::move(node));
  }

  /// What does not fit its type is not there, as the specification wants it.
  static void set_logical(AvroNode& node, const json::object& object) {
    const auto word = text_of(object.if_contains("logicalType"));
    const auto is = [&](std::string_view name, Kind kind, Logical logical) {
      if (word == name && node.kind == kind) node.logical = logical;
    };
    is("uuid", Kind::kString, Logical::kUuid);
    is("date", Kind::kInt, Logical::kDate);
    is("time-millis", Kind::kInt, Logical::kTimeMillis);
    is("time-micros", Kind::kLong, Logical::kTimeMicros);
    is("timestamp-millis", Kind::kLong, Logical::kTimestampMillis);
    is("timestamp-micros", Kind::kLong, Logical::kTimestampMicros);
    is("timestamp-nanos", Kind::kLong, Logical::kTimestampNanos);
    is("local-timestamp-millis", Kind::kLong, Logical::kTimestampMillis);
    is("local-timestamp-micros", Kind::kLong, Logical::kTimestampMicros);
    is("local-timestamp-nanos", Kind::kLong, Logical::kTimestampNanos);
    if (word == "uuid" && node.kind == Kind::kFixed && node.size == 16)
      node.logical = Logical::kUuid;
    if (word != "decimal" || (node.kind != Kind::kBytes && node.kind != Kind::kFixed)) return;
    const auto* scale = object.if_contains("scale");
    const std::int64_t digits = scale != nullptr && scale->is_int64() ? scale->get_int64() : 0;
    if (digits < 0 || digits > 38) return;
    node.logical = Logical::kDecimal;
    node.scale = static_cast<std::uint8_t>(digits);
  }

  AvroSchema& out_;
  std::map<std::string, std::uint32_t> names_;
};

Result<AvroSchema> AvroSchema::parse(std::string_view text) {
  if (text.size() > kBytesMax) return bad("", "it is too large");
  boost::system::error_code failed;
  json::parse_options options;
  options.max_depth = 2 * kDepthMax;
  const auto document = json::parse(text, failed, {}, options);
  if (failed) return bad("", "it is not JSON: " + failed.message());
  AvroSchema out;
  out.text_ = std::string(text);
  MR_TRY(out.root_, AvroSchemaParser(out).parse(document, "", "", 0));
  return out;
}

namespace {

class ReadCheck {
 public:
  ReadCheck(const AvroSchema& reader, const AvroSchema& writer)
      : reader_(reader), writer_(writer) {}

  std::vector<std::string> run() {
    check(reader_.root_index(), writer_.root_index(), "/", faults_);
    return std::move(faults_);
  }

 private:
  using Faults = std::vector<std::string>;
  static constexpr std::size_t kDepthMax = 200;
  static constexpr std::size_t kStepsMax = 100'000;
  struct Deeper {
    explicit Deeper(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Deeper() { --depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    std::size_t& depth_;
  };
  static constexpr std::size_t kFaultsMax = 20;

  void check(std::uint32_t reader_index, std::uint32_t writer_index, const std::string& path,
             Faults& faults) {
    // What is being looked at further up is taken to fit: records may hold themselves.
    if (!seen_.insert({reader_index, writer_index}).second || faults.size() >= kFaultsMax) return;
    const Deeper deeper(depth_);
    if (depth_ > kDepthMax || ++steps_ > kStepsMax) {
      faults.push_back(fmt::format("{}: the schemas are too complex to be compared", path));
      return;
    }
    const AvroNode& reader = reader_.node(reader_index);
    const AvroNode& writer = writer_.node(writer_index);
    if (writer.kind == Kind::kUnion) {
      for (const auto branch : writer.children) check(reader_index, branch, path, faults);
      return;
    }
    if (reader.kind == Kind::kUnion) {
      for (const auto branch : reader.children) {
        Faults here;
        const auto before = seen_;
        check(branch, writer_index, path, here);
        if (here.empty()) return;
        seen_ = before;
      }
      faults.push_back(
          fmt::format("{}: no branch of the union reads {}", path, name_of(writer.kind)));
      return;
    }
    if (reader.kind != writer.kind) {
      if (!is_promoted(writer.kind, reader.kind)) {
        faults.push_back(fmt::format("{}: {} cannot be read as {}", path, name_of(writer.kind),
                                     name_of(reader.kind)));
      }
      return;
    }
    check_same_kind(reader, writer, path, faults);
  }

  static bool is_promoted(Kind from, Kind to) {
    switch (from) {
      case Kind::kInt:
        return to == Kind::kLong || to == Kind::kFloat || to == Kind::kDouble;
      case Kind::kLong:
        return to == Kind::kFloat || to == Kind::kDouble;
      case Kind::kFloat:
        return to == Kind::kDouble;
      case Kind::kString:
        return to == Kind::kBytes;
      case Kind::kBytes:
        return to == Kind::kString;
      default:
        return false;
    }
  }

  static std::string_view short_name(std::string_view name) {
    return name.substr(name.rfind('.') + 1);
  }

  void check_same_kind(const AvroNode& reader, const AvroNode& writer, const std::string& path,
                       Faults& faults) {
    switch (reader.kind) {
      case Kind::kArray:
      case Kind::kMap:
        check(reader.children[0], writer.children[0], path + "[]", faults);
        return;
      case Kind::kRecord:
      case Kind::kEnum:
      case Kind::kFixed:
        break;
      default:
        return;
    }
    if (short_name(reader.name) != short_name(writer.name) &&
        std::ranges::find(reader.aliases, writer.name) == reader.aliases.end()) {
      faults.push_back(
          fmt::format("{}: the name is {}, data has {}", path, reader.name, writer.name));
      return;
    }
    if (reader.kind == Kind::kFixed && reader.size != writer.size)
      faults.push_back(fmt::format("{}: {} bytes, data has {}", path, reader.size, writer.size));
    if (reader.kind == Kind::kEnum && !reader.fallback) {
      for (const auto& symbol : writer.symbols) {
        if (std::ranges::find(reader.symbols, symbol) == reader.symbols.end())
          faults.push_back(fmt::format("{}: the symbol {} is not there", path, symbol));
      }
    }
    for (const auto& field : reader.fields) {
      const auto written = std::ranges::find_if(writer.fields, [&](const AvroNode::Field& other) {
        return other.name == field.name ||
               std::ranges::find(field.aliases, other.name) != field.aliases.end();
      });
      const std::string here = path + (path.ends_with('/') ? "" : ".") + field.name;
      if (written != writer.fields.end()) {
        check(field.type, written->type, here, faults);
      } else if (!field.has_default) {
        faults.push_back(
            fmt::format("{}: data need not have the field, and it has no default", here));
      }
    }
  }

  const AvroSchema& reader_;
  const AvroSchema& writer_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen_;
  Faults faults_;
  std::size_t depth_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace

std::vector<std::string> avro_read_faults(const AvroSchema& reader, const AvroSchema& writer) {
  return ReadCheck(reader, writer).run();
}

}  // namespace millrace::format
