#include "serving/point_select.h"

#include <algorithm>
#include <charconv>

#include "base/ascii_case.h"
#include "serving/literal.h"
#include "serving/value_parser.h"
#include "sql/parameters.h"
#include "sql/syntax.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;

/// More are a list for a worker.
constexpr std::size_t kKeysMax = 1000;

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}

/// Whether two trees are the same but for the places in the text.
bool same_tree(const json::value& a, const json::value& b) {
  if (a.kind() != b.kind()) {
    return a.is_number() && b.is_number() && json::serialize(a) == json::serialize(b);
  }
  if (const auto* array = a.if_array()) {
    return std::ranges::equal(*array, b.get_array(), same_tree);
  }
  const auto* object = a.if_object();
  if (object == nullptr) return a == b;
  if (object->size() != b.get_object().size()) return false;
  return std::ranges::all_of(*object, [&](const auto& member) {
    if (member.key() == "query_location") return true;
    const json::value* other = b.get_object().if_contains(member.key());
    return other != nullptr && same_tree(member.value(), *other);
  });
}

bool is_integer_name(std::string_view id) {
  const auto type = Type::parse(id);
  return type && type->is_integer();
}

/// As SELECT would write it; an empty text is no expression, so nothing is the same as it.
std::string text_of(const json::object& expression) {
  return sql::expression_text(expression).value_or("");
}

/// Types whose plain texts mean the same to this program and to the engine.
bool is_plain(const Type& type) {
  switch (type.kind) {
    case TypeKind::kVarchar:
    case TypeKind::kDate:
    case TypeKind::kUuid:
    case TypeKind::kTimestamp:
      return true;
    default:
      return type.is_integer();
  }
}

}  // namespace

class PointSelect::Maker {
 public:
  Maker(const speed::SpeedLayer& speed, std::span<const std::optional<Type>> given)
      : speed_(speed), given_(given) {}

  std::shared_ptr<const PointSelect> make(const json::object& tree) {
    const auto* node = object_at(tree, "node");
    if (node == nullptr || text_at(*node, "type") != "SELECT_NODE") return nullptr;
    const auto* table = object_at(*node, "from_table");
    const auto* where = object_at(*node, "where_clause");
    const auto* items = array_at(*node, "select_list");
    if (table == nullptr || where == nullptr || items == nullptr ||
        text_at(*table, "type") != "BASE_TABLE") {
      return nullptr;
    }
    out_->view_name_ = text_at(*table, "table_name");
    view_ = speed_.find_view(out_->view_name_);
    if (view_ == nullptr) return nullptr;
    const auto schema = text_at(*table, "schema_name");
    if (!schema.empty() && !same_name(schema, "public")) return nullptr;
    names_ = {out_->view_name_, std::string(text_at(*table, "alias"))};
    out_->view_ = view_;
    if (!read_keys() || !read_items(*items) || !read_where(*where)) return nullptr;
    return is_all_of(tree, *table, *items) ? out_ : nullptr;
  }

 private:
  bool read_keys() {
    const auto& compiled = view_->compiled();
    if (compiled.plan.keys.empty() || compiled.session_gap_us) return false;
    for (std::size_t k = 0; k < compiled.plan.keys.size(); ++k) {
      const auto output = compiled.output_of_key(k);
      if (!output || !is_plain(compiled.outputs[*output].type)) return false;
      out_->key_types_.push_back(compiled.outputs[*output].type);
    }
    out_->operands_.resize(out_->key_types_.size());
    return true;
  }

  /// The view's output that a column reference means.
  std::optional<std::size_t> output_of(const json::object& node) const {
    const auto* parts = array_at(node, "column_names");
    if (text_at(node, "class") != "COLUMN_REF" || parts == nullptr || parts->empty() ||
        parts->size() > 2 || !parts->back().is_string() || !parts->front().is_string()) {
      return std::nullopt;
    }
    const auto& name = names_[1].empty() ? names_[0] : names_[1];
    if (parts->size() == 2 && !same_name(std::string_view(parts->front().get_string()), name))
      return std::nullopt;
    return view_->compiled().find_output(std::string_view(parts->back().get_string()));
  }

  bool read_items(const json::array& items) {
    const auto& outputs = view_->compiled().outputs;
    if (items.size() == 1 && items[0].is_object() &&
        text_at(items[0].get_object(), "class") == "STAR") {
      star_ = true;
      out_->all_outputs_ = true;
      for (const auto& output : outputs) out_->columns_.push_back({output.name, output.type});
      return true;
    }
    for (const json::value& item : items) {
      if (!item.is_object()) return false;
      const auto output = output_of(item.get_object());
      if (!output) return false;
      const auto alias = text_at(item.get_object(), "alias");
      out_->columns_.push_back(
          {alias.empty() ? outputs[*output].name : std::string(alias), outputs[*output].type});
      out_->outputs_.push_back(static_cast<std::uint32_t>(*output));
    }
    return true;
  }

