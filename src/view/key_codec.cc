#include "view/key_codec.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "view/nested_key.h"
#include "view/ordered_bits.h"

namespace millrace::view {
namespace {

constexpr char kNullMark = 0;
constexpr char kValueMark = 1;
constexpr char kZeroFollower = static_cast<char>(0xff);

std::size_t zero_bytes(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\0'));
}

/// Text with its zeros escaped and its end mark; gives the place behind.
char* write_text(char* out, std::string_view text) {
  while (true) {
    const void* const zero = text.empty() ? nullptr : std::memchr(text.data(), 0, text.size());
    const std::size_t plain =
        zero == nullptr ? text.size()
                        : static_cast<std::size_t>(static_cast<const char*>(zero) - text.data());
    if (plain != 0) std::memcpy(out, text.data(), plain);
    out += plain;
    if (zero == nullptr) break;
    *out++ = 0;
    *out++ = kZeroFollower;
    text.remove_prefix(plain + 1);
  }
  *out++ = 0;
  *out++ = 0;
  return out;
}

/// memcpy of up to 12 bytes in two overlapping words: without the call that a variable length
/// costs.
void copy_short(char* out, const char* in, std::uint32_t size) {
  if (size >= 8) {
    std::memcpy(out, in, 8);
    std::memcpy(out + size - 8, in + size - 8, 8);
  } else if (size >= 4) {
    std::memcpy(out, in, 4);
    std::memcpy(out + size - 4, in + size - 4, 4);
  } else if (size != 0) {
    out[0] = in[0];
    out[size / 2] = in[size / 2];
    out[size - 1] = in[size - 1];
  }
}

/// The bytes behind an encoded text, npos where it has no end.
std::size_t text_end(std::string_view bytes) {
  std::size_t at = 0;
  while (true) {
    at = bytes.find('\0', at);
    if (at == std::string_view::npos || at + 1 >= bytes.size()) return std::string_view::npos;
    if (bytes[at + 1] == 0) return at + 2;
    if (bytes[at + 1] != kZeroFollower) return std::string_view::npos;
    at += 2;
  }
}

template <class T>
void write_fixed(const ColumnView& column, std::size_t begin, std::size_t end, char* bytes,
                 std::uint32_t* cursors) {
  for (std::size_t row = begin; row < end; ++row) {
    std::uint32_t& cursor = cursors[row - begin];
    char* const out = bytes + cursor;
    if (column.valid(row)) {
      out[0] = kValueMark;
      store_big_endian(out + 1, to_ordered(load_value<T>(column.data, row)));
      cursor += 1 + sizeof(T);
    } else {
      out[0] = kNullMark;
      ++cursor;
    }
  }
}

void write_strings(const ColumnView& column, std::size_t begin, std::size_t end, bool zeros,
                   char* bytes, std::uint32_t* cursors) {
  const auto* const texts = column.as<StringRef>();
  for (std::size_t row = begin; row < end; ++row) {
    std::uint32_t& cursor = cursors[row - begin];
    char* out = bytes + cursor;
    if (!column.valid(row)) {
      *out = kNullMark;
      ++cursor;
      continue;
    }
    *out++ = kValueMark;
    const StringRef& text = texts[row];
    if (zeros) {
      out = write_text(out, text.view());
    } else {
      if (text.size <= StringRef::kInlineBytes) {
        copy_short(out, text.bytes, text.size);
      } else {
        std::memcpy(out, text.data(), text.size);
      }
      out += text.size;
      *out++ = 0;
      *out++ = 0;
    }
    cursor = static_cast<std::uint32_t>(out - bytes);
  }
}

std::size_t fixed_width(const Type& type) { return size_bytes(type.physical()); }

/// The bytes behind a value's mark, 0 where there is no value of this type in canonical form.
std::size_t value_size(std::string_view key, const Type& type) {
  if (type.is_nested()) {
    std::string value;
    std::string_view rest = key;
    return parse_nested_key(rest, type, value) ? key.size() - rest.size() : 0;
  }
  if (type.is_string()) return text_key_size(key);
  if (key.size() < fixed_width(type)) return 0;
  const bool canonical = visit_fixed(type.physical(), [&](auto example) {
    using T = decltype(example);
    return is_canonical<T>(load_big_endian<OrderedBits<T>>(key.data()));
  });
  return canonical ? fixed_width(type) : 0;
}

}  // namespace

void encode_key(std::span<const ColumnView> keys, std::size_t row, std::string& out) {
  for (const ColumnView& column : keys) {
    if (!column.valid(row)) {
      out.push_back(kNullMark);
      continue;
    }
    out.push_back(kValueMark);
    const std::size_t at = out.size();
    if (column.type.is_nested()) {
      append_nested_key(out, column.type, column.as<StringRef>()[row].view());
    } else if (column.type.is_string()) {
      append_text_key(out, column.as<StringRef>()[row].view());
    } else {
      visit_fixed(column.type.physical(), [&](auto example) {
        using T = decltype(example);
        out.resize(at + sizeof(T));
        store_big_endian(out.data() + at, to_ordered(load_value<T>(column.data, row)));
      });
    }
  }
}

void encode_keys(const BatchView& batch, std::size_t key_count, EncodedKeys& out) {
  encode_keys(batch.columns.first(key_count), 0, batch.rows, out);
}

void encode_keys(std::span<const ColumnView> keys, std::size_t begin, std::size_t end,
                 EncodedKeys& out) {
  const std::size_t rows = end - begin;
  out.ends.assign(rows, 0);
  // First the length of every key, then each column into its places.
  std::vector<bool> zeros(keys.size(), false);
  std::vector<EncodedKeys> nested;  // by column, where any is nested
  for (std::size_t c = 0; c < keys.size(); ++c) {
    const ColumnView& column = keys[c];
    if (column.type.is_nested()) {
      nested.resize(keys.size());
      for (std::size_t row = begin; row < end; ++row) {
        encode_key(keys.subspan(c, 1), row, nested[c].bytes);
        nested[c].ends.push_back(static_cast<std::uint32_t>(nested[c].bytes.size()));
        out.ends[row - begin] += static_cast<std::uint32_t>(nested[c][row - begin].size());
      }
    } else if (column.type.is_string()) {
      const auto* const texts = column.as<StringRef>();
      for (std::size_t row = begin; row < end; ++row) {
        std::uint32_t length = 1;
        if (column.valid(row)) {
          const std::string_view text = texts[row].view();
          const std::size_t escaped = zero_bytes(text);
          if (escaped != 0) zeros[c] = true;
          length = static_cast<std::uint32_t>(3 + text.size() + escaped);
        }
        out.ends[row - begin] += length;
      }
    } else {
      const auto width = static_cast<std::uint32_t>(fixed_width(column.type));
      for (std::size_t row = begin; row < end; ++row) {
        out.ends[row - begin] += column.valid(row) ? 1 + width : 1;
      }
    }
  }
  // While the columns are written, ends[i] is where the next column of key i goes; behind the last
  // it is its end.
  std::uint64_t total = 0;
  for (std::uint32_t& end_of_key : out.ends) {
    const std::uint32_t length = end_of_key;
    end_of_key = static_cast<std::uint32_t>(total);
    total += length;
  }
  MR_CHECK(total <= std::numeric_limits<std::uint32_t>::max(), "{} keys take {} bytes", rows,
           total);
  out.bytes.resize(total + kKeySlackBytes);
  std::memset(out.bytes.data() + total, 0, kKeySlackBytes);
  for (std::size_t c = 0; c < keys.size(); ++c) {
    const ColumnView& column = keys[c];
    if (column.type.is_nested()) {
      for (std::size_t i = 0; i < rows; ++i) {
        const std::string_view key = nested[c][i];
        std::memcpy(out.bytes.data() + out.ends[i], key.data(), key.size());
        out.ends[i] += static_cast<std::uint32_t>(key.size());
      }
    } else if (column.type.is_string()) {
      write_strings(column, begin, end, zeros[c], out.bytes.data(), out.ends.data());
    } else {
      visit_fixed(column.type.physical(), [&](auto example) {
        write_fixed<decltype(example)>(column, begin, end, out.bytes.data(), out.ends.data());
      });
    }
  }
}

Status split_key(std::string_view key, std::span<const Type> types,
                 std::vector<std::string_view>& columns) {
  columns.clear();
  for (std::size_t c = 0; c < types.size(); ++c) {
    const auto bad = [&](std::string_view what) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "group key of {} bytes: column {} ({}) {}", key.size(), c + 1, types[c].sql(),
                  what);
    };
    if (key.empty()) return bad("is missing");
    if (key.front() != kNullMark && key.front() != kValueMark)
      return bad("has no mark of NULL or value");
    std::size_t length = 1;
    if (key.front() == kValueMark) {
      const std::size_t size = value_size(key.substr(1), types[c]);
      if (size == 0) return bad("is cut off, or not in canonical form");
      length += size;
    }
    columns.push_back(key.substr(0, length));
    key.remove_prefix(length);
  }
  if (!key.empty()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "group key has {} bytes behind its last column", key.size());
  }
  return {};
}

