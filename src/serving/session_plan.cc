// prepare(): what a statement's parameters and columns are, found out without running it.
#include "serving/session_plan.h"

#include <algorithm>
#include <functional>

#include "base/ascii_case.h"
#include "serving/live_query.h"
#include "serving/sql_session.h"
#include "sql/list_parameters.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;
using Given = std::span<const std::optional<Type>>;

std::optional<Type> given_type(Given given, std::size_t index) {
  return index < given.size() ? given[index] : std::nullopt;
}

/// The nodes of many parameters: each type is read by the parser once.
class ParameterNodes {
 public:
  Result<sql::ParameterNode> node(const Type& type) {
    for (const auto& [known, node] : nodes_) {
      if (known == type) return node;
    }
    MR_TRY(auto made, sql::ParameterNode::make(type));
    nodes_.emplace_back(type, made);
    return made;
  }
  /// CAST($n AS type).
  Result<json::value> cast(std::size_t index, const Type& type) {
    for (const auto& [known, cast] : casts_) {
      if (known != type) continue;
      json::value out = cast;
      boost::system::error_code error;
      if (auto* number = out.find_pointer("/child/identifier", error); number != nullptr) {
        *number = std::to_string(index + 1);
        return out;
      }
    }
    MR_TRY(auto made, sql::cast_parameter(index, type));
    casts_.emplace_back(type, made);
    return made;
  }

 private:
  std::vector<std::pair<Type, sql::ParameterNode>> nodes_;
  std::vector<std::pair<Type, json::value>> casts_;
};

/// The parameters that stand in a place of a column by themselves: VALUES ($1, $2), SELECT $1.
void take_column_types(const json::object& tree, std::span<const Column> columns,
                       std::vector<std::optional<Type>>& types) {
  const auto take = [&](const json::array& row) {
    for (std::size_t i = 0; i < row.size() && i < columns.size(); ++i) {
      const auto* node = row[i].if_object();
      if (node == nullptr || !node->contains("class") || node->at("class") != "PARAMETER") continue;
      const auto number = sql::count_parameters(row[i]);
      if (number && *number != 0 && !types[*number - 1]) types[*number - 1] = columns[i].type;
    }
  };
  const auto* node = tree.at("node").if_object();
  const auto* list = node == nullptr ? nullptr : node->if_contains("select_list");
  if (list != nullptr && list->is_array()) take(list->get_array());
  const auto* table = node == nullptr ? nullptr : node->if_contains("from_table");
  const auto* rows =
      table == nullptr || !table->is_object() ? nullptr : table->get_object().if_contains("values");
  if (rows == nullptr || !rows->is_array()) return;
  for (const json::value& row : rows->get_array()) {
    if (row.is_array()) take(row.get_array());
  }
}

/// What the engine says of a statement that it cannot type while a parameter is open: functions
/// that look at their arguments, as json_object() does, want values.
bool is_open(std::span<const Column> columns) {
  return columns.size() == 1 && columns.front().name == "unknown";
}

/// The columns with NULLs of the parameters' types in their places.
Result<std::vector<Column>> columns_with_nulls(StatementRunner& runner,
                                               const access::Principal& who,
                                               const ParsedSelect& select,
                                               const std::vector<std::optional<Type>>& types) {
  ParameterNodes known;
  std::vector<sql::ParameterNode> nodes;
  for (const auto& type : types) {
    MR_TRY(auto node, known.node(*type));
    nodes.push_back(std::move(node));
  }
  ParsedSelect typed = select;
  MR_TRY(auto tree, with_values(json::value(std::move(typed.tree)), nodes,
                                std::vector<std::optional<std::string>>(types.size())));
  typed.tree = std::move(tree.get_object());
  MR_TRY(auto shape, runner.shape_of(who, typed));
  return std::move(shape.columns);
}

