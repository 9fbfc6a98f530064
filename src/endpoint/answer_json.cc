#include "endpoint/answer_json.h"

#include "endpoint/problem.h"
#include "model/column_batch.h"

namespace millrace::endpoint {

void append_columns(std::string& out, std::span<const Column> columns) {
  out += '[';
  for (std::size_t i = 0; i < columns.size(); ++i) {
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_string(out, columns[i].name);
    out += ",\"type\":";
    append_json_string(out, columns[i].type.sql());
    out += '}';
  }
  out += ']';
}

void append_rows(std::string& out, std::span<const std::shared_ptr<const ColumnBatch>> batches) {
  out += '[';
  bool first = true;
  for (const auto& batch : batches) {
    const auto views = batch->views();
    for (std::size_t row = 0; row < batch->rows(); ++row) {
      out += first ? "[" : ",[";
      first = false;
      for (std::size_t c = 0; c < views.size(); ++c) {
        if (c != 0) out += ',';
        append_json(out, views[c], row);
      }
      out += ']';
    }
  }
  out += ']';
}

void append_coverage(std::string& out, const serving::SourceCoverage& source) {
  const auto& streams = source.coverage.streams;
  out += fmt::format("{{\"generation\":{},", source.coverage.generation);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (streams.size() > 1) {
      out += i == 0 ? "\"streams\":{" : ",";
      append_json_string(out, source.streams[i]);
      out += ":{";
    }
    out += fmt::format("\"cut\":{},\"delta_end\":{}", streams[i].cut.json(),
                       streams[i].delta_end.json());
    if (streams.size() > 1) out += '}';
  }
  if (streams.size() > 1) out += '}';
  out += fmt::format(",\"quarantined\":{}}}", source.quarantined);
}

void append_replacement(std::string& out, const serving::ReplacementProgress& replacement) {
  out += fmt::format("{{\"state\":\"{}\",\"built\":{:.3f},\"error\":", name(replacement.phase),
                     replacement.built);
  if (replacement.trouble) {
    out += fmt::format("{{\"code\":\"{}\",\"detail\":", replacement.trouble->id);
    append_json_text(out, replacement.trouble->message);
    out += '}';
  } else {
    out += "null";
  }
  out += ",\"sql\":";
  append_json_text(out, replacement.sql);
  out += '}';
}

}  // namespace millrace::endpoint
