// `millrace status`: what there is, how far it is, and what the batch layer does.
#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/batch_state.h"
#include "cli/commands.h"
#include "cli/json_fields.h"
#include "model/column_batch.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;

std::string in_quotes(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string number_text(const json::object& object, std::string_view key) {
  return fmt::format("{}", number_field<std::uint64_t>(object, key));
}

Result<json::value> parsed(std::string_view body) {
  boost::system::error_code error;
  auto document = json::parse(body, error);
  if (error || !document.is_object()) {
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "the server's answer is not an object: {}", body.substr(0, 200));
  }
  return document;
}

ResultTable streams_table(const json::object& document) {
  std::vector<std::string> cells;
  for (const auto& value : array_field(document, "streams")) {
    if (!value.is_object()) continue;
    const auto& stream = value.get_object();
    cells.push_back(in_quotes(text_field(stream, "name")));
    cells.push_back(number_text(stream, "partitions"));
    cells.push_back(fmt::format("{}", events_before(object_field(stream, "position"))));
    cells.push_back(fmt::format("{:.0f}", number_field<double>(stream, "events_per_second")));
    const auto& lake = object_field(stream, "lake");
    cells.push_back(fmt::format("{}", events_before(object_field(lake, "position"))));
    cells.push_back(number_text(lake, "commit"));
    cells.push_back(number_text(stream, "tail_events"));
    cells.push_back(number_text(stream, "quarantined"));
  }
  return ResultTable::of_cells({{"stream", "VARCHAR"},
                                {"partitions", "BIGINT"},
                                {"events", "BIGINT"},
                                {"events/s", "DOUBLE"},
                                {"in lake", "BIGINT"},
                                {"commits", "BIGINT"},
                                {"tail", "BIGINT"},
                                {"quarantined", "BIGINT"}},
                               std::move(cells));
}

/// Events before a position of a view in all its streams.
std::uint64_t covered_events(const json::object& coverage, std::string_view position) {
  if (!coverage.contains("streams")) return events_before(object_field(coverage, position));
  std::uint64_t sum = 0;
  for (const auto& [name, stream] : object_field(coverage, "streams")) {
    if (stream.is_object()) sum += events_before(object_field(stream.get_object(), position));
  }
  return sum;
}

std::string stream_names(const json::object& view) {
  std::string out;
  for (const auto& name : array_field(view, "streams")) {
    if (!out.empty()) out += ", ";
    if (name.is_string()) out += std::string_view(name.get_string());
  }
  return out;
}

ResultTable views_table(const json::object& document) {
  std::vector<std::string> cells;
  for (const auto& value : array_field(document, "views")) {
    if (!value.is_object()) continue;
    const auto& view = value.get_object();
    const auto& coverage = object_field(view, "coverage");
    const bool materialized = text_field(view, "kind") == "materialized";
    const auto number = [&](std::string text) {
      return materialized ? std::move(text) : std::string("null");
    };
    cells.push_back(in_quotes(text_field(view, "name")));
    cells.push_back(in_quotes(text_field(view, "kind")));
    cells.push_back(in_quotes(text_field(view, "state")));
    cells.push_back(materialized ? in_quotes(stream_names(view)) : "null");
    cells.push_back(number(number_text(coverage, "generation")));
    cells.push_back(number(fmt::format("{}", covered_events(coverage, "cut"))));
    cells.push_back(number(fmt::format("{}", covered_events(coverage, "delta_end"))));
    cells.push_back(number(number_text(view, "groups_in_generation")));
    cells.push_back(number(number_text(view, "groups_in_delta")));
  }
  return ResultTable::of_cells({{"view", "VARCHAR"},
                                {"kind", "VARCHAR"},
                                {"state", "VARCHAR"},
                                {"stream", "VARCHAR"},
                                {"generation", "BIGINT"},
                                {"cut", "BIGINT"},
                                {"delta end", "BIGINT"},
                                {"groups", "BIGINT"},
                                {"in delta", "BIGINT"}},
                               std::move(cells));
}

/// What stands between the braces of an object.
std::string_view members_of(std::string_view object) {
  const auto first = object.find('{') + 1;
  return object.substr(first, object.rfind('}') - first);
}

Status print_status(const StatusCommand& command) {
  MR_TRY(auto api, ApiClient::connect(command.client.server));
  MR_TRY(const auto streams_body, api.get("/v1/streams"));
  MR_TRY(const auto views_body, api.get("/v1/views"));
  MR_TRY(const auto batch, batch_state(api));
  MR_TRY(const auto streams, parsed(streams_body));
  MR_TRY(const auto views, parsed(views_body));
  if (command.client.format == OutputFormat::kJson) {
    // The members of two objects and a third one in one: no number is read and written again.
    const bool read = print(fmt::format("{{{},{},\"batch\":{}}}\n", members_of(streams_body),
                                        members_of(views_body), batch.json));
    if (read) return {};
    return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                "nobody reads standard output any more");
  }
  const auto& terminal = command.client.terminal;
  terminal.note(terminal.bold(api.url()));
  static_cast<void>(print_table(command.client, streams_table(streams.get_object()), {}));
  static_cast<void>(print_table(command.client, views_table(views.get_object()), {}));
  terminal.note(batch.progress_text());
  static_cast<void>(print_table(command.client, generations_table(batch), {}));
  return {};
}

}  // namespace

ExitCode run(const StatusCommand& command) {
  const auto printed = print_status(command);
  return printed ? ExitCode::kOk : report(command.client.terminal, printed.error());
}

}  // namespace millrace::cli