/// The types of lists that something is compared with, as far as they are not given.
Status take_list_types(StatementRunner& runner, const access::Principal& who,
                       const ParsedSelect& select, std::vector<std::optional<Type>>& types) {
  json::value tree = select.tree;
  auto lists = sql::compare_with_elements(tree);
  std::erase_if(lists, [&](std::size_t i) { return i >= types.size() || types[i].has_value(); });
  if (lists.empty()) return {};
  ParsedSelect probe{
      .text = select.text, .tree = std::move(tree.get_object()), .past = select.past};
  const auto shape = runner.shape_of(who, probe);
  if (!shape) return {};  // the statement itself will tell
  for (const auto i : lists) {
    if (i >= shape->parameters.size() || !shape->parameters[i]) continue;
    types[i] = Type::list(*shape->parameters[i]);
  }
  return {};
}

/// Fills in the types that are not given. Gives the columns of the answer.
Result<std::vector<Column>> infer(StatementRunner& runner, const access::Principal& who,
                                  const ParsedSelect& select,
                                  std::vector<std::optional<Type>>& types) {
  MR_RETURN_IF_ERROR(take_list_types(runner, who, select, types));
  ParameterNodes known;
  for (;;) {
    ParsedSelect typed = select;
    std::vector<json::value> casts(types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (!types[i]) continue;
      MR_TRY(casts[i], known.cast(i, *types[i]));
    }
    json::value tree = std::move(typed.tree);
    sql::replace_parameters(tree, [&](std::size_t index) { return casts[index]; });
    typed.tree = std::move(tree.get_object());
    MR_TRY(auto shape, runner.shape_of(who, typed));
    bool all = true;
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i]) continue;
      const bool told = i < shape.parameters.size() && shape.parameters[i];
      all = all && told;
      types[i] = told ? *shape.parameters[i] : Type{TypeKind::kVarchar};
    }
    // A parameter whose type nothing tells is a text; then the columns may be others.
    if (all && !types.empty() && is_open(shape.columns))
      return columns_with_nulls(runner, who, select, types);
    if (all) return std::move(shape.columns);
  }
}

Status take_types(std::vector<std::optional<Type>> types, SessionPlan& plan,
                  PreparedStatement& out) {
  ParameterNodes known;
  for (auto& type : types) {
    MR_TRY(auto node, known.node(*type));
    plan.nodes.push_back(std::move(node));
    out.parameters.push_back(std::move(*type));
  }
  return {};
}

std::vector<std::optional<Type>> types_for(std::size_t count, Given given) {
  std::vector<std::optional<Type>> types(std::max(count, given.size()));
  for (std::size_t i = 0; i < types.size(); ++i) types[i] = given_type(given, i);
  return types;
}

/// The tree of one expression. Errors: also for a text that is more than that.
Result<json::value> expression_tree(const std::string& text) {
  MR_TRY(auto tree, sql::parse_select("SELECT " + text));
  const auto& node = tree.at("node").as_object();
  const auto& items = node.at("select_list").as_array();
  MR_TRY(const auto alone, sql::expression_text(items.at(0)));
  MR_TRY(const auto whole, sql::select_text(tree));
  if (items.size() == 1 && whole == "SELECT " + alone) return items.at(0);
  return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "an expression is expected");
}

}  // namespace

std::vector<SessionPlan::SetConfig> set_configs_of(const json::object& tree) {
  std::vector<SessionPlan::SetConfig> out;
  const auto member = [](const json::value* value, std::string_view key) -> const json::value* {
    return value == nullptr || !value->is_object() ? nullptr : value->get_object().if_contains(key);
  };
  const auto text = [](const json::value* value) {
    return value == nullptr || !value->is_string() ? std::string()
                                                   : std::string(value->get_string());
  };
  const auto* node = tree.if_contains("node");
  const auto* items = member(node, "select_list");
  if (items == nullptr || !items->is_array() ||
      text(member(member(node, "from_table"), "type")) != "EMPTY") {
    return out;
  }
  for (const auto& item : items->get_array()) {
    const auto* arguments = member(&item, "children");
    if (!same_name(text(member(&item, "function_name")), "set_config") || arguments == nullptr ||
        !arguments->is_array() || arguments->get_array().size() != 3) {
      return {};
    }
    const auto& three = arguments->get_array();
    const auto constant = [&](const json::value& value) {
      return text(member(member(&value, "value"), "value"));
    };
    // The parser makes TRUE and FALSE a cast of 't' and 'f'.
    const auto* cast = member(&three[2], "child");
    out.push_back({constant(three[0]), constant(three[1]),
                   constant(cast == nullptr ? three[2] : *cast) == "t"});
  }
  return out;
}

