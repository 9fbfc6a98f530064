// Any bytes as a body of JSON Lines and as a document. What must hold: no read outside of the body,
// one value per row, and each line gets alone what it gets among the others.
#include <cstdlib>
#include <vector>

#include "base/check.h"
#include "format/json_decoder.h"

using namespace millrace;
using namespace millrace::format;

namespace {

StreamDefinition all_types() {
  StreamDefinition stream;
  stream.name = "s";
  for (const auto& [name, type] : {std::pair{"a", "BIGINT"},
                                   {"b", "VARCHAR"},
                                   {"c", "DOUBLE"},
                                   {"d", "BOOLEAN"},
                                   {"e", "TIMESTAMP"},
                                   {"f", "JSON"},
                                   {"g", "DECIMAL(18,3)"},
                                   {"h", "HUGEINT"},
                                   {"i", "UUID"},
                                   {"j", "BLOB"},
                                   {"k", "FLOAT"},
                                   {"l", "DATE"},
                                   {"m", "UTINYINT"},
                                   {"n", "TIME"}}) {
    stream.columns.push_back({name, *Type::parse(type)});
  }
  return stream;
}

std::vector<std::string> told(const Decoded& decoded) {
  std::vector<std::string> out;
  for (std::size_t row = 0; row < decoded.columns->rows(); ++row) {
    std::string text;
    for (std::size_t c = 0; c < decoded.columns->column_count(); ++c) {
      text += value_text(decoded.columns->column(c).view(), row).value_or("NULL") + "|";
    }
    out.push_back(text);
  }
  for (const auto& bad : decoded.rejected) out.push_back(bad.id + bad.reason);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const StreamDefinition stream = all_types();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JsonDecoder decoder({.depth_max = 8, .record_bytes_max = 512});
  const auto body = PaddedBytes::copy_of(text);
  const auto document = decoder.decode(body, JsonFraming::kDocument, stream);
  MR_CHECK(document.values.size() == document.columns->rows(), "{} values", document.values.size());
  const auto lines = decoder.decode(body, JsonFraming::kLines, stream);
  MR_CHECK(lines.values.size() == lines.columns->rows(), "{} values", lines.values.size());

  std::size_t rows = 0;
  std::size_t refused = 0;
  std::string_view rest = text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    // A mark is skipped at the beginning of a body only, and this line would become one.
    if (line.starts_with("\xEF\xBB\xBF")) {
      ++refused;
      continue;
    }
    const auto alone_body = PaddedBytes::copy_of(line);
    const auto alone = decoder.decode(alone_body, JsonFraming::kLines, stream);
    MR_CHECK(alone.columns->rows() + alone.rejected.size() <= 1, "one line, {} rows",
             alone.columns->rows());
    if (alone.columns->rows() == 1) {
      std::vector<std::uint32_t> row{static_cast<std::uint32_t>(rows++)};
      MR_CHECK(row[0] < lines.columns->rows(), "row {} is missing", row[0]);
      Decoded same;
      same.columns = std::make_shared<ColumnBatch>(stream.types());
      const auto views = lines.columns->views();
      same.columns->append_rows({views, lines.columns->rows()}, row);
      MR_CHECK(told(alone) == told(same), "a line reads otherwise among others");
    }
    if (alone.rejected.size() == 1) {
      MR_CHECK(refused < lines.rejected.size(), "a line is refused alone only");
      const auto& bad = lines.rejected[refused++];
      MR_CHECK(bad.id == alone.rejected[0].id && bad.reason == alone.rejected[0].reason,
               "{} {} and {} {}", bad.id, bad.reason, alone.rejected[0].id,
               alone.rejected[0].reason);
    }
  }
  MR_CHECK(rows == lines.columns->rows() && refused == lines.rejected.size(), "{} rows, {} refused",
           rows, refused);
  return 0;
}
