// Arrays of Arrow as memory that somebody else owns (ArrayView: what comes in) or that we own
// (OwnedArray: what goes out), and the way to and from our columns. Both transports, the C Data
// Interface and the stream of messages, meet here. Thread: any, values only. Errors:
// kInvalidArgument (kArrow, kOutOfRange, kBadUtf8) that name column and row. Every length is
// compared with the buffer that it speaks of before anything is read or allocated.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "op/arrow_type.h"

namespace millrace::op {

/// One array. Buffers: validity (empty: every value is valid), values or offsets, bytes of strings.
struct ArrayView {
  std::size_t length = 0;
  /// Rows before the first one, in all buffers.
  std::size_t offset = 0;
  std::array<std::string_view, 3> buffers;
  /// Of a dictionary-encoded array, which then holds indices.
  const ArrayView* dictionary = nullptr;
};

/// Columns of the same length.
struct ArrayBatchView {
  std::span<const ArrowField> fields;
  std::span<const ArrayView> arrays;
  std::size_t rows = 0;

  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const;
};

/// Columns of a batch at most: those of a stream, and the hidden ones.
inline constexpr std::int64_t kArrowColumnsMax = kColumnsMax + 16;

using ArrayBatchVisitor = std::function<Status(const ArrayBatchView&)>;

struct OwnedArray {
  std::size_t length = 0;
  std::size_t null_count = 0;
  std::vector<std::string> buffers;
  std::vector<OwnedArray> children;
};

struct OwnedBatch {
  std::vector<ArrowField> fields;
  std::vector<OwnedArray> arrays;
  std::size_t rows = 0;
};

/// Appends the array to a column of `column`'s type. Integers of any width are taken where they
/// fit, FLOAT where DOUBLE is wanted; else only the type that arrow_type_of() gives, and large or
/// fixed forms of strings. Strings of a dictionary are copied once.
Status append_array(const ArrowField& field, const ArrayView& array, ColumnVector& out,
                    Arena& arena);

/// The named columns, found by name, as one batch of ours. Columns that nobody asked for are not
/// looked at.
Result<std::shared_ptr<ColumnBatch>> read_columns(const ArrayBatchView& batch,
                                                  std::span<const Column> columns);

/// Rows [begin, end) as arrays. NULLs get zeros as value, so equal rows give equal bytes.
Result<OwnedBatch> make_arrays(std::span<const Column> columns, const BatchView& rows,
                               std::size_t begin, std::size_t end);

/// Strings of one binary column, one behind the other.
class BinaryArrayBuilder {
 public:
  BinaryArrayBuilder() { append_offset(); }
  void append(std::string_view bytes) {
    data_.append(bytes);
    append_offset();
    ++length_;
  }
  [[nodiscard]] std::size_t size_bytes() const { return data_.size() + offsets_.size(); }
  [[nodiscard]] std::size_t length() const { return length_; }
  /// Gives the array and begins anew. Invariant of the caller: less than 2^31 bytes.
  OwnedArray finish();

 private:
  void append_offset();

  std::string offsets_;
  std::string data_;
  std::size_t length_ = 0;
};

}  // namespace millrace::op
