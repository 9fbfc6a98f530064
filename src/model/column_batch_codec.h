// Column batches as bytes, for another process on this machine: what a query worker gets and gives
// back. Little endian, every part aligned to 16 bytes, so that a reader that mapped the bytes uses
// the columns in place; only strings need a reference each. Not a format for disk: both sides are
// the same build. Thread: any, values only. Errors: kDataLoss where the bytes are not such a batch;
// every bound is checked, the bytes may come from a process that was taken over. Layout: "MRB1"
// columns:u32 rows:u64 type_bytes:u64, then the types of the columns (model/type_codec.h), then per
// column has_validity:u64 heap_bytes:u64, then per column [validity: u64 words] values (strings and
// nested values: u32 sizes) [heap: the bytes of the strings].
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"

namespace millrace {

/// Appends the bytes of the batch; `out` is filled up to a multiple of 16 first. NULLs get zeros as
/// value.
void encode_column_batch(const BatchView& batch, std::string& out);

/// A batch whose columns lie in bytes that the caller keeps.
class EncodedBatch {
 public:
  /// Reads the batch at the start of the bytes, which begin at an address that 16 divides.
  static Result<EncodedBatch> read(std::string_view bytes);

  [[nodiscard]] BatchView view() const { return {columns_, rows_}; }
  [[nodiscard]] const std::vector<ColumnView>& columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  /// How many bytes it took.
  [[nodiscard]] std::size_t size_bytes() const { return size_; }

 private:
  std::vector<ColumnView> columns_;
  std::vector<std::vector<StringRef>> strings_;
  std::size_t rows_ = 0;
  std::size_t size_ = 0;
};

/// A batch of its own, from bytes anywhere that hold one batch and nothing else.
Result<ColumnBatch> decode_column_batch(std::string_view bytes);

}  // namespace millrace
