// One walk over the whole tree: every object in it is recognised by its "class" (an expression) or
// its "type" (a table reference, a query, a modifier), and what is not recognised is refused.
// Nothing is stepped over but the values of constants, so a field that a later DuckDB adds is
// checked too.
#include "sql/allow_list.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/ascii_case.h"
#include "model/stream.h"
#include "model/type.h"
#include "sql/allow_list_functions.h"
#include "sql/catalogue_functions.h"
#include "sql/suggestion.h"
#include "sql/tokens.h"

namespace millrace::sql {
namespace {

namespace json = boost::json;

/// Of JSON: an expression takes two levels. More than people write, less than a stack takes.
constexpr std::size_t kDepthMax = 1000;

constexpr auto kExpressions = std::to_array<std::string_view>(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
     "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY",
     "WINDOW"});

/// Objects with a "type" and no "class": tables, queries, modifiers, orders, descriptions of types.
constexpr auto kNodes = std::to_array<std::string_view>({"BASE_TABLE",
                                                         "SUBQUERY",
                                                         "JOIN",
                                                         "TABLE_FUNCTION",
                                                         "EXPRESSION_LIST",
                                                         "EMPTY",
                                                         "PIVOT",
                                                         "SELECT_NODE",
                                                         "SET_OPERATION_NODE",
                                                         "RECURSIVE_CTE_NODE",
                                                         "CTE_NODE",
                                                         "ORDER_MODIFIER",
                                                         "LIMIT_MODIFIER",
                                                         "LIMIT_PERCENT_MODIFIER",
                                                         "DISTINCT_MODIFIER",
                                                         "ORDER_DEFAULT",
                                                         "ASCENDING",
                                                         "DESCENDING",
                                                         "ORDER_ASC",
                                                         "ORDER_DESC",
                                                         "DECIMAL_TYPE_INFO",
                                                         "LIST_TYPE_INFO",
                                                         "STRUCT_TYPE_INFO",
                                                         "ARRAY_TYPE_INFO",
                                                         "UNBOUND_TYPE_INFO",
                                                         "GENERIC_TYPE_INFO"});

/// Names that DuckDB takes for a function where no column has them.
constexpr auto kTimeWords = std::to_array<std::string_view>(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"});

/// Types that are not built in to the parser but to the engine.
constexpr auto kNamedTypes =
    std::to_array<std::string_view>({"json", "enum", "bignum", "varint", "bit", "variant"});

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return value->get_string();
}

class Checker {
 public:
  Checker(Use use, const std::function<std::string(std::string_view)>& resolve,
          std::string_view text)
      : use_(use), resolve_(resolve), text_(text) {}

  Status check(const json::object& statement) { return walk(statement, 0); }
  AllowedSelect take() { return std::move(allowed_); }

 private:
  using Refused = std::unexpected<Error>;

  [[nodiscard]] Refused refuse(ErrorCode code, std::string_view id, const json::object* where,
                               std::string message, std::string hint = {}) const {
    return Refused(Error{.code = code,
                         .id = std::string(id),
                         .message = std::move(message),
                         .hint = std::move(hint),
                         .place = where == nullptr ? TextPlace{} : place(*where)});
  }
  [[nodiscard]] Refused deny(const json::object* where, std::string message,
                             std::string hint = {}) const {
    return refuse(ErrorCode::kPermissionDenied, error_id::kFunctionNotAllowed, where,
                  std::move(message), std::move(hint));
  }
  [[nodiscard]] TextPlace place(const json::object& object) const {
    const json::value* location = object.if_contains("query_location");
    if (location == nullptr || text_.empty()) return {};
    std::uint64_t offset = text_.size();
    if (location->is_int64() && location->get_int64() >= 0) {
      offset = static_cast<std::uint64_t>(location->get_int64());
    } else if (location->is_uint64()) {
      offset = location->get_uint64();
    }
    return offset < text_.size() ? place_of(text_, offset) : TextPlace{};
  }
  [[nodiscard]] std::string_view where_used() const {
    return use_ == Use::kView ? "a materialized view" : "a query";
  }

  // --- the walk ---

