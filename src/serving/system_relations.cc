#include "serving/system_relations.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/ascii_case.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "wire/postgres_value.h"

namespace millrace::serving {
namespace {

/// Below it are PostgreSQL's own. Three bits of an OID say what it names.
constexpr std::uint32_t kFirstOid = 16'384;
enum class Names : std::uint8_t {
  kStream,
  kView,
  kTable,
  kViewKey,
  kTableKey,
  kViewConstraint,
  kTableConstraint,
  kUser,
};
constexpr std::uint32_t oid_of(Names what, std::uint64_t id) {
  return static_cast<std::uint32_t>(kFirstOid + id * 8 + static_cast<std::uint64_t>(what));
}
/// The constraint of a key's index.
constexpr std::uint32_t constraint_of(std::uint32_t key_oid) { return key_oid + 2; }

std::uint32_t schema_of(std::string_view full_name) {
  if (full_name.starts_with("pg_catalog.")) return kCatalogSchema;
  return full_name.starts_with("millrace.") ? kMillraceSchema : kInformationSchema;
}
std::string_view last_part(std::string_view full_name) {
  return full_name.substr(full_name.find('.') + 1);
}

/// Not of PostgreSQL: what the macros read.
constexpr PostgresRelation kHidden[] = {
    {"pg_catalog.mr_objects", 0, false,
     "oid:o! kind:t! definition:t bytes:l! may_select:b! may_insert:b!"},
    {"pg_catalog.mr_session", 0, false, "usename:t! pid:i! server_start:z"},
};

const PostgresRelation* find_relation(std::string_view name) {
  static const auto* const all = [] {
    // Lives as long as the program.
    auto* made = new std::map<std::string_view, const PostgresRelation*>();
    for (const auto& relations : {pg_catalog_relations(), information_schema_relations(),
                                  millrace_relations(), std::span<const PostgresRelation>(kHidden)})
      for (const auto& one : relations) made->emplace(one.name, &one);
    return made;
  }();
  const auto found = all->find(name);
  return found == all->end() ? nullptr : found->second;
}

template <class Visit>
void each_system_relation(const Visit& visit) {
  for (const auto& relations :
       {pg_catalog_relations(), information_schema_relations(), millrace_relations()})
    for (const auto& one : relations) visit(one);
}

std::string key_name(std::string_view relation) { return fmt::format("{}_pkey", relation); }

std::vector<std::int64_t> key_numbers(const std::vector<std::uint32_t>& key) {
  std::vector<std::int64_t> out;
  for (const auto index : key) out.push_back(std::int64_t{index} + 1);
  return out;
}

std::string key_columns(const std::vector<Column>& columns, const std::vector<std::uint32_t>& key) {
  std::string out;
  for (const auto index : key) {
    const auto& name = columns[index].name;
    const bool plain = std::ranges::all_of(
        name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    out += fmt::format("{}{}", out.empty() ? "" : ", ", plain ? name : quote_identifier(name));
  }
  return out;
}

void add_attribute(SystemRows& rows, std::uint32_t relation, std::size_t number_of,
                   const Column& column, bool not_null) {
  const auto type = type_names(column.type);
  rows.add({{"attrelid", number(relation)},
            {"attname", words(column.name)},
            {"atttypid", number(type.oid)},
            {"attstattarget", number(-1)},
            {"attlen", number(type.bytes)},
            {"attnum", number(number_of)},
            {"attcacheoff", number(-1)},
            {"atttypmod", number(type.modifier)},
            {"attalign", words("i")},
            {"attstorage", words(type.bytes < 0 ? "x" : "p")},
            {"attnotnull", not_null},
            {"atthasdef", column.default_json.has_value()},
            {"attislocal", true},
            {"attcollation", number(column.type.kind == TypeKind::kVarchar ? 100 : 0)}});
}

/// Those of the system relations are the same at all times.
std::shared_ptr<const ColumnBatch> make_system_attributes() {
  SystemRows rows(parse_system_columns(find_relation("pg_catalog.pg_attribute")->columns));
  each_system_relation([&](const PostgresRelation& relation) {
    std::size_t at = 0;
    for (const auto& one : parse_system_columns(relation.columns))
      add_attribute(rows, relation.oid, ++at, one.column, one.not_null);
  });
  return std::move(rows).take();
}

void add_class(SystemRows& rows, std::uint32_t oid, std::string_view name, std::uint32_t schema,
               char kind, std::size_t columns, std::uint64_t row_count, bool has_key) {
  rows.add({{"oid", number(oid)},
            {"relname", words(name)},
            {"relnamespace", number(schema)},
            {"relowner", number(kOwnerRole)},
            {"relam", number(kind == 'i'   ? 403
                             : kind == 'v' ? 0
                                           : 2)},
            {"relfilenode", number(oid)},
            {"reltuples", static_cast<double>(row_count)},
            {"relhasindex", has_key},
            {"relpersistence", words("p")},
            {"relkind", words(std::string(1, kind))},
            {"relnatts", number(columns)},
            {"relhasrules", kind == 'v'},
            {"relispopulated", true},
            {"relreplident", words("d")}});
}

}  // namespace

TypeNames type_names(const Type& type) {
  const auto wire = wire::postgres::wire_type(type);
  TypeNames out{.oid = wire.oid, .bytes = wire.bytes, .modifier = wire.modifier};
  const std::string prefix = fmt::format("{} ", wire.oid);
  for (const auto line : postgres_types()) {
    if (!line.starts_with(prefix)) continue;
    const auto rest = line.substr(prefix.size());
    out.udt = rest.substr(0, rest.find(' '));
  }
  static const std::map<std::string_view, std::string_view> kNames = {
      {"bool", "boolean"},
      {"int2", "smallint"},
      {"int4", "integer"},
      {"int8", "bigint"},
      {"float4", "real"},
      {"float8", "double precision"},
      {"timestamp", "timestamp without time zone"},
      {"timestamptz", "timestamp with time zone"},
      {"time", "time without time zone"}};
  const auto known = kNames.find(out.udt);
  out.data_type = out.udt.starts_with('_') ? std::string("ARRAY")
                  : known != kNames.end()  ? std::string(known->second)
                                           : out.udt;
  return out;
}

bool SystemRelations::admin() const { return runner_.access_.is_admin(who_); }

std::string SystemRelations::user_name() const {
  return who_.name().empty() ? std::string(kDatabaseName) : std::string(who_.name());
}

std::vector<std::pair<std::uint32_t, std::string>> SystemRelations::roles() const {
  std::vector<std::pair<std::uint32_t, std::string>> out = {
      {kOwnerRole, std::string(kDatabaseName)}};
  const bool all = admin();
  for (const auto& user : runner_.access_.users()) {
    if (all || who_.is_user(user.name))
      out.emplace_back(oid_of(Names::kUser, user.number), user.name);
  }
  return out;
}

// --- what there is ---

const std::vector<SystemRelations::Object>& SystemRelations::objects() {
  if (!objects_) {
    objects_.emplace();
    add_streams();
    add_tables();
    add_views();
  }
  return *objects_;
}

void SystemRelations::add_streams() {
  for (const auto& state : runner_.speed_.streams()) {
    const auto stream = state->definition();
    if (!runner_.is_visible(who_, stream.name)) continue;
    Object out{.oid = oid_of(Names::kStream, stream.id.value),
               .name = stream.name,
               .kind = 'r',
               .columns = stream.columns};
    out.comment = stream.source       ? "derived stream"
                  : stream.quarantine ? "stream"
                                      : "records that could not become events of a stream";
    out.column_comments.resize(stream.columns.size());
    const auto comment = [&](std::optional<std::uint32_t> column, std::string_view text) {
      if (!column) return;
      auto& to = out.column_comments[*column];
      to += fmt::format("{}{}", to.empty() ? "" : ", ", text);
    };
    comment(stream.time_column, "event time");
    comment(stream.key_column, "key");
    comment(stream.dedup_column, "repeats are dropped by it");
    out.rows = state->applied().events();
    const auto snapshot = runner_.lake_.snapshot(stream.id);
    for (const auto& commit : snapshot->commits)
      for (const auto& file : commit.files) out.bytes += file.size_bytes;
    out.may_select = runner_.access_.allowed(who_, Privilege::kSelect, stream.name);
    out.may_insert = runner_.access_.allowed(who_, Privilege::kPublish, stream.name);
    objects_->push_back(std::move(out));
  }
}

void SystemRelations::add_tables() {
  for (const auto& table : runner_.catalog_.tables()) {
    if (!runner_.is_visible(who_, table.name)) continue;
    Object out{.oid = oid_of(Names::kTable, table.id.value),
               .name = table.name,
               .kind = 'r',
               .columns = table.columns,
               .key = table.primary_key,
               .key_oid = oid_of(Names::kTableKey, table.id.value),
               .key_not_null = true,
               .comment = "reference table",
               .rows = table.newest().file.rows,
               .bytes = table.newest().file.size_bytes};
    out.may_select = runner_.access_.allowed(who_, Privilege::kSelect, table.name);
    out.may_insert = admin();
    objects_->push_back(std::move(out));
  }
}

void SystemRelations::add_views() {
  for (const auto& record : runner_.catalog_.views()) {
    if (record.replaces || !runner_.is_visible(who_, record.name)) continue;
    Object out{.oid = oid_of(Names::kView, record.id.value),
               .name = record.name,
               .kind = record.materialized ? 'm' : 'v'};
    out.may_select = runner_.access_.allowed(who_, Privilege::kSelect, record.name);
    // The text of a view names what else is there.
    if (admin()) out.definition = record.select;
    const auto view = record.materialized ? runner_.speed_.find_view(record.name) : nullptr;
    if (view == nullptr) {
      out.columns = runner_.columns_of_plain_view(record);
      out.comment = "view";
      objects_->push_back(std::move(out));
      continue;
    }
    const auto& compiled = view->compiled();
    out.columns = columns_of(compiled);
    out.comment = "materialized view";
    out.column_comments.resize(out.columns.size());
    const std::size_t keys = compiled.plan.keys.size();
    for (std::uint32_t key = 0; key < keys; ++key) {
      if (const auto output = compiled.output_of_key(key)) {
        out.key.push_back(static_cast<std::uint32_t>(*output));
        out.column_comments[*output] = "key";
      }
    }
    // Groups are told apart by all of their keys, or by none that could be shown.
    if (out.key.size() != keys || compiled.session_gap_us) out.key.clear();
    out.key_oid = oid_of(Names::kViewKey, record.id.value);
    out.rows = view->base_groups() + view->delta_groups();
    for (const auto& generation : runner_.catalog_.generations(record.id))
      out.bytes = generation.file.size_bytes;
    objects_->push_back(std::move(out));
  }
}

// --- pg_catalog ---

void SystemRelations::pg_class(SystemRows& rows) {
  for (const auto& object : objects()) {
    add_class(rows, object.oid, object.name, kPublicSchema, object.kind, object.columns.size(),
              object.rows, !object.key.empty());
    if (object.key.empty()) continue;
    add_class(rows, object.key_oid, key_name(object.name), kPublicSchema, 'i', object.key.size(),
              object.rows, false);
  }
  each_system_relation([&](const PostgresRelation& relation) {
    add_class(rows, relation.oid, last_part(relation.name), schema_of(relation.name),
              relation.is_view ? 'v' : 'r',
              static_cast<std::size_t>(std::ranges::count(relation.columns, ':')), 0, false);
  });
}

void SystemRelations::pg_attribute(SystemRows& rows) {
  for (const auto& object : objects()) {
    for (std::size_t i = 0; i < object.columns.size(); ++i) {
      const bool is_key = std::ranges::find(object.key, i) != object.key.end();
      add_attribute(rows, object.oid, i + 1, object.columns[i], is_key && object.key_not_null);
    }
    std::size_t at = 0;
    for (const auto index : object.key)
      add_attribute(rows, object.key_oid, ++at, object.columns[index], false);
  }
}

void SystemRelations::pg_attrdef(SystemRows& rows) {
  for (const auto& object : objects()) {
    for (std::size_t i = 0; i < object.columns.size(); ++i) {
      const auto& value = object.columns[i].default_json;
      if (!value) continue;
      rows.add({{"oid", number(object.oid)},
                {"adrelid", number(object.oid)},
                {"adnum", number(i + 1)},
                {"adbin", words(*value)}});
    }
  }
}

void SystemRelations::pg_index(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.key.empty()) continue;
    rows.add({{"indexrelid", number(object.key_oid)},
              {"indrelid", number(object.oid)},
              {"indnatts", number(object.key.size())},
              {"indnkeyatts", number(object.key.size())},
              {"indisunique", true},
              {"indisprimary", true},
              {"indimmediate", true},
              {"indisvalid", true},
              {"indisready", true},
              {"indislive", true},
              {"indkey", key_numbers(object.key)},
              {"indcollation", std::vector<std::int64_t>(object.key.size())},
              {"indclass", std::vector<std::int64_t>(object.key.size())},
              {"indoption", std::vector<std::int64_t>(object.key.size())}});
  }
}

