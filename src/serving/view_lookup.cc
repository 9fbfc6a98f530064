#include "serving/view_lookup.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/ascii_case.h"
#include "serving/value_parser.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;

constexpr std::string_view kFoundColumn = "_found";

Error bad_body(std::string message) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .id = std::string(error_id::kBadRequest),
               .message = std::move(message),
               .hint = R"(send a JSON array of keys: [{"column": value}, ...] or [[value], ...])",
               .place = {}};
}

/// The view's columns that are its key.
Result<std::vector<Column>> key_columns(const view::CompiledView& view, std::string_view name) {
  std::vector<Column> columns;
  for (std::size_t k = 0; k < view.plan.keys.size(); ++k) {
    const auto output = view.output_of_key(k);
    if (!output) break;
    columns.push_back({view.outputs[*output].name, view.outputs[*output].type});
  }
  if (!columns.empty() && columns.size() == view.plan.keys.size() && !view.session_gap_us)
    return columns;
  return std::unexpected(
      Error{.code = ErrorCode::kInvalidArgument,
            .id = std::string(error_id::kBadRequest),
            .message = fmt::format("the rows of view {} cannot be told by their keys: it {}", name,
                                   view.session_gap_us      ? "is over sessions"
                                   : view.plan.keys.empty() ? "has no GROUP BY"
                                                            : "does not show all of its key"),
            .hint = "read it with GET /v1/views/{view} and conditions",
            .place = {}});
}

class KeyReader {
 public:
  KeyReader(std::span<const Column> columns, std::string_view view)
      : columns_(columns), view_(view) {
    std::vector<Type> types;
    for (const auto& column : columns) types.push_back(column.type);
    values_ = std::make_shared<ColumnBatch>(types);
  }

  Status add(const json::value& key) {
    std::vector<const json::value*> parts(columns_.size(), nullptr);
    if (const auto* object = key.if_object()) {
      MR_RETURN_IF_ERROR(take_members(*object, parts));
    } else if (const auto* array = key.if_array()) {
      if (array->size() != parts.size()) return wrong_count(array->size());
      for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = &(*array)[i];
    } else {
      return std::unexpected(
          bad_body(fmt::format("key {} is neither an object nor an array", number())));
    }
    for (std::size_t i = 0; i < parts.size(); ++i) MR_RETURN_IF_ERROR(push(i, *parts[i]));
    const auto views = values_->views();
    view::encode_key(views, out_.encoded.size(), out_.encoded.emplace_back());
    return {};
  }

  LookupKeys take() {
    out_.values = std::move(values_);
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::size_t number() const { return out_.encoded.size() + 1; }

  Status wrong_count(std::size_t found) const {
    return std::unexpected(
        bad_body(fmt::format("key {} has {} values, and the key of view {} has {} columns",
                             number(), found, view_, columns_.size())));
  }

  Status take_members(const json::object& object, std::vector<const json::value*>& parts) const {
    for (const auto& member : object) {
      const auto column = std::ranges::find_if(
          columns_, [&](const Column& one) { return same_name(one.name, member.key()); });
      if (column == columns_.end()) {
        std::vector<std::string> names;
        for (const auto& one : columns_) names.push_back(one.name);
        return std::unexpected(
            Error{.code = ErrorCode::kInvalidArgument,
                  .id = std::string(error_id::kColumnNotFound),
                  .message = fmt::format("key {}: the key of view {} has no column {}", number(),
                                         view_, std::string_view(member.key())),
                  .hint = fmt::format("its columns are {}", fmt::join(names, ", ")),
                  .place = {}});
      }
      parts[static_cast<std::size_t>(column - columns_.begin())] = &member.value();
    }
    const auto given =
        std::ranges::count_if(parts, [](const auto* part) { return part != nullptr; });
    return static_cast<std::size_t>(given) == parts.size()
               ? Status()
               : wrong_count(static_cast<std::size_t>(given));
  }

  Status push(std::size_t i, const json::value& value) {
    auto& column = values_->column(i);
    if (value.is_null()) {
      column.push_null();
      return {};
    }
    if (value.is_object() || value.is_array()) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                  "key {}: column {} is a single value", number(), columns_[i].name);
    }
    const bool text = value.is_string();
    if (!text && (column.type().kind == TypeKind::kVarchar)) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                  "key {}: column {} is a text, in quotes", number(), columns_[i].name);
    }
    auto pushed = push_parsed(text ? std::string(value.get_string()) : json::serialize(value),
                              column, values_->arena());
    if (!pushed)
      return std::unexpected(
          std::move(pushed).error().within("key {}: {}", number(), columns_[i].name));
    return {};
  }

  std::span<const Column> columns_;
  std::string_view view_;
  std::shared_ptr<ColumnBatch> values_;
  LookupKeys out_;
};

}  // namespace

