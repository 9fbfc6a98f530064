// What exists, as relations that a SELECT can read: pg_catalog and information_schema in the form
// of PostgreSQL 15, for clients that know that, and the schema millrace, for people. Each is filled
// for one query from what the server knows at that moment, with what the principal may see and
// nothing else; most of PostgreSQL's are empty. Thread: one owner, for one query. Errors: those of
// the worker that is asked for the columns of a plain view; a view that means nothing any more has
// no columns.
// Invariant: an OID names one stream, view, table or user for ever: made of the catalog's id.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "serving/session_settings.h"
#include "serving/system_rows.h"
#include "sql/query_worker.h"

namespace millrace::serving {

class StatementRunner;

/// What a client's session adds.
struct SessionFacts {
  const SessionSettings* settings = nullptr;  // instead of those that every server has
  std::int32_t process_id = 0;
};

class SystemRelations {
 public:
  /// `facts` may be null.
  SystemRelations(StatementRunner& runner, access::Principal who, const SessionFacts* facts)
      : runner_(runner), who_(std::move(who)), facts_(facts) {}

  /// The full name of a system relation: "pg_class" and "pg_catalog.pg_class" are the same; empty
  /// where there is none.
  [[nodiscard]] static std::string find(std::string_view name);
  /// One that find() gave, under the name `shown`.
  Result<sql::QueryRelation> relation(std::string_view name, std::string_view shown,
                                      bool with_rows);

 private:
  struct Filler;
  /// A stream, table or view.
  struct Object {
    std::uint32_t oid = 0;
    std::string name;
    char kind = 'r';  // of pg_class
    std::vector<Column> columns;
    std::vector<std::uint32_t> key;  // of columns
    std::uint32_t key_oid = 0;
    bool key_not_null = false;
    std::string definition;  // of a view: its SELECT, for who may know it
    std::string comment;
    std::vector<std::string> column_comments;
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    bool may_select = false;
    bool may_insert = false;
  };
  [[nodiscard]] const std::vector<Object>& objects();
  void add_streams();
  void add_tables();
  void add_views();
  [[nodiscard]] bool admin() const;
  [[nodiscard]] std::string user_name() const;
  /// The users that may be seen, by OID.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::string>> roles() const;
  [[nodiscard]] std::vector<SettingShown> settings() const;

  // system_relations.cc
  void pg_class(SystemRows& rows);
  void pg_attribute(SystemRows& rows);
  void pg_attrdef(SystemRows& rows);
  void pg_index(SystemRows& rows);
  void pg_constraint(SystemRows& rows);
  void pg_description(SystemRows& rows);
  void pg_tables(SystemRows& rows);
  void pg_views(SystemRows& rows);
  void pg_matviews(SystemRows& rows);
  void pg_indexes(SystemRows& rows);
  void pg_rewrite(SystemRows& rows);
  void pg_stat_user_tables(SystemRows& rows);
  void mr_objects(SystemRows& rows);

  // system_server.cc: what does not tell of streams, tables and views
  void pg_namespace(SystemRows& rows);
  void pg_database(SystemRows& rows);
  void pg_type(SystemRows& rows);
  void pg_proc(SystemRows& rows);
  void pg_roles(SystemRows& rows);
  void pg_authid(SystemRows& rows);
  void pg_user(SystemRows& rows);
  void pg_settings(SystemRows& rows);
  void pg_am(SystemRows& rows);
  void pg_collation(SystemRows& rows);
  void pg_language(SystemRows& rows);
  void pg_tablespace(SystemRows& rows);
  void pg_stat_activity(SystemRows& rows);
  void mr_session(SystemRows& rows);

  // system_information.cc
  void information_tables(SystemRows& rows);
  void information_columns(SystemRows& rows);
  void information_views(SystemRows& rows);
  void information_schemata(SystemRows& rows);
  void information_table_constraints(SystemRows& rows);
  void information_key_column_usage(SystemRows& rows);
  void information_constraint_column_usage(SystemRows& rows);
  void information_table_privileges(SystemRows& rows);
  void information_catalog_name(SystemRows& rows);
  void information_enabled_roles(SystemRows& rows);
  void information_character_sets(SystemRows& rows);

  // system_views.cc
  void millrace_streams(SystemRows& rows);
  void millrace_views(SystemRows& rows);
  void millrace_tables(SystemRows& rows);
  void millrace_generations(SystemRows& rows);
  void millrace_positions(SystemRows& rows);
  void millrace_jobs(SystemRows& rows);
  void millrace_connections(SystemRows& rows);
  void millrace_sinks(SystemRows& rows);
  void millrace_quarantine(SystemRows& rows);
  void millrace_audit(SystemRows& rows);
  void millrace_metrics(SystemRows& rows);
  void millrace_users(SystemRows& rows);
  void millrace_grants(SystemRows& rows);

  StatementRunner& runner_;
  const access::Principal who_;
  const SessionFacts* facts_;
  std::optional<std::vector<Object>> objects_;
};

/// The relations of the schema millrace, as PostgresRelation has them.
[[nodiscard]] std::span<const PostgresRelation> millrace_relations();

inline constexpr std::uint32_t kCatalogSchema = 11;
inline constexpr std::uint32_t kPublicSchema = 2200;
inline constexpr std::uint32_t kInformationSchema = 13'000;
inline constexpr std::uint32_t kMillraceSchema = 13'001;
/// The role that everything belongs to.
inline constexpr std::uint32_t kOwnerRole = 10;
inline constexpr std::uint32_t kDatabaseOid = 5;
inline constexpr std::string_view kDatabaseName = "millrace";

/// What stands for one of our types in pg_attribute, and its names.
struct TypeNames {
  std::uint32_t oid = 0;
  std::int16_t bytes = -1;
  std::int32_t modifier = -1;
  std::string udt;        // "int8"
  std::string data_type;  // "bigint", of information_schema
};
[[nodiscard]] TypeNames type_names(const Type& type);

}  // namespace millrace::serving
