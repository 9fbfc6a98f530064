#include "format/payload.h"

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/ascii_case.h"

namespace millrace::format {

namespace {

struct MediaType {
  std::string_view name;
  PayloadType type;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

PayloadType of(Format format) {
  PayloadType type;
  type.format = format;
  return type;
}

PayloadType csv_by(char delimiter) {
  PayloadType type;
  type.format = Format::kCsv;
  type.csv.delimiter = delimiter;
  return type;
}

std::optional<PayloadType> type_named(std::string_view name) {
  static const MediaType kTypes[] = {
      {"application/x-ndjson", JsonFraming::kLines},
      {"application/ndjson", JsonFraming::kLines},
      {"application/jsonl", JsonFraming::kLines},
      {"application/json", JsonFraming::kDocument},
      {"text/csv", csv_by(',')},
      {"text/tab-separated-values", csv_by('\t')},
      {"avro/binary", of(Format::kAvro)},
      {"application/avro", of(Format::kAvro)},
      {"application/vnd.apache.avro", of(Format::kAvro)},
      {"application/vnd.apache.avro+binary", of(Format::kAvro)},
      {"application/x-protobuf", of(Format::kProtobuf)},
      {"application/protobuf", of(Format::kProtobuf)},
      {"application/vnd.google.protobuf", of(Format::kProtobuf)},
      {"application/cloudevents+json", of(Format::kCloudEvents)},
      {"application/cloudevents-batch+json", of(Format::kCloudEvents)},
  };
  for (const auto& [known, type] : kTypes) {
    if (same_name(known, name)) return type;
  }
  // RFC 6839: whatever else it is, it is JSON.
  if (lower_name(name).ends_with("+json")) return PayloadType(JsonFraming::kDocument);
  return std::nullopt;
}

std::unexpected<Error> bad_parameter(std::string_view name, std::string_view value,
                                     std::string_view allowed) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
              "the Content-Type has {}={}, which means nothing here: {}", name, value, allowed);
}

Status set_protobuf_parameter(PayloadType& type, std::string_view name, std::string_view value) {
  if (same_name(name, "schema")) {
    const auto [end, code] =
        std::from_chars(value.data(), value.data() + value.size(), type.schema_id);
    if (code != std::errc() || end != value.data() + value.size() || type.schema_id == 0)
      return bad_parameter(name, value, "the id of a schema");
  } else if (same_name(name, "message")) {
    type.message = std::string(value);
  } else if (same_name(name, "delimited")) {
    if (!same_name(value, "true") && !same_name(value, "false"))
      return bad_parameter(name, value, "true or false");
    type.delimited = same_name(value, "true");
  }
  return {};
}

Status set_parameter(PayloadType& type, std::string_view name, std::string_view value) {
  if (same_name(name, "charset")) {
    if (same_name(value, "utf-8") || same_name(value, "utf8") || same_name(value, "us-ascii"))
      return {};
    return bad_parameter(name, value, "text is UTF-8");
  }
  if (type.format == Format::kProtobuf) return set_protobuf_parameter(type, name, value);
  if (type.format != Format::kCsv) return {};
  if (same_name(name, "header")) {
    if (!same_name(value, "present") && !same_name(value, "absent"))
      return bad_parameter(name, value, "present or absent");
    type.csv.header = same_name(value, "present");
  } else if (same_name(name, "blank-lines")) {
    if (!same_name(value, "records") && !same_name(value, "skipped"))
      return bad_parameter(name, value, "records or skipped");
    type.csv.blank_records = same_name(value, "records");
  } else if (same_name(name, "delimiter")) {
    if (same_name(value, "tab")) value = "\t";
    if (value.size() != 1 || std::string_view(",;\t|").find(value) == std::string_view::npos)
      return bad_parameter(name, value, "one of , ; | tab");
    type.csv.delimiter = value.front();
  }
  return {};
}

}  // namespace

Result<PayloadType> payload_type_of(std::string_view content_type) {
  if (content_type.find(';') == std::string_view::npos) {
    if (auto type = type_named(trimmed(content_type))) return *std::move(type);
  }
  // A parameter's value may stand in quotes, and a quoted one may hold a semicolon.
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char c : content_type) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ';' && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const auto name = trimmed(parts.front());
  auto type = type_named(name);
  if (!type) {
    auto error = fail(ErrorCode::kUnsupportedMediaType, error_id::kMediaType,
                      "events do not come as {}", name.empty() ? "a body without a type" : name);
    return std::unexpected(std::move(error.error())
                               .with_hint("application/x-ndjson for one object a line, "
                                          "application/json for one object or an array, text/csv, "
                                          "application/avro, application/x-protobuf, "
                                          "application/cloudevents+json"));
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    // A tab is a delimiter's value, not a blank around it.
    const std::string_view value = part.substr(equals + 1);
    MR_RETURN_IF_ERROR(set_parameter(*type, trimmed(part.substr(0, equals)),
                                     value == "\t" ? value : trimmed(value)));
  }
  return *type;
}

std::string PayloadType::text() const {
  switch (format) {
    case Format::kJsonLines:
      return "application/x-ndjson";
    case Format::kJson:
      return "application/json";
    case Format::kCsv: {
      std::string out = csv.delimiter == '\t' ? "text/tab-separated-values" : "text/csv";
      if (csv.delimiter != ',' && csv.delimiter != '\t')
        out += std::string("; delimiter=\"") + csv.delimiter + '"';
      if (!csv.header) out += "; header=absent";
      if (csv.blank_records) out += "; blank-lines=records";
      return out;
    }
    case Format::kAvro:
      return "application/avro";
    case Format::kProtobuf: {
      std::string out = "application/x-protobuf";
      if (schema_id != 0) out += fmt::format("; schema={}", schema_id);
      if (!message.empty()) out += fmt::format("; message=\"{}\"", message);
      if (delimited) out += "; delimited=true";
      return out;
    }
    case Format::kCloudEvents:
      return "application/cloudevents+json";
  }
  return {};
}

}  // namespace millrace::format
