#include "view/compiler.h"

#include <algorithm>
#include <map>

#include "base/ascii_case.h"
#include "sql/syntax.h"
#include "view/view_compiler.h"

namespace millrace::view {

namespace json = boost::json;

std::optional<std::size_t> CompiledView::output_of_key(std::size_t key) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].key == key) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> CompiledView::find_output(std::string_view name) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (same_name(outputs[i].name, name)) return i;
  }
  return std::nullopt;
}

Result<CompiledView> Compiler::run(const json::object& statement) {
  const auto* found = statement.if_contains("node");
  MR_CHECK(found != nullptr && found->is_object(), "a statement without node");
  const auto& node = found->get_object();
  MR_RETURN_IF_ERROR(split_unions(statement));
  for (auto& branch : branches_) {
    stream_read_ = nullptr;
    ctes_.clear();
    MR_RETURN_IF_ERROR(check_rows(branch.statement.at("node").as_object(), true));
    if (stream_read_ == nullptr) return refuse(node, "it reads no stream");
    branch.stream = stream_read_;
    MR_TRY(branch.partition,
           parse_expression(
               fmt::format("{} + {}", kPartitionColumn,
                           kPartitionsMax * static_cast<std::size_t>(&branch - branches_.data()))));
  }
  items_ = &node.at("select_list").as_array();
  for (const auto& item : *items_) {
    if (text_of(item.as_object(), "class") == "STAR")
      return refuse(item, "* names no group key; name the columns");
  }
  if (is_set(node, "where_clause")) MR_RETURN_IF_ERROR(check_scalar(node.at("where_clause")));
  MR_RETURN_IF_ERROR(prepare_connection());
  MR_RETURN_IF_ERROR(find_columns(node));
  MR_RETURN_IF_ERROR(collect_keys(node));
  MR_RETURN_IF_ERROR(collect_outputs(node));
  MR_RETURN_IF_ERROR(bind_types());
  MR_RETURN_IF_ERROR(joined_ ? make_join() : make_inputs());
  MR_RETURN_IF_ERROR(make_outputs());
  MR_RETURN_IF_ERROR(make_standing_keys());
  make_fingerprint();
  return std::move(out_);
}

Result<RowSelect> Compiler::run_rows(const json::object& statement) {
  rows_only_ = true;
  const auto& node = statement.at("node").as_object();
  if (is_set(node, "modifiers"))
    return refuse(array_of(node, "modifiers")->at(0), "ORDER BY, LIMIT or DISTINCT");
  MR_RETURN_IF_ERROR(check_rows(node, false));
  if (stream_read_ == nullptr) return refuse(node, "it reads no stream");
  // A copy: the tree that is walked may be one, too.
  std::optional<json::object> hidden;
  (void)any_node(node, [&](const json::object& one) {
    const auto* names =
        text_of(one, "class") == "COLUMN_REF" ? array_of(one, "column_names") : nullptr;
    if (names == nullptr) return false;
    for (const auto column : {kPartitionColumn, kOffsetColumn}) {
      if (same_name(names->back().as_string(), column)) hidden = one;
    }
    return hidden.has_value();
  });
  if (hidden) {
    return refuse(*hidden,
                  "the partition and offset of an event are given when it is stored; the "
                  "derived event has its own");
  }
  MR_TRY(connection_, database_.connect());
  std::string table = fmt::format("CREATE TEMP TABLE {} (", quote_identifier(stream_read_->name));
  for (const auto& column : stream_read_->columns)
    table += fmt::format("{} {}, ", quote_identifier(column.name), column.type.sql());
  MR_RETURN_IF_ERROR(connection_->execute(table + "_arrival TIMESTAMP WITH TIME ZONE)"));
  RowSelect out;
  MR_TRY(const auto described, describe(select_));
  std::map<std::string, int> seen;
  for (const auto& [name, type_name] : described) {
    if (name == kArrivalColumn) continue;  // of a star; the derived event has its own
    const auto type = Type::parse(type_name);
    if (!type || type->is_nested() || type->kind == TypeKind::kInterval) {
      return refuse(node, fmt::format("column {} has type {}, which a stream cannot have; cast it",
                                      name, type_name));
    }
    if (++seen[lower_name(name)] > 1)
      return refuse(node, fmt::format("two columns are named {}; give one another alias", name));
    MR_RETURN_IF_ERROR(check_column_name(name));
    out.sql += fmt::format("{}{}", out.sql.empty() ? "SELECT " : ", ", quote_identifier(name));
    out.columns.push_back({name, *type});
  }
  if (out.columns.size() > kColumnsMax || out.columns.empty())
    return refuse(node, fmt::format("{} columns", out.columns.size()));
  MR_TRY(const auto text, sql::select_text(statement));
  out.sql += fmt::format(" FROM ({}) AS derived_rows", text);
  return out;
}

Result<RowSelect> compile_row_select(sql::Database& database, std::string_view select,
                                     const boost::json::object& statement,
                                     const StreamDefinition& stream) {
  return Compiler(database, select, std::span(&stream, 1), {}).run_rows(statement);
}

Result<CompiledView> compile_view(sql::Database& database, std::string_view select,
                                  const boost::json::object& statement,
                                  std::span<const StreamDefinition> streams,
                                  std::span<const TableDefinition> tables) {
  return Compiler(database, select, streams, tables).run(statement);
}

}  // namespace millrace::view
