// Any bytes as an Arrow stream: refused, or read into columns, which then leave as a stream that
// gives the same columns.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "op/arrow_ipc.h"

namespace {

using millrace::Column;
using millrace::Status;
using millrace::Type;
using millrace::TypeKind;
using millrace::op::ArrayBatchView;
using millrace::op::ArrowType;

/// The types that a column could be meant as.
std::vector<Type> types_for(const ArrowType& from) {
  std::vector<Type> out;
  for (int kind = 0; kind <= static_cast<int>(TypeKind::kJson); ++kind) {
    Type type{.kind = static_cast<TypeKind>(kind)};
    if (type.kind == TypeKind::kDecimal) {
      if (from.scale < 0 || from.scale > 18) continue;
      type.width = 18;
      type.scale = static_cast<std::uint8_t>(from.scale);
    }
    out.push_back(type);
  }
  return out;
}

Status read_as(const ArrayBatchView& batch, const Column& column) {
  const std::vector<Column> columns = {column};
  MR_TRY(const auto rows, read_columns(batch, columns));
  const auto views = rows->views();
  const auto arrays = millrace::op::make_arrays(columns, {views, rows->rows()}, 0, rows->rows());
  if (!arrays) std::abort();
  std::string once;
  append_arrow_stream(*arrays, once);
  const auto read = millrace::op::read_arrow_stream(once, [&](const ArrayBatchView& again) {
    const auto same = read_columns(again, columns);
    if (!same) std::abort();
    const auto same_views = (*same)->views();
    std::string twice;
    append_arrow_stream(
        *millrace::op::make_arrays(columns, {same_views, again.rows}, 0, again.rows), twice);
    if (once != twice) std::abort();
    return Status();
  });
  if (!read) std::abort();
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)millrace::op::read_arrow_stream(bytes, [&](const ArrayBatchView& batch) -> Status {
    for (const auto& field : batch.fields) {
      for (const Type& type : types_for(field.type)) (void)read_as(batch, {field.name, type});
    }
    return {};
  });
  return 0;
}