void SystemRelations::pg_constraint(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.key.empty()) continue;
    rows.add({{"oid", number(constraint_of(object.key_oid))},
              {"conname", words(key_name(object.name))},
              {"connamespace", number(kPublicSchema)},
              {"contype", words("p")},
              {"convalidated", true},
              {"conrelid", number(object.oid)},
              {"conindid", number(object.key_oid)},
              {"confupdtype", words(" ")},
              {"confdeltype", words(" ")},
              {"confmatchtype", words(" ")},
              {"conislocal", true},
              {"connoinherit", true},
              {"conkey", key_numbers(object.key)}});
  }
}

void SystemRelations::pg_description(SystemRows& rows) {
  const auto class_oid = number(find_relation("pg_catalog.pg_class")->oid);
  for (const auto& object : objects()) {
    const auto add = [&](std::size_t column, const std::string& text) {
      if (text.empty()) return;
      rows.add({{"objoid", number(object.oid)},
                {"classoid", class_oid},
                {"objsubid", number(column)},
                {"description", words(text)}});
    };
    add(0, object.comment);
    for (std::size_t i = 0; i < object.column_comments.size(); ++i)
      add(i + 1, object.column_comments[i]);
  }
}

void SystemRelations::pg_tables(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind != 'r') continue;
    rows.add({{"schemaname", words("public")},
              {"tablename", words(object.name)},
              {"tableowner", words(kDatabaseName)},
              {"hasindexes", !object.key.empty()},
              {"hasrules", false},
              {"hastriggers", false},
              {"rowsecurity", false}});
  }
}