Result<LookupKeys> parse_lookup(const view::CompiledView& view, std::string_view name,
                                std::string_view body) {
  MR_TRY(const auto columns, key_columns(view, name));
  boost::system::error_code failed;
  const auto document = json::parse(body, failed);
  if (failed) return std::unexpected(bad_body("the body is not JSON: " + failed.message()));
  const auto* keys = document.if_array();
  if (keys == nullptr) return std::unexpected(bad_body("the body is not an array"));
  if (keys->size() > kLookupKeysMax) {
    return std::unexpected(bad_body(
        fmt::format("{} keys are asked for, and {} are the most", keys->size(), kLookupKeysMax)));
  }
  KeyReader reader(columns, name);
  for (const json::value& key : *keys) MR_RETURN_IF_ERROR(reader.add(key));
  return reader.take();
}

Result<FoundRows> look_up(const speed::ViewState& view, const LookupKeys& keys) {
  // Each key once, as it is asked for.
  auto once = keys.encoded;
  std::ranges::sort(once);
  const auto again = std::ranges::unique(once);
  once.erase(again.begin(), again.end());
  MR_TRY(auto units, view.read_units([&](auto& chosen) { chosen = once; }));
  FoundRows out{.rows = std::move(units.rows), .places = {}, .coverage = std::move(units.coverage)};
  for (const auto& key : keys.encoded) {
    const auto unit = static_cast<std::size_t>(std::ranges::lower_bound(once, key) - once.begin());
    const std::uint32_t row = unit == 0 ? 0 : units.ends[unit - 1];
    out.places.push_back(units.ends[unit] > row ? std::optional(row) : std::nullopt);
  }
  return out;
}

std::vector<Column> marked_columns(const view::CompiledView& view) {
  std::vector<Column> columns = {{std::string(kFoundColumn), Type{TypeKind::kBoolean}}};
  for (const auto& output : view.outputs) columns.push_back({output.name, output.type});
  return columns;
}

std::shared_ptr<const ColumnBatch> marked_rows(const view::CompiledView& view,
                                               const LookupKeys& keys, const FoundRows& found) {
  std::vector<Type> types;
  for (const auto& column : marked_columns(view)) types.push_back(column.type);
  auto out = std::make_shared<ColumnBatch>(types);
  const auto rows = found.rows->views();
  const auto values = keys.values->views();
  for (std::size_t i = 0; i < found.places.size(); ++i) {
    const auto& place = found.places[i];
    out->column(0).push(static_cast<std::uint8_t>(place.has_value()));
    for (std::size_t o = 0; o < view.outputs.size(); ++o) {
      auto& column = out->column(o + 1);
      if (place) {
        column.push_from(rows[o], *place, out->arena());
      } else if (view.outputs[o].key) {
        column.push_from(values[*view.outputs[o].key], i, out->arena());
      } else {
        column.push_null();
      }
    }
  }
  return out;
}

}  // namespace millrace::serving
