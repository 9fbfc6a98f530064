#include "view/composite.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "view/nested_key.h"
#include "view/ordered_bits.h"

namespace millrace::view {
namespace {

constexpr char kNullFirstMark = 0;
constexpr char kValueMark = 1;
constexpr char kNullLastMark = 2;

bool is_plain(const CompositeColumn& column) { return !column.descending && !column.nulls_last; }

/// The mark of NULL before a descending column is inverted.
char null_mark(const CompositeColumn& column) {
  return column.nulls_last != column.descending ? kNullLastMark : kNullFirstMark;
}

void invert(char* bytes, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(~bytes[i]);
}

/// Of a plain column: turns the marks and the bytes into those of `column`.
void arrange(EncodedKeys& part, const CompositeColumn& column) {
  const char mark = null_mark(column);
  std::uint32_t at = 0;
  for (const std::uint32_t end : part.ends) {
    if (part.bytes[at] == kNullFirstMark) part.bytes[at] = mark;
    at = end;
  }
  if (column.descending && at != 0) invert(part.bytes.data(), at);
}

/// The size of the column at the front of `bytes`, 0 where there is none.
std::size_t column_size(std::string_view bytes, const CompositeColumn& column,
                        std::string& scratch) {
  if (column.descending) {
    // The end of a text is found in the bytes as they were before.
    scratch.assign(bytes);
    invert(scratch.data(), scratch.size());
    bytes = scratch;
  }
  if (bytes.empty()) return 0;
  if (bytes.front() == null_mark(column)) return 1;
  return bytes.front() == kValueMark ? key_column_size(bytes, column.type) : 0;
}

}  // namespace

const EncodedKeys& CompositeEncoder::encode(std::span<const CompositeColumn> columns,
                                            std::span<const ColumnView> arguments,
                                            std::size_t begin, std::size_t end) {
  views_.clear();
  for (const CompositeColumn& column : columns) views_.push_back(arguments[column.argument]);
  if (std::ranges::all_of(columns, is_plain)) {
    encode_keys(views_, begin, end, composites_);
    return composites_;
  }
  parts_.resize(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    encode_keys(std::span(views_).subspan(c, 1), begin, end, parts_[c]);
    if (!is_plain(columns[c])) arrange(parts_[c], columns[c]);
  }
  composites_.bytes.clear();
  composites_.ends.clear();
  for (std::size_t row = 0; row < end - begin; ++row) {
    for (std::size_t c = 0; c < columns.size(); ++c) composites_.bytes += parts_[c][row];
    composites_.ends.push_back(static_cast<std::uint32_t>(composites_.bytes.size()));
  }
  return composites_;
}

bool split_composite(std::string_view bytes, std::span<const CompositeColumn> columns,
                     std::vector<std::string_view>& out) {
  out.clear();
  std::string scratch;
  for (const CompositeColumn& column : columns) {
    const std::size_t size = column_size(bytes, column, scratch);
    if (size == 0) return false;
    out.push_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

std::string_view key_column_of(std::string_view bytes, const CompositeColumn& column,
                               std::string& scratch) {
  if (is_plain(column)) return bytes;
  scratch.assign(bytes);
  if (column.descending) invert(scratch.data(), scratch.size());
  if (scratch.front() == kNullLastMark) scratch.front() = kNullFirstMark;
  return scratch;
}

void append_key_element(std::string& out, std::string_view key_column, const Type& type) {
  out.push_back(key_column.front());
  if (key_column.front() == kNullFirstMark) return;
  key_column.remove_prefix(1);
  if (type.is_nested()) {
    MR_CHECK(parse_nested_key(key_column, type, out), "a key column is no {}", type.sql());
    return;
  }
  if (type.is_string()) {
    std::string text;
    append_key_text(text, key_column);
    ByteWriter(out).put_string(text);
    return;
  }
  visit_fixed(type.physical(), [&](auto example) {
    using T = decltype(example);
    const T value = from_ordered<T>(load_big_endian<OrderedBits<T>>(key_column.data()));
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out.append(raw, sizeof(T));
  });
}

}  // namespace millrace::view
