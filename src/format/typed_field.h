// One value that came with a type of its own (Avro, Protobuf) into one column. It is stored as the
// same value written in JSON would be, and refused where that would be refused: what is not a plain
// copy goes through put_field(). Thread: one owner, kept for its buffers. Errors: a FieldFault, and
// the column is as it was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/json_field.h"
#include "model/column_batch.h"

namespace millrace::format {

class TypedFieldWriter {
 public:
  /// Where the next value goes; none of the three is kept after it.
  void aim(ColumnVector& column, Arena& arena, FieldFault& fault) {
    column_ = &column;
    arena_ = &arena;
    fault_ = &fault;
  }

  [[nodiscard]] bool boolean(bool value);
  [[nodiscard]] bool integer(std::int64_t value);
  [[nodiscard]] bool unsigned_integer(std::uint64_t value);
  [[nodiscard]] bool single(float value);
  [[nodiscard]] bool floating(double value);
  [[nodiscard]] bool text(std::string_view value);
  [[nodiscard]] bool bytes(std::string_view value);
  /// unscaled / 10^scale
  [[nodiscard]] bool decimal(Int128 unscaled, std::uint8_t scale);
  [[nodiscard]] bool timestamp(std::int64_t micros);
  [[nodiscard]] bool date(std::int32_t days);
  [[nodiscard]] bool time(std::int64_t micros);
  /// A value that is written as JSON: for JSON columns.
  [[nodiscard]] bool json(std::string_view text, std::string_view kind);

 private:
  bool token(std::string_view text);
  bool quoted(std::string_view text);
  bool out_of_range(std::string_view text);

  ColumnVector* column_ = nullptr;
  Arena* arena_ = nullptr;
  FieldFault* fault_ = nullptr;
  std::string token_;
  std::string scratch_;
};

/// The same values as JSON, for what is nested or kept.
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, float value);

}  // namespace millrace::format
