#include "model/type.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/check.h"

namespace millrace {

class TypeFields {
 public:
  explicit TypeFields(std::vector<Type::Field> of) : fields(std::move(of)) {}
  const std::vector<Type::Field> fields;
  std::atomic<std::uint32_t> owners = 1;
};

void NestedTypes::retain() const { fields_->owners.fetch_add(1, std::memory_order_relaxed); }

void NestedTypes::release() {
  if (fields_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete fields_;
}

bool NestedTypes::operator==(const NestedTypes& other) const {
  if (fields_ == other.fields_) return true;
  return fields_ != nullptr && other.fields_ != nullptr && fields_->fields == other.fields_->fields;
}

Type Type::list(Type element) {
  Type type{.kind = TypeKind::kList};
  type.nested.fields_ = new TypeFields({{.name = {}, .type = std::move(element)}});
  return type;
}

Type Type::map(Type key, Type value) {
  Type type{.kind = TypeKind::kMap};
  type.nested.fields_ = new TypeFields(
      {{.name = "key", .type = std::move(key)}, {.name = "value", .type = std::move(value)}});
  return type;
}

Type Type::structure(std::vector<Field> fields) {
  MR_CHECK(!fields.empty(), "a STRUCT without fields");
  Type type{.kind = TypeKind::kStruct};
  type.nested.fields_ = new TypeFields(std::move(fields));
  return type;
}

const Type& Type::element() const {
  MR_CHECK(kind == TypeKind::kList, "{} has no element", sql());
  return fields().front().type;
}

const std::vector<Type::Field>& Type::fields() const {
  static const std::vector<Field> kNone;
  return nested.fields_ == nullptr ? kNone : nested.fields_->fields;
}

PhysicalType Type::physical() const {
  switch (kind) {
    case TypeKind::kBoolean:
      return PhysicalType::kBool;
    case TypeKind::kTinyInt:
      return PhysicalType::kInt8;
    case TypeKind::kSmallInt:
      return PhysicalType::kInt16;
    case TypeKind::kInteger:
      return PhysicalType::kInt32;
    case TypeKind::kBigInt:
      return PhysicalType::kInt64;
    case TypeKind::kHugeInt:
      return PhysicalType::kInt128;
    case TypeKind::kUTinyInt:
      return PhysicalType::kUInt8;
    case TypeKind::kUSmallInt:
      return PhysicalType::kUInt16;
    case TypeKind::kUInteger:
      return PhysicalType::kUInt32;
    case TypeKind::kUBigInt:
      return PhysicalType::kUInt64;
    case TypeKind::kFloat:
      return PhysicalType::kFloat;
    case TypeKind::kDouble:
      return PhysicalType::kDouble;
    case TypeKind::kDecimal:
      return width <= 4    ? PhysicalType::kInt16
             : width <= 9  ? PhysicalType::kInt32
             : width <= 18 ? PhysicalType::kInt64
                           : PhysicalType::kInt128;
    case TypeKind::kVarchar:
    case TypeKind::kBlob:
    case TypeKind::kJson:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      return PhysicalType::kString;
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
    case TypeKind::kTime:
      return PhysicalType::kInt64;
    case TypeKind::kDate:
      return PhysicalType::kInt32;
    case TypeKind::kUuid:
    case TypeKind::kInterval:
      return PhysicalType::kInt128;
  }
  return PhysicalType::kString;
}

namespace {

/// The words that a field of a STRUCT cannot have as its name without quotes: DuckDB's keywords of
/// the kinds reserved and type_function.
constexpr std::string_view kQuotedWords =
    " all analyse analyze and anti any array as asc asof asymmetric at authorization "
    "binary both by case cast check collate collation column columns concurrently "
    "constraint create cross default deferrable desc describe distinct do else end "
    "except false fetch for foreign freeze from full generated glob group having ilike "
    "in initially inner intersect into is isnull join lambda lateral leading left like "
    "limit map natural not notnull null offset on only or order outer overlaps pivot "
    "pivot_longer pivot_wider placing positional primary qualify references returning "
    "right select semi show similar some struct summarize symmetric table tablesample "
    "then to trailing true try_cast union unique unpack unpivot using variadic verbose "
    "when where window with ";

std::string field_name_text(std::string_view name) {
  bool plain = !name.empty();
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    plain = plain && (letter || (i != 0 && c >= '0' && c <= '9'));
  }
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  if (plain && !kQuotedWords.contains(" " + lower + " ")) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

std::string struct_text(const std::vector<Type::Field>& fields) {
  std::string out = "STRUCT(";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i != 0) out += ", ";
    if (!fields.front().name.empty()) out += field_name_text(fields[i].name) + " ";
    out += fields[i].type.sql();
  }
  return out + ")";
}

}  // namespace

