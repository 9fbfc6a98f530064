// The grammar of CSV alone (RFC 4180): a text into records of fields, as views into it. Thread: one
// owner. Errors: why a record cannot be read; the scanner then stands at the next line.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::format {

struct CsvField {
  /// Without the quotes around it; valid as long as the text and until the next record.
  std::string_view text;
  bool quoted = false;
};

class CsvScanner {
 public:
  /// `blank_records`: a blank line is a record of one empty field.
  CsvScanner(std::string_view text, char delimiter, std::size_t record_bytes_max,
             bool blank_records = false)
      : rest_(text),
        delimiter_(delimiter),
        record_bytes_max_(record_bytes_max),
        blank_records_(blank_records) {}

  enum class Step : std::uint8_t { kRecord, kBad, kTooLarge, kEnd };
  /// Reads the next record; blank lines that are no records are passed over, but counted.
  Step next();

  [[nodiscard]] const std::vector<CsvField>& fields() const { return fields_; }
  /// Where the record begins, from 1.
  [[nodiscard]] std::uint64_t line() const { return line_; }
  /// The record as it stands, without its line end.
  [[nodiscard]] std::string_view raw() const { return raw_; }
  /// After kBad.
  [[nodiscard]] std::string_view reason() const { return reason_; }

 private:
  Step scan_quoted(std::size_t& at);
  Step give_up(Step step, std::string_view reason);
  Step finish(std::size_t size, std::size_t line_end);

  std::string_view rest_;
  const char delimiter_;
  const std::size_t record_bytes_max_;
  const bool blank_records_;
  std::vector<CsvField> fields_;
  std::deque<std::string> unescaped_;  // of the record's fields with doubled quotes
  std::size_t unescaped_count_ = 0;
  std::uint64_t line_ = 0;
  std::uint64_t next_line_ = 1;
  std::string_view raw_;
  std::string_view reason_;
};

}  // namespace millrace::format
