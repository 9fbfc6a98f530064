#include "sql/catalogue_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "base/ascii_case.h"
#include "sql/allow_list.h"
#include "sql/allow_list_functions.h"
#include "sql/catalogue_columns.h"
#include "sql/catalogue_functions.h"
#include "sql/catalogue_lists.h"
#include "sql/catalogue_nodes.h"

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

/// They hold the names of functions, where PostgreSQL has their OIDs.
constexpr auto kProcedureColumns =
    std::to_array<std::string_view>({"typinput", "typoutput", "typreceive", "typsend", "typmodin",
                                     "typmodout", "typanalyze", "aggfnoid", "amhandler"});
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
/// Functions that the engine has under another name.
constexpr auto kFunctions = std::to_array<TypeName>({{"json_build_object", "json_object"},
                                                     {"jsonb_build_object", "json_object"},
                                                     {"json_build_array", "json_array"},
                                                     {"jsonb_build_array", "json_array"},
                                                     {"json_agg", "json_group_array"},
                                                     {"jsonb_agg", "json_group_array"},
                                                     {"json_object_agg", "json_group_object"},
                                                     {"jsonb_object_agg", "json_group_object"},
                                                     {"to_jsonb", "to_json"},
                                                     {"btrim", "trim"}});
/// Types whose values are OIDs that look like names.
constexpr auto kNameTypes =
    std::to_array<std::string_view>({"regclass", "regtype", "regnamespace", "regrole"});
constexpr auto kProcedureTypes =
    std::to_array<std::string_view>({"regproc", "regprocedure", "regoper", "regoperator"});

template <class Words>
bool is_one_of(const Words& words, std::string_view word) {
  return std::ranges::any_of(words, [&](const auto& one) { return same_name(one, word); });
}

