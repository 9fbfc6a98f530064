// The stages of a view: SQL for its rows, the plan of its groups, SQL over the columns of a group.
#include <algorithm>
#include <map>

#define XXH_INLINE_ALL
#include <fmt/ranges.h>
#include <xxhash.h>

#include "base/ascii_case.h"
#include "model/value_text.h"
#include "sql/syntax.h"
#include "view/key_codec.h"
#include "view/view_compiler.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

/// DuckDB learns the types of our own functions by macros of the same type.
constexpr std::string_view kOwnFunctions =
    "CREATE TEMP MACRO hop(t, slide, size) AS time_bucket(slide, t);"
    "CREATE TEMP MACRO session(t, gap) AS t;"
    "CREATE TEMP MACRO map_agg(k, v) AS map_from_entries(list({'k': k, 'v': v}));"
    "CREATE TEMP MACRO top_k(x, k) AS [{'value': any_value(x), 'count': count(*)::UBIGINT}], "
    "(x, k, w) AS [{'value': any_value(x), 'sum': sum(w)}]";

/// Intervals have no order to the bit: 30 days are a month, and are not.
bool has_no_state(const Type& type) {
  if (type.is_nested())
    return std::ranges::any_of(type.fields(),
                               [](const auto& field) { return has_no_state(field.type); });
  return type.kind == TypeKind::kInterval;
}

}  // namespace

Result<std::string> Compiler::stage_text(json::object statement, json::array items) const {
  auto& node = statement.at("node").as_object();
  node["select_list"] = std::move(items);
  node["group_expressions"] = json::array();
  node["group_sets"] = json::array();
  node["aggregate_handling"] = "STANDARD_HANDLING";
  node["modifiers"] = json::array();
  node["having"] = nullptr;
  if (is_set(node, "where_clause")) node["where_clause"] = canonical(node.at("where_clause"));
  return sql::select_text(statement);
}

Result<std::string> Compiler::branch_text(std::size_t branch, json::array items) {
  json::object statement = branches_[branch].statement;
  if (stream_is_inside_) hand_places_on(statement.at("node").as_object(), true, branch);
  return stage_text(std::move(statement), std::move(items));
}

Status Compiler::make_input(std::size_t branch, json::array items) {
  StageInput input;
  input.stream = branches_[branch].stream->id;
  const auto& node = branches_[branch].statement.at("node").as_object();
  if (plain_from_ && !has_sets_) {
    input.items = items;
    input.filter =
        is_set(node, "where_clause") ? canonical(node.at("where_clause")) : json::value();
  }
  const std::size_t columns = items.size();
  if (items.empty()) {
    MR_TRY(auto constant, parse_expression("TRUE"));
    items.push_back(std::move(constant));
  }
  if (!has_sets_) {
    MR_TRY(input.sql, branch_text(branch, std::move(items)));
    out_.inputs.push_back(std::move(input));
    return {};
  }
  // Each row once for each set, with NULL for the keys that the set lacks.
  std::string outer;
  for (std::size_t k = 0; k < keys_.size(); ++k) {
    std::vector<std::size_t> having;
    for (std::size_t set = 0; set < sets_.size(); ++set) {
      if (std::ranges::find(sets_[set], k) != sets_[set].end()) having.push_back(set);
    }
    outer +=
        fmt::format("CASE WHEN s.g IN ({1}) THEN r.k{0} END AS k{0}, ", k, fmt::join(having, ", "));
  }
  outer += "s.g";
  std::string sets;
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    sets += fmt::format("{}({})", set == 0 ? "" : ", ", set);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto& item = items[i].as_object();
    const bool is_key = i < keys_.size();
    item["alias"] = is_key ? key_column_name(i) : group_column_name(i - keys_.size());
    if (!is_key && i < columns) outer += fmt::format(", r.a{}", i - keys_.size());
  }
  MR_TRY(const auto inner, branch_text(branch, std::move(items)));
  input.sql = fmt::format("SELECT {} FROM ({}) AS r, (VALUES {}) AS s(g)", outer, inner, sets);
  out_.inputs.push_back(std::move(input));
  return {};
}

