#include "format/column_default.h"

#include "base/padded_bytes.h"
#include "format/json_field.h"

namespace millrace::format {

Result<ColumnBatch> default_value(const Column& column) {
  const Type types[] = {column.type};
  ColumnBatch out(types);
  if (!column.default_json) {
    out.column(0).push_null();
    return out;
  }
  const PaddedBytes token = PaddedBytes::copy_of(*column.default_json);
  std::string scratch;
  FieldFault fault;
  if (!put_field(token.view(), out.column(0), out.arena(), scratch, fault)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "the default of column '{}' does not fit its type: {}", column.name, fault.text);
  }
  return out;
}

}  // namespace millrace::format