Result<json::value> with_values(const json::value& tree,
                                const std::vector<sql::ParameterNode>& nodes,
                                std::span<const std::optional<std::string>> values) {
  std::vector<json::value> constants;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    MR_TRY(auto constant, nodes[i].of(i, values[i]));
    constants.push_back(std::move(constant));
  }
  json::value out = tree;
  sql::replace_parameters(out, [&](std::size_t index) { return constants.at(index); });
  return out;
}

Status SqlSession::plan_select(SessionPlan& plan, Given given, PreparedStatement& out) {
  MR_TRY(const std::size_t count, sql::count_parameters(plan.select->tree));
  plan.point = runner_.point_select(who_, *plan.select, given);
  if (plan.point != nullptr) {
    out.columns = plan.point->columns();
    const auto& found = plan.point->parameters();
    return take_types({found.begin(), found.end()}, plan, out);
  }
  auto types = types_for(count, given);
  MR_TRY(out.columns, infer(runner_, who_, *plan.select, types));
  return take_types(std::move(types), plan, out);
}

Status SqlSession::plan_data(SessionPlan& plan, Given given, PreparedStatement& out) {
  MR_TRY(plan.statement, sql::parse_statement(out.text));
  if (const auto* select = std::get_if<sql::Select>(&*plan.statement)) {
    MR_TRY(plan.select, StatementRunner::read_select(select->text));
    plan.set_configs = set_configs_of(plan.select->tree);
    return plan_select(plan, given, out);
  }
  if (const auto* insert = std::get_if<sql::Insert>(&*plan.statement)) {
    MR_TRY(auto tree, sql::parse_select(insert->select));
    MR_TRY(const std::size_t count, sql::count_parameters(tree));
    if (count == 0 && given.empty()) return {};
    auto types = types_for(count, given);
    MR_TRY(const auto columns, runner_.columns_of_insert(*insert));
    take_column_types(tree, columns, types);
    plan.select = ParsedSelect{.text = insert->select, .tree = std::move(tree), .past = {}};
    MR_RETURN_IF_ERROR(infer(runner_, who_, *plan.select, types));
    return take_types(std::move(types), plan, out);
  }
  const auto* update = std::get_if<sql::Update>(&*plan.statement);
  const auto* remove = std::get_if<sql::Delete>(&*plan.statement);
  if (update != nullptr || remove != nullptr) return plan_change(update, remove, plan, given, out);
  if (std::holds_alternative<sql::Show>(*plan.statement) ||
      std::holds_alternative<sql::Describe>(*plan.statement)) {
    MR_TRY(const auto result, runner_.run_as(who_, *plan.statement, {}));
    out.columns = result.columns;
  } else if (std::holds_alternative<sql::CreateToken>(*plan.statement)) {
    out.columns = {{"token", Type{TypeKind::kVarchar}}};
  } else if (std::holds_alternative<sql::ReplayQuarantine>(*plan.statement)) {
    out.columns = {};
  }
  return {};
}

Status SqlSession::plan_change(const sql::Update* update, const sql::Delete* remove,
                               SessionPlan& plan, Given given, PreparedStatement& out) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; update != nullptr && i < update->assignments.size(); ++i)
    texts.push_back(update->assignments[i].expression);
  const auto& where = update != nullptr ? update->where : remove->where;
  if (!where.empty()) texts.push_back(where);
  std::size_t count = 0;
  std::vector<json::value> trees;
  for (const auto& text : texts) {
    // What is not one expression is for the statement to refuse.
    auto tree = expression_tree(text);
    if (!tree) return given.empty() ? Status() : Status(std::unexpected(tree.error()));
    MR_TRY(const std::size_t inside, sql::count_parameters(*tree));
    count = std::max(count, inside);
    trees.push_back(std::move(*tree));
  }
  if (count == 0) return {};
  auto types = types_for(count, given);
  const auto& table = update != nullptr ? update->table : remove->table;
  std::string items;
  for (std::size_t i = 0; i < trees.size(); ++i) {
    MR_TRY(const auto text, sql::expression_text(trees[i]));
    items += (i == 0 ? "" : ", ") + text;
  }
  MR_TRY(auto probe, StatementRunner::read_select(
                         fmt::format("SELECT {} FROM {}", items, quote_identifier(table))));
  if (update != nullptr) {
    sql::Insert target{.table = table, .columns = {}, .select = {}, .select_place = {}};
    for (const auto& assignment : update->assignments) target.columns.push_back(assignment.column);
    MR_TRY(const auto columns, runner_.columns_of_insert(target));
    take_column_types(probe.tree, columns, types);
  }
  MR_RETURN_IF_ERROR(infer(runner_, who_, probe, types));
  plan.expressions = std::move(trees);
  return take_types(std::move(types), plan, out);
}

