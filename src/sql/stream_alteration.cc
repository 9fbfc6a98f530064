#include "sql/stream_alteration.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "sql/suggestion.h"

namespace millrace::sql {

namespace {

/// Bits of the magnitude; 0 for what is no integer.
struct IntegerRange {
  int bits = 0;
  bool is_signed = false;
};

IntegerRange range_of(TypeKind kind) {
  switch (kind) {
    case TypeKind::kTinyInt:
      return {7, true};
    case TypeKind::kSmallInt:
      return {15, true};
    case TypeKind::kInteger:
      return {31, true};
    case TypeKind::kBigInt:
      return {63, true};
    case TypeKind::kHugeInt:
      return {127, true};
    case TypeKind::kUTinyInt:
      return {8, false};
    case TypeKind::kUSmallInt:
      return {16, false};
    case TypeKind::kUInteger:
      return {32, false};
    case TypeKind::kUBigInt:
      return {64, false};
    default:
      return {};
  }
}

std::unexpected<Error> refuse(ErrorCode code, std::string_view id, const AlterStream& statement,
                              std::string message, std::string hint) {
  return std::unexpected(Error{.code = code,
                               .id = std::string(id),
                               .message = std::move(message),
                               .hint = std::move(hint),
                               .place = statement.column_place});
}

Result<std::uint32_t> column_of(const StreamDefinition& stream, const AlterStream& statement,
                                std::string_view name) {
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < stream.columns.size(); ++i) {
    if (same_name(stream.columns[i].name, name)) return i;
    names.push_back(stream.columns[i].name);
  }
  const std::string_view meant = closest(name, names);
  return refuse(ErrorCode::kNotFound, error_id::kColumnNotFound, statement,
                fmt::format("the stream {} has no column '{}'", stream.name, name),
                meant.empty() ? std::string() : fmt::format("did you mean '{}'?", meant));
}

Status check_free(const StreamDefinition& stream, const AlterStream& statement,
                  std::string_view name) {
  for (const Column& column : stream.columns) {
    if (!same_name(column.name, name)) continue;
    return refuse(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, statement,
                  fmt::format("the stream {} has a column '{}'", stream.name, column.name), {});
  }
  return {};
}

/// What a column is for the stream, in words; empty where it is nothing special.
std::string_view role_of(const StreamDefinition& stream, std::uint32_t column) {
  if (stream.time_column == column) return "the event time";
  if (stream.key_column == column) return "the key";
  if (stream.dedup_column == column) return "the dedup column";
  if (stream.unknown_column == column) return "where unknown fields are kept";
  if (stream.mqtt.find('{' + stream.columns[column].name + '}') != std::string::npos)
    return "a level of the MQTT topic";
  return {};
}

void move_index(std::optional<std::uint32_t>& index, std::uint32_t removed) {
  if (index && *index > removed) --*index;
}

Result<StreamDefinition> without_column(StreamDefinition stream, const AlterStream& statement) {
  MR_TRY(const auto index, column_of(stream, statement, statement.column.name));
  if (const auto role = role_of(stream, index); !role.empty()) {
    return refuse(ErrorCode::kFailedPrecondition, error_id::kInUse, statement,
                  fmt::format("column '{}' is {} of stream {}", stream.columns[index].name, role,
                              stream.name),
                  "make another stream without it");
  }
  if (stream.columns.size() == 1) {
    return refuse(ErrorCode::kFailedPrecondition, error_id::kInUse, statement,
                  fmt::format("stream {} has no other column", stream.name),
                  "add the new columns first");
  }
  stream.columns.erase(stream.columns.begin() + index);
  move_index(stream.time_column, index);
  move_index(stream.key_column, index);
  move_index(stream.dedup_column, index);
  move_index(stream.unknown_column, index);
  return stream;
}

Result<StreamDefinition> with_type(StreamDefinition stream, const AlterStream& statement) {
  MR_TRY(const auto index, column_of(stream, statement, statement.column.name));
  Column& column = stream.columns[index];
  const Type& type = statement.column.type;
  if (column.type == type) return stream;
  if (!is_widening(column.type, type)) {
    return refuse(ErrorCode::kInvalidArgument, error_id::kBadType, statement,
                  fmt::format("column '{}' is {}, and not every value of it is the same {}",
                              column.name, column.type.sql(), type.sql()),
                  "a type can become wider: integers, FLOAT to DOUBLE, DECIMAL with more digits, "
                  "DATE to TIMESTAMP; otherwise add another column");
  }
  // Equal keys must stay equal as text and as numbers, wherever they are compared.
  const bool compared = stream.key_column == index || stream.dedup_column == index;
  if (compared && !type.is_integer()) {
    return refuse(ErrorCode::kFailedPrecondition, error_id::kInUse, statement,
                  fmt::format("column '{}' is {} of stream {}", column.name, role_of(stream, index),
                              stream.name),
                  "of these only integers can become wider");
  }
  column.type = type;
  return stream;
}

}  // namespace

