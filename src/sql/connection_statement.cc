#include "sql/connection_statement.h"

#include <array>

#include "sql/suggestion.h"

namespace millrace::sql {

namespace {
constexpr auto kOptions = std::to_array<std::string_view>(
    {"url", "topic", "stream", "client_id", "user", "password", "share", "qos", "clean"});
constexpr std::string_view kForm =
    "CREATE CONNECTION name TYPE mqtt WITH (url = 'mqtt://host:1883', topic = 'site/+/reading')";
constexpr std::size_t kTextBytesMax = 1024;
}  // namespace

Result<std::string> ConnectionParser::text_value(std::string_view option) {
  if (!here_kind(TokenKind::kString) || here().front() != '\'') {
    return syntax_error(fmt::format("the value of {} must stand in single quotes", option),
                        std::string(kForm));
  }
  std::string out = unquoted(here());
  if (out.empty() || out.size() > kTextBytesMax || out.find('\0') != std::string::npos) {
    return error(error_id::kBadOption, place(),
                 fmt::format("{} has 1 to {} bytes, none of them zero", option, kTextBytesMax));
  }
  ++at_;
  return out;
}

Status ConnectionParser::option(CreateConnection& connection) {
  const TextPlace where = place();
  const std::string name = lower_name(unquoted(here()));
  if (std::ranges::find(kOptions, name) == kOptions.end()) {
    const std::string_view meant = closest(name, kOptions);
    return error(error_id::kBadOption, where,
                 fmt::format("'{}' is not an option of a connection", shortened(name)),
                 meant.empty() ? fmt::format("the options are {}", fmt::join(kOptions, ", "))
                               : fmt::format("did you mean {}?", meant));
  }
  ++at_;
  MR_RETURN_IF_ERROR(expect_symbol('='));
  if (name == "qos") {
    if (!at_end() && (here() == "0" || here() == "1")) {
      connection.qos = here() == "1" ? 1 : 0;
      ++at_;
      return {};
    }
    return error(error_id::kBadOption, place(), "qos of a connection is 0 or 1",
                 "at QoS 1 nothing is lost, and the stream's dedup column drops what comes twice");
  }
  if (name == "clean") {
    if (!is_word("true") && !is_word("false"))
      return error(error_id::kBadOption, place(), "clean is true or false");
    connection.clean = is_word("true");
    ++at_;
    return {};
  }
  MR_TRY(auto value, text_value(name));
  if (name == "url") connection.url = std::move(value);
  if (name == "topic") connection.topic = std::move(value);
  if (name == "stream") connection.stream = std::move(value);
  if (name == "client_id") connection.client_id = std::move(value);
  if (name == "user") connection.user = std::move(value);
  if (name == "password") connection.password = std::move(value);
  if (name == "share") connection.share = std::move(value);
  return {};
}

Result<Statement> ConnectionParser::create() {
  CreateConnection out;
  if (take_word("IF")) {
    if (!take_word("NOT") || !take_word("EXISTS")) return expected("IF NOT EXISTS");
    out.if_not_exists = true;
  }
  MR_TRY(out.name, object_name(/*made=*/false));
  if (!take_word("TYPE") || !take_word("mqtt")) return expected("TYPE mqtt", std::string(kForm));
  if (!take_word("WITH")) return expected("WITH", std::string(kForm));
  MR_TRY(const auto seen, option_list(kForm, [&](const std::string&) { return option(out); }));
  MR_RETURN_IF_ERROR(expect_end());
  for (const std::string_view needed : {"url", "topic"}) {
    if (!seen.contains(std::string(needed))) {
      return error(error_id::kBadOption, place(), fmt::format("a connection needs {}", needed),
                   std::string(kForm));
    }
  }
  return out;
}

Result<Statement> ConnectionParser::pause(bool paused) {
  if (take_word("SINK")) {
    AlterSink sink{.name = {}, .paused = paused};
    MR_TRY(sink.name, object_name(/*made=*/false));
    MR_RETURN_IF_ERROR(expect_end());
    return sink;
  }
  if (!take_word("CONNECTION")) return expected("CONNECTION or SINK");
  AlterConnection out{.name = {}, .paused = paused};
  MR_TRY(out.name, object_name(/*made=*/false));
  MR_RETURN_IF_ERROR(expect_end());
  return out;
}

}  // namespace millrace::sql