  Status walk(const json::value& value, std::size_t depth) {
    if (depth > kDepthMax) {
      return refuse(ErrorCode::kInvalidArgument, error_id::kTooDeep, nullptr,
                    "the statement is nested too deeply",
                    "take parts of it out into WITH, or into views");
    }
    if (value.is_object()) return walk(value.get_object(), depth);
    if (value.is_array()) {
      for (const json::value& element : value.get_array()) {
        MR_RETURN_IF_ERROR(walk(element, depth + 1));
      }
    }
    return {};
  }

  Status walk_fields(const json::object& object, std::size_t depth, std::string_view without = {}) {
    for (const auto& field : object) {
      if (field.key() == without) continue;
      MR_RETURN_IF_ERROR(walk(field.value(), depth + 1));
    }
    return {};
  }

  Status walk(const json::object& object, std::size_t depth) {
    if (object.contains("class")) return expression(object, depth);
    if (object.contains("is_null")) return {};  // the value of a constant
    const json::value* type = object.if_contains("type");
    if (type != nullptr && type->is_string()) return node(object, depth);
    if (type != nullptr && !type->is_object()) {
      return deny(nullptr, "the statement has a part of an unknown kind");
    }
    return walk_fields(object, depth);
  }

  // --- expressions ---

  Status expression(const json::object& object, std::size_t depth) {
    const std::string_view kind = text_of(object, "class");
    if (kind == "PARAMETER") {
      return deny(&object, "the statement has a parameter, and there are no values for parameters",
                  "write the value itself");
    }
    if (!contains(kExpressions, kind)) {
      return deny(&object, fmt::format("expressions of the kind {} are not allowed in {}", kind,
                                       where_used()));
    }
    if (kind == "CONSTANT") return {};
    if (kind == "COLUMN_REF") return column_reference(object);
    if (kind == "FUNCTION") MR_RETURN_IF_ERROR(function(object));
    if (kind == "WINDOW") MR_RETURN_IF_ERROR(window(object));
    if (kind == "STAR") star(object);
    return walk_fields(object, depth);
  }

  void add_columns(const json::object& object, std::string_view key) {
    const json::value* names = object.if_contains(key);
    if (names == nullptr || !names->is_array()) return;
    for (const json::value& name : names->get_array()) {
      if (name.is_string()) allowed_.columns.emplace(name.get_string());
    }
  }

  Status column_reference(const json::object& object) {
    add_columns(object, "column_names");
    if (use_ == Use::kAdHoc) return {};
    const json::value* names = object.if_contains("column_names");
    if (names == nullptr || !names->is_array() || names->get_array().size() != 1) return {};
    const json::value& name = names->get_array().front();
    if (name.is_string() && contains(kTimeWords, lower_name(name.get_string()))) {
      return deny(
          &object,
          fmt::format("{} cannot be used in a materialized view: its value changes with time",
                      std::string_view(name.get_string())),
          "use CREATE VIEW, which is computed when it is read; for a column of this name, write "
          "stream.column");
    }
    return {};
  }

  void star(const json::object& object) {
    add_columns(object, "exclude_list");
    const json::value* replaced = object.if_contains("replace_list");
    if (replaced == nullptr || !replaced->is_array()) return;
    for (const json::value& entry : replaced->get_array()) {
      if (entry.is_object()) allowed_.columns.emplace(text_of(entry.get_object(), "key"));
    }
  }

  Status check_schema(const json::object& object, std::string_view name) const {
    const std::string_view schema = text_of(object, "schema");
    if (text_of(object, "catalog").empty() && (schema.empty() || schema == "main")) return {};
    return deny(&object, fmt::format("{} is named with a schema, and there are no schemas", name));
  }

  Status function(const json::object& object) const {
    const std::string_view name = text_of(object, "function_name");
    MR_RETURN_IF_ERROR(check_schema(object, fmt::format("the function {}", name)));
    MR_RETURN_IF_ERROR(check_function(object, name));
    const json::value* children = object.if_contains("children");
    const bool one_argument =
        children == nullptr || !children->is_array() || children->get_array().size() < 2;
    if (use_ == Use::kView && one_argument && same_name(name, "age")) {
      return deny(
          &object,
          "age() with one argument cannot be used in a materialized view: it looks at the clock",
          "give both timestamps: age(later, earlier)");
    }
    return {};
  }