void SystemRelations::pg_views(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind != 'v') continue;
    rows.add({{"schemaname", words("public")},
              {"viewname", words(object.name)},
              {"viewowner", words(kDatabaseName)},
              {"definition", object.definition.empty() ? nothing() : words(object.definition)}});
  }
}

void SystemRelations::pg_matviews(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind != 'm') continue;
    rows.add({{"schemaname", words("public")},
              {"matviewname", words(object.name)},
              {"matviewowner", words(kDatabaseName)},
              {"hasindexes", !object.key.empty()},
              {"ispopulated", true},
              {"definition", object.definition.empty() ? nothing() : words(object.definition)}});
  }
}

void SystemRelations::pg_indexes(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.key.empty()) continue;
    rows.add({{"schemaname", words("public")},
              {"tablename", words(object.name)},
              {"indexname", words(key_name(object.name))},
              {"indexdef", fmt::format("CREATE UNIQUE INDEX {} ON public.{} USING btree ({})",
                                       key_name(object.name), object.name,
                                       key_columns(object.columns, object.key))}});
  }
}

void SystemRelations::pg_rewrite(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind == 'r') continue;
    rows.add({{"oid", number(object.oid)},
              {"rulename", words("_RETURN")},
              {"ev_class", number(object.oid)},
              {"ev_type", words("1")},
              {"ev_enabled", words("O")},
              {"is_instead", true}});
  }
}

