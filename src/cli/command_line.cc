#include "cli/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <string_view>
#include <utility>

#include "sql/query_worker.h"

namespace millrace::cli {
namespace {

const std::map<std::string, OutputFormat>& formats() {
  static const std::map<std::string, OutputFormat> kFormats = {
      {"table", OutputFormat::kTable},       {"json", OutputFormat::kJson},
      {"jsonl", OutputFormat::kJsonLines},   {"ndjson", OutputFormat::kJsonLines},
      {"markdown", OutputFormat::kMarkdown}, {"csv", OutputFormat::kCsv}};
  return kFormats;
}

/// Options that many commands share, with the values that were given.
struct Shared {
  /// One for each subcommand: the environment speaks for the options of all of them, also of those
  /// that are not on the command line.
  std::deque<std::pair<CLI::App*, std::string>> servers;
  std::string ca;
  OutputFormat format = OutputFormat::kTable;
  bool json = false;
  bool quiet = false;
  bool no_color = false;

  [[nodiscard]] Terminal terminal() const { return Terminal::of_process(quiet, no_color); }
  [[nodiscard]] ClientOptions client() const {
    std::string server;
    for (const auto& [app, own] : servers) {
      if (app->parsed()) server = own;
    }
    return {.server = server,
            .ca = ca,
            .format = json ? OutputFormat::kJson : format,
            .terminal = terminal()};
  }
};

void add_terminal_options(CLI::App& app, Shared& shared) {
  app.add_flag("-q,--quiet", shared.quiet, "nothing on standard error but errors");
  app.add_flag("--no-color", shared.no_color, "no colours (also: NO_COLOR in the environment)");
}

void add_ca_option(CLI::App& app, Shared& shared) {
  app.add_option("--ca", shared.ca,
                 "authorities to trust for https (also: MILLRACE_CA in the environment)")
      ->type_name("FILE");
}

CLI::Option* add_server_option(CLI::App& app, Shared& shared) {
  add_ca_option(app, shared);
  auto& server = shared.servers.emplace_back(&app, std::string()).second;
  return app.add_option("--server", server, "address of the server")
      ->envname("MILLRACE_SERVER")
      ->default_val("http://127.0.0.1:8080")
      ->type_name("URL");
}

void add_format_options(CLI::App& app, Shared& shared) {
  auto* format = app.add_option("-o,--output", shared.format, "table, json, jsonl, csv or markdown")
                     ->transform(CLI::CheckedTransformer(formats(), CLI::ignore_case))
                     ->type_name("FORMAT")
                     ->option_text("FORMAT");
  app.add_flag("--json", shared.json, "JSON, as the server sent it")->excludes(format);
}

void add_client_options(CLI::App& app, Shared& shared) {
  add_server_option(app, shared);
  add_format_options(app, shared);
  add_terminal_options(app, shared);
}

/// One whole command line: the parser and what it writes into.
struct Parser {
  CLI::App app{"Millrace: events in, one exact answer from the batch and the speed layer out.",
               "millrace"};
  Shared shared;
  UpCommand up;
  SqlCommand sql;
  BatchRunCommand batch;
  StatusCommand status;
  PlanCommand plan;
  GenerateCommand generate;
  DemoCommand demo;
  CLI::App* up_app = nullptr;
  CLI::App* sql_app = nullptr;
  CLI::App* batch_app = nullptr;
  CLI::App* status_app = nullptr;
  CLI::App* plan_app = nullptr;
  CLI::App* generate_app = nullptr;
  CLI::Option* generate_server = nullptr;

  Parser() {
    app.set_version_flag("--version", "millrace " MR_VERSION);
    app.require_subcommand(1);
    app.set_help_all_flag("--help-all", "the help of all commands");
    add_up();
    add_sql();
    add_batch();
    add_status();
    add_plan();
    add_generate();
    add_demo();
  }

  void add_up() {
    up_app = app.add_subcommand("up", "start the server");
    up_app->add_option("pipeline", up.pipelines, "files of statements to run first")
        ->type_name("FILE");
    up_app->add_option("--data", up.data, "data folder (./millrace-data)")->type_name("DIR");
    up_app->add_option("--config", up.config, "configuration file")->type_name("FILE");
    up_app->add_option("--listen", up.listen, "address to listen on (127.0.0.1)")
        ->type_name("ADDR");
    add_port("--http-port", up.http_port, "port of the HTTP API (8080); 0 picks a free one");
    add_port("--mqtt-port", up.mqtt_port, "port of MQTT (1883); 0 picks a free one");
    add_port(
        "--postgres-port", up.postgres_port,
        "port of PostgreSQL (5433), with TLS where there is a certificate; 0 picks a free one");
    add_port("--https-port", up.https_port, "the same over TLS (8443), with a certificate");
    add_port("--mqtts-port", up.mqtts_port, "the same over TLS (8883), with a certificate");
    up_app
        ->add_option("--ready-file", up.ready_file, "written with pid and addresses once it serves")
        ->type_name("FILE");
  }

  void add_port(const char* name, std::optional<std::string>& port, const char* what) {
    const CLI::Validator number_or_off(
        [](const std::string& text) {
          std::uint16_t number = 0;
          const bool good = text == "off" || CLI::detail::lexical_cast(text, number);
          return good ? std::string() : "is neither a port nor 'off': " + text;
        },
        "");
    // The last one counts, so that a script can add its own.
    up_app->add_option(name, port, what)->take_last()->check(number_or_off)->type_name("N|off");
  }

