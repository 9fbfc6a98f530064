#include "view/native_stage.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <variant>

#include "base/ascii_case.h"
#include "view/select_tree.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

std::optional<std::uint32_t> column_of(const json::value& expression,
                                       const StreamDefinition& stream) {
  const auto* object = expression.if_object();
  if (object == nullptr || text_of(*object, "class") != "COLUMN_REF") return std::nullopt;
  const auto& names = object->at("column_names").as_array();
  if (names.size() != 1) return std::nullopt;
  return stream.find_column(names[0].as_string());
}

/// A constant of the tree that comparisons take as it is.
using Constant = std::variant<std::int64_t, std::string>;

std::optional<Constant> constant_of(const json::value& expression) {
  const auto* object = expression.if_object();
  if (object == nullptr || text_of(*object, "class") != "CONSTANT") return std::nullopt;
  const auto& value = object->at("value").as_object();
  if (const auto* null = value.if_contains("is_null");
      null != nullptr && null->is_bool() && null->get_bool()) {
    return std::nullopt;
  }
  const auto* content = value.if_contains("value");
  if (content == nullptr) return std::nullopt;
  const auto type = text_of(value.at("type").as_object(), "id");
  if (type == "VARCHAR" && content->is_string())
    return Constant(std::string(content->get_string()));
  const bool integer =
      type == "INTEGER" || type == "BIGINT" || type == "SMALLINT" || type == "TINYINT";
  if (integer && content->is_int64()) return Constant(content->get_int64());
  return std::nullopt;
}

enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

std::optional<Comparison> comparison_of(std::string_view type) {
  if (type == "COMPARE_EQUAL") return Comparison::kEqual;
  if (type == "COMPARE_NOTEQUAL") return Comparison::kNotEqual;
  if (type == "COMPARE_LESSTHAN") return Comparison::kLess;
  if (type == "COMPARE_LESSTHANOREQUALTO") return Comparison::kLessEqual;
  if (type == "COMPARE_GREATERTHAN") return Comparison::kGreater;
  if (type == "COMPARE_GREATERTHANOREQUALTO") return Comparison::kGreaterEqual;
  return std::nullopt;
}

Comparison mirrored(Comparison comparison) {
  switch (comparison) {
    case Comparison::kLess:
      return Comparison::kGreater;
    case Comparison::kLessEqual:
      return Comparison::kGreaterEqual;
    case Comparison::kGreater:
      return Comparison::kLess;
    case Comparison::kGreaterEqual:
      return Comparison::kLessEqual;
    case Comparison::kEqual:
    case Comparison::kNotEqual:
      break;
  }
  return comparison;
}

bool is_plain_integer(const Type& type) {
  return type.is_integer() && type.kind != TypeKind::kHugeInt && type.kind != TypeKind::kUBigInt;
}

/// SQL's three-valued truth, one byte a row.
constexpr std::uint8_t kFalse = 0;
constexpr std::uint8_t kTrue = 1;
constexpr std::uint8_t kUnknown = 2;
using Truth = std::vector<std::uint8_t>;

/// A condition: a leaf over one column, or AND, OR, NOT of others.
struct Condition {
  enum class Kind {
    kCompareInteger,
    kCompareDouble,
    kCompareText,
    kIsNull,
    kIsNotNull,
    kTrueColumn,
    kAnd,
    kOr,
    kNot
  };
  Kind kind = Kind::kAnd;
  std::uint32_t column = 0;
  Comparison comparison = Comparison::kEqual;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<Condition> children;
};

/// A stage item that is no plain column.
struct Computed {
  enum class Kind {
    kTruncate /* timestamp down to a multiple of unit */,
    kDivide /* integer // unit */
  };
  Kind kind = Kind::kTruncate;
  std::uint32_t column = 0;
  std::int64_t unit = 1;
};
using Item = std::variant<std::uint32_t, Computed>;

std::optional<std::int64_t> unit_us(std::string_view name) {
  const std::string text = lower_name(name);
  if (text == "second" || text == "seconds") return 1'000'000;
  if (text == "minute" || text == "minutes") return 60'000'000;
  if (text == "hour" || text == "hours") return 3'600'000'000;
  if (text == "day" || text == "days") return 86'400'000'000;
  return std::nullopt;
}