std::string Type::sql() const {
  switch (kind) {
    case TypeKind::kBoolean:
      return "BOOLEAN";
    case TypeKind::kTinyInt:
      return "TINYINT";
    case TypeKind::kSmallInt:
      return "SMALLINT";
    case TypeKind::kInteger:
      return "INTEGER";
    case TypeKind::kBigInt:
      return "BIGINT";
    case TypeKind::kHugeInt:
      return "HUGEINT";
    case TypeKind::kUTinyInt:
      return "UTINYINT";
    case TypeKind::kUSmallInt:
      return "USMALLINT";
    case TypeKind::kUInteger:
      return "UINTEGER";
    case TypeKind::kUBigInt:
      return "UBIGINT";
    case TypeKind::kFloat:
      return "FLOAT";
    case TypeKind::kDouble:
      return "DOUBLE";
    case TypeKind::kDecimal:
      return fmt::format("DECIMAL({},{})", width, scale);
    case TypeKind::kVarchar:
      return "VARCHAR";
    case TypeKind::kBlob:
      return "BLOB";
    case TypeKind::kTimestamp:
      return "TIMESTAMP";
    case TypeKind::kTimestampTz:
      return "TIMESTAMP WITH TIME ZONE";
    case TypeKind::kDate:
      return "DATE";
    case TypeKind::kUuid:
      return "UUID";
    case TypeKind::kJson:
      return "JSON";
    case TypeKind::kInterval:
      return "INTERVAL";
    case TypeKind::kTime:
      return "TIME";
    case TypeKind::kList:
      return element().sql() + "[]";
    case TypeKind::kStruct:
      return struct_text(fields());
    case TypeKind::kMap:
      return fmt::format("MAP({}, {})", fields()[0].type.sql(), fields()[1].type.sql());
  }
  return "VARCHAR";
}

namespace {

struct Spelling {
  std::string_view text;
  TypeKind kind;
};

constexpr auto kSpellings = std::to_array<Spelling>({
    {"BOOLEAN", TypeKind::kBoolean},
    {"BOOL", TypeKind::kBoolean},
    {"LOGICAL", TypeKind::kBoolean},
    {"TINYINT", TypeKind::kTinyInt},
    {"INT1", TypeKind::kTinyInt},
    {"SMALLINT", TypeKind::kSmallInt},
    {"INT2", TypeKind::kSmallInt},
    {"SHORT", TypeKind::kSmallInt},
    {"INTEGER", TypeKind::kInteger},
    {"INT", TypeKind::kInteger},
    {"INT4", TypeKind::kInteger},
    {"SIGNED", TypeKind::kInteger},
    {"BIGINT", TypeKind::kBigInt},
    {"INT8", TypeKind::kBigInt},
    {"LONG", TypeKind::kBigInt},
    {"HUGEINT", TypeKind::kHugeInt},
    {"INT128", TypeKind::kHugeInt},
    {"UTINYINT", TypeKind::kUTinyInt},
    {"USMALLINT", TypeKind::kUSmallInt},
    {"UINTEGER", TypeKind::kUInteger},
    {"UBIGINT", TypeKind::kUBigInt},
    {"FLOAT", TypeKind::kFloat},
    {"FLOAT4", TypeKind::kFloat},
    {"REAL", TypeKind::kFloat},
    {"DOUBLE", TypeKind::kDouble},
    {"DOUBLE PRECISION", TypeKind::kDouble},
    {"FLOAT8", TypeKind::kDouble},
    {"VARCHAR", TypeKind::kVarchar},
    {"TEXT", TypeKind::kVarchar},
    {"STRING", TypeKind::kVarchar},
    {"CHAR", TypeKind::kVarchar},
    {"BPCHAR", TypeKind::kVarchar},
    {"BLOB", TypeKind::kBlob},
    {"BYTEA", TypeKind::kBlob},
    {"VARBINARY", TypeKind::kBlob},
    {"BINARY", TypeKind::kBlob},
    {"TIMESTAMP", TypeKind::kTimestamp},
    {"DATETIME", TypeKind::kTimestamp},
    {"TIMESTAMP WITHOUT TIME ZONE", TypeKind::kTimestamp},
    {"TIMESTAMPTZ", TypeKind::kTimestampTz},
    {"TIMESTAMP WITH TIME ZONE", TypeKind::kTimestampTz},
    {"DATE", TypeKind::kDate},
    {"UUID", TypeKind::kUuid},
    {"JSON", TypeKind::kJson},
    {"INTERVAL", TypeKind::kInterval},
    {"TIME", TypeKind::kTime},
    {"TIME WITHOUT TIME ZONE", TypeKind::kTime},
});

/// Upper case, runs of blanks made one, none at the ends or before brackets.
std::string normalized(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
    } else {
      if ((c == '(' || c == ',' || c == ')') && !out.empty() && out.back() == ' ') out.pop_back();
      out.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

Result<std::uint8_t> small_number(std::string_view text, std::string_view whole) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::uint8_t number = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || stop != text.data() + text.size()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                "type {}: '{}' is not a number from 0 to 38", whole, text);
  }
  return number;
}

