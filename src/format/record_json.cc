#include "format/record_json.h"

#include <charconv>
#include <string>
#include <vector>

#include "format/base64.h"

namespace millrace::format {

namespace {

class RecordWriter {
 public:
  RecordWriter(const StreamDefinition& stream, const ColumnBatch& columns)
      : stream_(stream), views_(columns.views()) {
    for (const Column& column : stream.columns) {
      std::string& name = names_.emplace_back();
      append_json_string(name, column.name);
      name += ':';
    }
  }

  std::string_view write(std::size_t row) {
    out_ = '{';
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const bool valid = views_[i].valid(row);
      if (i == stream_.unknown_column) {
        if (valid) append_fields_of(views_[i].as<StringRef>()[row].view());
        continue;
      }
      // What is missing is NULL, but where the column has a default.
      if (!valid && !stream_.columns[i].default_json) continue;
      begin_field();
      out_ += names_[i];
      append_value(views_[i], row);
    }
    out_ += '}';
    return out_;
  }

 private:
  void begin_field() {
    if (out_.size() > 1) out_ += ',';
  }
  /// The unknown fields of a record are kept as one object; in the record they stand by themselves.
  void append_fields_of(std::string_view object) {
    object.remove_prefix(1);
    object.remove_suffix(1);
    if (object.empty()) return;
    begin_field();
    out_ += object;
  }
  void append_value(const ColumnView& column, std::size_t row) {
    switch (valid_kind(column, row)) {
      case TypeKind::kBlob:
        out_ += '"';
        out_ += base64_encode(column.as<StringRef>()[row].view());
        out_ += '"';
        return;
      case TypeKind::kTimestamp:
      case TypeKind::kTimestampTz:
        if (const auto micros = column.as<std::int64_t>()[row]; micros % 1000 == 0) {
          append_integer(micros / 1000);
          return;
        }
        break;
      case TypeKind::kBigInt:
        append_integer(column.as<std::int64_t>()[row]);
        return;
      default:
        break;
    }
    append_json(out_, column, row);
  }
  /// VARCHAR for a NULL, which has no other way of its own.
  static TypeKind valid_kind(const ColumnView& column, std::size_t row) {
    return column.valid(row) ? column.type.kind : TypeKind::kVarchar;
  }
  void append_integer(std::int64_t value) {
    char digits[24];
    const auto [end, code] = std::to_chars(digits, digits + sizeof(digits), value);
    out_.append(digits, end);
  }

  const StreamDefinition& stream_;
  const std::vector<ColumnView> views_;
  std::vector<std::string> names_;
  std::string out_;
};

}  // namespace

bool write_records(const StreamDefinition& stream, Decoded& decoded) {
  const std::size_t rows = decoded.columns->rows();
  decoded.text = std::make_shared<Arena>();
  decoded.values.clear();
  decoded.values.reserve(rows);
  RecordWriter writer(stream, *decoded.columns);
  for (std::size_t row = 0; row < rows; ++row) {
    decoded.values.push_back(decoded.text->copy(writer.write(row)));
    if (decoded.text->size_bytes() > kTextBytesMax) return false;
  }
  return true;
}

}  // namespace millrace::format
