// What each command of the program is asked to do, and the functions that do it. Each prints its
// own result and returns the exit code of the process. Thread: the main one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/exit_code.h"
#include "cli/result_table.h"
#include "cli/terminal.h"
#include "client/http_client.h"

namespace millrace::cli {

/// Of every command that talks to a server.
struct ClientOptions {
  std::string server = "http://127.0.0.1:8080";
  /// A file with the authorities to trust; empty: as the environment or the system says.
  std::string ca;
  OutputFormat format = OutputFormat::kTable;
  Terminal terminal;
};

/// With neither text nor file: the interactive shell.
struct SqlCommand {
  ClientOptions client;
  std::string text;
  std::string file;  // instead of text; "-" is standard input
  bool pager = true;
};

struct BatchRunCommand {
  ClientOptions client;
  bool full = false;
  bool wait = true;
};

struct StatusCommand {
  ClientOptions client;
};

struct PlanCommand {
  ClientOptions client;
  std::string view;
};

struct GenerateCommand {
  ClientOptions client;
  std::string kind;  // flights, iot, clicks
  std::uint64_t count = 1'000;
  double rate = 0;  // events a second; 0: as fast as they are taken
  std::uint64_t seed = 1;
  double late = 0;  // the three are shares of the events, 0 to 1
  double duplicates = 0;
  double bad = 0;
  std::string out;      // a file, "-" for standard output
  bool post = false;    // to the server, instead
  bool create = false;  // the stream, where it does not exist
};

struct DemoCommand {
  Terminal terminal;
  std::string source;            // empty: the file that ./dev setup installs
  std::string data;              // empty: a temporary folder
  bool keep = false;             // the data folder at the end, and the server on a terminal or not
  std::uint64_t events_max = 0;  // 0: all
  std::uint32_t connections = 3;
};

/// What is not given comes from the environment, the configuration file, or the defaults.
struct UpCommand {
  std::vector<std::string> pipelines;  // files of statements
  std::string config;
  std::optional<std::string> data;
  std::optional<std::string> listen;
  /// A number, or "off".
  std::optional<std::string> http_port;
  std::optional<std::string> mqtt_port;
  std::optional<std::string> https_port;
  std::optional<std::string> mqtts_port;
  std::optional<std::string> postgres_port;
  std::string ready_file;
};

/// How a command reaches its server.
[[nodiscard]] client::HttpClientOptions http_options(const ClientOptions& client);

using Command = std::variant<UpCommand, SqlCommand, BatchRunCommand, StatusCommand, PlanCommand,
                             GenerateCommand, DemoCommand>;

ExitCode run(const UpCommand& command);
ExitCode run(const SqlCommand& command);
ExitCode run(const BatchRunCommand& command);
ExitCode run(const StatusCommand& command);
ExitCode run(const PlanCommand& command);
ExitCode run(const GenerateCommand& command);
ExitCode run(const DemoCommand& command);

/// Prints the error and gives its exit code.
ExitCode report(const Terminal& terminal, const Error& error);
/// Prints a table in the wanted form; `json` is what it is in JSON.
ExitCode print_table(const ClientOptions& client, const ResultTable& table, std::string_view json);
/// Prints an answer with columns and rows in the wanted form, and what it covers on standard error.
ExitCode print_answer(const ClientOptions& client, std::string_view answer);

}  // namespace millrace::cli