void SystemRelations::pg_stat_user_tables(SystemRows& rows) {
  for (const auto& object : objects()) {
    if (object.kind == 'v') continue;
    rows.add({{"relid", number(object.oid)},
              {"schemaname", words("public")},
              {"relname", words(object.name)},
              {"n_live_tup", number(object.rows)},
              {"n_dead_tup", number(0)}});
  }
}

void SystemRelations::mr_objects(SystemRows& rows) {
  for (const auto& object : objects()) {
    const auto add = [&](std::uint32_t oid, std::string_view kind, const std::string& definition,
                         std::uint64_t bytes) {
      rows.add({{"oid", number(oid)},
                {"kind", words(kind)},
                {"definition", definition.empty() ? nothing() : words(definition)},
                {"bytes", number(bytes)},
                {"may_select", object.may_select},
                {"may_insert", object.may_insert}});
    };
    add(object.oid, "v", object.definition, object.bytes);
    if (object.key.empty()) continue;
    const auto columns = key_columns(object.columns, object.key);
    add(object.key_oid, "i",
        fmt::format("CREATE UNIQUE INDEX {} ON public.{} USING btree ({})", key_name(object.name),
                    object.name, columns),
        0);
    add(constraint_of(object.key_oid), "c", fmt::format("PRIMARY KEY ({})", columns), 0);
  }
  each_system_relation([&](const PostgresRelation& relation) {
    rows.add({{"oid", number(relation.oid)}, {"kind", words("s")}, {"may_select", true}});
  });
}

// --- finding them ---

