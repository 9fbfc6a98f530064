#include "format/json_value.h"

#include <algorithm>

#include "base/error.h"
#include "format/decoded.h"
#include "format/json_text.h"

namespace millrace::format {

JsonValueCheck::JsonValueCheck()
    : no_rules_(no_stream_),
      reader_(no_stream_, no_rules_, no_columns_, DecodeLimits().depth_max) {}

std::optional<std::string_view> JsonValueCheck::value_of(std::string_view text, FieldFault& fault) {
  text_.clear();
  text_.append(text);
  std::ranges::replace(text_.data(), text_.data() + text_.size(), '\n', ' ');
  const auto refuse = [&](std::string why) {
    fault = {error_id::kBadValue, fmt::format("{} is not JSON: {}", shortened(text, 64), why)};
    return std::nullopt;
  };
  if (index_.build(text_.view()) != JsonIndex::Fault::kNone)
    return refuse("a string is not closed or not UTF-8, or holds a control character");
  TokenCursor cursor{text_.data(), index_.tokens(), static_cast<std::uint32_t>(text_.size())};
  if (cursor.at_end()) return refuse("it is empty");
  const std::uint32_t first = *cursor.at;
  if (!reader_.skip_value(cursor, first, 1, JsonRecordReader::Check::kAll))
    return refuse(reader_.fault().reason);
  if (!cursor.at_end()) return refuse("there is something behind the value");
  std::string_view value = text_.view().substr(first);
  while (value.back() == ' ' || value.back() == '\t' || value.back() == '\r')
    value.remove_suffix(1);
  return value;
}

}  // namespace millrace::format