Status SqlSession::plan_subscribe(const sql::Subscribe& statement, SessionPlan& plan, Given given,
                                  PreparedStatement& out) {
  plan.subscribe = statement;
  MR_TRY(plan.select, StatementRunner::read_select(statement.text));
  MR_TRY(const std::size_t count, sql::count_parameters(plan.select->tree));
  auto types = types_for(count, given);
  MR_RETURN_IF_ERROR(runner_.shape_of_live(who_, *plan.select));
  MR_TRY(plan.live_columns, infer(runner_, who_, *plan.select, types));
  out.columns = live_columns(plan.live_columns);
  return take_types(std::move(types), plan, out);
}

/// Where the text of a cursor or COPY is a SUBSCRIBE. Errors: also for one with parameters.
Result<bool> SqlSession::plan_inner_subscribe(const std::string& text, SessionPlan& plan,
                                              PreparedStatement& out) {
  MR_TRY(const auto inner, sql::parse_session_statement(text));
  const auto* subscribe = inner ? std::get_if<sql::Subscribe>(&*inner) : nullptr;
  if (subscribe == nullptr) return false;
  MR_RETURN_IF_ERROR(plan_subscribe(*subscribe, plan, {}, out));
  if (out.parameters.empty()) return true;
  return fail(ErrorCode::kInvalidArgument, error_id::kUnsupportedStatement,
              "a SUBSCRIBE inside of another statement takes no parameters");
}

Status SqlSession::plan_session(SessionPlan& plan, Given given, PreparedStatement& out) {
  const Type text{TypeKind::kVarchar};
  const auto& statement = *plan.session;
  if (const auto* subscribe = std::get_if<sql::Subscribe>(&statement))
    return plan_subscribe(*subscribe, plan, given, out);
  if (const auto* show = std::get_if<sql::ShowSetting>(&statement)) {
    if (show->name.empty()) {
      out.columns = {{"name", text}, {"setting", text}, {"description", text}};
      return {};
    }
    MR_TRY(const auto shown, settings_.shown(show->name));
    out.columns = {{shown.first, text}};
  } else if (const auto* execute = std::get_if<sql::ExecuteStatement>(&statement)) {
    MR_TRY(const auto prepared, named(execute->name));
    out.columns = prepared->columns;
  } else if (const auto* fetch = std::get_if<sql::FetchStatement>(&statement)) {
    MR_TRY(auto* const cursor, transaction_.cursor(fetch->name));
    if (!fetch->move) out.columns = cursor->columns();
  } else if (const auto* explain = std::get_if<sql::Explain>(&statement)) {
    MR_TRY(plan.select, StatementRunner::read_select(explain->text));
    out.columns = {{"QUERY PLAN", text}};
  } else if (const auto* declare = std::get_if<sql::DeclareCursor>(&statement)) {
    MR_TRY(const bool live, plan_inner_subscribe(declare->text, plan, out));
    out.columns.clear();  // they are FETCH's
    if (live) return {};
    MR_TRY(plan.select, StatementRunner::read_select(declare->text));
  } else if (const auto* copy = std::get_if<sql::Copy>(&statement)) {
    return plan_copy(*copy, plan, out);
  }
  return {};
}

}  // namespace millrace::serving