std::optional<Item> compile_item(const json::value& expression, const StreamDefinition& stream) {
  if (const auto column = column_of(expression, stream)) return Item(*column);
  const auto* object = expression.if_object();
  if (object == nullptr || text_of(*object, "class") != "FUNCTION") return std::nullopt;
  const auto& children = object->at("children").as_array();
  if (children.size() != 2) return std::nullopt;
  const auto function = text_of(*object, "function_name");
  if (function == "date_trunc" || function == "datetrunc") {
    const auto constant = constant_of(children[0]);
    const auto column = column_of(children[1], stream);
    if (!constant || !column || !std::holds_alternative<std::string>(*constant))
      return std::nullopt;
    const auto unit = unit_us(std::get<std::string>(*constant));
    if (!unit || stream.columns[*column].type.kind != TypeKind::kTimestamp) return std::nullopt;
    return Item(Computed{Computed::Kind::kTruncate, *column, *unit});
  }
  if (function == "//") {
    const auto column = column_of(children[0], stream);
    const auto constant = constant_of(children[1]);
    if (!constant || !column || !std::holds_alternative<std::int64_t>(*constant))
      return std::nullopt;
    // The result has the wider of both types; BIGINT is the widest that an INTEGER constant leaves
    // alone.
    if (stream.columns[*column].type.kind != TypeKind::kBigInt ||
        std::get<std::int64_t>(*constant) < 1) {
      return std::nullopt;
    }
    return Item(Computed{Computed::Kind::kDivide, *column, std::get<std::int64_t>(*constant)});
  }
  return std::nullopt;
}

std::optional<Condition> compile_condition(const json::value& expression,
                                           const StreamDefinition& stream) {
  if (const auto column = column_of(expression, stream)) {
    if (stream.columns[*column].type.kind != TypeKind::kBoolean) return std::nullopt;
    Condition condition;
    condition.kind = Condition::Kind::kTrueColumn;
    condition.column = *column;
    return condition;
  }
  const auto* object = expression.if_object();
  if (object == nullptr) return std::nullopt;
  const auto kind = text_of(*object, "class");
  const auto type = text_of(*object, "type");
  Condition condition;
  if (kind == "CONJUNCTION" || (kind == "OPERATOR" && type == "OPERATOR_NOT")) {
    condition.kind = type == "CONJUNCTION_AND"  ? Condition::Kind::kAnd
                     : type == "CONJUNCTION_OR" ? Condition::Kind::kOr
                                                : Condition::Kind::kNot;
    for (const auto& child : object->at("children").as_array()) {
      auto compiled = compile_condition(child, stream);
      if (!compiled) return std::nullopt;
      condition.children.push_back(std::move(*compiled));
    }
    return condition;
  }
  if (kind == "OPERATOR" && (type == "OPERATOR_IS_NULL" || type == "OPERATOR_IS_NOT_NULL")) {
    const auto& children = object->at("children").as_array();
    const auto column = children.size() == 1 ? column_of(children[0], stream) : std::nullopt;
    if (!column) return std::nullopt;
    condition.kind =
        type == "OPERATOR_IS_NULL" ? Condition::Kind::kIsNull : Condition::Kind::kIsNotNull;
    condition.column = *column;
    return condition;
  }
  if (kind != "COMPARISON") return std::nullopt;
  auto comparison = comparison_of(type);
  auto column = column_of(object->at("left"), stream);
  auto constant = constant_of(object->at("right"));
  if (!column) {
    column = column_of(object->at("right"), stream);
    constant = constant_of(object->at("left"));
    if (comparison) comparison = mirrored(*comparison);
  }
  if (!comparison || !column || !constant) return std::nullopt;
  condition.column = *column;
  condition.comparison = *comparison;
  const Type& column_type = stream.columns[*column].type;
  if (const auto* integer = std::get_if<std::int64_t>(&*constant)) {
    if (is_plain_integer(column_type)) {
      condition.kind = Condition::Kind::kCompareInteger;
      condition.integer = *integer;
      return condition;
    }
    // An integer beyond 2^53 would be rounded before it is compared: DuckDB does that.
    constexpr std::int64_t kExactMax = std::int64_t{1} << 53;
    if (column_type.kind == TypeKind::kDouble && *integer >= -kExactMax && *integer <= kExactMax) {
      condition.kind = Condition::Kind::kCompareDouble;
      condition.number = static_cast<double>(*integer);
      return condition;
    }
    return std::nullopt;
  }
  if (column_type.kind != TypeKind::kVarchar) return std::nullopt;
  condition.kind = Condition::Kind::kCompareText;
  condition.text = std::get<std::string>(*constant);
  return condition;
}

