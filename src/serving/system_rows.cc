#include "serving/system_rows.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "model/nested_value.h"

namespace millrace::serving {
namespace {

/// Elements of a LIST, none of them NULL.
void put_element(std::string& out, const Type& type, std::int64_t value) {
  ByteWriter writer(out);
  writer.put<std::uint8_t>(1);
  if (type.kind == TypeKind::kSmallInt) {
    writer.put(static_cast<std::int16_t>(value));
  } else {
    MR_CHECK(type.kind == TypeKind::kBigInt, "a system relation has a list of {}", type.sql());
    writer.put(value);
  }
}

std::string list_bytes(const Type& type, const SystemValue& value) {
  std::string out;
  if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value)) {
    append_count(out, numbers->size());
    for (const auto one : *numbers) put_element(out, type.element(), one);
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    append_count(out, texts->size());
    for (const auto& one : *texts) {
      ByteWriter writer(out);
      writer.put<std::uint8_t>(1);
      writer.put_string(one);
    }
  } else {
    append_count(out, 0);
  }
  return out;
}

}  // namespace

SystemRows::SystemRows(std::vector<SystemColumn> columns) : columns_(std::move(columns)) {
  std::vector<Type> types;
  for (const auto& one : columns_) types.push_back(one.column.type);
  batch_ = std::make_shared<ColumnBatch>(types);
}

void SystemRows::add(std::span<const SystemCell> cells) {
  row_.assign(columns_.size(), nullptr);
  for (const auto& cell : cells) {
    const auto found =
        std::ranges::find(columns_, cell.column, [](const auto& one) { return one.column.name; });
    MR_CHECK(found != columns_.end(), "a system relation has no column {}", cell.column);
    row_[static_cast<std::size_t>(found - columns_.begin())] = &cell.value;
  }
  const SystemValue null;
  for (std::size_t i = 0; i < columns_.size(); ++i) push(i, row_[i] == nullptr ? null : *row_[i]);
}

void SystemRows::push(std::size_t column, const SystemValue& value) {
  auto& out = batch_->column(column);
  if (std::holds_alternative<std::monostate>(value) && !columns_[column].not_null) {
    out.push_null();
    return;
  }
  const auto* whole = std::get_if<std::int64_t>(&value);
  const std::int64_t integer = whole == nullptr ? 0 : *whole;
  const auto* real = std::get_if<double>(&value);
  switch (const Type& type = columns_[column].column.type; type.kind) {
    case TypeKind::kBoolean: {
      const auto* truth = std::get_if<bool>(&value);
      out.push(truth != nullptr && *truth);
      break;
    }
    case TypeKind::kSmallInt:
      out.push(static_cast<std::int16_t>(integer));
      break;
    case TypeKind::kInteger:
      out.push(static_cast<std::int32_t>(integer));
      break;
    case TypeKind::kBigInt:
    case TypeKind::kTimestampTz:
      out.push(integer);
      break;
    case TypeKind::kFloat:
      out.push(static_cast<float>(real != nullptr ? *real : static_cast<double>(integer)));
      break;
    case TypeKind::kDouble:
      out.push(real != nullptr ? *real : static_cast<double>(integer));
      break;
    case TypeKind::kList:
      out.push_string(list_bytes(type, value), batch_->arena());
      break;
    default: {
      MR_CHECK(type.kind == TypeKind::kVarchar, "a system relation has a value of type {}",
               type.sql());
      const auto* text = std::get_if<std::string>(&value);
      out.push_string(text == nullptr ? std::string_view() : *text, batch_->arena());
    }
  }
}

}  // namespace millrace::serving
