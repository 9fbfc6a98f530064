// The data of COPY: rows as text, CSV or PostgreSQL's binary form, read piece by piece and written
// row by row. Source: PostgreSQL 15, "COPY", "File Formats". Owns (the reader): the beginning of a
// row that is not whole. Thread: one at a time. Errors: kInvalidArgument (kBadPayload) with the
// line, kPayloadTooLarge (kRecordTooLarge) for a row that is too long. Invariant: what the writer
// writes, the reader reads as the same rows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"

namespace millrace::wire::postgres {

struct CopyOptions {
  enum class Format : std::uint8_t { kText, kCsv, kBinary };
  Format format = Format::kText;
  char delimiter = '\t';
  char quote = '"';   // CSV
  char escape = '"';  // CSV
  std::string null = "\\N";
  bool header = false;
};

/// Rows of values, one row behind the other; nullopt is NULL.
using CopyValues = std::vector<std::optional<std::string>>;

class CopyReader {
 public:
  /// `types`: the OIDs of the columns, which say how binary values are to be read.
  CopyReader(CopyOptions options, std::vector<std::uint32_t> types, std::size_t row_bytes_max);

  /// Takes all of `bytes`, and appends the rows that are whole, also before an error.
  Status read(std::string_view bytes, CopyValues& values);
  /// No more comes: the last row may lack its end of line.
  Status finish(CopyValues& values);

 private:
  Status read_rows(std::string_view bytes, CopyValues& values);
  Status read_last(CopyValues& values);
  Status only_whole_rows(Status done, CopyValues& values) const;
  [[nodiscard]] std::size_t find_line_end();
  Status read_line(std::string_view line, CopyValues& values);
  Status read_text_line(std::string_view line, CopyValues& values);
  Status read_csv_line(std::string_view line, CopyValues& values);
  Status check_columns(std::size_t columns) const;
  Result<std::size_t> read_binary(std::string_view bytes, CopyValues& values);
  Result<std::size_t> read_tuple(std::string_view bytes, CopyValues& values);
  [[nodiscard]] std::unexpected<Error> bad(std::string_view what) const;

  const CopyOptions options_;
  const std::vector<std::uint32_t> types_;
  const std::size_t row_bytes_max_;
  std::string pending_;
  std::size_t scanned_ = 0;  // of pending_, in which no row ends
  bool quoted_ = false;      // at scanned_: CSV inside of quotes
  bool escaped_ = false;     // text behind a backslash
  bool header_read_ = false;
  bool ended_ = false;  // by its own mark; what comes behind is not looked at
  std::uint64_t line_ = 0;
};

/// What stands before the rows: the names of the columns or the signature; may be nothing.
void append_copy_begin(const CopyOptions& options, std::span<const std::string_view> names,
                       std::string& out);
void append_copy_row(const CopyOptions& options, std::span<const ColumnView> columns,
                     std::size_t row, std::string& out);
void append_copy_end(const CopyOptions& options, std::string& out);

}  // namespace millrace::wire::postgres