template <class Value, class Other>
bool compare(Comparison comparison, const Value& value, const Other& other) {
  switch (comparison) {
    case Comparison::kEqual:
      return value == other;
    case Comparison::kNotEqual:
      return value != other;
    case Comparison::kLess:
      return value < other;
    case Comparison::kLessEqual:
      return value <= other;
    case Comparison::kGreater:
      return value > other;
    case Comparison::kGreaterEqual:
      return value >= other;
  }
  return false;
}

template <class Value, class Other>
void compare_all(const Condition& condition, const ColumnVector& column, const Other& other,
                 Truth& out) {
  const auto* values = column.data<Value>();
  const std::size_t rows = column.rows();
  // The comparison is chosen once, so that each loop is a plain one.
  const auto loop = [&](auto op) {
    for (std::size_t row = 0; row < rows; ++row)
      out[row] = op(static_cast<Other>(values[row]), other) ? kTrue : kFalse;
  };
  switch (condition.comparison) {
    case Comparison::kEqual:
      loop(std::equal_to<>());
      break;
    case Comparison::kNotEqual:
      loop(std::not_equal_to<>());
      break;
    case Comparison::kLess:
      loop(std::less<>());
      break;
    case Comparison::kLessEqual:
      loop(std::less_equal<>());
      break;
    case Comparison::kGreater:
      loop(std::greater<>());
      break;
    case Comparison::kGreaterEqual:
      loop(std::greater_equal<>());
      break;
  }
}

/// NaN is equal to itself and the largest of all, as in DuckDB.
bool compare_double(Comparison comparison, double value, double constant) {
  if (!std::isnan(value)) return compare(comparison, value, constant);
  return comparison == Comparison::kGreater || comparison == Comparison::kGreaterEqual ||
         comparison == Comparison::kNotEqual;
}

void evaluate(const Condition& condition, const ColumnBatch& batch, Truth& out) {
  const std::size_t rows = batch.rows();
  out.assign(rows, kFalse);
  const auto leaf_nulls = [&] {
    const auto view = batch.column(condition.column).view();
    if (view.validity == nullptr) return;
    for (std::size_t row = 0; row < rows; ++row) {
      if (!view.valid(row)) out[row] = kUnknown;
    }
  };
  switch (condition.kind) {
    case Condition::Kind::kAnd:
    case Condition::Kind::kOr: {
      const bool is_and = condition.kind == Condition::Kind::kAnd;
      const std::uint8_t decided = is_and ? kFalse : kTrue;
      out.assign(rows, is_and ? kTrue : kFalse);
      Truth child;
      for (const auto& part : condition.children) {
        evaluate(part, batch, child);
        for (std::size_t row = 0; row < rows; ++row) {
          if (out[row] == decided || child[row] == decided) {
            out[row] = decided;
          } else if (child[row] == kUnknown) {
            out[row] = kUnknown;
          }
        }
      }
      return;
    }
    case Condition::Kind::kNot: {
      evaluate(condition.children.front(), batch, out);
      for (auto& truth : out)
        truth = truth == kUnknown ? kUnknown : static_cast<std::uint8_t>(truth == kFalse);
      return;
    }
    case Condition::Kind::kIsNull:
    case Condition::Kind::kIsNotNull: {
      const auto view = batch.column(condition.column).view();
      const bool wants_null = condition.kind == Condition::Kind::kIsNull;
      for (std::size_t row = 0; row < rows; ++row)
        out[row] = view.valid(row) != wants_null ? kTrue : kFalse;
      return;
    }
    case Condition::Kind::kTrueColumn: {
      const auto* values = batch.column(condition.column).data<std::uint8_t>();
      for (std::size_t row = 0; row < rows; ++row) out[row] = values[row] != 0 ? kTrue : kFalse;
      leaf_nulls();
      return;
    }
    case Condition::Kind::kCompareDouble: {
      const auto* values = batch.column(condition.column).data<double>();
      for (std::size_t row = 0; row < rows; ++row) {
        out[row] =
            compare_double(condition.comparison, values[row], condition.number) ? kTrue : kFalse;
      }
      leaf_nulls();
      return;
    }
    case Condition::Kind::kCompareText: {
      const auto* values = batch.column(condition.column).data<StringRef>();
      for (std::size_t row = 0; row < rows; ++row) {
        out[row] =
            compare(condition.comparison, values[row].view(), std::string_view(condition.text))
                ? kTrue
                : kFalse;
      }
      leaf_nulls();
      return;
    }
    case Condition::Kind::kCompareInteger: {
      const auto& column = batch.column(condition.column);
      switch (column.type().physical()) {
        case PhysicalType::kInt8:
          compare_all<std::int8_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kInt16:
          compare_all<std::int16_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kInt32:
          compare_all<std::int32_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kInt64:
          compare_all<std::int64_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kUInt8:
          compare_all<std::uint8_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kUInt16:
          compare_all<std::uint16_t>(condition, column, condition.integer, out);
          break;
        case PhysicalType::kUInt32:
          compare_all<std::uint32_t>(condition, column, condition.integer, out);
          break;
        default:
          MR_CHECK(false, "{} is compared as an integer", column.type().sql());
      }
      leaf_nulls();
      return;
    }
  }
}

