#include "sql/catalogue_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/ascii_case.h"
#include "model/stream.h"

namespace millrace::sql {
namespace {

// In the texts, #name stands for the function of that name, and @name{a,b} for the columns a and b
// of the relation "pg_catalog.name", called mr_a and mr_b: what a caller gives as an argument, such
// as its own column "oid", is put into the text as it is, and must not find a column of ours.

constexpr std::string_view kFormatType =
    "(t, m := NULL) AS CASE WHEN t IS NULL THEN NULL WHEN t::BIGINT = 1700 AND m::BIGINT >= 4 THEN "
    "'numeric(' || ((m::BIGINT - 4) // 65536) || ',' || ((m::BIGINT - 4) % 65536) || ')' WHEN "
    "t::BIGINT = 0 THEN '-' ELSE coalesce(map_extract_value(MAP {16: 'boolean', 17: 'bytea', 18: "
    "'\"char\"', 19: 'name', 20: 'bigint', 21: 'smallint', 22: 'int2vector', 23: 'integer', 24: "
    "'regproc', 25: 'text', 26: 'oid', 30: 'oidvector', 114: 'json', 199: 'json[]', 700: 'real', "
    "701: 'double precision', 705: 'unknown', 869: 'inet', 1000: 'boolean[]', 1001: 'bytea[]', "
    "1005: 'smallint[]', 1007: 'integer[]', 1009: 'text[]', 1016: 'bigint[]', 1021: 'real[]', "
    "1022: 'double precision[]', 1028: 'oid[]', 1042: 'character', 1043: 'character varying', "
    "1082: 'date', 1083: 'time without time zone', 1114: 'timestamp without time zone', 1115: "
    "'timestamp without time zone[]', 1182: 'date[]', 1183: 'time without time zone[]', 1184: "
    "'timestamp with time zone', 1185: 'timestamp with time zone[]', 1186: 'interval', 1187: "
    "'interval[]', 1231: 'numeric[]', 1266: 'time with time zone', 1700: 'numeric', 2205: "
    "'regclass', 2206: 'regtype', 2249: 'record', 2278: 'void', 2276: '\"any\"', 2950: 'uuid', "
    "2951: 'uuid[]', 3802: 'jsonb', 3807: 'jsonb[]'}, t::BIGINT), (SELECT mr_a.mr_typname FROM "
    "@pg_type{oid,typname} mr_a WHERE mr_a.mr_oid = t::BIGINT), '-') END";

/// The OID in a text of digits, or that of the relation of this name, with a schema or without.
constexpr std::string_view kRelationOid =
    "(x) AS coalesce(try_cast(x AS BIGINT), (SELECT min(mr_c.mr_oid) FROM "
    "@pg_class{oid,relname,relnamespace} mr_c JOIN @pg_namespace{nspname,oid} mr_n ON mr_n.mr_oid "
    "= mr_c.mr_relnamespace WHERE lower(mr_c.mr_relname) = lower(trim(regexp_extract(x::VARCHAR, "
    "'(\"[^\"]*\"|[^.\"]+)$'), '\"')) AND (mr_n.mr_nspname = lower(trim(regexp_extract(x::VARCHAR, "
    "'([^.]+)[.](\"[^\"]*\"|[^.\"]+)$', 1), '\"')) OR (NOT contains(x::VARCHAR, '.') AND "
    "mr_n.mr_nspname <> 'information_schema'))))";

constexpr std::string_view kTypeOid =
    "(x) AS coalesce(try_cast(x AS BIGINT), (SELECT mr_a.mr_oid FROM @pg_type{oid,typname} mr_a "
    "WHERE mr_a.mr_typname = coalesce(map_extract_value(MAP {'boolean': 'bool', 'bigint': 'int8', "
    "'smallint': 'int2', 'integer': 'int4', 'int': 'int4', 'real': 'float4', 'double precision': "
    "'float8', 'character varying': 'varchar', 'character': 'bpchar', 'decimal': 'numeric', "
    "'timestamp without time zone': 'timestamp', 'timestamp with time zone': 'timestamptz', 'time "
    "without time zone': 'time', 'time with time zone': 'timetz'}, lower(replace(x::VARCHAR, "
    "'pg_catalog.', ''))), lower(trim(replace(x::VARCHAR, 'pg_catalog.', ''), '\"')))))";

constexpr std::string_view kSizeText =
    "(n) AS CASE WHEN n IS NULL THEN NULL WHEN abs(n) < 10240 THEN n::BIGINT || ' bytes' WHEN "
    "abs(n) < 10485248 THEN round(n / 1024.0)::BIGINT || ' kB' WHEN abs(n) < 10736893952 THEN "
    "round(n / 1048576.0)::BIGINT || ' MB' ELSE round(n / 1073741824.0)::BIGINT || ' GB' END";

/// Of a relation: SELECT and INSERT are grants; whoever may do everything may do the rest.
constexpr std::string_view kTablePrivilege =
    "(t, p) AS (SELECT CASE WHEN upper(p) LIKE '%SELECT%' AND mr_o.mr_may_select THEN true WHEN "
    "upper(p) LIKE '%INSERT%' AND mr_o.mr_may_insert THEN true ELSE false END FROM "
    "@mr_objects{may_insert,may_select,oid} mr_o WHERE mr_o.mr_oid = #mr_regclass_oid(t)), (u, t, "
    "p) AS (SELECT CASE WHEN upper(p) LIKE '%SELECT%' AND mr_o.mr_may_select THEN true WHEN "
    "upper(p) LIKE '%INSERT%' AND mr_o.mr_may_insert THEN true ELSE false END FROM "
    "@mr_objects{may_insert,may_select,oid} mr_o WHERE mr_o.mr_oid = #mr_regclass_oid(t))";
constexpr std::string_view kColumnPrivilege =
    "(t, c, p) AS #has_table_privilege(t, p), (u, t, c, p) AS #has_table_privilege(t, p)";

constexpr std::string_view kIndexDefinition =
    "(o) AS (SELECT mr_d.mr_definition FROM @mr_objects{definition,kind,oid} mr_d WHERE "
    "mr_d.mr_oid = o::BIGINT AND mr_d.mr_kind = 'i'), (o, n, p) AS CASE WHEN n = 0 THEN (SELECT "
    "mr_d.mr_definition FROM @mr_objects{definition,kind,oid} mr_d WHERE mr_d.mr_oid = o::BIGINT "
    "AND mr_d.mr_kind = 'i') ELSE (SELECT mr_a.mr_attname FROM "
    "@pg_attribute{attname,attnum,attrelid} mr_a WHERE mr_a.mr_attrelid = o::BIGINT AND "
    "mr_a.mr_attnum = n) END";

constexpr std::string_view kDefinition =
    "(o) AS (SELECT mr_d.mr_definition FROM @mr_objects{definition,kind,oid} mr_d WHERE "
    "mr_d.mr_oid = #mr_regclass_oid(o) AND mr_d.mr_kind = 'v'), (o, p) AS (SELECT "
    "mr_d.mr_definition FROM @mr_objects{definition,kind,oid} mr_d WHERE mr_d.mr_oid = "
    "#mr_regclass_oid(o) AND mr_d.mr_kind = 'v')";
constexpr std::string_view kConstraintDefinition =
    "(o) AS (SELECT mr_d.mr_definition FROM @mr_objects{definition,kind,oid} mr_d WHERE "
    "mr_d.mr_oid = o::BIGINT AND mr_d.mr_kind = 'c'), (o, p) AS (SELECT mr_d.mr_definition FROM "
    "@mr_objects{definition,kind,oid} mr_d WHERE mr_d.mr_oid = o::BIGINT AND mr_d.mr_kind = 'c')";

constexpr std::string_view kSetting =
    "(n) AS (SELECT mr_s.mr_setting FROM @pg_settings{name,setting} mr_s WHERE lower(mr_s.mr_name) "
    "= lower(n)), (n, missing_ok) AS (SELECT mr_s.mr_setting FROM @pg_settings{name,setting} mr_s "
    "WHERE lower(mr_s.mr_name) = lower(n))";

constexpr std::string_view kRelationBytes =
    "(o) AS coalesce((SELECT mr_d.mr_bytes FROM @mr_objects{bytes,oid} mr_d WHERE mr_d.mr_oid = "
    "#mr_regclass_oid(o)), 0), (o, fork) AS coalesce((SELECT mr_d.mr_bytes FROM "
    "@mr_objects{bytes,oid} mr_d WHERE mr_d.mr_oid = #mr_regclass_oid(o)), 0)";

constexpr std::string_view kTrue1 = "(o) AS o IS NOT NULL";
constexpr std::string_view kTrueOfThree = "(o, p) AS true, (u, o, p) AS true";
constexpr std::string_view kNullText1 = "(a) AS NULL::VARCHAR";
constexpr std::string_view kNullText12 = "(a) AS NULL::VARCHAR, (a, b) AS NULL::VARCHAR";
constexpr std::string_view kNullText0 = "() AS NULL::VARCHAR";
constexpr std::string_view kNullTime0 = "() AS NULL::TIMESTAMPTZ";
constexpr std::string_view kNullNumber1 = "(a) AS NULL::BIGINT";
constexpr std::string_view kZero1 = "(a) AS 0::BIGINT";
constexpr std::string_view kVisible =
    "(o) AS (SELECT mr_c.mr_relnamespace IN (11, 2200) FROM @pg_class{oid,relnamespace} mr_c WHERE "
    "mr_c.mr_oid = o::BIGINT)";

constexpr auto kFunctions = std::to_array<CatalogueFunction>({
    // --- the session ---
    {"version",
     "() AS (SELECT 'PostgreSQL ' || mr_s.mr_setting FROM @pg_settings{name,setting} mr_s WHERE "
     "mr_s.mr_name = 'server_version')",
     "pg_settings"},
    {"current_database", "() AS 'millrace'", ""},
    {"current_catalog", "() AS 'millrace'", ""},
    {"current_schema", "() AS 'public'", ""},
    {"current_schemas", "(x) AS CASE WHEN x THEN ['pg_catalog', 'public'] ELSE ['public'] END", ""},
    {"current_user", "() AS (SELECT mr_s.mr_usename FROM @mr_session{usename} mr_s)", "mr_session"},
    {"session_user", "() AS (SELECT mr_s.mr_usename FROM @mr_session{usename} mr_s)", "mr_session"},
    {"user", "() AS (SELECT mr_s.mr_usename FROM @mr_session{usename} mr_s)", "mr_session"},
    {"current_role", "() AS (SELECT mr_s.mr_usename FROM @mr_session{usename} mr_s)", "mr_session"},
    {"pg_backend_pid", "() AS (SELECT mr_s.mr_pid FROM @mr_session{pid} mr_s)", "mr_session"},
    {"inet_server_addr", kNullText0, ""},
    {"inet_client_addr", kNullText0, ""},
    {"inet_server_port", "() AS NULL::INTEGER", ""},
    {"inet_client_port", "() AS NULL::INTEGER", ""},
    {"pg_postmaster_start_time",
     "() AS (SELECT mr_s.mr_server_start FROM @mr_session{server_start} mr_s)", "mr_session"},
    {"pg_conf_load_time", "() AS (SELECT mr_s.mr_server_start FROM @mr_session{server_start} mr_s)",
     "mr_session"},
    {"pg_is_in_recovery", "() AS false", ""},
    {"pg_is_wal_replay_paused", "() AS false", ""},
    {"pg_last_xact_replay_timestamp", kNullTime0, ""},
    {"pg_last_wal_receive_lsn", kNullText0, ""},
    {"pg_last_wal_replay_lsn", kNullText0, ""},
    {"pg_my_temp_schema", "() AS 0::BIGINT", ""},
    {"pg_is_other_temp_schema", "(o) AS false", ""},
    {"current_setting", kSetting, "pg_settings"},
    {"set_config", "(n, v, l) AS v::VARCHAR", ""},
    {"pg_client_encoding", "() AS 'UTF8'", ""},
    {"getdatabaseencoding", "() AS 'UTF8'", ""},
    {"pg_encoding_to_char", "(e) AS CASE e WHEN 6 THEN 'UTF8' WHEN 0 THEN 'SQL_ASCII' ELSE '' END",
     ""},
    {"pg_char_to_encoding",
     "(e) AS CASE upper(e) WHEN 'UTF8' THEN 6 WHEN 'UTF-8' THEN 6 WHEN 'SQL_ASCII' THEN 0 ELSE -1 "
     "END",
     ""},
    {"pg_encoding_max_length", "(e) AS 4", ""},
    {"txid_current", "() AS NULL::BIGINT", ""},
    {"pg_blocking_pids", "(p) AS []::INTEGER[]", ""},

    // --- names and definitions ---
    {"pg_get_userbyid",
     "(o) AS coalesce((SELECT mr_r.mr_rolname FROM @pg_roles{oid,rolname} mr_r WHERE mr_r.mr_oid = "
     "o), 'unknown (OID=' || o || ')')",
     "pg_roles"},
    {"format_type", kFormatType, "pg_type"},
    {"pg_get_expr", "(e, o) AS e::VARCHAR, (e, o, p) AS e::VARCHAR", ""},
    {"pg_get_viewdef", kDefinition, "mr_objects mr_regclass_oid()"},
    {"pg_get_indexdef", kIndexDefinition, "mr_objects pg_attribute"},
    {"pg_get_constraintdef", kConstraintDefinition, "mr_objects"},
    {"pg_get_ruledef", kNullText12, ""},
    {"pg_get_triggerdef", kNullText12, ""},
    {"pg_get_functiondef", kNullText1, ""},
    {"pg_get_function_result", kNullText1, ""},
    {"pg_get_function_arguments", "(o) AS ''", ""},
    {"pg_get_function_identity_arguments", "(o) AS ''", ""},
    {"pg_get_function_arg_default", "(o, n) AS NULL::VARCHAR", ""},
    {"pg_get_function_sqlbody", kNullText1, ""},
    {"pg_get_statisticsobjdef", kNullText1, ""},
    {"pg_get_statisticsobjdef_columns", kNullText1, ""},
    {"pg_get_partkeydef", kNullText1, ""},
    {"pg_get_partition_constraintdef", kNullText1, ""},
    {"pg_get_serial_sequence", "(t, c) AS NULL::VARCHAR", ""},
    {"pg_tablespace_location", "(o) AS ''", ""},
    {"pg_collation_for", "(x) AS NULL::VARCHAR", ""},
    {"pg_relation_is_publishable", "(o) AS false", ""},
    {"pg_relation_filenode", kNullNumber1, ""},
    {"pg_sequence_last_value", kNullNumber1, ""},
    {"pg_stat_get_numscans", kZero1, ""},
    {"pg_stat_get_live_tuples", kZero1, ""},
    {"pg_stat_get_dead_tuples", kZero1, ""},
    {"pg_index_has_property", "(o, p) AS false", ""},
    {"pg_indexam_has_property", "(o, p) AS false", ""},
    {"pg_index_column_has_property", "(o, n, p) AS p = 'asc' OR p = 'orderable'", ""},
    {"obj_description",
     "(o) AS (SELECT min(mr_d.mr_description) FROM @pg_description{description,objoid,objsubid} "
     "mr_d WHERE mr_d.mr_objoid = o::BIGINT AND mr_d.mr_objsubid = 0), (o, c) AS (SELECT "
     "min(mr_d.mr_description) FROM @pg_description{description,objoid,objsubid} mr_d WHERE "
     "mr_d.mr_objoid = o::BIGINT AND mr_d.mr_objsubid = 0)",
     "pg_description"},
    {"shobj_description", "(o, c) AS NULL::VARCHAR", ""},
    {"col_description",
     "(o, n) AS (SELECT min(mr_d.mr_description) FROM @pg_description{description,objoid,objsubid} "
     "mr_d WHERE mr_d.mr_objoid = o::BIGINT AND mr_d.mr_objsubid = n AND n <> 0)",
     "pg_description"},
    {"pg_describe_object", "(c, o, n) AS NULL::VARCHAR", ""},

    // --- names to OIDs and back: casts to regclass and the like become calls of these ---
    {"mr_regclass_oid", kRelationOid, "pg_class pg_namespace"},
    {"mr_regclass_name",
     "(o) AS CASE WHEN o IS NULL THEN NULL WHEN try_cast(o AS BIGINT) IS NULL THEN o::VARCHAR ELSE "
     "coalesce((SELECT CASE WHEN mr_c.mr_relnamespace IN (11, 2200) THEN "
     "#quote_ident(mr_c.mr_relname) ELSE 'information_schema.' || mr_c.mr_relname END FROM "
     "@pg_class{oid,relname,relnamespace} mr_c WHERE mr_c.mr_oid = try_cast(o AS BIGINT)), "
     "o::VARCHAR) END",
     "pg_class quote_ident()"},
    {"mr_regtype_oid", kTypeOid, "pg_type"},
    {"mr_regtype_name",
     "(o) AS CASE WHEN try_cast(o AS BIGINT) IS NULL THEN o::VARCHAR ELSE #format_type(try_cast(o "
     "AS BIGINT), NULL) END",
     "format_type()"},
    {"mr_regnamespace_oid",
     "(x) AS coalesce(try_cast(x AS BIGINT), (SELECT mr_n.mr_oid FROM @pg_namespace{nspname,oid} "
     "mr_n WHERE mr_n.mr_nspname = trim(x::VARCHAR, '\"')))",
     "pg_namespace"},
    {"mr_regnamespace_name",
     "(o) AS coalesce((SELECT mr_n.mr_nspname FROM @pg_namespace{nspname,oid} mr_n WHERE "
     "mr_n.mr_oid = try_cast(o AS BIGINT)), o::VARCHAR)",
     "pg_namespace"},
    {"mr_regrole_oid",
     "(x) AS coalesce(try_cast(x AS BIGINT), (SELECT mr_r.mr_oid FROM @pg_roles{oid,rolname} mr_r "
     "WHERE mr_r.mr_rolname = trim(x::VARCHAR, '\"')))",
     "pg_roles"},
    {"mr_regrole_name",
     "(o) AS coalesce((SELECT mr_r.mr_rolname FROM @pg_roles{oid,rolname} mr_r WHERE mr_r.mr_oid = "
     "try_cast(o AS BIGINT)), o::VARCHAR)",
     "pg_roles"},
    {"mr_regproc_name",
     "(o) AS coalesce((SELECT mr_p.mr_proname FROM @pg_proc{oid,proname} mr_p WHERE mr_p.mr_oid = "
     "try_cast(o AS BIGINT)), replace(o::VARCHAR, 'pg_catalog.', ''))",
     "pg_proc"},
    {"to_regclass", "(x) AS #mr_regclass_oid(x)", "mr_regclass_oid()"},
    {"to_regtype", "(x) AS #mr_regtype_oid(x)", "mr_regtype_oid()"},
    {"to_regnamespace", "(x) AS #mr_regnamespace_oid(x)", "mr_regnamespace_oid()"},
    {"to_regrole", "(x) AS #mr_regrole_oid(x)", "mr_regrole_oid()"},
    {"to_regproc", kNullNumber1, ""},
    {"to_regprocedure", kNullNumber1, ""},

    // --- what is visible and allowed ---
    {"pg_table_is_visible", kVisible, "pg_class"},
    {"pg_type_is_visible", kTrue1, ""},
    {"pg_function_is_visible", kTrue1, ""},
    {"pg_operator_is_visible", kTrue1, ""},
    {"pg_opclass_is_visible", kTrue1, ""},
    {"pg_opfamily_is_visible", kTrue1, ""},
    {"pg_collation_is_visible", kTrue1, ""},
    {"pg_conversion_is_visible", kTrue1, ""},
    {"pg_statistics_obj_is_visible", kTrue1, ""},
    {"pg_ts_config_is_visible", kTrue1, ""},
    {"pg_ts_dict_is_visible", kTrue1, ""},
    {"pg_ts_parser_is_visible", kTrue1, ""},
    {"pg_ts_template_is_visible", kTrue1, ""},
    {"has_table_privilege", kTablePrivilege, "mr_objects mr_regclass_oid()"},
    {"has_any_column_privilege",
     "(t, p) AS #has_table_privilege(t, p), (u, t, p) AS #has_table_privilege(t, p)",
     "has_table_privilege()"},
    {"has_column_privilege", kColumnPrivilege, "has_table_privilege()"},
    {"has_schema_privilege",
     "(s, p) AS upper(p) LIKE '%USAGE%', (u, s, p) AS upper(p) LIKE '%USAGE%'", ""},
    {"has_database_privilege",
     "(d, p) AS upper(p) LIKE '%CONNECT%', (u, d, p) AS upper(p) LIKE '%CONNECT%'", ""},
    {"has_function_privilege", kTrueOfThree, ""},
    {"has_type_privilege", kTrueOfThree, ""},
    {"has_language_privilege", "(o, p) AS false, (u, o, p) AS false", ""},
    {"has_tablespace_privilege", "(o, p) AS false, (u, o, p) AS false", ""},
    {"has_sequence_privilege", "(o, p) AS false, (u, o, p) AS false", ""},
    {"has_server_privilege", "(o, p) AS false, (u, o, p) AS false", ""},
    {"has_foreign_data_wrapper_privilege", "(o, p) AS false, (u, o, p) AS false", ""},
    {"pg_has_role",
     "(r, p) AS EXISTS (SELECT 1 FROM @mr_session{usename} mr_s WHERE mr_s.mr_usename = "
     "#mr_regrole_name(r)), (u, r, p) AS EXISTS (SELECT 1 FROM @mr_session{usename} mr_s WHERE "
     "mr_s.mr_usename = #mr_regrole_name(r))",
     "mr_session mr_regrole_name()"},

    // --- sizes ---
    {"pg_relation_size", kRelationBytes, "mr_objects mr_regclass_oid()"},
    {"pg_table_size", kRelationBytes, "mr_objects mr_regclass_oid()"},
    {"pg_total_relation_size", kRelationBytes, "mr_objects mr_regclass_oid()"},
    {"pg_indexes_size", kZero1, ""},
    {"pg_database_size",
     "(d) AS (SELECT coalesce(sum(mr_o.mr_bytes), 0)::BIGINT FROM @mr_objects{bytes} mr_o)",
     "mr_objects"},
    {"pg_size_pretty", kSizeText, ""},

    // --- texts and arrays ---
    {"quote_ident",
     "(x) AS CASE WHEN regexp_full_match(x::VARCHAR, '[a-z_][a-z0-9_$]*') THEN x::VARCHAR ELSE "
     "'\"' || replace(x::VARCHAR, '\"', '\"\"') || '\"' END",
     ""},
    {"quote_literal", "(x) AS '''' || replace(x::VARCHAR, '''', '''''') || ''''", ""},
    {"quote_nullable", "(x) AS coalesce('''' || replace(x::VARCHAR, '''', '''''') || '''', 'NULL')",
     ""},
    {"parse_ident",
     "(x) AS list_transform(regexp_extract_all(x, '\"[^\"]*\"|[^.\"]+'), lambda mr_p: CASE WHEN "
     "starts_with(mr_p, '\"') THEN trim(mr_p, '\"') ELSE lower(mr_p) END), (x, strict) AS "
     "list_transform(regexp_extract_all(x, '\"[^\"]*\"|[^.\"]+'), lambda mr_p: CASE WHEN "
     "starts_with(mr_p, '\"') THEN trim(mr_p, '\"') ELSE lower(mr_p) END)",
     ""},
    {"array_lower", "(a, d) AS CASE WHEN d = 1 AND len(a) > 0 THEN 1 END", ""},
    {"array_upper", "(a, d) AS CASE WHEN d = 1 AND len(a) > 0 THEN len(a)::INTEGER END", ""},
    {"array_ndims", "(a) AS CASE WHEN len(a) > 0 THEN 1 END", ""},
    {"array_remove", "(a, e) AS list_filter(a, lambda mr_x: mr_x IS DISTINCT FROM e)", ""},
    {"_pg_expandarray",
     "(a) AS unnest(list_transform(a, lambda mr_x, mr_i: {'x': mr_x, 'n': mr_i}))", ""},
    {"_pg_char_max_length", "(t, m) AS NULL::INTEGER", ""},
    {"_pg_numeric_precision",
     "(t, m) AS CASE t WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 "
     "THEN 53 WHEN 1700 THEN CASE WHEN m >= 4 THEN ((m - 4) // 65536) END END",
     ""},
    {"_pg_numeric_scale",
     "(t, m) AS CASE WHEN t IN (20, 21, 23) THEN 0 WHEN t = 1700 AND m >= 4 THEN (m - 4) % 65536 "
     "END",
     ""},
    {"_pg_datetime_precision",
     "(t, m) AS CASE WHEN t IN (1083, 1114, 1184, 1186, 1266) THEN 6 WHEN t = 1082 THEN 0 END", ""},
    {"_pg_truetypid", "(a, t) AS a.atttypid", ""},
    {"_pg_truetypmod", "(a, t) AS a.atttypmod", ""},

    // --- that give rows ---
    {"pg_get_keywords",
     "() AS TABLE SELECT unnest(['select', 'from', 'where', 'group', 'having', 'order', 'limit', "
     "'union', 'stream', 'view']) AS word, 'R' AS catcode, true AS barelabel, 'reserved' AS "
     "catdesc, 'requires AS' AS baredesc",
     ""},
    {"pg_options_to_table",
     "(o) AS TABLE SELECT NULL::VARCHAR AS option_name, NULL::VARCHAR AS option_value WHERE false",
     ""},
    {"aclexplode",
     "(o) AS TABLE SELECT NULL::BIGINT AS grantor, NULL::BIGINT AS grantee, NULL::VARCHAR AS "
     "privilege_type, false AS is_grantable WHERE false",
     ""},
    {"pg_get_publication_tables",
     "(o) AS TABLE SELECT NULL::BIGINT AS relid, NULL::BIGINT[] AS attrs, NULL::VARCHAR AS qual "
     "WHERE false",
     ""},
    {"pg_partition_ancestors", "(o) AS TABLE SELECT NULL::BIGINT AS relid WHERE false", ""},
    {"pg_partition_tree",
     "(o) AS TABLE SELECT NULL::BIGINT AS relid, NULL::BIGINT AS parentrelid, true AS isleaf, 0 AS "
     "level WHERE false",
     ""},
    {"pg_show_all_settings", "() AS TABLE SELECT * FROM @pg_settings", "pg_settings"},
    {"pg_timezone_names",
     "() AS TABLE SELECT 'UTC' AS name, 'UTC' AS abbrev, INTERVAL 0 SECOND AS utc_offset, false AS "
     "is_dst",
     ""},
});

constexpr auto kSessionWords = std::to_array<std::string_view>(
    {"current_user", "session_user", "user", "current_role", "current_catalog", "current_schema"});

const std::unordered_map<std::string_view, const CatalogueFunction*>& functions() {
  static const auto* const all = [] {
    // Lives as long as the program.
    auto* made = new std::unordered_map<std::string_view, const CatalogueFunction*>();
    for (const auto& function : kFunctions) made->emplace(function.name, &function);
    return made;
  }();
  return *all;
}

/// (SELECT a AS mr_a, b AS mr_b FROM relation)
std::string renamed_columns(std::string_view relation, std::string_view columns) {
  std::string out = "(SELECT ";
  while (!columns.empty()) {
    const std::size_t end = std::min(columns.find(','), columns.size());
    const std::string_view column = columns.substr(0, end);
    columns.remove_prefix(std::min(end + 1, columns.size()));
    out += fmt::format("{0} AS mr_{0}{1}", column, columns.empty() ? "" : ", ");
  }
  return fmt::format("{} FROM {})", out, relation);
}

bool goes_on(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

}  // namespace

const CatalogueFunction* find_catalogue_function(std::string_view name) {
  const auto found = functions().find(lower_name(name));
  return found == functions().end() ? nullptr : found->second;
}

std::vector<std::string_view> catalogue_function_names() {
  std::vector<std::string_view> out;
  for (const auto& function : kFunctions) {
    if (!function.name.starts_with("mr_")) out.push_back(function.name);
  }
  return out;
}

bool is_catalogue_function(std::string_view name) {
  return name.starts_with(kCataloguePrefix) &&
         find_catalogue_function(name.substr(kCataloguePrefix.size())) != nullptr;
}

bool gives_rows(const CatalogueFunction& function) {
  return function.text.contains(" AS TABLE SELECT ");
}

bool is_session_word(std::string_view name) {
  return std::ranges::find(kSessionWords, lower_name(name)) != kSessionWords.end();
}

std::string catalogue_macro(std::string_view name) {
  const bool prefixed = name.starts_with(kCataloguePrefix);
  const auto* function =
      find_catalogue_function(prefixed ? name.substr(kCataloguePrefix.size()) : name);
  if (function == nullptr) return {};
  std::string out = fmt::format("CREATE TEMP MACRO {}", quote_identifier(name));
  const std::string_view text = function->text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '@' && text[i] != '#') {
      out += text[i];
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && goes_on(text[end])) ++end;
    const std::string named =
        quote_identifier(fmt::format("{}{}", kCataloguePrefix, text.substr(i + 1, end - i - 1)));
    if (end < text.size() && text[end] == '{') {
      const std::size_t close = text.find('}', end);
      out += renamed_columns(named, text.substr(end + 1, close - end - 1));
      end = close + 1;
    } else {
      out += named;
    }
    i = end - 1;
  }
  return out;
}

}  // namespace millrace::sql
