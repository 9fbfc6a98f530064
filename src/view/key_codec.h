// Group keys as bytes: memcomparable (the order of the bytes is the order of the keys, NULL first),
// self-delimiting and injective, so that grouping by bytes is grouping in SQL on every engine.
// Documented in docs/reference/state_format.md. Per column: 0x00 is NULL; 0x01, then the value:
// integers big endian with the sign bit flipped, booleans one byte, doubles canonical (-0.0 as 0.0,
// one NaN, which is the largest) with the order-preserving flip, strings with 0x00 as 0x00 0xFF and
// 0x00 0x00 behind, nested values as nested_key.h has them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"

namespace millrace::view {

/// Appends the key of one row.
void encode_key(std::span<const ColumnView> keys, std::size_t row, std::string& out);

/// The keys of all rows in one buffer: key i lies at [ends[i-1], ends[i]).
struct EncodedKeys {
  std::string bytes;
  std::vector<std::uint32_t> ends;
  [[nodiscard]] std::string_view operator[](std::size_t row) const {
    const std::uint32_t begin = row == 0 ? 0 : ends[row - 1];
    return std::string_view(bytes).substr(begin, ends[row] - begin);
  }
};
/// Column by column, for speed; reuses the buffers of `out`.
void encode_keys(const BatchView& batch, std::size_t key_count, EncodedKeys& out);
/// The rows [begin, end) only, so that the keys of one piece of a large batch stay in the cache.
/// Behind the bytes of the last key lie kKeySlackBytes zero bytes, so that a short key can be read
/// by whole words.
void encode_keys(std::span<const ColumnView> keys, std::size_t begin, std::size_t end,
                 EncodedKeys& out);
inline constexpr std::size_t kKeySlackBytes = 16;

/// The encoded columns of a key, one view per column. Errors: kDataLoss on bytes that are no key of
/// these types.
Status split_key(std::string_view key, std::span<const Type> types,
                 std::vector<std::string_view>& columns);
/// The bytes of the column at the front of `key`; 0 where there is no column of this type in
/// canonical form.
[[nodiscard]] std::size_t key_column_size(std::string_view key, const Type& type);
/// A string as it stands behind the mark of a column, with its end.
void append_text_key(std::string& out, std::string_view text);
/// The bytes of such a string at the front of `key`, 0 where it has no end.
[[nodiscard]] std::size_t text_key_size(std::string_view key);
/// Appends the text of such a string.
void append_key_text(std::string& out, std::string_view encoded);
/// Appends one encoded column, as split_key() gives it, to a column of its type.
void push_key_column(std::string_view encoded, ColumnVector& out, Arena& arena);

/// Appends the values of a key to the first columns of `out`. Errors: kDataLoss on bytes that are
/// no key of these types.
Status decode_key(std::string_view key, std::span<const Type> types, ColumnBatch& out);

}  // namespace millrace::view