Result<Type> parse_plain(std::string_view text) {
  const std::string upper = normalized(text);
  const auto bracket = upper.find('(');
  const std::string_view head = std::string_view(upper).substr(0, bracket);
  if (head == "DECIMAL" || head == "NUMERIC" || head == "DEC") {
    Type type{.kind = TypeKind::kDecimal, .width = 18, .scale = 3};
    if (bracket != std::string::npos) {
      if (upper.back() != ')') {
        return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                    "type {}: the bracket is not closed", text);
      }
      const std::string_view inner =
          std::string_view(upper).substr(bracket + 1, upper.size() - bracket - 2);
      const auto comma = inner.find(',');
      MR_TRY(type.width, small_number(inner.substr(0, comma), text));
      type.scale = 0;
      if (comma != std::string_view::npos) {
        MR_TRY(type.scale, small_number(inner.substr(comma + 1), text));
      }
    }
    if (type.width < 1 || type.width > 38 || type.scale > type.width) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                  "type {}: DECIMAL(width, scale) has a width of 1 to 38 and a scale of 0 to width",
                  text);
    }
    return type;
  }
  // VARCHAR(20) is VARCHAR: as in DuckDB, the length says nothing.
  const bool length_ignored =
      head == "VARCHAR" || head == "CHAR" || head == "TEXT" || head == "STRING";
  const std::string_view wanted = length_ignored ? head : std::string_view(upper);
  const auto* const found = std::ranges::find(kSpellings, wanted, &Spelling::text);
  if (found == kSpellings.end()) {
    return std::unexpected(Error{
        .code = ErrorCode::kInvalidArgument,
        .id = std::string(error_id::kBadType),
        .message = fmt::format("type {} is not a column type", text),
        .hint = "the types are BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT, "
                "UTINYINT, USMALLINT, "
                "UINTEGER, UBIGINT, FLOAT, DOUBLE, DECIMAL(w,s), VARCHAR, BLOB, TIMESTAMP, "
                "TIMESTAMP WITH TIME ZONE, DATE, TIME, INTERVAL, UUID, JSON, type[], STRUCT(name "
                "type, ...), MAP(type, type)",
        .place = {}});
  }
  return Type{.kind = found->kind, .width = 0, .scale = 0};
}

/// A recursive descent over the text of a type: what stands between brackets and commas goes to
/// parse_plain().
class TypeReader {
 public:
  explicit TypeReader(std::string_view text) : text_(text) {}

  Result<Type> whole() {
    MR_TRY(Type type, any_type(0));
    if (!at_end()) return broken("something follows the type");
    return type;
  }