  Status check_function(const json::object& object, std::string_view name) const {
    if (is_allowed_function(name, use_)) return {};
    if (use_ == Use::kAdHoc && is_catalogue_function(name)) return {};
    if (use_ == Use::kView && is_allowed_function(name, Use::kAdHoc)) {
      return deny(
          &object,
          fmt::format("the function {} cannot be used in a materialized view: its value could "
                      "change, or grow without bound",
                      name),
          "use CREATE VIEW, which is computed when it is read");
    }
    const std::string_view meant = closest_function(name, use_);
    return deny(
        &object,
        fmt::format("the function {} is not on the list of functions for {}", name, where_used()),
        meant.empty() ? std::string() : fmt::format("did you mean {}?", meant));
  }

  Status window(const json::object& object) const {
    const std::string_view name = text_of(object, "function_name");
    if (use_ == Use::kView) {
      return refuse(ErrorCode::kInvalidArgument, error_id::kNotMergeable, &object,
                    fmt::format("{}() OVER (...) has no mergeable state", name),
                    "use CREATE VIEW, which is computed when it is read");
    }
    MR_RETURN_IF_ERROR(check_schema(object, fmt::format("the function {}", name)));
    return check_function(object, name);
  }

  // --- types ---

  Status named_type(const json::object& object) const {
    const std::string_view name = text_of(object, "name");
    const bool plain = text_of(object, "catalog").empty() && text_of(object, "schema").empty();
    if (plain && (contains(kNamedTypes, lower_name(name)) || Type::parse(name))) return {};
    auto unknown = Type::parse(name);
    return refuse(ErrorCode::kInvalidArgument, error_id::kBadType, nullptr,
                  fmt::format("type {} does not exist", name),
                  unknown ? std::string() : std::move(unknown).error().hint);
  }

  // --- queries and tables ---

  Status node(const json::object& object, std::size_t depth) {
    const std::string_view kind = text_of(object, "type");
    if (kind == "SHOW_REF") {
      return deny(nullptr, "SHOW, DESCRIBE and SUMMARIZE cannot stand inside of a query",
                  "send DESCRIBE name as a statement of its own");
    }
    if (!contains(kNodes, kind)) {
      return deny(&object, fmt::format("{} is not allowed in {}", kind, where_used()));
    }
    if (const json::value* sample = object.if_contains("sample");
        use_ == Use::kView && sample != nullptr && !sample->is_null()) {
      return deny(&object, "TABLESAMPLE cannot be used in a materialized view: its rows change",
                  "use CREATE VIEW, which is computed when it is read");
    }
    if (use_ == Use::kView && kind == "PIVOT") {
      return deny(&object, "PIVOT cannot be used in a materialized view",
                  "use CREATE VIEW, which is computed when it is read");
    }
    if (kind == "UNBOUND_TYPE_INFO") MR_RETURN_IF_ERROR(named_type(object));
    if (kind == "BASE_TABLE") return base_table(object, depth);
    if (kind == "TABLE_FUNCTION") return table_function(object, depth);
    if (kind == "JOIN") add_columns(object, "using_columns");
    if (kind == "CTE_NODE") return cte_node(object, depth);
    if (object.contains("cte_map")) return query(object, depth);
    return walk_fields(object, depth);
  }

  /// Names in WITH are tables for what follows them, and for themselves where they are recursive.
  Status query(const json::object& object, std::size_t depth) {
    const std::size_t outer = ctes_.size();
    const json::value* map = object.at("cte_map").is_object()
                                 ? object.at("cte_map").get_object().if_contains("map")
                                 : nullptr;
    if (map == nullptr || !map->is_array()) {
      return deny(nullptr, "the statement has a WITH of an unknown kind");
    }
    for (const json::value& entry : map->get_array()) {
      if (!entry.is_object()) return deny(nullptr, "the statement has a WITH of an unknown kind");
      const std::string name(text_of(entry.get_object(), "key"));
      MR_RETURN_IF_ERROR(check_cte_name(name));
      MR_RETURN_IF_ERROR(walk_fields(entry.get_object(), depth, "key"));
      ctes_.push_back(lower_name(name));
    }
    const bool recursive = text_of(object, "type") == "RECURSIVE_CTE_NODE";
    if (recursive) {
      const std::string name(text_of(object, "cte_name"));
      MR_RETURN_IF_ERROR(check_cte_name(name));
      ctes_.push_back(lower_name(name));
    }
    MR_RETURN_IF_ERROR(walk_fields(object, depth, "cte_map"));
    ctes_.resize(outer);
    return {};
  }