std::size_t key_column_size(std::string_view key, const Type& type) {
  if (key.empty()) return 0;
  if (key.front() == kNullMark) return 1;
  if (key.front() != kValueMark) return 0;
  const std::size_t size = value_size(key.substr(1), type);
  return size == 0 ? 0 : 1 + size;
}

void append_text_key(std::string& out, std::string_view text) {
  const std::size_t at = out.size();
  out.resize(at + text.size() + zero_bytes(text) + 2);
  write_text(out.data() + at, text);
}

std::size_t text_key_size(std::string_view key) {
  const std::size_t end = text_end(key);
  return end == std::string_view::npos ? 0 : end;
}

void append_key_text(std::string& out, std::string_view encoded) {
  encoded.remove_suffix(2);
  if (encoded.find('\0') == std::string_view::npos) {
    out.append(encoded);
    return;
  }
  out.reserve(out.size() + encoded.size());
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    out.push_back(encoded[i]);
    if (encoded[i] == 0) ++i;  // the follower of a zero
  }
}

void push_key_column(std::string_view encoded, ColumnVector& out, Arena& arena) {
  if (encoded.front() == kNullMark) {
    out.push_null();
    return;
  }
  encoded.remove_prefix(1);
  if (out.type().is_nested()) {
    std::string value;
    MR_CHECK(parse_nested_key(encoded, out.type(), value), "a key column is no {}",
             out.type().sql());
    out.push_string(value, arena);
    return;
  }
  if (!out.type().is_string()) {
    visit_fixed(out.type().physical(), [&](auto example) {
      using T = decltype(example);
      out.push(from_ordered<T>(load_big_endian<OrderedBits<T>>(encoded.data())));
    });
    return;
  }
  if (encoded.find('\0') == encoded.size() - 2) {
    out.push_string(encoded.substr(0, encoded.size() - 2), arena);
    return;
  }
  std::string text;
  append_key_text(text, encoded);
  out.push_string(text, arena);
}

Status decode_key(std::string_view key, std::span<const Type> types, ColumnBatch& out) {
  std::vector<std::string_view> columns;
  MR_RETURN_IF_ERROR(split_key(key, types, columns));
  for (std::size_t c = 0; c < columns.size(); ++c)
    push_key_column(columns[c], out.column(c), out.arena());
  return {};
}

}  // namespace millrace::view