 private:
  Result<Type> any_type(std::size_t depth) {
    if (depth > kTypeDepthMax) return broken("its types lie too deep in each other");
    skip_blanks();
    const std::size_t begin = at_;
    while (at_ < text_.size() && !std::string_view("(),[]").contains(text_[at_])) ++at_;
    const std::string head = normalized(text_.substr(begin, at_ - begin));
    std::optional<Type> type;
    if (head == "\"NULL\"" && (depth != 0 || here() == '[')) {
      // DuckDB's name of the type of NULLs that nothing else is known of; elsewhere it is INTEGER.
      type = Type{.kind = TypeKind::kInteger};
    } else if ((head == "STRUCT" || head == "ROW") && take('(')) {
      MR_TRY(type, struct_type(depth));
    } else if (head == "MAP" && take('(')) {
      MR_TRY(Type key, any_type(depth + 1));
      if (!take(',')) return broken("a MAP has two types");
      MR_TRY(Type value, any_type(depth + 1));
      if (!take(')')) return broken("the bracket is not closed");
      type = Type::map(std::move(key), std::move(value));
    } else {
      if (here() == '(') {
        while (at_ < text_.size() && text_[at_] != ')') ++at_;
        if (at_ < text_.size()) ++at_;
      }
      MR_TRY(type, parse_plain(text_.substr(begin, at_ - begin)));
    }
    for (std::size_t lists = depth + 1; take('['); ++lists) {
      if (lists > kTypeDepthMax) return broken("its types lie too deep in each other");
      skip_blanks();
      while (here() >= '0' && here() <= '9') ++at_;
      if (!take(']')) return broken("the bracket is not closed");
      type = Type::list(std::move(*type));
    }
    return std::move(*type);
  }

  /// Behind the bracket.
  Result<Type> struct_type(std::size_t depth) {
    std::vector<Type::Field> fields;
    do {
      MR_TRY(auto field, named_field(depth));
      fields.push_back(std::move(field));
      if (fields.front().name.empty() != fields.back().name.empty())
        return broken("a STRUCT has names for all of its fields or for none");
    } while (take(','));
    if (!take(')')) return broken("the bracket is not closed");
    return Type::structure(std::move(fields));
  }

  Result<Type::Field> named_field(std::size_t depth) {
    skip_blanks();
    const std::size_t begin = at_;
    Type::Field field;
    const bool quoted = here() == '"';
    if (quoted) {
      MR_TRY(field.name, quoted_name());
    } else {
      while (at_ < text_.size() && !std::string_view("(),[] \t\n").contains(text_[at_])) ++at_;
      field.name = text_.substr(begin, at_ - begin);
    }
    skip_blanks();
    const bool alone = at_end() || std::string_view("(),[]").contains(here());
    if (!alone) {
      auto type = any_type(depth + 1);
      if (type || quoted) {
        if (!type) return std::unexpected(std::move(type).error());
        field.type = std::move(*type);
        return field;
      }
    }
    // No name: the field of row(1, 2), whose type may have several words.
    at_ = begin;
    field.name.clear();
    MR_TRY(field.type, any_type(depth + 1));
    return field;
  }

  Result<std::string> quoted_name() {
    std::string name;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] != '"') {
        name.push_back(text_[at_]);
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        name.push_back('"');
        ++at_;
      } else {
        ++at_;
        return name;
      }
    }
    return broken("the quotes of a name are not closed");
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  [[nodiscard]] char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  bool take(char c) {
    skip_blanks();
    if (here() != c) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] std::unexpected<Error> broken(std::string_view why) const {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadType, "type {}: {}", text_, why);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Type> Type::parse(std::string_view text) { return TypeReader(text).whole(); }

std::size_t size_bytes(PhysicalType type) {
  switch (type) {
    case PhysicalType::kBool:
    case PhysicalType::kInt8:
    case PhysicalType::kUInt8:
      return 1;
    case PhysicalType::kInt16:
    case PhysicalType::kUInt16:
      return 2;
    case PhysicalType::kInt32:
    case PhysicalType::kUInt32:
    case PhysicalType::kFloat:
      return 4;
    case PhysicalType::kInt64:
    case PhysicalType::kUInt64:
    case PhysicalType::kDouble:
      return 8;
    case PhysicalType::kInt128:
    case PhysicalType::kString:
      return 16;
  }
  return 16;
}

}  // namespace millrace
