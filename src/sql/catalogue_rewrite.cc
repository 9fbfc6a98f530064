#include "sql/catalogue_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "base/ascii_case.h"
#include "sql/catalogue_functions.h"
#include "sql/tokens.h"

namespace millrace::sql {
namespace {

namespace json = boost::json;

/// Deeper trees are refused by the check.
constexpr std::size_t kDepthMax = 1000;

constexpr std::string_view kDatabase = "millrace";
constexpr auto kSchemas =
    std::to_array<std::string_view>({"pg_catalog", "information_schema", "public", "millrace"});
/// Orders of texts that are the engine's own.
constexpr auto kCollations = std::to_array<std::string_view>(
    {"default", "pg_catalog.default", "c", "pg_catalog.c", "posix", "pg_catalog.posix"});
/// Columns that every table of PostgreSQL has and ours do not.
constexpr auto kHiddenColumns =
    std::to_array<std::string_view>({"tableoid", "xmin", "xmax", "cmin", "cmax", "ctid"});
constexpr auto kIntegers =
    std::to_array<std::string_view>({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"});

struct TypeName {
  std::string_view postgres;
  std::string_view ours;
};
constexpr auto kTypes = std::to_array<TypeName>({{"name", "VARCHAR"},
                                                 {"sql_identifier", "VARCHAR"},
                                                 {"character_data", "VARCHAR"},
                                                 {"yes_or_no", "VARCHAR"},
                                                 {"pg_node_tree", "VARCHAR"},
                                                 {"inet", "VARCHAR"},
                                                 {"aclitem", "VARCHAR"},
                                                 {"cstring", "VARCHAR"},
                                                 {"unknown", "VARCHAR"},
                                                 {"cardinal_number", "INTEGER"},
                                                 {"xid", "BIGINT"},
                                                 {"cid", "BIGINT"}});
constexpr auto kListTypes = std::to_array<TypeName>({{"int2vector", "SMALLINT"},
                                                     {"oidvector", "BIGINT"},
                                                     {"_int2", "SMALLINT"},
                                                     {"_int4", "INTEGER"},
                                                     {"_int8", "BIGINT"},
                                                     {"_oid", "BIGINT"},
                                                     {"_text", "VARCHAR"},
                                                     {"_varchar", "VARCHAR"},
                                                     {"_name", "VARCHAR"},
                                                     {"_char", "VARCHAR"}});
/// Types whose values are OIDs that look like names.
constexpr auto kNameTypes =
    std::to_array<std::string_view>({"regclass", "regtype", "regnamespace", "regrole"});
constexpr auto kProcedureTypes =
    std::to_array<std::string_view>({"regproc", "regprocedure", "regoper", "regoperator"});

template <class Words>
bool is_one_of(const Words& words, std::string_view word) {
  return std::ranges::any_of(words, [&](const auto& one) { return same_name(one, word); });
}

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

json::object* object_at(json::object& object, std::string_view key) {
  json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

std::string_view class_of(const json::value& value) {
  const auto* object = value.if_object();
  return object == nullptr ? std::string_view() : text_of(*object, "class");
}

// --- nodes that the parser would make ---

json::object function_node(std::string_view name, json::array children) {
  return {{"class", "FUNCTION"},
          {"type", "FUNCTION"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"function_name", name},
          {"schema", ""},
          {"children", std::move(children)},
          {"filter", nullptr},
          {"order_bys", {{"type", "ORDER_MODIFIER"}, {"orders", json::array()}}},
          {"distinct", false},
          {"is_operator", false},
          {"export_state", false},
          {"catalog", ""}};
}

json::object text_node(std::string_view text) {
  return {{"class", "CONSTANT"},
          {"type", "VALUE_CONSTANT"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"value",
           {{"type", {{"id", "VARCHAR"}, {"type_info", nullptr}}},
            {"is_null", false},
            {"value", text}}}};
}

json::object null_number_node() {
  return {{"class", "CAST"},
          {"type", "OPERATOR_CAST"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"child",
           {{"class", "CONSTANT"},
            {"type", "VALUE_CONSTANT"},
            {"alias", ""},
            {"query_location", std::uint64_t{0}},
            {"value", {{"type", {{"id", "NULL"}, {"type_info", nullptr}}}, {"is_null", true}}}}},
          {"cast_type", {{"id", "BIGINT"}, {"type_info", nullptr}}},
          {"try_cast", false}};
}

json::object not_node(json::value child) {
  return {{"class", "OPERATOR"},
          {"type", "OPERATOR_NOT"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"children", json::array({std::move(child)})}};
}

json::object list_type(json::value element) {
  return {{"id", "LIST"},
          {"type_info",
           {{"type", "LIST_TYPE_INFO"},
            {"alias", ""},
            {"extension_info", nullptr},
            {"child_type", std::move(element)}}}};
}

/// The text of a constant that is one.
std::optional<std::string> constant_text(const json::value& value) {
  if (class_of(value) == "CAST") {
    const auto& cast = value.get_object();
    const auto* type = object_at(cast, "cast_type");
    if (type == nullptr || text_of(*type, "id") != "VARCHAR") return std::nullopt;
    return constant_text(cast.at("child"));
  }
  if (class_of(value) != "CONSTANT") return std::nullopt;
  const auto* constant = object_at(value.get_object(), "value");
  const json::value* text = constant == nullptr ? nullptr : constant->if_contains("value");
  if (text == nullptr || !text->is_string()) return std::nullopt;
  return std::string(text->get_string());
}

/// PostgreSQL's '{a,b}' as the engine's '[a,b]'; nothing where it is no such text.
std::optional<std::string> list_text(const json::value& value) {
  auto text = constant_text(value);
  if (!text || !text->starts_with('{') || !text->ends_with('}')) return std::nullopt;
  std::ranges::replace(*text, '{', '[');
  std::ranges::replace(*text, '}', ']');
  return text;
}

/// Puts another node into the place of one, under its alias.
void replace(json::value& node, json::object with) {
  with["alias"] = node.get_object().at("alias");
  node = std::move(with);
}

class Rewriter {
 public:
  CatalogueUse run(json::object& statement) {
    json::value* const node = statement.if_contains("node");
    if (node == nullptr) return {};
    tables(*node, 0);
    expressions(*node, 0);
    if (use_.postgres) customs(*node, 0);
    return std::move(use_);
  }

 private:
  template <class Visit>
  static void each_child(json::value& value, const Visit& visit) {
    if (auto* array = value.if_array()) {
      for (json::value& element : *array) visit(element);
    } else if (auto* object = value.if_object()) {
      for (auto& field : *object) visit(field.value());
    }
  }

  // --- the relations ---

  void tables(json::value& value, std::size_t depth) {
    if (depth > kDepthMax) return;
    each_child(value, [&](json::value& child) { tables(child, depth + 1); });
    auto* object = value.if_object();
    if (object == nullptr || object->contains("class")) return;
    const std::string_view type = text_of(*object, "type");
    if (type == "BASE_TABLE") base_table(*object);
    if (type == "TABLE_FUNCTION") table_function(value);
  }

  /// The schema that a name means, in lower case; empty where it is none of ours.
  static std::string schema_of(const json::object& object, std::string_view schema_key,
                               std::string_view catalog_key) {
    const std::string_view catalog = text_of(object, catalog_key);
    if (!catalog.empty() && !same_name(catalog, kDatabase)) return {};
    std::string schema = lower_name(text_of(object, schema_key));
    return is_one_of(kSchemas, schema) ? schema : std::string();
  }

  void base_table(json::object& table) {
    const std::string schema = schema_of(table, "schema_name", "catalog_name");
    if (schema.empty()) {
      reads_others_ = true;
      if (lower_name(text_of(table, "table_name")).starts_with("pg_")) use_.postgres = true;
      return;
    }
    const std::string name(text_of(table, "table_name"));
    const bool ours = schema == "public";
    if (text_of(table, "alias").empty()) {
      table["alias"] = name;
      without_alias_.emplace(lower_name(name), schema);
    }
    (ours ? reads_others_ : use_.postgres) = true;
    table["table_name"] = fmt::format("{}.{}", schema, ours ? name : lower_name(name));
    table["schema_name"] = "";
    table["catalog_name"] = "";
  }

  void table_function(json::value& value) {
    json::object& table = value.get_object();
    auto* called = object_at(table, "function");
    if (called == nullptr) return;
    take_schema(*called);
    const std::string name = lower_name(text_of(*called, "function_name"));
    const auto* function = find_catalogue_function(name);
    if (function == nullptr || !gives_rows(*function)) return;
    use_.postgres = true;
    const std::string macro = fmt::format("{}{}", kCataloguePrefix, name);
    use_.macros.insert(macro);
    (*called)["function_name"] = macro;
    if (text_of(table, "alias").empty()) table["alias"] = name;
  }

  // --- expressions ---

  void expressions(json::value& value, std::size_t depth) {
    if (depth > kDepthMax) return;
    each_child(value, [&](json::value& child) { expressions(child, depth + 1); });
    const std::string_view kind = class_of(value);
    if (kind == "FUNCTION" || kind == "WINDOW") function(value.get_object());
    if (kind == "COLUMN_REF") column(value);
    if (kind == "CAST") cast(value);
    if (kind == "COLLATE") collate(value);
  }

  void take_schema(json::object& object) {
    const std::string schema = schema_of(object, "schema", "catalog");
    if (schema != "pg_catalog" && schema != "information_schema") return;
    object["schema"] = "";
    object["catalog"] = "";
    use_.postgres = true;
  }

  void function(json::object& object) {
    take_schema(object);
    if (!text_of(object, "schema").empty()) return;
    const std::string name = lower_name(text_of(object, "function_name"));
    const auto* known = find_catalogue_function(name);
    if (known == nullptr || gives_rows(*known) || name.starts_with("mr_")) return;
    use_.postgres = true;
    const std::string macro = fmt::format("{}{}", kCataloguePrefix, name);
    use_.macros.insert(macro);
    object["function_name"] = macro;
  }

  void column(json::value& value) {
    auto* const names = value.get_object().at("column_names").if_array();
    if (names == nullptr || names->empty()) return;
    const auto name = [&](std::size_t i) { return std::string_view((*names)[i].get_string()); };
    if (names->size() == 1 && is_session_word(name(0))) {
      use_.macros.insert(lower_name(name(0)));
      return;
    }
    if (names->size() > 3 && same_name(name(0), kDatabase)) names->erase(names->begin());
    if (names->size() < 3) return;
    const auto found = without_alias_.find(lower_name(name(1)));
    if (found != without_alias_.end() && same_name(found->second, name(0)))
      names->erase(names->begin());
  }

  void collate(json::value& value) {
    json::object& object = value.get_object();
    if (!is_one_of(kCollations, text_of(object, "collation"))) return;
    json::value child = std::move(object.at("child"));
    if (child.is_object() && !text_of(object, "alias").empty())
      child.get_object()["alias"] = object.at("alias");
    value = std::move(child);
  }

  /// The name of a type that the engine does not know; empty for one that it knows.
  static std::string foreign_type(const json::object& type) {
    if (text_of(type, "id") != "UNBOUND") return {};
    const auto* info = object_at(type, "type_info");
    return info == nullptr ? std::string() : lower_name(text_of(*info, "name"));
  }

  void type(json::object& type) {
    if (text_of(type, "id") == "LIST") {
      auto* info = object_at(type, "type_info");
      auto* element = info == nullptr ? nullptr : object_at(*info, "child_type");
      if (element != nullptr) this->type(*element);
      return;
    }
    const std::string name = foreign_type(type);
    if (name.empty()) return;
    const auto plain = [](std::string_view id) {
      return json::object{{"id", id}, {"type_info", nullptr}};
    };
    if (is_one_of(kNameTypes, name) || is_one_of(kProcedureTypes, name)) {
      type = plain("VARCHAR");
    } else if (const auto* known = std::ranges::find(kTypes, name, &TypeName::postgres);
               known != kTypes.end()) {
      type = plain(known->ours);
    } else if (const auto* list = std::ranges::find(kListTypes, name, &TypeName::postgres);
               list != kListTypes.end()) {
      type = list_type(plain(list->ours));
    } else if (auto* info = object_at(type, "type_info"); info != nullptr) {
      if (name == "jsonb") (*info)["name"] = "json";
      (*info)["schema"] = "";
      return;
    }
    use_.postgres = true;
  }

  void call(json::value& value, std::string_view macro, json::value argument) {
    const std::string name = fmt::format("{}{}", kCataloguePrefix, macro);
    use_.macros.insert(name);
    use_.postgres = true;
    replace(value, function_node(name, json::array({std::move(argument)})));
  }

  /// 'flights'::regclass is the OID of a name, c.oid::regclass the name of an OID.
  void cast(json::value& value) {
    json::object& object = value.get_object();
    auto* const wanted = object_at(object, "cast_type");
    if (wanted == nullptr) return;
    const std::string name = foreign_type(*wanted);
    json::value& child = object.at("child");
    if (is_one_of(kNameTypes, name)) {
      const bool names = class_of(child) == "CONSTANT" || constant_text(child).has_value() ||
                         class_of(child) == "PARAMETER";
      json::value argument = std::move(child);
      call(value, fmt::format("mr_{}_{}", name, names ? "oid" : "name"), std::move(argument));
      return;
    }
    if (is_one_of(kProcedureTypes, name)) {
      json::value argument = std::move(child);
      call(value, "mr_regproc_name", std::move(argument));
      return;
    }
    // (x::regclass)::oid: the number, whatever x is.
    if (is_one_of(kIntegers, text_of(*wanted, "id")) && class_of(child) == "FUNCTION") {
      auto& inner = child.get_object();
      const std::string called(text_of(inner, "function_name"));
      if (called.starts_with("pg_catalog.mr_reg") && called.ends_with("_name")) {
        const std::string other = called.substr(0, called.size() - 4) + "oid";
        use_.macros.insert(other);
        inner["function_name"] = other;
      }
    }
    // ('flights'::regclass)::text: the name again.
    if (text_of(*wanted, "id") == "VARCHAR" && class_of(child) == "FUNCTION") {
      auto& inner = child.get_object();
      const std::string called(text_of(inner, "function_name"));
      if (called.starts_with("pg_catalog.mr_reg") && called.ends_with("_oid")) {
        const std::string other = called.substr(0, called.size() - 3) + "name";
        use_.macros.insert(other);
        json::value argument = std::move(child);
        child = function_node(other, json::array({std::move(argument)}));
      }
    }
    type(*wanted);
    if (text_of(*wanted, "id") == "LIST") {
      if (const auto list = list_text(child)) child = text_node(*list);
    }
  }

  // --- customs of PostgreSQL, in statements that are for it ---

  void customs(json::value& value, std::size_t depth) {
    if (depth > kDepthMax) return;
    if (auto* object = value.if_object(); object != nullptr && object->contains("select_list"))
      name_columns(*object);
    each_child(value, [&](json::value& child) { customs(child, depth + 1); });
    const std::string_view kind = class_of(value);
    if (kind == "FUNCTION") operator_of(value);
    if (kind == "COMPARISON") compare_lists(value.get_object());
    if (kind == "COLUMN_REF" && !reads_others_) hidden_column(value);
    auto* object = value.if_object();
    if (object != nullptr && text_of(*object, "type") == "TABLE_FUNCTION") name_rows(*object);
  }

  void hidden_column(json::value& value) {
    const auto* names = value.get_object().at("column_names").if_array();
    if (names != nullptr && !names->empty() &&
        is_one_of(kHiddenColumns, std::string_view(names->back().get_string()))) {
      replace(value, null_number_node());
    }
  }

  /// FROM generate_series(1, 3) i: the column is called i too.
  static void name_rows(json::object& table) {
    auto* columns = table.at("column_name_alias").if_array();
    const auto* called = object_at(table, "function");
    if (columns == nullptr || !columns->empty() || called == nullptr) return;
    if (text_of(table, "alias").empty() ||
        text_of(*called, "function_name").starts_with(kCataloguePrefix)) {
      return;
    }
    columns->push_back(table.at("alias"));
  }

  static bool is_integer(const json::value& value) {
    const auto* object = value.if_object();
    if (object == nullptr) return false;
    const auto* constant = object_at(*object, "value");
    const auto* type =
        constant != nullptr ? object_at(*constant, "type") : object_at(*object, "cast_type");
    return type != nullptr && is_one_of(kIntegers, text_of(*type, "id"));
  }

  static void operator_of(json::value& value) {
    json::object& object = value.get_object();
    const std::string name(text_of(object, "function_name"));
    auto* children = object.at("children").if_array();
    if (children == nullptr || children->size() != 2) return;
    if (name == "regexp_full_match") {
      object["function_name"] = "regexp_matches";
    } else if (name == "~*" || name == "!~*") {
      object["is_operator"] = false;
      object["function_name"] = "regexp_matches";
      children->push_back(text_node("i"));
      if (name == "!~*") {
        json::value negated = value;
        negated.get_object()["alias"] = "";
        replace(value, not_node(std::move(negated)));
      }
    } else if (name == "/" && is_integer((*children)[0]) && is_integer((*children)[1])) {
      object["function_name"] = "//";
    }
  }

  static void compare_lists(json::object& object) {
    for (const std::string_view side : {"left", "right"}) {
      const json::value* other = object.if_contains(side == "left" ? "right" : "left");
      if (other == nullptr || class_of(*other) != "COLUMN_REF") continue;
      if (const auto list = list_text(object.at(side))) object[side] = text_node(*list);
    }
  }

  /// What PostgreSQL calls a column without AS; empty: what the engine calls it too.
  static std::string column_name(const json::value& item) {
    const std::string_view kind = class_of(item);
    const json::object& object = item.get_object();
    if (kind == "COLUMN_REF" || kind == "STAR") return {};
    if (kind == "FUNCTION" || kind == "WINDOW") return function_name(object);
    if (kind == "CASE") return "case";
    if (kind == "CAST") return cast_name(object);
    if (kind == "SUBQUERY")
      return text_of(object, "subquery_type") == "EXISTS" ? "exists" : "?column?";
    if (kind == "OPERATOR") {
      const std::string_view type = text_of(object, "type");
      if (type == "OPERATOR_COALESCE") return "coalesce";
      if (type == "ARRAY_CONSTRUCTOR") return "array";
      if (type == "STRUCT_EXTRACT") {
        const auto field = constant_text(object.at("children").get_array().at(1));
        return field.value_or("?column?");
      }
    }
    return "?column?";
  }

  static std::string function_name(const json::object& object) {
    if (const auto* is_operator = object.if_contains("is_operator");
        is_operator != nullptr && is_operator->is_bool() && is_operator->get_bool()) {
      return "?column?";
    }
    std::string name(text_of(object, "function_name"));
    if (name == "count_star") return "count";
    if (!name.starts_with(kCataloguePrefix)) return name == "regexp_full_match" ? "?column?" : name;
    name.erase(0, kCataloguePrefix.size());
    if (!name.starts_with("mr_")) return name;
    // A cast to regclass: called like its column, or like the type.
    const auto& argument = object.at("children").get_array().at(0);
    if (class_of(argument) == "COLUMN_REF") return last_name(argument.get_object());
    return name.substr(3, name.rfind('_') - 3);
  }

  static std::string last_name(const json::object& column) {
    return std::string(column.at("column_names").get_array().back().get_string());
  }

  static std::string cast_name(const json::object& object) {
    const json::value& child = object.at("child");
    if (class_of(child) == "COLUMN_REF") return last_name(child.get_object());
    std::string inner = column_name(child);
    if (!inner.empty() && inner != "?column?") return inner;
    const auto* type = object_at(object, "cast_type");
    const std::string_view id = type == nullptr ? std::string_view() : text_of(*type, "id");
    constexpr auto kNames = std::to_array<TypeName>({{"text", "VARCHAR"},
                                                     {"int8", "BIGINT"},
                                                     {"int4", "INTEGER"},
                                                     {"int2", "SMALLINT"},
                                                     {"bool", "BOOLEAN"},
                                                     {"float8", "DOUBLE"},
                                                     {"numeric", "DECIMAL"}});
    const auto* known = std::ranges::find(kNames, id, &TypeName::ours);
    return known == kNames.end() ? lower_name(id) : std::string(known->postgres);
  }

  static void name_columns(json::object& select) {
    auto* items = select.at("select_list").if_array();
    if (items == nullptr) return;
    for (json::value& item : *items) {
      auto* object = item.if_object();
      if (object == nullptr || !text_of(*object, "alias").empty()) continue;
      if (std::string name = column_name(item); !name.empty()) (*object)["alias"] = name;
    }
  }

  CatalogueUse use_;
  bool reads_others_ = false;  // relations that are not of the catalogue, or names in WITH
  std::map<std::string, std::string> without_alias_;  // relation -> schema, in lower case
};

void blank(std::string& text, std::size_t begin, std::size_t end) {
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin),
            text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
}

}  // namespace

std::string without_postgres_spelling(std::string_view select) {
  std::string out(select);
  if (!lower_name(select).contains("pg_catalog")) return out;
  const auto tokens = tokenize(select);
  if (!tokens) return out;
  const auto text = [&](std::size_t i) -> std::string_view {
    if (i >= tokens->size()) return {};
    return select.substr((*tokens)[i].begin, (*tokens)[i].end - (*tokens)[i].begin);
  };
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    if (same_name(text(i), "operator") && text(i + 1) == "(" &&
        same_name(text(i + 2), "pg_catalog") && text(i + 3) == ".") {
      std::size_t close = i + 4;
      while (close < tokens->size() && text(close) != ")") ++close;
      if (close == tokens->size()) break;
      blank(out, (*tokens)[i].begin, (*tokens)[i + 4].begin);
      blank(out, (*tokens)[close].begin, (*tokens)[close].end);
    } else if (same_name(text(i), "pg_catalog") && text(i + 1) == "." && i > 0 &&
               (text(i - 1) == ":" || same_name(text(i - 1), "as")) &&
               (*tokens)[i + 2 < tokens->size() ? i + 2 : i].kind == TokenKind::kWord) {
      blank(out, (*tokens)[i].begin, (*tokens)[i + 1].end);
    }
  }
  return out;
}

CatalogueUse rewrite_catalogue(json::object& statement) { return Rewriter().run(statement); }

}  // namespace millrace::sql
