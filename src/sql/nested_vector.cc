#include "sql/nested_vector.h"

#include <cstring>

#include "base/check.h"
#include "model/nested_value.h"

namespace millrace::sql {
namespace {

/// A vector and those inside it, looked at once per chunk.
class NestedColumn {
 public:
  NestedColumn(const Type& type, duckdb_vector vector)
      : view_{.type = type.is_nested() ? Type{TypeKind::kVarchar} : type,
              .data = duckdb_vector_get_data(vector),
              .validity = duckdb_vector_get_validity(vector)},
        kind_(type.kind) {
    const auto& fields = type.fields();
    if (kind_ == TypeKind::kStruct) {
      for (std::size_t i = 0; i < fields.size(); ++i)
        inside_.emplace_back(fields[i].type, duckdb_struct_vector_get_child(vector, i));
    } else if (kind_ == TypeKind::kList) {
      inside_.emplace_back(fields[0].type, duckdb_list_vector_get_child(vector));
    } else if (kind_ == TypeKind::kMap) {
      // A list of STRUCT(key, value).
      duckdb_vector entries = duckdb_list_vector_get_child(vector);
      for (std::size_t i = 0; i < 2; ++i)
        inside_.emplace_back(fields[i].type, duckdb_struct_vector_get_child(entries, i));
    }
  }

  [[nodiscard]] bool valid(std::size_t row) const { return view_.valid(row); }

  void append_element_to(std::string& out, std::size_t row) const {
    if (kind_ < TypeKind::kList) {
      append_element(out, view_, row);
    } else if (!valid(row)) {
      append_null_element(out);
    } else {
      out.push_back('\1');
      append_value_to(out, row);
    }
  }

  /// Of a nested column, a row that is not NULL.
  void append_value_to(std::string& out, std::size_t row) const {
    if (kind_ == TypeKind::kStruct) {
      for (const NestedColumn& field : inside_) field.append_element_to(out, row);
      return;
    }
    const auto& entry = view_.as<duckdb_list_entry>()[row];
    append_count(out, entry.length);
    for (std::uint64_t i = entry.offset; i < entry.offset + entry.length; ++i) {
      for (const NestedColumn& part : inside_) part.append_element_to(out, i);
    }
  }

 private:
  ColumnView view_;
  TypeKind kind_;
  std::vector<NestedColumn> inside_;
};

void write_null(duckdb_vector out, std::size_t row, const Type& type) {
  duckdb_vector_ensure_validity_writable(out);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(out), row);
  if (type.kind == TypeKind::kStruct) {
    // DuckDB holds that the fields of a STRUCT that is NULL are NULL.
    for (std::size_t i = 0; i < type.fields().size(); ++i)
      write_null(duckdb_struct_vector_get_child(out, i), row, type.fields()[i].type);
  } else if (type.is_nested()) {
    static_cast<duckdb_list_entry*>(duckdb_vector_get_data(out))[row] = {0, 0};
  }
}

void write_value(duckdb_vector out, std::size_t row, const Type& type, NestedReader& reader);

void write_element(duckdb_vector out, std::size_t row, const Type& type, NestedReader& reader) {
  if (reader.is_null()) {
    write_null(out, row, type);
  } else {
    write_value(out, row, type, reader);
  }
}

/// The entries of a LIST or MAP at the end of the vector of all elements.
void write_entries(duckdb_vector out, std::size_t row, const Type& type, NestedReader& reader) {
  const auto& fields = type.fields();
  const std::size_t count = reader.read_count();
  const idx_t begin = duckdb_list_vector_get_size(out);
  duckdb_list_vector_reserve(out, begin + count);
  duckdb_list_vector_set_size(out, begin + count);
  static_cast<duckdb_list_entry*>(duckdb_vector_get_data(out))[row] = {begin, count};
  duckdb_vector entries = duckdb_list_vector_get_child(out);
  for (std::size_t i = 0; i < count; ++i) {
    if (type.kind == TypeKind::kList) {
      write_element(entries, begin + i, fields[0].type, reader);
      continue;
    }
    if (reader.is_null()) reader.turn_bad();
    write_value(duckdb_struct_vector_get_child(entries, 0), begin + i, fields[0].type, reader);
    write_element(duckdb_struct_vector_get_child(entries, 1), begin + i, fields[1].type, reader);
  }
}

void write_value(duckdb_vector out, std::size_t row, const Type& type, NestedReader& reader) {
  if (type.kind == TypeKind::kStruct) {
    for (std::size_t i = 0; i < type.fields().size(); ++i)
      write_element(duckdb_struct_vector_get_child(out, i), row, type.fields()[i].type, reader);
  } else if (type.is_nested()) {
    write_entries(out, row, type, reader);
  } else if (type.is_string()) {
    const std::string_view text = reader.read_string();
    duckdb_vector_assign_string_element_len(out, row, text.data(), text.size());
  } else {
    const std::size_t width = size_bytes(type.physical());
    const ScalarValue value = reader.read_scalar(type);
    std::memcpy(static_cast<std::byte*>(duckdb_vector_get_data(out)) + row * width, value.data(),
                width);
  }
}

}  // namespace

void ChunkColumns::clear() {
  columns_.clear();
  encoded_count_ = 0;
}

void ChunkColumns::add(const Type& type, duckdb_vector vector, std::size_t rows) {
  const std::uint64_t* validity = duckdb_vector_get_validity(vector);
  if (!type.is_nested()) {
    columns_.push_back({type, duckdb_vector_get_data(vector), validity});
    return;
  }
  if (encoded_count_ == encoded_.size()) encoded_.emplace_back();
  Encoded& encoded = encoded_[encoded_count_++];
  encoded.bytes.clear();
  encoded.values.clear();
  const NestedColumn column(type, vector);
  std::vector<std::size_t> ends;
  ends.reserve(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    if (column.valid(row)) column.append_value_to(encoded.bytes, row);
    ends.push_back(encoded.bytes.size());
  }
  // Only now do the bytes stay where they are.
  const std::string_view bytes = encoded.bytes;
  encoded.values.reserve(rows);
  for (std::size_t row = 0, begin = 0; row < rows; begin = ends[row++])
    encoded.values.emplace_back(bytes.substr(begin, ends[row] - begin));
  columns_.push_back({type, encoded.values.data(), validity});
}

void write_nested(duckdb_vector out, std::size_t out_row, const ColumnView& column,
                  std::size_t begin, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!column.valid(begin + i)) {
      write_null(out, out_row + i, column.type);
      continue;
    }
    NestedReader reader(column.as<StringRef>()[begin + i].view());
    write_value(out, out_row + i, column.type, reader);
    if (!reader.at_end()) write_null(out, out_row + i, column.type);
  }
}

}  // namespace millrace::sql