  bool read_where(const json::object& where) {
    if (text_at(where, "class") == "CONJUNCTION" && text_at(where, "type") == "CONJUNCTION_AND") {
      const auto* children = array_at(where, "children");
      if (children == nullptr) return false;
      for (const json::value& child : *children) {
        if (!child.is_object() || !read_condition(child.get_object())) return false;
      }
    } else if (!read_condition(where)) {
      return false;
    }
    return std::ranges::none_of(out_->operands_, [](const auto& values) { return values.empty(); });
  }

  bool read_condition(const json::object& node) {
    const auto kind = text_at(node, "type");
    if (kind == "COMPARE_EQUAL") {
      const auto* left = object_at(node, "left");
      const auto* right = object_at(node, "right");
      if (left == nullptr || right == nullptr) return false;
      const auto key = key_of(*left);
      if (!key || !add(*key, *right)) return false;
      conditions_.push_back(fmt::format("{} = {}", text_of(*left), text_of(*right)));
      return true;
    }
    if (kind == "SUBQUERY") return read_any(node);
    const auto* children = array_at(node, "children");
    if (kind != "COMPARE_IN" || children == nullptr || children->size() < 2 ||
        children->size() > kKeysMax || !children->front().is_object()) {
      return false;
    }
    const auto key = key_of(children->front().get_object());
    if (!key) return false;
    std::string list;
    for (std::size_t i = 1; i < children->size(); ++i) {
      const auto* value = (*children)[i].if_object();
      if (value == nullptr || !add(*key, *value)) return false;
      list += (i == 1 ? "" : ", ") + text_of(*value);
    }
    conditions_.push_back(fmt::format("{} IN ({})", text_of(children->front().get_object()), list));
    return true;
  }

  /// key = ANY (list), which the parser makes a subquery over unnest().
  bool read_any(const json::object& node) {
    const auto* child = object_at(node, "child");
    const auto* subquery = object_at(node, "subquery");
    const auto* inner = subquery == nullptr ? nullptr : object_at(*subquery, "node");
    const auto* items = inner == nullptr ? nullptr : array_at(*inner, "select_list");
    if (child == nullptr || items == nullptr || items->size() != 1 || !items->front().is_object())
      return false;
    const auto* lists = array_at(items->front().get_object(), "children");
    const auto key = key_of(*child);
    if (!key || lists == nullptr || lists->size() != 1 || !lists->front().is_object() ||
        !add_list(*key, lists->front().get_object())) {
      return false;
    }
    // What else the subquery says, this text does not, and the comparison of trees finds it.
    conditions_.push_back(
        fmt::format("{} = ANY({})", text_of(*child), text_of(lists->front().get_object())));
    return true;
  }

  bool add_list(std::size_t key, const json::object& node) {
    const Type& type = out_->key_types_[key];
    if (text_at(node, "class") == "PARAMETER") return add_parameter(key, node, Type::list(type));
    const auto values = literal_list_of(node);
    if (!values || values->empty() || values->size() > kKeysMax) return false;
    for (const auto& value : *values) {
      if (value.null ||
          (value.type && *value.type != type && !(value.type->is_integer() && type.is_integer()))) {
        return false;
      }
      out_->operands_[key].push_back({std::nullopt, value.text});
    }
    return true;
  }

  /// `type`: that of the parameter where the client says none.
  bool add_parameter(std::size_t key, const json::object& node, const Type& type) {
    const auto count = sql::count_parameters(json::value(node));
    if (!count || *count == 0) return false;
    const std::size_t index = *count - 1;
    const Type meant = index < given_.size() && given_[index] ? *given_[index] : type;
    const bool list = type.kind == TypeKind::kList;
    const auto plain_of = [&](const Type& one) { return list ? one.element() : one; };
    if (meant != type &&
        !(meant.kind == type.kind && list && plain_of(meant).is_integer() &&
          plain_of(type).is_integer()) &&
        !(meant.is_integer() && type.is_integer())) {
      return false;
    }
    auto& parameters = out_->parameters_;
    if (parameters.size() <= index) parameters.resize(index + 1);
    if (seen_.size() <= index) seen_.resize(index + 1);
    if (seen_[index] && parameters[index] != meant) return false;
    seen_[index] = true;
    parameters[index] = meant;
    out_->operands_[key].push_back({index, {}, list});
    return true;
  }

  std::optional<std::size_t> key_of(const json::object& node) const {
    const auto output = output_of(node);
    const auto& compiled = view_->compiled();
    for (std::size_t k = 0; output && k < out_->operands_.size(); ++k) {
      if (compiled.output_of_key(k) == output && out_->operands_[k].empty()) return k;
    }
    return std::nullopt;
  }