bool is_widening(const Type& from, const Type& to) {
  const IntegerRange narrow = range_of(from.kind);
  const IntegerRange wide = range_of(to.kind);
  if (narrow.bits != 0 && wide.bits != 0) {
    return wide.bits >= narrow.bits && (wide.is_signed || !narrow.is_signed);
  }
  if (from.kind == TypeKind::kFloat) return to.kind == TypeKind::kDouble;
  if (from.kind == TypeKind::kDate) return to.kind == TypeKind::kTimestamp;
  if (from.kind == TypeKind::kDecimal && to.kind == TypeKind::kDecimal)
    return to.scale >= from.scale && to.width - to.scale >= from.width - from.scale;
  return from == to;
}

std::string_view changed_column(const AlterStream& statement) {
  const bool changes = statement.action == AlterStream::Action::kDrop ||
                       statement.action == AlterStream::Action::kRename ||
                       statement.action == AlterStream::Action::kType;
  return changes ? std::string_view(statement.column.name) : std::string_view();
}

Result<StreamDefinition> altered(const StreamDefinition& stream, const AlterStream& statement) {
  StreamDefinition next = stream;
  for (std::uint32_t i = 0; i < next.columns.size(); ++i) next.columns[i].id = stream.field_id(i);
  switch (statement.action) {
    case AlterStream::Action::kAdd: {
      MR_RETURN_IF_ERROR(check_free(next, statement, statement.column.name));
      if (next.columns.size() == kColumnsMax) {
        return refuse(ErrorCode::kInvalidArgument, error_id::kBadName, statement,
                      fmt::format("a stream has at most {} columns", kColumnsMax), {});
      }
      next.columns.push_back(statement.column);
      next.columns.back().id = stream.next_field_id();
      break;
    }
    case AlterStream::Action::kDrop: {
      MR_TRY(next, without_column(std::move(next), statement));
      break;
    }
    case AlterStream::Action::kRename: {
      MR_TRY(const auto index, column_of(next, statement, statement.column.name));
      if (!same_name(statement.column.name, statement.new_name))
        MR_RETURN_IF_ERROR(check_free(next, statement, statement.new_name));
      const std::string level = '{' + next.columns[index].name + '}';
      if (const auto at = next.mqtt.find(level); at != std::string::npos)
        next.mqtt.replace(at + 1, level.size() - 2, statement.new_name);
      next.columns[index].name = statement.new_name;
      break;
    }
    case AlterStream::Action::kType: {
      MR_TRY(next, with_type(std::move(next), statement));
      break;
    }
    case AlterStream::Action::kSet: {
      next.unknown_fields = statement.unknown_fields;
      next.unknown_column.reset();
      if (statement.unknown_fields != UnknownFields::kKeep) return next;
      MR_TRY(next.unknown_column, column_of(next, statement, statement.column.name));
      if (next.columns[*next.unknown_column].type.kind != TypeKind::kJson) {
        return refuse(ErrorCode::kInvalidArgument, error_id::kBadOption, statement,
                      fmt::format("column '{}' is {}", statement.column.name,
                                  next.columns[*next.unknown_column].type.sql()),
                      "unknown fields are kept in a column of type JSON");
      }
      return next;
    }
  }
  next.history.push_back({.version = stream.version, .columns = {}});
  for (std::uint32_t i = 0; i < stream.columns.size(); ++i) {
    next.history.back().columns.push_back(stream.columns[i]);
    next.history.back().columns.back().id = stream.field_id(i);
  }
  next.version = stream.version + 1;
  return next;
}

}  // namespace millrace::sql
