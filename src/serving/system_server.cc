// The system relations that tell of the server: its types, functions, roles and settings. As
// system_relations.h says.
#include <algorithm>
#include <charconv>

#include "runtime/clock.h"
#include "serving/statement_runner.h"
#include "serving/system_relations.h"
#include "sql/catalogue_functions.h"

namespace millrace::serving {
namespace {

constexpr std::int64_t kFirstFunctionOid = 9'000;  // of PostgreSQL's own, none is here
constexpr std::int64_t kTextOid = 25;

struct Setting {
  std::string_view name;
  std::string_view value;
  std::string_view description;
};
/// Where there is no session, as over HTTP.
constexpr Setting kSettings[] = {
    {"server_version", "15.0 (Millrace " MR_VERSION ")", "Shows the server version."},
    {"server_version_num", "150000", "Shows the server version as an integer."},
    {"server_encoding", "UTF8", "Shows the character set of the database."},
    {"client_encoding", "UTF8", "Shows the character set of the client."},
    {"search_path", "\"$user\", public", "Shows where names without a schema are looked for."},
    {"TimeZone", "UTC", "Shows the time zone of times that are shown."},
    {"DateStyle", "ISO, MDY", "Shows the format of dates."},
    {"IntervalStyle", "postgres", "Shows the format of intervals."},
    {"bytea_output", "hex", "Shows the format of bytea."},
    {"extra_float_digits", "1", "Shows how many digits floats have."},
    {"integer_datetimes", "on", "Shows whether times are integers."},
    {"standard_conforming_strings", "on", "Shows whether '...' takes backslashes as they are."},
    {"transaction_isolation", "repeatable read", "Shows what a transaction sees."},
    {"default_transaction_isolation", "repeatable read", "Shows what a transaction will see."},
    {"transaction_read_only", "off", "Shows whether the transaction reads only."},
    {"default_transaction_read_only", "off", "Shows whether transactions read only."},
    {"max_identifier_length", "63", "Shows how long a name can be."},
    {"max_index_keys", "1024", "Shows how many columns a key can have."},
    {"block_size", "8192", "Shows the size of a disk block."},
    {"lc_collate", "C", "Shows the order of texts."},
    {"lc_ctype", "C", "Shows the classes of characters."},
    {"application_name", "", "Shows what the client calls itself."},
};

std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

/// A word of a line of postgres_types(), as the column wants it.
SystemValue type_value(std::string_view column, std::string_view word) {
  if (column == "typbyval" || column == "typispreferred") return word == "t";
  std::int64_t value = 0;
  const auto end = word.data() + word.size();
  if (std::from_chars(word.data(), end, value).ptr == end && column != "typname") return value;
  return words(word);
}

}  // namespace

void SystemRelations::pg_namespace(SystemRows& rows) {
  constexpr std::pair<std::uint32_t, std::string_view> kSchemas[] = {
      {kCatalogSchema, "pg_catalog"},
      {kPublicSchema, "public"},
      {kInformationSchema, "information_schema"},
      {kMillraceSchema, "millrace"}};
  for (const auto& [oid, name] : kSchemas)
    rows.add({{"oid", number(oid)}, {"nspname", words(name)}, {"nspowner", number(kOwnerRole)}});
}

void SystemRelations::pg_database(SystemRows& rows) {
  rows.add({{"oid", number(kDatabaseOid)},
            {"datname", words(kDatabaseName)},
            {"datdba", number(kOwnerRole)},
            {"encoding", number(6)},
            {"datlocprovider", words("c")},
            {"datallowconn", true},
            {"datconnlimit", number(-1)},
            {"dattablespace", number(1663)},
            {"datcollate", words("C")},
            {"datctype", words("C")}});
}

void SystemRelations::pg_type(SystemRows& rows) {
  for (std::string_view line : postgres_types()) {
    std::vector<SystemCell> cells = {{"typnamespace", number(kCatalogSchema)},
                                     {"typowner", number(kOwnerRole)},
                                     {"typisdefined", true},
                                     {"typmodin", words("-")},
                                     {"typmodout", words("-")},
                                     {"typanalyze", words("-")},
                                     {"typsubscript", words("-")},
                                     {"typtypmod", number(-1)}};
    for (std::string_view columns = kPostgresTypeColumns; !columns.empty();) {
      const auto column = take_word(columns);
      cells.push_back({column, type_value(column, take_word(line))});
    }
    rows.add(cells);
  }
}

void SystemRelations::pg_proc(SystemRows& rows) {
  // What tells an array's type from others, for clients that look.
  constexpr std::pair<std::int64_t, std::string_view> kArrays[] = {
      {750, "array_in"}, {751, "array_out"}, {2400, "array_recv"}, {2401, "array_send"}};
  for (const auto& [oid, name] : kArrays) {
    rows.add({{"oid", oid},
              {"proname", words(name)},
              {"pronamespace", number(kCatalogSchema)},
              {"proowner", number(kOwnerRole)},
              {"prolang", number(12)},
              {"prokind", words("f")}});
  }
  std::int64_t oid = kFirstFunctionOid;
  for (const auto name : sql::catalogue_function_names()) {
    rows.add({{"oid", oid++},
              {"proname", words(name)},
              {"pronamespace", number(kCatalogSchema)},
              {"proowner", number(kOwnerRole)},
              {"prolang", number(12)},
              {"prokind", words("f")},
              {"provolatile", words("s")},
              {"proparallel", words("s")},
              {"prorettype", kTextOid},
              {"prosrc", words(name)}});
  }
}

void SystemRelations::pg_roles(SystemRows& rows) {
  for (const auto& [oid, name] : roles()) {
    const bool owner = oid == kOwnerRole;
    rows.add({{"oid", number(oid)},
              {"rolname", words(name)},
              {"rolsuper", owner || runner_.access_.is_admin(access::Principal::user(name))},
              {"rolinherit", true},
              {"rolcreaterole", owner},
              {"rolcreatedb", false},
              {"rolcanlogin", !owner},
              {"rolreplication", false},
              {"rolconnlimit", number(-1)},
              {"rolpassword", words("********")},
              {"rolbypassrls", false}});
  }
}

void SystemRelations::pg_authid(SystemRows& rows) {
  for (const auto& [oid, name] : roles()) {
    const bool owner = oid == kOwnerRole;
    rows.add({{"oid", number(oid)},
              {"rolname", words(name)},
              {"rolsuper", owner || runner_.access_.is_admin(access::Principal::user(name))},
              {"rolinherit", true},
              {"rolcanlogin", !owner},
              {"rolconnlimit", number(-1)}});
  }
}

void SystemRelations::pg_user(SystemRows& rows) {
  for (const auto& [oid, name] : roles()) {
    if (oid == kOwnerRole) continue;
    rows.add({{"usename", words(name)},
              {"usesysid", number(oid)},
              {"usecreatedb", false},
              {"usesuper", runner_.access_.is_admin(access::Principal::user(name))},
              {"userepl", false},
              {"usebypassrls", false},
              {"passwd", words("********")}});
  }
}

std::vector<SettingShown> SystemRelations::settings() const {
  std::vector<SettingShown> out;
  if (facts_ != nullptr && facts_->settings != nullptr) out = facts_->settings->all();
  for (const auto& one : kSettings) {
    if (std::ranges::find(out, one.name, &SettingShown::name) != out.end()) continue;
    out.push_back({std::string(one.name), std::string(one.value), std::string(one.description)});
  }
  return out;
}

void SystemRelations::pg_settings(SystemRows& rows) {
  for (const auto& one : settings()) {
    rows.add({{"name", words(one.name)},
              {"setting", words(one.value)},
              {"category", words("Millrace")},
              {"short_desc", words(one.description)},
              {"context", words("user")},
              {"vartype", words("string")},
              {"source", words("default")},
              {"boot_val", words(one.value)},
              {"reset_val", words(one.value)},
              {"pending_restart", false}});
  }
}

void SystemRelations::pg_am(SystemRows& rows) {
  rows.add({{"oid", number(2)},
            {"amname", words("heap")},
            {"amhandler", words("heap_tableam_handler")},
            {"amtype", words("t")}});
  rows.add({{"oid", number(403)},
            {"amname", words("btree")},
            {"amhandler", words("bthandler")},
            {"amtype", words("i")}});
}

void SystemRelations::pg_collation(SystemRows& rows) {
  constexpr std::pair<std::uint32_t, std::string_view> kCollations[] = {
      {100, "default"}, {950, "C"}, {951, "POSIX"}};
  for (const auto& [oid, name] : kCollations) {
    rows.add({{"oid", number(oid)},
              {"collname", words(name)},
              {"collnamespace", number(kCatalogSchema)},
              {"collowner", number(kOwnerRole)},
              {"collprovider", words(oid == 100 ? "d" : "c")},
              {"collisdeterministic", true},
              {"collencoding", number(-1)}});
  }
}

void SystemRelations::pg_language(SystemRows& rows) {
  constexpr std::pair<std::uint32_t, std::string_view> kLanguages[] = {{12, "internal"},
                                                                       {14, "sql"}};
  for (const auto& [oid, name] : kLanguages) {
    rows.add({{"oid", number(oid)},
              {"lanname", words(name)},
              {"lanowner", number(kOwnerRole)},
              {"lanpltrusted", true}});
  }
}

void SystemRelations::pg_tablespace(SystemRows& rows) {
  rows.add(
      {{"oid", number(1663)}, {"spcname", words("pg_default")}, {"spcowner", number(kOwnerRole)}});
}

void SystemRelations::pg_stat_activity(SystemRows& rows) {
  if (facts_ == nullptr) return;
  rows.add({{"datid", number(kDatabaseOid)},
            {"datname", words(kDatabaseName)},
            {"pid", number(facts_->process_id)},
            {"usename", words(user_name())},
            {"state", words("active")},
            {"backend_type", words("client backend")}});
}

void SystemRelations::mr_session(SystemRows& rows) {
  static const std::int64_t kServerStart = runtime::wall_us();
  rows.add({{"usename", words(user_name())},
            {"pid", number(facts_ == nullptr ? 0 : facts_->process_id)},
            {"server_start", kServerStart}});
}

}  // namespace millrace::serving
