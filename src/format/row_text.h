// Rows as text in answers: CSV that the CSV decoder reads back to the same values, and JSON Lines.
// Thread: any. Errors: none.
#pragma once

#include <span>
#include <string>

#include "model/stream.h"

namespace millrace::format {

/// The names of the columns as one record, with its line end (RFC 4180: \r\n).
void append_csv_header(std::string& out, std::span<const Column> columns);
/// NULL is an empty field (and a row of one NULL a blank line), an empty text is "". BLOB is
/// base64, nested values are JSON.
void append_csv(std::string& out, const ColumnBatch& rows);
/// One object for each row: {"city":"Lima","trips":1}
void append_json_lines(std::string& out, std::span<const Column> columns, const ColumnBatch& rows);

}  // namespace millrace::format