std::int64_t floor_to(std::int64_t value, std::int64_t unit) {
  const std::int64_t rest = value % unit;
  return value - (rest < 0 ? rest + unit : rest);
}

}  // namespace

struct NativeStage::Impl {
  std::vector<Item> items;
  std::optional<Condition> filter;
  // Scratch, reused by every run.
  Truth truth;
  std::vector<std::uint32_t> selected;
  std::vector<std::vector<std::int64_t>> computed;
  std::vector<ColumnView> views;
};

NativeStage::NativeStage(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NativeStage::~NativeStage() = default;

std::unique_ptr<NativeStage> NativeStage::compile(const StageInput& input,
                                                  const StreamDefinition& stream) {
  auto impl = std::make_unique<Impl>();
  for (const auto& expression : input.items) {
    auto item = compile_item(expression, stream);
    if (!item) return nullptr;
    impl->items.push_back(*item);
  }
  if (!input.filter.is_null()) {
    impl->filter = compile_condition(input.filter, stream);
    if (!impl->filter) return nullptr;
  }
  impl->computed.resize(impl->items.size());
  return std::unique_ptr<NativeStage>(new NativeStage(std::move(impl)));
}

void NativeStage::run(const ColumnBatch& batch, const std::function<void(const BatchView&)>& sink) {
  const std::size_t rows = batch.rows();
  if (rows == 0) return;
  bool all = true;
  if (impl_->filter) {
    evaluate(*impl_->filter, batch, impl_->truth);
    impl_->selected.clear();
    for (std::size_t row = 0; row < rows; ++row) {
      if (impl_->truth[row] == kTrue) impl_->selected.push_back(static_cast<std::uint32_t>(row));
    }
    if (impl_->selected.empty()) return;
    all = impl_->selected.size() == rows;
  }
  const auto column_index = [](const Item& item) {
    const auto* plain = std::get_if<std::uint32_t>(&item);
    return plain != nullptr ? *plain : std::get<Computed>(item).column;
  };
  // Where the filter took rows away, the rest of the columns that are needed is gathered first.
  ColumnBatch gathered;
  std::vector<ColumnView> sources;
  if (all) {
    for (const auto& item : impl_->items)
      sources.push_back(batch.column(column_index(item)).view());
  } else {
    std::vector<Type> types;
    std::vector<ColumnView> from;
    for (const auto& item : impl_->items) {
      const auto& column = batch.column(column_index(item));
      types.push_back(column.type());
      from.push_back(column.view());
    }
    gathered = ColumnBatch(types);
    gathered.append_rows({from, rows}, impl_->selected);
    sources = gathered.views();
  }
  const std::size_t kept = all ? rows : impl_->selected.size();
  impl_->views.clear();
  for (std::size_t i = 0; i < impl_->items.size(); ++i) {
    const auto* computed = std::get_if<Computed>(&impl_->items[i]);
    if (computed == nullptr) {
      impl_->views.push_back(sources[i]);
      continue;
    }
    auto& out = impl_->computed[i];
    out.resize(kept);
    const auto* in = sources[i].as<std::int64_t>();
    if (computed->kind == Computed::Kind::kTruncate) {
      for (std::size_t row = 0; row < kept; ++row) out[row] = floor_to(in[row], computed->unit);
    } else {
      for (std::size_t row = 0; row < kept; ++row) out[row] = in[row] / computed->unit;
    }
    impl_->views.push_back({sources[i].type, out.data(), sources[i].validity});
  }
  sink({impl_->views, kept});
}

}  // namespace millrace::view
