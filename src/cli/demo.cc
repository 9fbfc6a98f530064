// `millrace demo`: a server of its own, three million real flights sent to it as events with late
// and repeated ones among them, the batch layer at work meanwhile, and the merged answers proved
// equal to a recomputation from scratch by DuckDB over the source file. Thread: the main one prints
// and steers; one reads the source, some send (replay.h).
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>
#include <utility>

#include "cli/answer_check.h"
#include "cli/api_client.h"
#include "cli/batch_state.h"
#include "cli/child_process.h"
#include "cli/commands.h"
#include "cli/flight_source.h"
#include "cli/json_fields.h"
#include "cli/replay.h"
#include "runtime/clock.h"
#include "runtime/file_system.h"
#include "runtime/random.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStreamSql =
    "CREATE STREAM IF NOT EXISTS flights (date TIMESTAMP, origin VARCHAR, destination VARCHAR, "
    "delay BIGINT, "
    "distance BIGINT) WITH (time = date, key = origin)";

struct DemoView {
  std::string_view name;
  std::string_view select;
  /// Shown at the end.
  std::string_view question;
  std::string_view query;
};

constexpr std::array<DemoView, 3> kViews = {{
    {"delays_by_hour",
     "SELECT origin, date_trunc('hour', date) AS hour, count(*) AS flights, avg(delay) AS "
     "mean_delay, "
     "max(delay) AS worst FROM flights WHERE distance > 100 GROUP BY origin, hour",
     "the worst hours of airports with 20 departures or more",
     "SELECT * FROM delays_by_hour WHERE flights >= 20 ORDER BY mean_delay DESC, origin, hour "
     "LIMIT 5"},
    {"routes",
     "SELECT origin, destination, count(*) AS flights, avg(delay) AS mean_delay, min(delay) AS "
     "best, "
     "max(delay) AS worst, sum(distance) AS miles FROM flights GROUP BY origin, destination",
     "the busiest routes",
     "SELECT * FROM routes ORDER BY flights DESC, origin, destination LIMIT 5"},
    {"days",
     "SELECT date_trunc('day', date) AS day, count(*) AS flights, sum(delay) AS minutes_late, "
     "avg(distance) AS mean_distance, max(delay) AS worst FROM flights GROUP BY day",
     "the latest days", "SELECT * FROM days ORDER BY minutes_late DESC, day LIMIT 5"},
}};

constexpr std::uint64_t kRowsPerRequest = 2'000;
constexpr std::uint64_t kAllRows = 100'000'000;
constexpr auto kStartPatience = std::chrono::seconds(60);
constexpr auto kStopPatience = std::chrono::seconds(15);
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr std::int64_t kRedrawEveryUs = 200'000;
constexpr std::int64_t kLineEveryUs = 3'000'000;
/// The shares of the events after which a batch run is asked for.
constexpr std::array<double, 3> kBatchShares = {0.2, 0.5, 0.8};

std::atomic<bool> interrupted = false;
extern "C" void on_interrupt(int) { interrupted = true; }

Status interrupted_error() {
  return std::unexpected(Error{
      .code = ErrorCode::kCancelled, .id = {}, .message = "interrupted", .hint = {}, .place = {}});
}

/// Beside the program as ./dev lays it out: <checkout>/build/<preset>/millrace.
fs::path default_source() {
  std::error_code error;
  fs::path place = "third_party/node_modules/vega-datasets/data/flights-3m.parquet";
  auto folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  while (!folder.empty() && folder != folder.root_path()) {
    if (fs::exists(folder / place, error)) return folder / place;
    folder = folder.parent_path();
  }
  return place;
}

class Demo {
 public:
  explicit Demo(const DemoCommand& command) : command_(command), terminal_(command.terminal) {}

  ~Demo() {
    server_.reset();
    std::error_code error;
    if (temporary_ && !keeps_data_) fs::remove_all(folder_, error);
  }

  Status run() {
    keeps_data_ = command_.keep;
    auto done = run_steps();
    // After a failure the data and the server's output are what one wants to see.
    if (!done && done.error().code != ErrorCode::kCancelled) keeps_data_ = true;
    if (!folder_.empty() && (keeps_data_ || !temporary_)) {
      say(fmt::format("data stay in {}", folder_.string()));
    }
    return done;
  }

