// Composites: some columns of a row in one string of bytes, in the way of a group key, which the
// components kRows, kValues, kDistinct and kHyperLogLog keep. A composite is memcomparable,
// self-delimiting and injective; in kRows a column may order descending (its bytes are inverted)
// and NULL may order first or last. Documented in docs/reference/state_format.md. Pure functions.
// Errors: split_composite() is false on bytes that are no composite.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/column_batch.h"
#include "view/key_codec.h"

namespace millrace::view {

struct CompositeColumn {
  Type type;
  std::uint32_t argument = 0;  // index into AggregatePlan::arguments
  bool descending = false;
  bool nulls_last = false;
};

/// Makes the composites of pieces of batches; keeps its buffers between the calls. Thread: one at a
/// time.
class CompositeEncoder {
 public:
  /// Of the rows [begin, end); `arguments` are the argument columns of the batch. The result lives
  /// until the next call.
  const EncodedKeys& encode(std::span<const CompositeColumn> columns,
                            std::span<const ColumnView> arguments, std::size_t begin,
                            std::size_t end);

 private:
  EncodedKeys composites_;
  std::vector<EncodedKeys> parts_;
  std::vector<ColumnView> views_;
};

/// The columns of a composite, as they stand in it.
[[nodiscard]] bool split_composite(std::string_view bytes, std::span<const CompositeColumn> columns,
                                   std::vector<std::string_view>& out);

/// One column that split_composite() gave as a key column, for push_key_column(): points into
/// `bytes`, or into `scratch` where the column stands inverted.
std::string_view key_column_of(std::string_view bytes, const CompositeColumn& column,
                               std::string& scratch);

/// Appends a key column as an element of a nested value (model/nested_value.h): 0x00 for NULL; or
/// 0x01 and the value, fixed widths little endian, strings as varint length and bytes, nested
/// values as they are.
void append_key_element(std::string& out, std::string_view key_column, const Type& type);

}  // namespace millrace::view
