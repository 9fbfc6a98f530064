#include "endpoint/answer_format.h"

#include <charconv>
#include <optional>

#include "endpoint/problem.h"
#include "format/row_text.h"
#include "op/arrow_ipc.h"

namespace millrace::endpoint {

namespace {

struct KnownFormat {
  std::string_view name;
  std::string_view media_type;
  AnswerFormat format;
};
constexpr KnownFormat kFormats[] = {
    {"json", "application/json", AnswerFormat::kJson},
    {"jsonl", "application/x-ndjson", AnswerFormat::kJsonLines},
    {"jsonl", "application/jsonl", AnswerFormat::kJsonLines},
    {"csv", "text/csv", AnswerFormat::kCsv},
    {"arrow", "application/vnd.apache.arrow.stream", AnswerFormat::kArrow},
};
// Rows of one Arrow batch: what readers like, and far below what 32 bits of offsets can hold.
constexpr std::size_t kArrowRows = 65'536;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// RFC 9110 section 12.4.2: ";q=0.5", 1 where it is missing; what cannot be read is 0.
double weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const auto end = parameters.find(';');
    const auto one = trimmed(parameters.substr(0, end));
    parameters = end == std::string_view::npos ? std::string_view() : parameters.substr(end + 1);
    if (one.size() < 2 || (one[0] != 'q' && one[0] != 'Q') || one[1] != '=') continue;
    double weight = 0;
    std::from_chars(one.data() + 2, one.data() + one.size(), weight);
    return weight;
  }
  return 1;
}

Status append_arrow(std::string& out, std::span<const Column> columns,
                    std::span<const std::shared_ptr<const ColumnBatch>> batches) {
  std::vector<op::ArrowField> fields;
  for (const Column& column : columns)
    fields.push_back(op::arrow_field_of(column.name, column.type));
  op::append_arrow_schema(fields, out);
  for (const auto& batch : batches) {
    const auto views = batch->views();
    for (std::size_t begin = 0; begin < batch->rows(); begin += kArrowRows) {
      const auto end = std::min(begin + kArrowRows, batch->rows());
      MR_TRY(const auto arrays, op::make_arrays(columns, {views, batch->rows()}, begin, end));
      op::append_arrow_batch(arrays, out);
    }
  }
  op::append_arrow_end(out);
  return {};
}

}  // namespace

Result<AnswerFormat> answer_format_of(const HttpRequest& request) {
  if (const auto name = request.query_value("format")) {
    for (const auto& known : kFormats) {
      if (known.name == *name) return known.format;
    }
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "format={} is none of json, jsonl, csv, arrow", *name);
  }
  std::string_view accept = request.header("accept");
  AnswerFormat best = AnswerFormat::kJson;
  double best_weight = 0;
  while (!accept.empty()) {
    const auto comma = accept.find(',');
    const auto range = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view() : accept.substr(comma + 1);
    const auto semicolon = range.find(';');
    const auto type = trimmed(range.substr(0, semicolon));
    const double weight =
        semicolon == std::string_view::npos ? 1 : weight_of(range.substr(semicolon + 1));
    for (const auto& known : kFormats) {
      if (!equal_ignoring_case(known.media_type, type) || weight <= best_weight) continue;
      best = known.format;
      best_weight = weight;
    }
  }
  return best;
}

HttpResponse answer_rows(AnswerFormat format, std::span<const Column> columns,
                         std::span<const std::shared_ptr<const ColumnBatch>> batches,
                         std::string_view coverage, bool truncated) {
  HttpResponse response;
  switch (format) {
    case AnswerFormat::kJson:  // has its own documents
    case AnswerFormat::kJsonLines:
      response.content_type = "application/x-ndjson";
      for (const auto& batch : batches) format::append_json_lines(response.body, columns, *batch);
      break;
    case AnswerFormat::kCsv:
      response.content_type = "text/csv; charset=utf-8; header=present";
      format::append_csv_header(response.body, columns);
      for (const auto& batch : batches) format::append_csv(response.body, *batch);
      break;
    case AnswerFormat::kArrow:
      response.content_type = "application/vnd.apache.arrow.stream";
      if (const auto status = append_arrow(response.body, columns, batches); !status)
        return problem(status.error());
      break;
  }
  if (!coverage.empty()) response.headers.emplace_back("Millrace-Coverage", std::string(coverage));
  if (truncated) response.headers.emplace_back("Millrace-Truncated", "true");
  return response;
}

}  // namespace millrace::endpoint
