// SELECTs about the catalogue: what their names mean, and what the worker needs for them.
#include "base/ascii_case.h"
#include "serving/statement_runner.h"
#include "sql/catalogue_functions.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace millrace::serving {
namespace {

constexpr std::string_view kPublicPrefix = "public.";

class Hash {
 public:
  void add(std::string_view text) {
    value_ = XXH3_64bits_withSeed(text.data(), text.size(), value_);
  }
  void add(std::span<const Column> columns) {
    for (const auto& column : columns) {
      add(column.name);
      add(column.type.sql());
    }
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

}  // namespace

std::set<std::string> StatementRunner::without_schema(const std::set<std::string>& relations) {
  std::set<std::string> out;
  for (const std::string_view name : relations) {
    const bool in_public = name.starts_with(kPublicPrefix);
    out.emplace(in_public ? name.substr(kPublicPrefix.size()) : name);
  }
  return out;
}

std::string StatementRunner::resolve_for(const Assembly& assembly, std::string_view name) const {
  const bool in_public = assembly.catalogue && name.starts_with(kPublicPrefix);
  const auto own = in_public ? name.substr(kPublicPrefix.size()) : name;
  for (const auto& past : assembly.past) {
    if (past.relation == own) return std::string(name);
  }
  if (access_.allowed(assembly.who, Privilege::kSelect, own)) {
    auto found = resolve(own);
    if (!found.empty()) return in_public ? fmt::format("{}{}", kPublicPrefix, found) : found;
  }
  // A stream of the user's own comes first; "pg_catalog.name" can be none.
  if (!assembly.catalogue || SystemRelations::find(name).empty()) return {};
  return lower_name(name);
}

Result<bool> StatementRunner::add_catalogue_relation(const std::string& name, bool hidden_columns,
                                                     Assembly& assembly) {
  if (!assembly.catalogue) return false;
  if (name.starts_with(kPublicPrefix)) {
    const std::string own = name.substr(kPublicPrefix.size());
    MR_RETURN_IF_ERROR(add_relation(own, hidden_columns, assembly));
    assembly.query.views.push_back({name, fmt::format("SELECT * FROM {}", quote_identifier(own))});
    return true;
  }
  const std::string found = SystemRelations::find(name);
  if (found.empty() || !resolve(name).empty()) return false;
  if (assembly.system == nullptr)
    assembly.system = std::make_shared<SystemRelations>(*this, assembly.who, assembly.facts);
  MR_TRY(auto relation, assembly.system->relation(found, name, !assembly.types_only));
  assembly.query.relations.push_back(std::move(relation));
  return true;
}

Status StatementRunner::add_macro(const std::string& name, Assembly& assembly) {
  const bool prefixed = name.starts_with(sql::kCataloguePrefix);
  const auto* function = sql::find_catalogue_function(
      prefixed ? std::string_view(name).substr(sql::kCataloguePrefix.size()) : name);
  auto text = sql::catalogue_macro(name);
  auto& macros = assembly.query.macros;
  if (function == nullptr || std::ranges::find(macros, text) != macros.end()) return {};
  for (std::string_view rest = function->needs; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string needed = fmt::format("{}{}", sql::kCataloguePrefix, rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (needed.ends_with("()")) {
      MR_RETURN_IF_ERROR(add_macro(needed.substr(0, needed.size() - 2), assembly));
    } else {
      MR_RETURN_IF_ERROR(add_relation(needed, false, assembly));
    }
  }
  macros.push_back(std::move(text));
  return {};
}

std::vector<Column> StatementRunner::columns_of_plain_view(const catalog::ViewRecord& record) {
  Hash hash;
  for (const auto& stream : catalog_.streams()) {
    hash.add(stream.name);
    hash.add(stream.columns);
  }
  for (const auto& table : catalog_.tables()) {
    hash.add(table.name);
    hash.add(table.columns);
  }
  for (const auto& view : catalog_.views()) {
    hash.add(view.name);
    hash.add(view.select);
  }
  {
    const MutexLock lock(plain_columns_mutex_);
    if (plain_columns_of_ == hash.value()) {
      if (const auto found = plain_columns_.find(record.id); found != plain_columns_.end())
        return found->second;
    }
  }
  auto columns = columns_of_select(record.select);
  if (!columns) return {};
  const MutexLock lock(plain_columns_mutex_);
  if (plain_columns_of_ != hash.value()) plain_columns_.clear();
  plain_columns_of_ = hash.value();
  plain_columns_[record.id] = *columns;
  return std::move(*columns);
}

}  // namespace millrace::serving