  void add_sql() {
    sql_app = app.add_subcommand("sql", "run SQL statements; without any: an interactive shell");
    auto* text = sql_app->add_option("statement", sql.text, "the statements")->type_name("SQL");
    auto* file =
        sql_app->add_option("-f,--file", sql.file, "read them from a file; '-': standard input")
            ->type_name("FILE");
    text->excludes(file);
    sql_app->add_flag("!--no-pager", sql.pager, "long results of the shell as they are");
    add_client_options(*sql_app, shared);
  }

  void add_batch() {
    auto* group = app.add_subcommand("batch", "the batch layer");
    group->require_subcommand(1);
    batch_app = group->add_subcommand("run", "start a batch run and wait for it");
    batch_app->add_flag("--full", batch.full, "recompute everything instead of what changed");
    batch_app->add_flag("--wait,!--no-wait", batch.wait,
                        "wait for its end (the default), or do not");
    add_client_options(*batch_app, shared);
  }

  void add_status() {
    status_app = app.add_subcommand("status", "streams, views, positions, generations");
    add_client_options(*status_app, shared);
  }

  void add_plan() {
    plan_app = app.add_subcommand("plan", "what millrace-op computes a materialized view from");
    plan_app->add_option("view", plan.view, "its name")->required()->type_name("VIEW");
    add_client_options(*plan_app, shared);
  }

  void add_generate() {
    generate_app = app.add_subcommand("generate", "make events: the same for the same seed");
    auto* kind = generate_app->add_option("kind", generate.kind, "flights, iot or clicks");
    kind->required()->check(CLI::IsMember({"flights", "iot", "clicks"}))->type_name("KIND");
    const auto share = CLI::Range(0.0, 1.0);
    generate_app->add_option("--count", generate.count, "number of events")->capture_default_str();
    generate_app->add_option("--rate", generate.rate, "events a second (0: no limit)")
        ->check(CLI::NonNegativeNumber);
    generate_app->add_option("--seed", generate.seed, "seed of the random numbers")
        ->capture_default_str();
    generate_app->add_option("--late", generate.late, "share of late events")->check(share);
    generate_app->add_option("--duplicates", generate.duplicates, "share of repeated events")
        ->check(share);
    generate_app->add_option("--bad", generate.bad, "share of events that do not decode")
        ->check(share);
    auto* out =
        generate_app
            ->add_option("--out", generate.out, "write JSON Lines to a file; '-': standard output")
            ->type_name("FILE");
    auto* create = generate_app->add_flag("--create", generate.create,
                                          "create the stream if it does not exist");
    // Without --server the events go to standard output, whatever the environment says.
    generate_server =
        generate_app
            ->add_option("--server", shared.servers.emplace_back(generate_app, "").second,
                         "post them to this server instead")
            ->type_name("URL");
    add_ca_option(*generate_app, shared);
    out->excludes(generate_server);
    create->needs(generate_server);
    add_terminal_options(*generate_app, shared);
  }

  void add_demo() {
    auto* demo_app =
        app.add_subcommand("demo", "replay three million real flights and prove the answers");
    demo_app->add_option("--source", demo.source, "the flights, as Parquet")->type_name("FILE");
    demo_app->add_option("--data", demo.data, "data folder (a temporary one)")->type_name("DIR");
    demo_app->add_flag("--keep", demo.keep, "keep the data folder");
    demo_app->add_option("--events", demo.events_max, "at most so many flights (0: all)")
        ->type_name("N");
    demo_app->add_option("--connections", demo.connections, "connections that send")
        ->check(CLI::Range(1, 16))
        ->capture_default_str();
    add_terminal_options(*demo_app, shared);
  }

  [[nodiscard]] Command command() {
    if (up_app->parsed()) return std::move(up);
    if (sql_app->parsed()) {
      sql.client = shared.client();
      return std::move(sql);
    }
    if (batch_app->parsed()) {
      batch.client = shared.client();
      return batch;
    }
    if (plan_app->parsed()) {
      plan.client = shared.client();
      return plan;
    }
    if (status_app->parsed()) {
      status.client = shared.client();
      return status;
    }
    if (generate_app->parsed()) {
      generate.post = generate_server->count() != 0;
      generate.client = shared.client();
      return std::move(generate);
    }
    demo.terminal = shared.terminal();
    return std::move(demo);
  }
};

ExitCode usage_error(const CLI::App& app, std::string_view text) {
  std::cerr << "error: " << text << "\n\n" << app.help();
  return ExitCode::kUsage;
}

}  // namespace

std::variant<Command, ExitCode> parse_command_line(int argc, const char* const* argv) {
  Parser parser;
  try {
    parser.app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    static_cast<void>(parser.app.exit(asked, std::cout, std::cerr));
    return ExitCode::kOk;
  } catch (const CLI::ParseError& wrong) {
    // The help of the command that was meant.
    const CLI::App* app = &parser.app;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return usage_error(*app, wrong.what());
  }
  if (parser.sql_app->parsed() && parser.sql.text.empty() && parser.sql.file.empty() &&
      ::isatty(STDIN_FILENO) == 0) {
    return usage_error(*parser.sql_app,
                       "a statement or --file is required where there is no terminal");
  }
  return parser.command();
}

int run_program(int argc, char** argv) {
  // Not a command of people: the server starts it, with a socket that only it can hand over.
  if (argc > 1 && std::string_view(argv[1]) == "sql-worker")
    return sql::query_worker_main(argc, argv);
  const auto parsed = parse_command_line(argc, argv);
  if (const auto* code = std::get_if<ExitCode>(&parsed)) return static_cast<int>(*code);
  return static_cast<int>(
      std::visit([](const auto& command) { return run(command); }, std::get<Command>(parsed)));
}

}  // namespace millrace::cli
