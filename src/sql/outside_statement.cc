#include "sql/outside_statement.h"

#include <array>

#include "sql/suggestion.h"

namespace millrace::sql {

namespace {
constexpr auto kOptions =
    std::to_array<std::string_view>({"password", "password_file", "tls", "ca_file", "format"});
constexpr auto kTls = std::to_array<std::string_view>(
    {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"});
constexpr std::string_view kForm =
    "CREATE SINK name INTO 'postgres://user@host:5432/database/table' AS SELECT ... FROM view";
constexpr std::size_t kTextBytesMax = 4096;
}  // namespace

Result<std::string> SinkParser::text_value(std::string_view what) {
  if (!here_kind(TokenKind::kString) || here().front() != '\'') {
    return syntax_error(fmt::format("{} must stand in single quotes", what), std::string(kForm));
  }
  std::string out = unquoted(here());
  if (out.empty() || out.size() > kTextBytesMax || out.find('\0') != std::string::npos) {
    return error(error_id::kBadOption, place(),
                 fmt::format("{} has 1 to {} bytes, none of them zero", what, kTextBytesMax));
  }
  ++at_;
  return out;
}

Status SinkParser::option(CreateSink& sink, std::string_view name) {
  const TextPlace where = place();
  if (std::ranges::find(kOptions, name) == kOptions.end()) {
    const std::string_view meant = closest(name, kOptions);
    return error(error_id::kBadOption, where,
                 fmt::format("'{}' is not an option of a sink", shortened(name)),
                 meant.empty() ? fmt::format("the options are {}", fmt::join(kOptions, ", "))
                               : fmt::format("did you mean {}?", meant));
  }
  ++at_;
  MR_RETURN_IF_ERROR(expect_symbol('='));
  const TextPlace value_place = place();
  MR_TRY(auto value, text_value(fmt::format("the value of {}", name)));
  if (name == "tls" && std::ranges::find(kTls, value) == kTls.end()) {
    return error(error_id::kBadOption, value_place,
                 fmt::format("tls is one of {}", fmt::join(kTls, ", ")));
  }
  if (name == "format" && value != "hash" && value != "json")
    return error(error_id::kBadOption, value_place, "format is 'hash' or 'json'");
  if (name == "password") sink.password = std::move(value);
  if (name == "password_file") sink.password_file = std::move(value);
  if (name == "tls") sink.tls = std::move(value);
  if (name == "ca_file") sink.ca_file = std::move(value);
  if (name == "format") sink.format = std::move(value);
  return {};
}

Result<Statement> SinkParser::create() {
  CreateSink out;
  MR_TRY(out.if_not_exists, if_not_exists());
  MR_TRY(out.name, object_name(/*made=*/false));
  if (!take_word("INTO")) return expected("INTO", std::string(kForm));
  out.url_place = place();
  MR_TRY(out.url, text_value("the address of the store"));
  if (take_word("WITH")) {
    const auto taken =
        option_list(kForm, [&](const std::string& name) { return option(out, name); });
    if (!taken) return std::unexpected(taken.error());
  }
  if (!take_word("AS")) return expected("AS", std::string(kForm));
  if (!is_word("SELECT")) return expected("SELECT", std::string(kForm));
  out.select_place = place();
  out.select =
      std::string(text_.substr(tokens_[at_].begin, tokens_.back().end - tokens_[at_].begin));
  return out;
}

}  // namespace millrace::sql
