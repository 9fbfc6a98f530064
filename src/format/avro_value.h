// Avro's binary encoding (specification 1.11) walked along a schema: one value into a column, into
// JSON, or passed over. Takes any bytes: every length is compared with what is left before it is
// used, and depth is counted. Thread: one owner. Errors: bad() tells that the bytes are not of this
// schema; a FieldFault that they are, but do not fit the column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/avro_schema.h"
#include "format/typed_field.h"

namespace millrace::format {

class AvroReader {
 public:
  AvroReader(const AvroSchema& schema, std::string_view bytes) : schema_(schema), rest_(bytes) {}

  enum class Outcome : std::uint8_t { kStored, kRefused, kBad };
  /// One value into the column that `writer` is aimed at; NULL is pushed as such.
  Outcome put(std::uint32_t node, TypedFieldWriter& writer, ColumnVector& column,
              FieldFault& fault);
  /// Appends one value as JSON. `bytes_max` is of `out`.
  [[nodiscard]] bool append_json(std::uint32_t node, std::string& out, std::size_t bytes_max);
  [[nodiscard]] bool skip(std::uint32_t node);

  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  bool bad(std::string_view reason);
  bool read_long(std::int64_t& value);
  bool read_length(std::size_t& size);
  bool read_bytes(std::string_view& bytes);
  bool read_fixed(std::size_t size, std::string_view& bytes);
  bool read_block(std::int64_t& count);
  bool read_branch(const AvroNode& node, std::uint32_t& branch);
  template <class T>
  bool read_number(T& value);
  bool enter();
  bool append_scalar(const AvroNode& node, std::string& out);
  bool append_nested(const AvroNode& node, std::string& out, std::size_t bytes_max);
  bool skip_elements(const AvroNode& node);
  Outcome put_scalar(const AvroNode& node, TypedFieldWriter& writer, FieldFault& fault);

  const AvroSchema& schema_;
  std::string_view rest_;
  std::string reason_;
  std::string scratch_;
  std::size_t depth_ = 0;
};

}  // namespace millrace::format