  bool add(std::size_t key, const json::object& node) {
    const Type& type = out_->key_types_[key];
    if (text_at(node, "class") == "PARAMETER") return add_parameter(key, node, type);
    const auto* value = object_at(node, "value");
    const auto* value_type = value == nullptr ? nullptr : object_at(*value, "type");
    if (text_at(node, "class") != "CONSTANT" || value_type == nullptr) return false;
    const json::value* held = value->if_contains("value");
    if (held == nullptr) return false;
    if (text_at(*value_type, "id") == "VARCHAR" && held->is_string()) {
      out_->operands_[key].push_back({std::nullopt, std::string(held->get_string())});
      return true;
    }
    if (type.is_integer() && (held->is_int64() || held->is_uint64()) &&
        is_integer_name(text_at(*value_type, "id"))) {
      out_->operands_[key].push_back({std::nullopt, json::serialize(*held)});
      return true;
    }
    return false;
  }

  /// Whether the tree is that of the text which all that was read says: then it says no more.
  bool is_all_of(const json::object& tree, const json::object& table, const json::array& items) {
    std::string list = star_ ? "*" : "";
    for (std::size_t i = 0; !star_ && i < items.size(); ++i) {
      list += (i == 0 ? "" : ", ") + text_of(items[i].get_object());
    }
    const auto alias = text_at(table, "alias");
    const auto schema = text_at(table, "schema_name");
    const auto again = sql::parse_select(
        fmt::format("SELECT {} FROM {}{}{} WHERE {}", list,
                    schema.empty() ? std::string() : quote_identifier(schema) + ".",
                    quote_identifier(out_->view_name_),
                    alias.empty() ? std::string() : " AS " + quote_identifier(alias),
                    fmt::join(conditions_, " AND ")));
    return again && std::ranges::all_of(seen_, std::identity()) &&
           same_tree(json::value(tree), json::value(*again));
  }

  const speed::SpeedLayer& speed_;
  std::span<const std::optional<Type>> given_;
  std::shared_ptr<PointSelect> out_ = std::make_shared<PointSelect>();
  std::shared_ptr<speed::ViewState> view_;
  std::vector<std::string> names_;
  std::vector<std::string> conditions_;
  std::vector<bool> seen_;  // of the parameters
  bool star_ = false;
};

std::shared_ptr<const PointSelect> PointSelect::make(const json::object& tree,
                                                     const speed::SpeedLayer& speed,
                                                     std::span<const std::optional<Type>> given) {
  return Maker(speed, given).make(tree);
}

bool PointSelect::encode(std::size_t key, std::string_view text,
                         std::vector<std::string>& out) const {
  ColumnBatch parsed(std::span(&key_types_[key], 1));
  if (!push_parsed(text, parsed.column(0), parsed.arena())) return false;
  const ColumnView column[] = {parsed.column(0).view()};
  view::encode_key(column, 0, out.emplace_back());
  return true;
}

bool PointSelect::encode_operand(std::size_t key, const Operand& operand,
                                 std::span<const std::optional<std::string>> values,
                                 std::vector<std::string>& out) const {
  if (!operand.parameter) return encode(key, operand.text, out);
  if (*operand.parameter >= values.size()) return false;
  const auto& value = values[*operand.parameter];
  if (!value) return true;  // equal to nothing
  if (!operand.list) return encode(key, *value, out);
  const auto list = parse_literal_list(*value, key_types_[key]);
  if (!list || list->size() > kKeysMax) return false;
  return std::ranges::all_of(*list, [&](const Literal& literal) {
    return literal.null || encode(key, literal.text, out);
  });
}

std::optional<std::vector<std::string>> PointSelect::keys(
    std::span<const std::optional<std::string>> values) const {
  std::vector<std::string> out(1);
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    std::vector<std::string> encoded;
    for (const auto& operand : operands_[k]) {
      if (!encode_operand(k, operand, values, encoded)) return std::nullopt;
    }
    if (encoded.size() == 1) {
      for (auto& key : out) key += encoded.front();
      continue;
    }
    if (out.size() * encoded.size() > kKeysMax) return std::nullopt;
    std::vector<std::string> longer;
    for (const auto& key : out) {
      for (const auto& one : encoded) longer.push_back(key + one);
    }
    out = std::move(longer);
  }
  std::ranges::sort(out);
  const auto again = std::ranges::unique(out);
  out.erase(again.begin(), again.end());
  return out;
}

std::shared_ptr<const ColumnBatch> PointSelect::project(
    std::shared_ptr<const ColumnBatch> rows) const {
  if (all_outputs_) return rows;
  std::vector<Type> types;
  types.reserve(columns_.size());
  for (const auto& column : columns_) types.push_back(column.type);
  auto out = std::make_shared<ColumnBatch>(types);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const auto from = rows->column(outputs_[i]).view();
    for (std::size_t row = 0; row < rows->rows(); ++row)
      out->column(i).push_from(from, row, out->arena());
  }
  return out;
}

}  // namespace millrace::serving