/// The types of items over the rows of all branches, of which the first `stateful` must be of types
/// that have a state.
Result<std::vector<Type>> Compiler::bind_items(const json::array& items, std::size_t stateful) {
  std::string all;
  for (std::size_t branch = 0; branch < branches_.size(); ++branch) {
    MR_TRY(const auto text, branch_text(branch, items));
    all += fmt::format("{}({})", branch == 0 ? "" : " UNION ALL ", text);
  }
  MR_TRY(const auto described, describe(fmt::format("SELECT * FROM ({})", all)));
  MR_CHECK(described.size() == items.size(), "{} items are described as {}", items.size(),
           described.size());
  std::vector<Type> types;
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto type = Type::parse(described[i].second);
    if (!type || (i < stateful && has_no_state(*type))) {
      return refuse(items[i],
                    fmt::format("a {} of type {}, which has no state; cast it to VARCHAR",
                                i < keys_.size() ? "group key" : "value", described[i].second));
    }
    types.push_back(std::move(*type));
  }
  return types;
}

Status Compiler::make_inputs() {
  json::array items;
  for (const auto& key : keys_) items.push_back(key.tree);
  for (const auto& argument : calls_->arguments()) items.push_back(argument);
  for (std::size_t branch = 0; branch < branches_.size(); ++branch) {
    json::array own = items;
    if (branches_.size() > 1 && !items.empty()) {
      // A branch whose type is narrower than that of all takes the wider one.
      MR_TRY(const auto text, branch_text(branch, items));
      MR_TRY(const auto described, describe(text));
      for (std::size_t i = 0; i < items.size(); ++i) {
        const auto& wanted =
            i < keys_.size() ? out_.plan.keys[i] : out_.plan.arguments[i - keys_.size()];
        if (described[i].second == wanted.sql()) continue;
        MR_TRY(const auto expression, sql::expression_text(items[i]));
        MR_TRY(own[i], parse_expression(fmt::format("CAST({} AS {})", expression, wanted.sql())));
      }
    }
    MR_RETURN_IF_ERROR(make_input(branch, std::move(own)));
  }
  return {};
}

/// The SQL over pairs is the view's own, with the two relations taken row by row, and joined by
/// what the scan adds.
Status Compiler::make_join() {
  json::object statement = branches_.front().statement;
  const auto& node = statement.at("node").as_object();
  const auto& from = stream_join_in(statement.at("node").as_object().at("from_table").as_object());
  json::array conditions;
  for (const auto& name : using_columns_) {
    MR_TRY(auto equal, parse_expression(fmt::format(
                           "{0}.{2} = {1}.{2}", quote_identifier(joined_->sources()[0].alias),
                           quote_identifier(joined_->sources()[1].alias), quote_identifier(name))));
    conditions.push_back(std::move(equal));
  }
  if (is_set(from, "condition")) conditions.push_back(canonical(from.at("condition")));
  if (is_set(node, "where_clause")) conditions.push_back(canonical(node.at("where_clause")));
  for (const auto& condition : conditions)
    MR_RETURN_IF_ERROR(joined_->add_condition(condition.as_object()));
  for (const auto& key : keys_) joined_->add_use(key.tree);
  for (const auto& argument : calls_->arguments()) joined_->add_use(argument);
  joined_->add_use(node.at("from_table"));
  auto made = joined_->finish();
  if (!made) return refuse(from, std::move(made).error());
  out_.join = std::move(*made);

  const auto stage_over = [&](std::string_view ref_type,
                              const std::string& condition) -> Result<std::string> {
    json::object changed = statement;
    auto& select = changed.at("node").as_object();
    MR_TRY(auto where, parse_expression(condition));
    select["where_clause"] = std::move(where);
    auto& join = stream_join_in(select.at("from_table").as_object());
    join["ref_type"] = ref_type;
    join["using_columns"] = json::array();
    join["condition"] = nullptr;
    for (std::size_t i = 0; i < 2; ++i) {
      auto& table = join.at(i == 0 ? "left" : "right").as_object();
      table["table_name"] = kJoinRelations[i];
      table["alias"] = joined_->sources()[i].alias;
    }
    branches_.front().statement = std::move(changed);
    out_.inputs.clear();
    MR_RETURN_IF_ERROR(make_inputs());
    return std::move(out_.inputs.front().sql);
  };
  std::vector<std::string> all;
  for (const auto& condition : conditions) {
    MR_TRY(auto text, sql::expression_text(condition));
    all.push_back("(" + text + ")");
  }
  MR_TRY(out_.join->pair_sql, stage_over("POSITIONAL", fmt::format("{}", fmt::join(all, " AND "))));
  const auto left = quote_identifier(joined_->sources()[0].alias);
  const auto right = quote_identifier(joined_->sources()[1].alias);
  MR_TRY(
      out_.join->scan_sql,
      stage_over("CROSS", fmt::format("{0} AND {1}.{3} = {2}.{3} AND {1}.{3} = greatest({1}.{4}, "
                                      "{2}.{4})",
                                      fmt::join(joined_->conditions_of_both(), " AND "), left,
                                      right, kBucketColumn, kFirstBucketColumn)));
  out_.inputs.clear();
  return {};
}