 private:
  Status run_steps() {
    MR_RETURN_IF_ERROR(prepare());
    MR_RETURN_IF_ERROR(start_server());
    MR_RETURN_IF_ERROR(create());
    MR_RETURN_IF_ERROR(replay());
    MR_RETURN_IF_ERROR(show_answers());
    heading(
        "Proof: every row against a recomputation from scratch, by DuckDB over the source file");
    MR_RETURN_IF_ERROR(recompute());
    MR_RETURN_IF_ERROR(check("merged while events flowed"));
    MR_RETURN_IF_ERROR(run_batch());
    MR_RETURN_IF_ERROR(check("after a full batch run"));
    MR_RETURN_IF_ERROR(show_addresses());
    if (command_.terminal.interactive) serve_until_interrupted();
    return stop_server();
  }

  void say(std::string_view text) const { terminal_.note(text); }
  void heading(std::string_view text) const { say(fmt::format("\n{}", terminal_.bold(text))); }

  Status prepare() {
    const fs::path parquet = command_.source.empty() ? default_source() : fs::path(command_.source);
    if (!fs::exists(parquet)) {
      return std::unexpected(
          Error{.code = ErrorCode::kNotFound,
                .id = std::string(error_id::kDiskFailed),
                .message = fmt::format("there is no {}", parquet.string()),
                .hint = "`./dev setup` installs it; --source names another place",
                .place = {}});
    }
    temporary_ = command_.data.empty();
    folder_ = temporary_ ? fs::temp_directory_path() /
                               fmt::format("millrace-demo-{}-{:08x}", ::getpid(),
                                           static_cast<std::uint32_t>(runtime::random_u64()))
                         : fs::absolute(command_.data);
    if (fs::exists(folder_ / "data")) {
      const auto place = std::exchange(folder_, {}).string();
      return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                  "{} has data already; the demonstration starts from nothing: name another folder",
                  place);
    }
    MR_RETURN_IF_ERROR(runtime::system_files().create_directories(folder_ / "spill"));
    heading(
        "Millrace: three million flights, one definition for batch and speed layer, one exact "
        "answer");
    MR_TRY(source_, FlightSource::open(parquet, folder_ / "spill", command_.events_max));
    const auto& totals = source_->totals();
    say(fmt::format(
        "source    {}\n          {} flights; {} of them are sent late, {} are sent twice",
        parquet.string(), grouped(totals.flights), grouped(totals.late), grouped(totals.repeated)));
    return {};
  }

  Status start_server() {
    const auto ready = folder_ / "ready.json";
    const auto log = folder_ / "server.log";
    std::error_code error;
    fs::remove(ready, error);
    MR_TRY(server_,
           ChildProcess::start_self(
               {"up", "--data", (folder_ / "data").string(), "--http-port", "0", "--mqtt-port", "0",
                "--postgres-port", "0", "--ready-file", ready.string()},
               log));
    const auto deadline = std::chrono::steady_clock::now() + kStartPatience;
    while (!fs::exists(ready, error)) {
      if (interrupted) return interrupted_error();
      const auto ended = server_->ended();
      if (ended || std::chrono::steady_clock::now() > deadline) {
        const auto text = runtime::read_file(runtime::system_files(), log);
        return fail(
            ErrorCode::kUnavailable, error_id::kStarting, "the server did not start ({}):\n{}",
            ended ? fmt::format("exit code {}", *ended) : "not ready in time", text ? *text : "");
      }
      std::this_thread::sleep_for(kTick);
    }
    MR_TRY(const auto text, runtime::read_file(runtime::system_files(), ready));
    boost::system::error_code failed;
    const auto document = boost::json::parse(text, failed);
    if (!failed && document.is_object()) url_ = text_field(document.get_object(), "http");
    if (url_.empty()) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "{}: no address in {}", ready.string(),
                  text);
    }
    say(fmt::format("server    {} (process {}, data in {}, its output in {})", url_, server_->pid(),
                    (folder_ / "data").string(), log.string()));
    MR_TRY(auto api, ApiClient::connect(url_));
    api_.emplace(std::move(api));
    return {};
  }

  Status create() {
    MR_TRY(const auto stream, api_->sql(kStreamSql));
    heading("Views");
    for (const auto& view : kViews) {
      say(fmt::format("  {:<15} {}", view.name, terminal_.dim(view.select)));
      MR_TRY(const auto made,
             api_->sql(fmt::format("CREATE MATERIALIZED VIEW IF NOT EXISTS {} AS {}", view.name,
                                   view.select)));
    }
    return {};
  }

  Status replay() {
    heading(fmt::format(
        "Replay over HTTP: {} connections, {} events a request, durable when acknowledged",
        command_.connections, grouped(kRowsPerRequest)));
    Replay replay({.server = url_,
                   .stream = "flights",
                   .probed_view = "days",
                   .connections = command_.connections});
    std::atomic<bool> read = false;
    std::atomic<std::int64_t> first_us = 0;  // before, DuckDB sorts the file
    Status result;
    std::thread reader([&] {
      result =
          source_->send_all(kRowsPerRequest, [&](std::string body, std::uint64_t rows) -> Status {
            if (interrupted) return interrupted_error();
            if (first_us == 0) first_us = runtime::monotonic_us();
            return replay.push(std::move(body), rows);
          });
      if (result) result = replay.finish();
      read = true;
    });
    const std::int64_t started_us = runtime::monotonic_us();
    const auto watched = watch(replay, read, started_us);
    reader.join();
    terminal_.end_progress();
    MR_RETURN_IF_ERROR(result);
    MR_RETURN_IF_ERROR(watched);
    const double seconds = static_cast<double>(runtime::monotonic_us() - first_us) / 1e6;
    const auto figures = replay.figures();
    say(fmt::format(
        "{} events in {} requests, {:.1f} s: {} events/s; freshness at worst {:.1f} ms; {} "
        "requests asked "
        "to wait",
        grouped(figures.events), grouped(figures.requests), seconds,
        grouped(static_cast<std::uint64_t>(static_cast<double>(figures.events) / seconds)),
        figures.freshness_worst_ms, grouped(figures.refused)));
    return {};
  }

  /// Shows progress and asks for batch runs until everything is sent.
  Status watch(const Replay& replay, const std::atomic<bool>& read, std::int64_t started_us) {
    std::size_t asked = 0;
    std::int64_t shown_us = started_us;
    std::uint64_t shown_events = 0;
    while (!read) {
      std::this_thread::sleep_for(kTick);
      const auto figures = replay.figures();
      const double share =
          static_cast<double>(figures.events) / static_cast<double>(source_->totals().events());
      if (asked < kBatchShares.size() && share >= kBatchShares[asked]) {
        ++asked;
        MR_TRY(const auto run, start_batch(*api_, false));
        if (!terminal_.interactive) say(fmt::format("  batch run {} asked for", run));
      }
      const std::int64_t now_us = runtime::monotonic_us();
      if (now_us - shown_us < (terminal_.interactive ? kRedrawEveryUs : kLineEveryUs)) continue;
      const double rate = static_cast<double>(figures.events - shown_events) * 1e6 /
                          static_cast<double>(now_us - shown_us);
      shown_us = now_us;
      shown_events = figures.events;
      MR_TRY(const auto batch, batch_state(*api_));
      std::string line = fmt::format("  {} of {} events ({:.0f} %), {}/s", grouped(figures.events),
                                     grouped(source_->totals().events()), share * 100,
                                     grouped(static_cast<std::uint64_t>(rate)));
      if (figures.freshness_ms >= 0)
        line += fmt::format(", fresh after {:.1f} ms", figures.freshness_ms);
      if (figures.generation != 0) {
        line += fmt::format(", generation {} of the first {}", figures.generation,
                            grouped(figures.cut_events));
      }
      if (batch.state == "running")
        line += fmt::format("; batch run {}: {}", batch.run, batch.view);
      if (terminal_.interactive) {
        terminal_.progress(line);
      } else {
        say(line);
      }
    }
    return {};
  }

  Status show_answers() {
    heading(
        "Merged answers: the newest generation of the batch layer and the delta of the speed "
        "layer");
    for (const auto& view : kViews) {
      MR_TRY(const auto answer, api_->sql(view.query));
      MR_TRY(const auto table, ResultTable::parse(answer));
      say(fmt::format("\n{}: {}", view.name, view.question));
      if (!print(table.table_text())) {
        return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                    "nobody reads standard output any more");
      }
      say(terminal_.dim(fmt::format("coverage {}", table.coverage())));
    }
    return {};
  }

  Status recompute() {
    for (const auto& view : kViews) {
      const std::int64_t started_us = runtime::monotonic_us();
      MR_TRY(auto answer, source_->recompute(view.select));
      std::vector<ResultColumn> columns;
      for (const auto& column : answer.columns) columns.push_back({column.name, column.type.sql()});
      expected_.push_back(ResultTable::of_cells(std::move(columns), std::move(answer.cells)));
      say(fmt::format("  {:<15} {} rows recomputed in {:.2f} s", view.name,
                      grouped(expected_.back().rows()),
                      static_cast<double>(runtime::monotonic_us() - started_us) / 1e6));
      if (interrupted) return interrupted_error();
    }
    return {};
  }

  Status check(std::string_view when) {
    bool equal = true;
    for (std::size_t i = 0; i < kViews.size(); ++i) {
      MR_TRY(const auto body,
             api_->get(fmt::format("/v1/views/{}?limit={}", kViews[i].name, kAllRows)));
      MR_TRY(const auto actual, ResultTable::parse(body));
      const auto difference = compare_answers(expected_[i], actual);
      const bool same = difference.none() && actual.rows() == expected_[i].rows();
      equal = equal && same;
      const auto verdict = same ? terminal_.green("PASS") : terminal_.red("FAIL");
      const auto line = fmt::format("{}  {:<15} {} rows, {}; {}\n", verdict, kViews[i].name,
                                    grouped(actual.rows()),
                                    same ? "all equal to the last bit" : "NOT equal", when);
      print(line);
      if (same) continue;
      print(fmt::format("      {} rows are missing, {} were not expected\n",
                        grouped(difference.missing), grouped(difference.unexpected)));
      for (const auto& sample : difference.samples)
        print(fmt::format("      {}\n", printable(sample)));
    }
    if (equal) return {};
    return fail(ErrorCode::kDataLoss, error_id::kInternal,
                "the answers differ from the recomputation; the server's output is in {}",
                (folder_ / "server.log").string());
  }

  Status run_batch() {
    MR_TRY(const auto number, start_batch(*api_, true));
    const auto state = wait_for_batch(*api_, number, [&](const BatchState& now) -> Status {
      terminal_.progress(now.progress_text());
      return interrupted ? interrupted_error() : Status();
    });
    terminal_.end_progress();
    if (!state) return std::unexpected(state.error());
    if (const auto* run = state->ended(number)) {
      say(fmt::format(
          "  full batch run {}: {} generations in {:.2f} s, drift between the layers {} rows",
          run->run, run->generations, run->seconds, run->drift_rows));
    }
    return {};
  }

  Status show_addresses() {
    heading("Addresses");
    print(
        fmt::format("http      {0}\n"
                    "a view    curl -s '{0}/v1/views/delays_by_hour?origin=JFK&limit=3'\n"
                    "SQL       millrace sql --server {0} \"SELECT * FROM routes ORDER BY flights "
                    "DESC LIMIT 3\"\n"
                    "status    millrace status --server {0}\n"
                    "metrics   curl -s {0}/metrics\n",
                    url_));
    return {};
  }

  void serve_until_interrupted() {
    say("\nThe server stays up; Ctrl-C ends it.");
    while (!interrupted && !server_->ended()) std::this_thread::sleep_for(kTick);
    interrupted = false;
  }

  Status stop_server() {
    const int code =
        server_->stop(std::chrono::duration_cast<std::chrono::milliseconds>(kStopPatience));
    if (code != 0) {
      return fail(ErrorCode::kInternal, error_id::kInternal,
                  "the server ended with {} instead of 0; see {}", code,
                  (folder_ / "server.log").string());
    }
    return {};
  }

  const DemoCommand& command_;
  const Terminal& terminal_;
  fs::path folder_;
  bool temporary_ = false;
  bool keeps_data_ = false;
  std::unique_ptr<FlightSource> source_;
  std::unique_ptr<ChildProcess> server_;
  std::string url_;
  std::optional<ApiClient> api_;
  std::vector<ResultTable> expected_;
};

}  // namespace

ExitCode run(const DemoCommand& command) {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  Demo demo(command);
  if (auto done = demo.run(); !done) return report(command.terminal, done.error());
  print(fmt::format("{}\n", command.terminal.green("The demonstration passed.")));
  return ExitCode::kOk;
}

}  // namespace millrace::cli
