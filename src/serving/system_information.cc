// The relations of information_schema that have rows. As system_relations.h says; materialized
// views are among them as views, though PostgreSQL leaves them out: most tools look nowhere else.
#include <algorithm>
#include <optional>

#include "serving/statement_runner.h"
#include "serving/system_relations.h"

namespace millrace::serving {
namespace {

constexpr std::string_view kPublic = "public";

std::string_view schema_part(std::string_view full_name) {
  return full_name.substr(0, full_name.find('.'));
}
std::string_view name_part(std::string_view full_name) {
  return full_name.substr(full_name.find('.') + 1);
}

template <class Visit>
void each_system_relation(const Visit& visit) {
  for (const auto& relations :
       {pg_catalog_relations(), information_schema_relations(), millrace_relations()})
    for (const auto& one : relations) visit(one);
}

SystemValue yes(bool value) { return words(value ? "YES" : "NO"); }

std::optional<std::int64_t> bits_of(TypeKind kind) {
  switch (kind) {
    case TypeKind::kTinyInt:
    case TypeKind::kUTinyInt:
    case TypeKind::kSmallInt:
      return 16;
    case TypeKind::kUSmallInt:
    case TypeKind::kInteger:
      return 32;
    case TypeKind::kUInteger:
    case TypeKind::kBigInt:
      return 64;
    case TypeKind::kFloat:
      return 24;
    case TypeKind::kDouble:
      return 53;
    default:
      return std::nullopt;
  }
}

void add_column(SystemRows& rows, std::string_view schema, std::string_view relation,
                std::size_t at, const Column& column, bool not_null, bool may_insert) {
  const auto type = type_names(column.type);
  const auto kind = column.type.kind;
  const auto bits = bits_of(kind);
  const bool decimal = kind == TypeKind::kDecimal;
  const bool real = kind == TypeKind::kFloat || kind == TypeKind::kDouble;
  const bool time = kind == TypeKind::kTimestamp || kind == TypeKind::kTimestampTz ||
                    kind == TypeKind::kTime || kind == TypeKind::kInterval;
  const bool dated = time || kind == TypeKind::kDate;
  rows.add(
      {{"table_catalog", words(kDatabaseName)},
       {"table_schema", words(schema)},
       {"table_name", words(relation)},
       {"column_name", words(column.name)},
       {"ordinal_position", number(at)},
       {"column_default", column.default_json ? words(*column.default_json) : nothing()},
       {"is_nullable", yes(!not_null)},
       {"data_type", words(type.data_type)},
       {"character_octet_length", kind == TypeKind::kVarchar ? number(1'073'741'824) : nothing()},
       {"numeric_precision", decimal ? number(column.type.width)
                             : bits  ? *bits
                                     : nothing()},
       {"numeric_precision_radix", decimal ? number(10)
                                   : bits  ? number(2)
                                           : nothing()},
       {"numeric_scale", decimal         ? number(column.type.scale)
                         : bits && !real ? number(0)
                                         : nothing()},
       {"datetime_precision", dated ? number(time ? 6 : 0) : nothing()},
       {"udt_catalog", words(kDatabaseName)},
       {"udt_schema", words("pg_catalog")},
       {"udt_name", words(type.udt)},
       {"dtd_identifier", words(std::to_string(at))},
       {"is_self_referencing", yes(false)},
       {"is_identity", yes(false)},
       {"is_generated", words("NEVER")},
       {"is_updatable", yes(may_insert)}});
}

void add_table(SystemRows& rows, std::string_view schema, std::string_view name, bool is_view,
               bool may_insert) {
  rows.add({{"table_catalog", words(kDatabaseName)},
            {"table_schema", words(schema)},
            {"table_name", words(name)},
            {"table_type", words(is_view ? "VIEW" : "BASE TABLE")},
            {"is_insertable_into", yes(may_insert)},
            {"is_typed", yes(false)}});
}

std::string key_name(std::string_view relation) { return fmt::format("{}_pkey", relation); }

}  // namespace

void SystemRelations::information_tables(SystemRows& rows) {
  for (const auto& object : objects())
    add_table(rows, kPublic, object.name, object.kind != 'r', object.may_insert);
  each_system_relation([&](const PostgresRelation& relation) {
    add_table(rows, schema_part(relation.name), name_part(relation.name), relation.is_view, false);
  });
}

void SystemRelations::information_columns(SystemRows& rows) {
  for (const auto& object : objects()) {
    for (std::size_t i = 0; i < object.columns.size(); ++i) {
      const bool is_key = std::ranges::find(object.key, i) != object.key.end();
      add_column(rows, kPublic, object.name, i + 1, object.columns[i],
                 is_key && object.key_not_null, object.may_insert);
    }
  }
  each_system_relation([&](const PostgresRelation& relation) {
    std::size_t at = 0;
    for (const auto& one : parse_system_columns(relation.columns))
      add_column(rows, schema_part(relation.name), name_part(relation.name), ++at, one.column,
                 one.not_null, false);
  });
}

void SystemRelations::information_views(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind == 'r') continue;
    rows.add({{"table_catalog", words(kDatabaseName)},
              {"table_schema", words(kPublic)},
              {"table_name", words(object.name)},
              {"view_definition", object.definition.empty() ? nothing() : words(object.definition)},
              {"check_option", words("NONE")},
              {"is_updatable", yes(false)},
              {"is_insertable_into", yes(false)},
              {"is_trigger_updatable", yes(false)},
              {"is_trigger_deletable", yes(false)},
              {"is_trigger_insertable_into", yes(false)}});
  }
}

void SystemRelations::information_schemata(SystemRows& rows) {
  for (const std::string_view name : {"pg_catalog", "public", "information_schema", "millrace"}) {
    rows.add({{"catalog_name", words(kDatabaseName)},
              {"schema_name", words(name)},
              {"schema_owner", words(kDatabaseName)}});
  }
}

void SystemRelations::information_table_constraints(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.key.empty()) continue;
    rows.add({{"constraint_catalog", words(kDatabaseName)},
              {"constraint_schema", words(kPublic)},
              {"constraint_name", words(key_name(object.name))},
              {"table_catalog", words(kDatabaseName)},
              {"table_schema", words(kPublic)},
              {"table_name", words(object.name)},
              {"constraint_type", words("PRIMARY KEY")},
              {"is_deferrable", yes(false)},
              {"initially_deferred", yes(false)},
              {"enforced", yes(true)}});
  }
}