Status Compiler::prepare_connection() {
  MR_TRY(connection_, database_.connect());
  const auto make_table = [&](std::string_view name, std::span<const Column> columns,
                              std::string_view rest) {
    std::string table = fmt::format("CREATE TEMP TABLE {} (", quote_identifier(name));
    for (const auto& column : columns) {
      if (&column != columns.data()) table += ", ";
      table += fmt::format("{} {}", quote_identifier(column.name), column.type.sql());
    }
    return connection_->execute(table + std::string(rest) + ")");
  };
  for (const auto& stream : streams_) {
    MR_RETURN_IF_ERROR(
        make_table(stream.name, stream.columns,
                   ", _partition INTEGER, _offset BIGINT, _arrival TIMESTAMP WITH TIME ZONE"));
  }
  for (const auto& table : tables_) MR_RETURN_IF_ERROR(make_table(table.name, table.columns, ""));
  return connection_->execute(kOwnFunctions);
}

Result<std::vector<Compiler::NamedType>> Compiler::describe(std::string_view sql) const {
  std::vector<NamedType> rows;
  auto columns =
      connection_->query(fmt::format("DESCRIBE {}", sql), [&](const BatchView& chunk) -> Status {
        for (std::size_t row = 0; row < chunk.rows; ++row) {
          rows.emplace_back(value_text(chunk.columns[0], row).value_or(""),
                            value_text(chunk.columns[1], row).value_or(""));
        }
        return {};
      });
  if (!columns) return std::unexpected(std::move(columns).error());
  return rows;
}

Status Compiler::bind_types() {
  auto described = describe(select_);
  json::array items;
  for (const auto& key : keys_) items.push_back(key.tree);
  for (const auto& argument : calls_->arguments()) items.push_back(argument);
  const std::size_t stateful = items.size();
  for (const auto& probe : calls_->probes()) items.push_back(probe);
  std::vector<Type> types;
  if (!items.empty()) {
    auto bound = bind_items(items, stateful);
    // Where both are wrong, what is said of the user's own text is said.
    if (!bound) {
      const bool ours = bound.error().id == error_id::kNotMergeable;
      return std::unexpected(ours || described ? std::move(bound).error()
                                               : std::move(described).error());
    }
    types = std::move(*bound);
  }
  const std::span<const Type> all(types);
  out_.plan.keys.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keys_.size()));
  if (has_sets_) out_.plan.keys.push_back({TypeKind::kInteger});
  for (std::uint32_t k = 0; k < out_.plan.keys.size(); ++k) {
    out_.group_columns.push_back({.name = key_column_name(k),
                                  .type = out_.plan.keys[k],
                                  .kind = OutputKind::kKey,
                                  .inputs = {k},
                                  .quantiles = {}});
  }
  if (session_key_) {
    const auto kind = out_.plan.keys.back().kind;
    if (kind != TypeKind::kTimestamp && kind != TypeKind::kTimestampTz) {
      return refuse(keys_.back().tree, fmt::format("session() over {}; its time is a TIMESTAMP",
                                                   out_.plan.keys.back().sql()));
    }
  }
  const std::size_t arguments = calls_->arguments().size();
  auto resolved =
      calls_->resolve(all.subspan(keys_.size(), arguments), all.subspan(keys_.size() + arguments),
                      out_.plan, out_.group_columns);
  if (!resolved) return refuse(calls_->blamed(), std::move(resolved).error());
  if (!described) return std::unexpected(std::move(described).error());

  const auto& result = *described;
  MR_CHECK(result.size() == items_->size(), "{} columns are described as {}", items_->size(),
           result.size());
  std::map<std::string, int> seen;
  for (std::size_t i = 0; i < result.size(); ++i) {
    ViewColumn column{.name = result[i].first, .type = {}};
    if (++seen[lower_name(column.name)] > 1) {
      return refuse((*items_)[i],
                    fmt::format("two columns are named {}; give one another alias", column.name));
    }
    auto type = Type::parse(result[i].second);
    if (!type) {
      return refuse((*items_)[i],
                    fmt::format("column {} has type {}", column.name, result[i].second));
    }
    column.type = *type;
    out_.outputs.push_back(std::move(column));
  }
  return {};
}

