#include "cli/shell.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cctype>
#include <utility>

#include "base/ascii_case.h"
#include "cli/error_text.h"
#include "cli/interrupt.h"
#include "cli/json_fields.h"
#include "model/stream.h"
#include "sql/tokens.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

/// Statements that take longer tell how long.
constexpr std::chrono::milliseconds kProgressAfter{500};

/// The first words of a statement, in upper case.
std::string first_word(std::string_view statement) {
  const auto tokens = sql::tokenize(statement);
  if (!tokens || tokens->empty()) return {};
  std::string out = lower_name(
      statement.substr(tokens->front().begin, tokens->front().end - tokens->front().begin));
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

bool changes_names(std::string_view word) {
  constexpr auto kWords = std::to_array<std::string_view>({"CREATE", "DROP", "ALTER", "GRANT"});
  return std::ranges::find(kWords, word) != kWords.end();
}

std::string time_text(steady_clock::duration took) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  if (us < 10'000'000) return fmt::format("{:.1f} ms", static_cast<double>(us) / 1000);
  return fmt::format("{:.1f} s", static_cast<double>(us) / 1e6);
}

}  // namespace

Shell::Shell(const ClientOptions& client, bool pager)
    : client_(client),
      terminal_(client_.terminal),
      output_(client_.terminal),
      completer_([this] { return ask_names(); }) {
  output_.settings.format = client.format;
  output_.settings.pager = pager;
}

ExitCode Shell::run() {
  const InterruptGuard guard;
  auto link = SqlLink::open(client_.server, http_options(client_),
                            [this](std::chrono::milliseconds waited) { show_progress(waited); });
  if (!link) {
    Error error = std::move(link).error();
    if (error.code == ErrorCode::kUnavailable) {
      error.hint = fmt::format(
          "is the server up? `millrace up` starts one; --server or MILLRACE_SERVER tells where it "
          "is (now {})",
          client_.server);
    }
    return report(terminal_, error);
  }
  link_ = std::move(*link);
  editor_ = std::make_unique<LineEditor>(
      history_file_of_environment(),
      [this](std::string_view line) { return completer_.complete(buffer_.text(), line); });
  greet();
  for (std::string line;;) {
    switch (editor_->read(prompt(), line)) {
      case LineEditor::Read::kEnd:
        print("\n");
        return ExitCode::kOk;
      case LineEditor::Read::kInterrupted:
        buffer_.reset();
        print("\n");
        break;
      case LineEditor::Read::kLine:
        if (!take_line(line)) return ExitCode::kOk;
        break;
    }
  }
}

void Shell::greet() {
  if (!terminal_.quiet) {
    output_.note(fmt::format("Millrace {} at {}. \\? lists commands, \\q leaves.", MR_VERSION,
                             link_->url()));
  }
}

std::string Shell::prompt() const {
  const Inside inside = buffer_.inside();
  const std::string_view state =
      transaction_ == "open" ? "*" : (transaction_ == "failed" ? "!" : "");
  return fmt::format("millrace{}{}> ", state, static_cast<char>(inside));
}

bool Shell::take_line(const std::string& line) {
  const auto begin = line.find_first_not_of(" \t");
  const Inside inside = buffer_.inside();
  const bool outside =
      inside == Inside::kNothing || inside == Inside::kStatement || inside == Inside::kBrackets;
  if (outside && begin != std::string::npos && line[begin] == '\\') {
    if (editor_ != nullptr && buffer_.is_empty()) editor_->remember(line);
    return run_command(std::string_view(line).substr(begin));
  }
  for (const auto& statement : buffer_.add(line)) {
    if (editor_ != nullptr && files_open_ == 0) editor_->remember(one_line(statement) + ";");
    run_statement(statement);
  }
  return true;
}

