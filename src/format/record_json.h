// Rows as JSON, one object each: what the log keeps of records that came in another format, or with
// values bound to them. Reading them back by JsonDecoder with the same stream gives the same
// columns, to the bit. Thread: any. Errors: none.
#pragma once

#include "format/decoded.h"
#include "model/stream.h"

namespace millrace::format {

/// Of the text of a body at most: long names of columns make much of few bytes.
inline constexpr std::size_t kTextBytesMax = std::size_t{256} << 20;

/// Fills values (and text) from columns. False: it would be more than kTextBytesMax.
[[nodiscard]] bool write_records(const StreamDefinition& stream, Decoded& decoded);

}  // namespace millrace::format