struct SystemRelations::Filler {
  using Fill = void (SystemRelations::*)(SystemRows&);
  static const std::map<std::string_view, Fill>& all() {
    using S = SystemRelations;
    static const auto* const fillers = new std::map<std::string_view, Fill>{
        {"pg_catalog.pg_class", &S::pg_class},
        {"pg_catalog.pg_attribute", &S::pg_attribute},
        {"pg_catalog.pg_attrdef", &S::pg_attrdef},
        {"pg_catalog.pg_index", &S::pg_index},
        {"pg_catalog.pg_constraint", &S::pg_constraint},
        {"pg_catalog.pg_description", &S::pg_description},
        {"pg_catalog.pg_tables", &S::pg_tables},
        {"pg_catalog.pg_views", &S::pg_views},
        {"pg_catalog.pg_matviews", &S::pg_matviews},
        {"pg_catalog.pg_indexes", &S::pg_indexes},
        {"pg_catalog.pg_rewrite", &S::pg_rewrite},
        {"pg_catalog.pg_stat_user_tables", &S::pg_stat_user_tables},
        {"pg_catalog.pg_stat_all_tables", &S::pg_stat_user_tables},
        {"pg_catalog.mr_objects", &S::mr_objects},
        {"pg_catalog.pg_namespace", &S::pg_namespace},
        {"pg_catalog.pg_database", &S::pg_database},
        {"pg_catalog.pg_type", &S::pg_type},
        {"pg_catalog.pg_proc", &S::pg_proc},
        {"pg_catalog.pg_roles", &S::pg_roles},
        {"pg_catalog.pg_authid", &S::pg_authid},
        {"pg_catalog.pg_user", &S::pg_user},
        {"pg_catalog.pg_settings", &S::pg_settings},
        {"pg_catalog.pg_am", &S::pg_am},
        {"pg_catalog.pg_collation", &S::pg_collation},
        {"pg_catalog.pg_language", &S::pg_language},
        {"pg_catalog.pg_tablespace", &S::pg_tablespace},
        {"pg_catalog.pg_stat_activity", &S::pg_stat_activity},
        {"pg_catalog.mr_session", &S::mr_session},
        {"information_schema.tables", &S::information_tables},
        {"information_schema.columns", &S::information_columns},
        {"information_schema.views", &S::information_views},
        {"information_schema.schemata", &S::information_schemata},
        {"information_schema.table_constraints", &S::information_table_constraints},
        {"information_schema.key_column_usage", &S::information_key_column_usage},
        {"information_schema.constraint_column_usage", &S::information_constraint_column_usage},
        {"information_schema.table_privileges", &S::information_table_privileges},
        {"information_schema.role_table_grants", &S::information_table_privileges},
        {"information_schema.information_schema_catalog_name", &S::information_catalog_name},
        {"information_schema.enabled_roles", &S::information_enabled_roles},
        {"information_schema.character_sets", &S::information_character_sets},
        {"millrace.streams", &S::millrace_streams},
        {"millrace.views", &S::millrace_views},
        {"millrace.tables", &S::millrace_tables},
        {"millrace.generations", &S::millrace_generations},
        {"millrace.positions", &S::millrace_positions},
        {"millrace.jobs", &S::millrace_jobs},
        {"millrace.connections", &S::millrace_connections},
        {"millrace.sinks", &S::millrace_sinks},
        {"millrace.quarantine", &S::millrace_quarantine},
        {"millrace.audit", &S::millrace_audit},
        {"millrace.metrics", &S::millrace_metrics},
        {"millrace.users", &S::millrace_users},
        {"millrace.grants", &S::millrace_grants}};
    return *fillers;
  }
};

std::string SystemRelations::find(std::string_view name) {
  const std::string lower = lower_name(name);
  if (find_relation(lower) != nullptr) return lower;
  std::string full = fmt::format("pg_catalog.{}", lower);
  return lower.starts_with("pg_") && find_relation(full) != nullptr ? full : std::string();
}

Result<sql::QueryRelation> SystemRelations::relation(std::string_view name, std::string_view shown,
                                                     bool with_rows) {
  const auto* relation = find_relation(name);
  if (relation == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "there is no system relation {}",
                name);
  }
  const auto columns = parse_system_columns(relation->columns);
  sql::QueryRelation out{.name = std::string(shown),
                         .columns = {},
                         .hidden_columns = false,
                         .lake_files = {},
                         .tail = {},
                         .rows = {}};
  for (const auto& one : columns) out.columns.push_back(one.column);
  const auto filler = Filler::all().find(name);
  if (!with_rows || filler == Filler::all().end()) return out;
  SystemRows rows(columns);
  (this->*filler->second)(rows);
  out.rows.push_back(std::move(rows).take());
  if (name == "pg_catalog.pg_attribute") {
    static const auto kAttributes = make_system_attributes();
    out.rows.push_back(kAttributes);
  }
  return out;
}

}  // namespace millrace::serving