void SystemRelations::information_key_column_usage(SystemRows& rows) {
  for (const auto& object : objects()) {
    std::int64_t at = 0;
    for (const auto index : object.key) {
      rows.add({{"constraint_catalog", words(kDatabaseName)},
                {"constraint_schema", words(kPublic)},
                {"constraint_name", words(key_name(object.name))},
                {"table_catalog", words(kDatabaseName)},
                {"table_schema", words(kPublic)},
                {"table_name", words(object.name)},
                {"column_name", words(object.columns[index].name)},
                {"ordinal_position", ++at}});
    }
  }
}

void SystemRelations::information_constraint_column_usage(SystemRows& rows) {
  for (const auto& object : objects()) {
    for (const auto index : object.key) {
      rows.add({{"table_catalog", words(kDatabaseName)},
                {"table_schema", words(kPublic)},
                {"table_name", words(object.name)},
                {"column_name", words(object.columns[index].name)},
                {"constraint_catalog", words(kDatabaseName)},
                {"constraint_schema", words(kPublic)},
                {"constraint_name", words(key_name(object.name))}});
    }
  }
}

void SystemRelations::information_table_privileges(SystemRows& rows) {
  for (const auto& object : objects()) {
    const auto add = [&](bool allowed, std::string_view privilege) {
      if (!allowed) return;
      rows.add({{"grantor", words(kDatabaseName)},
                {"grantee", words(user_name())},
                {"table_catalog", words(kDatabaseName)},
                {"table_schema", words(kPublic)},
                {"table_name", words(object.name)},
                {"privilege_type", words(privilege)},
                {"is_grantable", yes(false)},
                {"with_hierarchy", yes(false)}});
    };
    add(object.may_select, "SELECT");
    add(object.may_insert, "INSERT");
  }
}

void SystemRelations::information_catalog_name(SystemRows& rows) {
  rows.add({{"catalog_name", words(kDatabaseName)}});
}

void SystemRelations::information_enabled_roles(SystemRows& rows) {
  rows.add({{"role_name", words(user_name())}});
}

void SystemRelations::information_character_sets(SystemRows& rows) {
  rows.add({{"character_set_name", words("UTF8")},
            {"character_repertoire", words("UCS")},
            {"form_of_use", words("UTF8")},
            {"default_collate_catalog", words(kDatabaseName)},
            {"default_collate_schema", words("pg_catalog")},
            {"default_collate_name", words("C")}});
}

}  // namespace millrace::serving