Status Compiler::make_outputs() {
  // The group's columns as a table, to learn the types of the final stage.
  std::string table = fmt::format("CREATE TEMP TABLE {} (", kGroupRelation);
  for (const auto& column : out_.group_columns) {
    if (&column != out_.group_columns.data()) table += ", ";
    table += fmt::format("{} {}", column.name, column.type.sql());
  }
  MR_RETURN_IF_ERROR(connection_->execute(table + ")"));
  std::vector<std::string> texts;
  std::string types_sql;
  for (const auto& item : final_items_) {
    MR_TRY(auto text, sql::expression_text(item));
    types_sql += fmt::format("{}{} AS c{}", texts.empty() ? "SELECT " : ", ", text, texts.size());
    texts.push_back(std::move(text));
  }
  MR_TRY(const auto described, describe(fmt::format("{} FROM {}", types_sql, kGroupRelation)));
  bool plain = final_filter_.is_null();
  std::string select;
  for (std::size_t i = 0; i < final_items_.size(); ++i) {
    auto& output = out_.outputs[i];
    std::optional<std::size_t> group_column;
    for (std::size_t c = 0; c < out_.group_columns.size(); ++c) {
      if (same_name(texts[i], out_.group_columns[c].name)) group_column = c;
    }
    if (group_column && out_.group_columns[*group_column].kind == OutputKind::kKey)
      output.key = out_.group_columns[*group_column].inputs[0];
    // What DuckDB gives for the same SELECT says the type: count_if() is HUGEINT, for one.
    const auto type = Type::parse(described[i].second);
    const bool same_type = type && *type == output.type;
    plain = plain && group_column && same_type;
    if (plain) out_.plain_outputs.push_back(static_cast<std::uint32_t>(*group_column));
    const std::string value =
        same_type ? texts[i] : fmt::format("CAST({} AS {})", texts[i], output.type.sql());
    select +=
        fmt::format("{}{} AS {}", i == 0 ? "SELECT " : ", ", value, quote_identifier(output.name));
  }
  if (plain) return {};
  out_.plain_outputs.clear();
  out_.final_sql = fmt::format("{} FROM {}", select, kGroupRelation);
  if (!final_filter_.is_null()) {
    MR_TRY(const auto filter, sql::expression_text(final_filter_));
    out_.final_sql += fmt::format(" WHERE {}", filter);
  }
  // Its own mistakes are found now, not at the first answer.
  auto checked = describe(out_.final_sql);
  if (!checked) return std::unexpected(std::move(checked).error());
  return {};
}

Status Compiler::make_standing_keys() {
  const auto& keys = out_.plan.keys;
  if (keys.empty()) {
    out_.standing_keys.emplace_back();
    return {};
  }
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    if (!sets_[set].empty()) continue;
    ColumnBatch row(keys);
    for (std::size_t k = 0; k + 1 < keys.size(); ++k) row.column(k).push_null();
    row.column(keys.size() - 1).push(static_cast<std::int32_t>(set));
    encode_key(row.views(), 0, out_.standing_keys.emplace_back());
  }
  return {};
}

void Compiler::make_fingerprint() {
  std::string identity = "2\n";
  for (const auto& input : out_.inputs)
    identity += fmt::format("{}\n{}\n", input.stream, input.sql);
  if (out_.join) {
    for (const auto& side : out_.join->sides)
      identity += fmt::format("{}\n{}\n", side.stream, rows_sql(side, "stream"));
    identity += out_.join->pair_sql + "\n";
  }
  for (const auto& key : out_.plan.keys) identity += key.sql() + "\n";
  for (const auto& component : out_.plan.components) {
    identity += fmt::format("{} {} {}", static_cast<int>(component.kind), component.parameter,
                            component.filter ? static_cast<int>(*component.filter) : -1);
    for (const auto& argument : component.arguments) {
      identity += fmt::format(" {}{}{}", argument.index, argument.descending ? "d" : "",
                              argument.nulls_last ? "l" : "");
    }
    identity += "\n";
  }
  out_.fingerprint = XXH3_64bits(identity.data(), identity.size());
}

}  // namespace millrace::view
