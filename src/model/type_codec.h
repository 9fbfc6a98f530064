// Types as bytes, for another process of the same build: kind, width and scale, and of a nested
// type the fields behind them. Thread: any, values only. Errors: read_type() turns its reader bad
// where the bytes are no type, or one that lies deeper than kTypeDepthMax.
#pragma once

#include <string>

#include "base/bytes.h"
#include "model/type.h"

namespace millrace {

void append_type(std::string& out, const Type& type);
[[nodiscard]] Type read_type(ByteReader& reader);

}  // namespace millrace
