// One JSON object into one row of a ColumnBatch, over the tokens of a JsonIndex: the inner loop of
// ingest. Fields are expected in the order of the columns, where finding one is a single
// comparison; any other order costs a search in the sorted names. Also skips whole values, checked
// or for structure only. Thread: one owner. Errors: a RecordFault, and the batch has its rows as
// before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/column_rules.h"
#include "format/json_common_field.h"
#include "format/json_field.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::format {

/// Goes over the tokens of text[.. end). The entry behind the last token is readable.
struct TokenCursor {
  const char* text = nullptr;
  const std::uint32_t* at = nullptr;
  std::uint32_t end = 0;

  [[nodiscard]] bool at_end() const { return *at >= end; }
  /// First byte of the token, 0 at the end; no token that means something begins with a 0.
  [[nodiscard]] char head() const { return *at < end ? text[*at] : '\0'; }
  /// Its bytes; what stands between two tokens is white space only.
  [[nodiscard]] std::string_view token() const {
    const char* first = text + at[0];
    const char* last = text + at[1];
    while (last[-1] == ' ' || last[-1] == '\n' || last[-1] == '\r' || last[-1] == '\t') --last;
    return {first, static_cast<std::size_t>(last - first)};
  }
};

class JsonRecordReader {
 public:
  JsonRecordReader(const StreamDefinition& stream, const ColumnRules& rules, ColumnBatch& batch,
                   std::uint32_t depth_max);

  /// Takes the last row away again.
  void drop_last_row();

  /// Reads the object at the cursor, which then stands behind it. False: fault() says why, the
  /// cursor stands anywhere inside.
  [[nodiscard]] bool read(TokenCursor& cursor);
  [[nodiscard]] RecordFault& fault() { return fault_; }
  /// Makes the fault "a record must be an object, this is ...".
  void refuse_no_object(const TokenCursor& cursor);
  /// Makes the fault "expected ..., found ..." at the cursor; `start` is where the record begins.
  void refuse_syntax(const TokenCursor& cursor, std::size_t start, std::string_view expected);

  enum class Check : std::uint8_t { kAll, kStructure };
  /// Goes behind one value of any kind. kAll checks depth, words and escapes; kStructure only that
  /// brackets, commas and colons fit, to find the next element behind a bad one.
  [[nodiscard]] bool skip_value(TokenCursor& cursor, std::size_t start, std::uint32_t depth,
                                Check check);

 private:
  static constexpr std::size_t kNoColumn = ~std::size_t{0};
  /// A column's name, ready for the comparison with the raw bytes of a key.
  struct Name {
    std::string_view text;
    ShortText words;
    [[nodiscard]] bool is(std::string_view key) const {
      if (key.size() != text.size() || key.empty()) return false;
      return key.size() <= ShortText::kBytesMax ? ShortText::load(key.data(), key.size()) == words
                                                : key == text;
    }
  };

  /// As many fields as come in the order of the columns, without blanks, and in a common form.
  /// True: the object ended with them. False: the cursor stands at the field that needs the full
  /// rules.
  bool read_common_fields(TokenCursor& cursor);
  bool read_fields(TokenCursor& cursor, std::size_t start);
  bool read_value(TokenCursor& cursor, std::size_t start, std::size_t index);
  bool check_scalar(const TokenCursor& cursor);
  /// kNoColumn: no column has this name. False: the name has a wrong escape.
  bool find(std::string_view key, std::size_t& index);
  std::size_t search(std::string_view key);
  bool finish_row();
  /// Goes behind the value of a field that names no column, as the stream wants it.
  bool read_unknown(TokenCursor& cursor, std::size_t start, std::string_view key);
  void refuse(std::string_view id, std::string reason);
  void refuse_field(std::size_t index);

  const StreamDefinition& stream_;
  const ColumnRules& rules_;
  ColumnBatch& batch_;
  std::uint32_t depth_max_;
  std::vector<Name> names_;             // of the columns, in their order
  std::vector<std::uint32_t> by_name_;  // made at the first search
  std::size_t row_;           // the row that is being filled: a column with more rows has its value
  std::size_t expected_ = 0;  // the column that the next key should name
  std::size_t filled_ = 0;    // columns that this record has given a value
  std::vector<char> open_;    // brackets around what skip_value looks at
  std::string unknown_;       // of the record's unknown fields: "a":1,"b":2
  std::string scratch_;
  FieldFault field_fault_;
  RecordFault fault_;
};

}  // namespace millrace::format