class Rewriter {
 public:
  CatalogueUse run(json::object& statement, bool names) {
    json::value* const node = statement.if_contains("node");
    if (node == nullptr) return {};
    tables(*node, 0);
    expressions(*node, 0);
    if (use_.postgres) {
      customs(*node, 0);
      write_vectors(*node);
    } else if (names) {
      name_first_columns(*node);
    }
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
      table.at("alias") = name;
      without_alias_.emplace(lower_name(name), schema);
    }
    (ours ? reads_others_ : use_.postgres) = true;
    table.at("table_name") = fmt::format("{}.{}", schema, ours ? name : lower_name(name));
    table.at("schema_name") = "";
    table.at("catalog_name") = "";
  }

  void table_function(json::value& value) {
    json::object& table = value.get_object();
    auto* called = object_at(table, "function");
    if (called == nullptr) return;
    take_schema(*called);
    const std::string name = lower_name(text_of(*called, "function_name"));
    const auto* function = find_catalogue_function(name);
    if (function == nullptr || !gives_rows(*function)) {
      const bool is_value = function != nullptr || is_allowed_function(name, Use::kAdHoc);
      const bool gives_series = name == "generate_series" || name == "range";
      if (gives_series && calls_catalogue(table.at("function"))) {
        json::value series = json::value(*called);
        table.at("function") = function_node("unnest", json::array({std::move(series)}));
        value = row_of(table, name);
      } else if (is_value && !is_allowed_table_function(name)) {
        value = row_of(table, name);
      }
      return;
    }
    use_.postgres = true;
    const std::string macro = fmt::format("{}{}", kCataloguePrefix, name);
    use_.macros.insert(macro);
    called->at("function_name") = macro;
    if (text_of(table, "alias").empty()) table.at("alias") = name;
  }

  /// Whether a macro will stand in it: those read relations, which arguments in FROM may not.
  static bool calls_catalogue(const json::value& value) {
    if (class_of(value) == "FUNCTION" &&
        find_catalogue_function(text_of(value.get_object(), "function_name")) != nullptr) {
      return true;
    }
    if (const auto* array = value.if_array()) return std::ranges::any_of(*array, calls_catalogue);
    const auto* object = value.if_object();
    return object != nullptr && std::ranges::any_of(*object, [](const auto& field) {
             return calls_catalogue(field.value());
           });
  }

  /// FROM string_to_array('a,b', ',') s: one row with the value.
  json::object row_of(json::object& table, const std::string& name) {
    use_.postgres = true;
    const std::string alias(text_of(table, "alias").empty() ? name : text_of(table, "alias"));
    json::object item = table.at("function").get_object();
    item.at("alias") = alias;
    return {{"type", "SUBQUERY"},
            {"alias", alias},
            {"sample", nullptr},
            {"query_location", std::uint64_t{0}},
            {"subquery",
             {{"node",
               {{"type", "SELECT_NODE"},
                {"modifiers", json::array()},
                {"cte_map", {{"map", json::array()}}},
                {"select_list", json::array({std::move(item)})},
                {"from_table",
                 {{"type", "EMPTY"},
                  {"alias", ""},
                  {"sample", nullptr},
                  {"query_location", std::uint64_t{0}}}},
                {"where_clause", nullptr},
                {"group_expressions", json::array()},
                {"group_sets", json::array()},
                {"aggregate_handling", "STANDARD_HANDLING"},
                {"having", nullptr},
                {"sample", nullptr},
                {"qualify", nullptr}}},
              {"named_param_map", json::array()}}},
            {"column_name_alias", table.at("column_name_alias")}};
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
    object.at("schema") = "";
    object.at("catalog") = "";
    use_.postgres = true;
  }

  void function(json::object& object) {
    take_schema(object);
    if (!text_of(object, "schema").empty()) return;
    const std::string name = lower_name(text_of(object, "function_name"));
    if (is_catalogue_function(name)) use_.macros.insert(name);
    if (const auto* other = std::ranges::find(kFunctions, name, &TypeName::postgres);
        other != kFunctions.end()) {
      object.at("function_name") = other->ours;
    }
    const auto* known = find_catalogue_function(name);
    if (known == nullptr || gives_rows(*known) || name.starts_with("mr_")) return;
    use_.postgres = true;
    const std::string macro = fmt::format("{}{}", kCataloguePrefix, name);
    use_.macros.insert(macro);
    object.at("function_name") = macro;
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
      child.get_object().at("alias") = object.at("alias");
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
      if (name == "jsonb") info->at("name") = "json";
      info->at("schema") = "";
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

  static bool is_parameter(const json::value& value) {
    if (class_of(value) == "CAST") return is_parameter(value.get_object().at("child"));
    return class_of(value) == "PARAMETER";
  }

  /// 'flights'::regclass is the OID of a name, c.oid::regclass the name of an OID.
  void cast(json::value& value) {
    json::object& object = value.get_object();
    auto* const wanted = object_at(object, "cast_type");
    if (wanted == nullptr) return;
    const std::string name = foreign_type(*wanted);
    json::value& child = object.at("child");
    if (is_one_of(kNameTypes, name)) {
      const bool names = constant_text(child).has_value() || is_parameter(child);
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
        inner.at("function_name") = other;
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
    if (kind == "FUNCTION") {
      operator_of(value);
      give_oid_list(value);
    }
    if (kind == "CAST") take_oid_list(value.get_object());
    if (kind == "COMPARISON") {
      compare_lists(value.get_object());
      compare_procedures(value.get_object());
    }
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

  /// format('%I.%s', a, b), whose template the engine reads in another way, as a concatenation.
  void format(json::object& object, json::array& children) {
    const auto pattern = children.empty() ? std::nullopt : constant_text(children.front());
    if (!pattern || !pattern->contains('%')) return;
    json::array parts;
    std::string text;
    std::size_t next = 1;
    for (std::size_t i = 0; i < pattern->size(); ++i) {
      const char kind = (*pattern)[i] == '%' && i + 1 < pattern->size() ? (*pattern)[++i] : '\0';
      if (kind == '\0' || kind == '%') {
        text += (*pattern)[i];
        continue;
      }
      if ((kind != 's' && kind != 'I' && kind != 'L') || next == children.size()) return;
      parts.emplace_back(text_node(text));
      text.clear();
      const json::value& argument = children[next++];
      if (kind == 's') {
        parts.push_back(argument);
        continue;
      }
      const std::string macro =
          fmt::format("{}{}", kCataloguePrefix, kind == 'I' ? "quote_ident" : "quote_nullable");
      use_.macros.insert(macro);
      parts.emplace_back(function_node(macro, json::array({argument})));
    }
    parts.emplace_back(text_node(text));
    children = std::move(parts);
    object.at("function_name") = "concat";
  }

  void operator_of(json::value& value) {
    json::object& object = value.get_object();
    const std::string name(text_of(object, "function_name"));
    auto* children = object.at("children").if_array();
    if (children == nullptr) return;
    if (name == "format") format(object, *children);
    if (children->size() != 2) return;
    if (name == "regexp_full_match") {
      object.at("function_name") = "regexp_matches";
    } else if (name == "~*" || name == "!~*") {
      object.at("is_operator") = false;
      object.at("function_name") = "regexp_matches";
      children->push_back(text_node("i"));
      if (name == "!~*") {
        json::value negated = value;
        negated.get_object().at("alias") = "";
        replace(value, not_node(std::move(negated)));
      }
    } else if (name == "/" && is_integer((*children)[0]) && is_integer((*children)[1])) {
      object.at("function_name") = "//";
    }
  }

  /// typreceive = p.oid: those columns hold names here.
  void compare_procedures(json::object& object) {
    for (const std::string_view side : {"left", "right"}) {
      json::value& one = object.at(side);
      const json::value& other = object.at(side == "left" ? "right" : "left");
      if (class_of(one) != "COLUMN_REF" || class_of(other) != "COLUMN_REF") continue;
      if (!is_one_of(kProcedureColumns, last_name(other.get_object()))) continue;
      json::value argument = one;
      if (last_name(one.get_object()) == "oid") call(one, "mr_regproc_name", std::move(argument));
    }
  }

  static void compare_lists(json::object& object) {
    for (const std::string_view side : {"left", "right"}) {
      const json::value* other = object.if_contains(side == "left" ? "right" : "left");
      if (other == nullptr || class_of(*other) != "COLUMN_REF") continue;
      if (const auto list = list_text(object.at(side))) object.at(side) = text_node(*list);
    }
  }

  /// Those of the answer: of a UNION, its first SELECT's.
  static void name_first_columns(json::value& node) {
    auto* object = node.if_object();
    while (object != nullptr && !object->contains("select_list")) {
      object = object->contains("child") ? object_at(*object, "child") : object_at(*object, "left");
    }
    if (object != nullptr) name_columns(*object);
  }

  CatalogueUse use_;
  bool reads_others_ = false;  // relations that are not of the catalogue, or names in WITH
  std::map<std::string, std::string> without_alias_;  // relation -> schema, in lower case
};

}  // namespace

Result<CatalogueUse> rewrite_catalogue(json::object& statement, bool names) {
  // Boost.JSON throws where a tree does not have the form that DuckDB gives, and where memory ends.
  try {
    return Rewriter().run(statement, names);
  } catch (const std::exception& thrown) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "a syntax tree has another form: {}",
                thrown.what());
  }
}

}  // namespace millrace::sql