  Status cte_node(const json::object& object, std::size_t depth) {
    const std::string name(text_of(object, "cte_name"));
    MR_RETURN_IF_ERROR(check_cte_name(name));
    if (const json::value* made = object.if_contains("query")) {
      MR_RETURN_IF_ERROR(walk(*made, depth + 1));
    }
    ctes_.push_back(lower_name(name));
    MR_RETURN_IF_ERROR(walk_fields(object, depth, "query"));
    ctes_.pop_back();
    return {};
  }

  /// A table name that is a path is a file to DuckDB: so no name in WITH may look like one, for the
  /// case that it sees the scope of a name in another way than this walk.
  Status check_cte_name(std::string_view name) const {
    if (auto good = check_object_name(name); !good) {
      return std::unexpected(std::move(good).error().within("WITH"));
    }
    return {};
  }

  Status base_table(const json::object& object, std::size_t depth) {
    const std::string_view name = text_of(object, "table_name");
    const std::string_view schema = text_of(object, "schema_name");
    if (!text_of(object, "catalog_name").empty() || (!schema.empty() && schema != "main")) {
      return deny(&object,
                  fmt::format("the table {}.{} is named with a schema, and there are no schemas",
                              schema, name));
    }
    if (const json::value* at = object.if_contains("at_clause"); at != nullptr && !at->is_null()) {
      return deny(&object,
                  "AT (VERSION or TIMESTAMP) is not allowed: there is one version of a stream");
    }
    const bool from_with =
        schema.empty() && std::ranges::find(ctes_, lower_name(name)) != ctes_.end();
    if (!from_with) {
      std::string known = resolve_(name);
      if (known.empty()) {
        return refuse(ErrorCode::kNotFound, error_id::kStreamNotFound, &object,
                      fmt::format("there is no stream, table or view '{}'", name),
                      "SHOW STREAMS, SHOW TABLES and SHOW VIEWS list what there is");
      }
      allowed_.tables.insert(std::move(known));
    }
    return walk_fields(object, depth);
  }

  Status table_function(const json::object& object, std::size_t depth) {
    const json::value* called = object.if_contains("function");
    if (called == nullptr || !called->is_object()) {
      return deny(&object, "the statement has a table function of an unknown kind");
    }
    const json::object& function = called->get_object();
    const std::string_view name = text_of(function, "function_name");
    if (use_ == Use::kView) {
      return deny(&object,
                  fmt::format("the table function {} cannot be used in a materialized view", name),
                  "a materialized view reads one stream");
    }
    MR_RETURN_IF_ERROR(check_schema(function, fmt::format("the table function {}", name)));
    if (text_of(function, "class") != "FUNCTION" ||
        !(is_allowed_table_function(name) || is_catalogue_function(name))) {
      return deny(
          &object,
          fmt::format("the table function {} is not on the list of functions for a query", name),
          "a query reads streams and views; the table functions are range, generate_series, "
          "unnest, json_each, json_tree");
    }
    MR_RETURN_IF_ERROR(walk_fields(function, depth + 1));
    return walk_fields(object, depth, "function");
  }

  Use use_;
  const std::function<std::string(std::string_view)>& resolve_;
  std::string_view text_;
  AllowedSelect allowed_;
  std::vector<std::string> ctes_;  // in lower case; the innermost last
};

}  // namespace

Result<AllowedSelect> check_select(const json::object& statement, Use use,
                                   const std::function<std::string(std::string_view)>& resolve,
                                   std::string_view text) {
  if (!statement.contains("node")) {
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "this is not the tree of a SELECT");
  }
  Checker checker(use, resolve, text);
  MR_RETURN_IF_ERROR(checker.check(statement));
  return checker.take();
}

}  // namespace millrace::sql
