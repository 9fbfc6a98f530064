// Any bytes as an encoded column batch: an Error, or a batch that encodes and decodes to itself.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/column_batch_codec.h"
#include "model/nested_value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto batch = millrace::decode_column_batch({reinterpret_cast<const char*>(data), size});
  if (!batch) return 0;
  const auto views = batch->views();
  for (const auto& column : views) {
    for (std::size_t row = 0; row < batch->rows(); ++row) {
      std::string json;
      millrace::append_json(json, column, row);
      MR_CHECK(!json.empty() || column.type.kind == millrace::TypeKind::kJson,
               "a value has no JSON");
      MR_CHECK(millrace::value_text(column, row).has_value() == column.valid(row),
               "a value has no text");
      if (column.type.is_nested() && column.valid(row)) {
        MR_CHECK(
            millrace::is_nested_value(column.type, column.as<millrace::StringRef>()[row].view()),
            "a value is not of its type");
      }
    }
  }
  std::string once;
  millrace::encode_column_batch({views, batch->rows()}, once);
  const auto again = millrace::decode_column_batch(once);
  MR_CHECK(again && again->rows() == batch->rows(), "a batch does not come back");
  const auto again_views = again->views();
  std::string twice;
  millrace::encode_column_batch({again_views, again->rows()}, twice);
  MR_CHECK(once == twice, "a batch comes back in another form");
  return 0;
}
