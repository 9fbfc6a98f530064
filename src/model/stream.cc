#include "model/stream.h"

#include <algorithm>
#include <cctype>

namespace millrace {

std::optional<std::uint32_t> StreamDefinition::find_column(std::string_view column) const {
  const auto found = std::ranges::find(columns, column, &Column::name);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - columns.begin());
}

std::vector<Type> StreamDefinition::types() const {
  std::vector<Type> out;
  out.reserve(columns.size());
  for (const auto& column : columns) out.push_back(column.type);
  return out;
}

std::uint32_t StreamDefinition::next_field_id() const {
  std::uint32_t last = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) last = std::max(last, field_id(i));
  for (const auto& before : history) {
    for (const auto& column : before.columns) last = std::max(last, column.id);
  }
  return last + 1;
}

const std::vector<Column>* StreamDefinition::columns_of(std::uint32_t of_version) const {
  if (of_version == version) return &columns;
  const auto found = std::ranges::find(history, of_version, &SchemaVersion::version);
  return found == history.end() ? nullptr : &found->columns;
}

std::vector<Column> quarantine_columns() {
  return {{"code", {TypeKind::kVarchar}},
          {"reason", {TypeKind::kVarchar}},
          {"line", {TypeKind::kBigInt}},
          {"raw", {TypeKind::kBlob}},
          {"endpoint", {TypeKind::kVarchar}},
          {"view", {TypeKind::kVarchar}},
          {"source_partition", {TypeKind::kInteger}},
          {"source_offset", {TypeKind::kBigInt}},
          {"replays", {TypeKind::kBigInt}},
          {"id", {TypeKind::kVarchar}}};
}

StreamDefinition quarantine_definition() {
  StreamDefinition out;
  out.columns = quarantine_columns();
  out.dedup_column = static_cast<std::uint32_t>(QuarantineColumn::kId);
  return out;
}

std::vector<Column> hidden_columns() {
  return {{std::string(kPartitionColumn), {TypeKind::kInteger}},
          {std::string(kOffsetColumn), {TypeKind::kBigInt}},
          {std::string(kArrivalColumn), {TypeKind::kTimestampTz}}};
}

Status check_object_name(std::string_view name) {
  const auto letter = [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  const auto good = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 63 || !letter(name.front()) ||
      !std::ranges::all_of(name, good)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
                "'{}' cannot be a name: it takes a letter or '_' first, then letters, digits and "
                "'_', at most "
                "63 bytes",
                name.substr(0, 80));
  }
  return {};
}

Status check_column_name(std::string_view name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > 255 || std::ranges::any_of(name, control)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
                "'{}' cannot be a column name: it takes 1 to 255 bytes without control characters",
                name.substr(0, 80));
  }
  for (const auto hidden : {kPartitionColumn, kOffsetColumn, kArrivalColumn}) {
    const auto same = [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) ==
             std::tolower(static_cast<unsigned char>(b));
    };
    if (std::ranges::equal(name, hidden, same)) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
                  "'{}' cannot be a column name: every stream has a hidden column of this name",
                  name);
    }
  }
  return {};
}

namespace {
std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  out.push_back(quote);
  return out;
}
}  // namespace

std::string quote_identifier(std::string_view name) { return quoted(name, '"'); }
std::string quote_literal(std::string_view text) { return quoted(text, '\''); }

}  // namespace millrace
