#include "format/row_text.h"

#include <cmath>
#include <vector>

#include "format/base64.h"

namespace millrace::format {

namespace {

constexpr std::string_view kLineEnd = "\r\n";

void append_csv_text(std::string& out, std::string_view text) {
  const bool plain = !text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos;
  if (plain) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_csv_value(std::string& out, const ColumnView& column, std::size_t row,
                      std::string& scratch) {
  if (!column.valid(row)) return;
  scratch.clear();
  switch (column.type.kind) {
    case TypeKind::kBlob:
      scratch = base64_encode(column.as<StringRef>()[row].view());
      break;
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      append_csv_text(out, column.as<StringRef>()[row].view());
      return;
    case TypeKind::kFloat:
    case TypeKind::kDouble:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      append_json(scratch, column, row);
      // "NaN" and "Infinity" stand in quotes in JSON only.
      if (scratch.front() == '"') scratch = scratch.substr(1, scratch.size() - 2);
      break;
    default:
      scratch = *value_text(column, row);
      break;
  }
  append_csv_text(out, scratch);
}

}  // namespace

void append_csv_header(std::string& out, std::span<const Column> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i != 0) out += ',';
    append_csv_text(out, columns[i].name);
  }
  out += kLineEnd;
}

void append_csv(std::string& out, const ColumnBatch& rows) {
  const auto views = rows.views();
  std::string scratch;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (i != 0) out += ',';
      append_csv_value(out, views[i], row, scratch);
    }
    out += kLineEnd;
  }
}

void append_json_lines(std::string& out, std::span<const Column> columns, const ColumnBatch& rows) {
  std::vector<std::string> names;
  for (const Column& column : columns) {
    names.emplace_back(names.empty() ? "{" : ",");
    append_json_string(names.back(), column.name);
    names.back() += ':';
  }
  const auto views = rows.views();
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (views.empty()) out += '{';
    for (std::size_t i = 0; i < views.size(); ++i) {
      out += names[i];
      append_json(out, views[i], row);
    }
    out += "}\n";
  }
}

}  // namespace millrace::format