void Shell::run_statement(const std::string& statement) {
  last_ = statement;
  const std::string word = first_word(statement);
  if (word == "SUBSCRIBE") {
    follow(statement);
    return;
  }
  const auto began = steady_clock::now();
  const auto answer = link_->run(statement);
  const auto took = steady_clock::now() - began;
  terminal_.end_progress();
  if (changes_names(word)) completer_.forget();
  if (link_->take_reopened()) {
    output_.note(terminal_.dim("the session is a new one: its settings and transaction are gone"));
    transaction_ = "none";
  }
  if (!answer) {
    if (transaction_ == "open") transaction_ = "failed";
    show_error(answer.error(), statement);
    return;
  }
  note_state(*answer);
  show_answer(*answer, took);
}

/// The state of the transaction, and notices.
void Shell::note_state(std::string_view answer) {
  boost::system::error_code failed;
  // Only what stands behind the rows is of interest, and rows may be many.
  const auto at = answer.rfind(",\"transaction\":");
  if (at == std::string_view::npos) return;
  const auto document = json::parse("{" + std::string(answer.substr(at + 1)), failed);
  if (failed || !document.is_object()) return;
  const auto& object = document.get_object();
  transaction_ = text_field(object, "transaction");
  const auto* notices = object.if_contains("notices");
  if (notices == nullptr || !notices->is_array()) return;
  for (const auto& notice : notices->get_array()) {
    if (notice.is_string())
      output_.note(terminal_.bold("notice: ") + printable(std::string_view(notice.get_string())));
  }
}

void Shell::show_answer(std::string_view answer, steady_clock::duration took) {
  const auto table = ResultTable::parse(answer);
  if (!table) {
    show_error(table.error(), {});
    return;
  }
  const auto& settings = output_.settings;
  const std::string time = settings.timing ? ", " + time_text(took) : std::string();
  if (table->columns().empty()) {
    boost::system::error_code failed;
    const auto document = json::parse(answer, failed);
    std::string done = "done";
    if (!failed && document.is_object()) {
      done = text_field(document.get_object(), "command");
      if (const auto* rows = document.get_object().if_contains("affected"); rows != nullptr)
        done += " " + json::serialize(*rows);
    }
    output_.note(terminal_.dim(done + time));
    return;
  }
  output_.show(*table, answer);
  std::string footer =
      fmt::format("{} row{}{}", grouped(table->rows()), table->rows() == 1 ? "" : "s", time);
  if (table->truncated()) footer += "; there are more, which the server does not send";
  if (settings.coverage && !table->coverage().empty())
    footer += fmt::format("; coverage {}", printable(table->coverage()));
  output_.note(terminal_.dim(footer));
}

void Shell::show_error(const Error& error, std::string_view statement) {
  print(error_text(terminal_, error, statement, screen_size().columns));
}

void Shell::show_progress(std::chrono::milliseconds waited) const {
  if (following_) following_();
  if (waited < kProgressAfter || following_) return;
  constexpr auto kWheel = std::to_array<std::string_view>({"⠋", "⠙", "⠸", "⠴", "⠦", "⠇"});
  const auto at = static_cast<std::size_t>(waited.count() / 100) % kWheel.size();
  terminal_.progress(fmt::format("{} {:.1f} s, Ctrl-C cancels", kWheel[at],
                                 static_cast<double>(waited.count()) / 1000));
}

Completer::Names Shell::ask_names() {
  Completer::Names out;
  // In the middle of a line nothing is shown but the line.
  following_ = [] {};
  const auto answer = link_->run(
      "SELECT table_name, column_name FROM information_schema.columns "
      "WHERE table_schema = 'public' ORDER BY ordinal_position");
  following_ = {};
  if (!answer) return out;
  const auto table = ResultTable::parse(*answer);
  if (!table) return out;
  for (std::size_t row = 0; row < table->rows(); ++row) {
    auto column = cell_text(table->cell(row, 1));
    if (!check_object_name(column)) column = quote_identifier(column);
    out[cell_text(table->cell(row, 0))].push_back(std::move(column));
  }
  return out;
}

ExitCode run_shell(const ClientOptions& client, bool pager) { return Shell(client, pager).run(); }

}  // namespace millrace::cli
