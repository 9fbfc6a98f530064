#include "format/row_writer.h"

#include "base/error.h"
#include "format/json_text.h"

namespace millrace::format {

namespace {
constexpr std::size_t kShownBytesMax = 64;
}

std::optional<std::uint32_t> RowWriter::column_of(std::string_view name) const {
  const auto column = stream_.find_column(name);
  return column && !rules_.closed(*column) ? column : std::nullopt;
}

bool RowWriter::put_unknown(std::string_view name, std::string_view json, RecordFault& fault) {
  if (stream_.unknown_fields == UnknownFields::kIgnore) return true;
  if (stream_.unknown_fields == UnknownFields::kRefuse) {
    fault = {error_id::kUnknownField,
             fmt::format("no column has the name \"{}\"", shortened(name, kShownBytesMax))};
    return false;
  }
  if (!unknown_.empty()) unknown_ += ',';
  append_json_string(unknown_, name);
  unknown_ += ':';
  unknown_ += json;
  return true;
}

bool RowWriter::finish(RecordFault& fault) {
  if (const auto time = stream_.time_column; time && !rules_.closed(*time)) {
    const ColumnVector& column = batch_.column(*time);
    const bool missing = column.rows() == row_;
    if (missing || !column.valid(row_)) {
      fault = {error_id::kMissingColumn,
               fmt::format("column '{}' is the event time and {}", stream_.columns[*time].name,
                           missing ? "is missing" : "is null")};
      return false;
    }
  }
  for (std::uint32_t i = 0; i < stream_.columns.size(); ++i) {
    ColumnVector& column = batch_.column(i);
    if (column.rows() != row_) continue;
    if (i == stream_.unknown_column && !unknown_.empty()) {
      column.push_string("{" + unknown_ + "}", batch_.arena());
    } else {
      column.push_from(rules_.missing(i), 0, batch_.arena());
    }
  }
  unknown_.clear();
  ++row_;
  return true;
}

void RowWriter::drop() {
  for (std::uint32_t i = 0; i < stream_.columns.size(); ++i) batch_.column(i).truncate(row_);
  unknown_.clear();
}

RecordFault RowWriter::fault_of(std::uint32_t column, FieldFault fault) const {
  return {fault.id,
          fmt::format("column '{}': {}", shortened(stream_.columns[column].name, kShownBytesMax),
                      fault.text)};
}

}  // namespace millrace::format
