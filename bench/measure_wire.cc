// (13) One row by key over PostgreSQL's wire, prepared, of a view of a million groups, at rest and
// while events come in, beside PostgreSQL with the same rows under a primary key; (14) the ten
// groups with the greatest value, beside PostgreSQL that computes them from an indexed table of the
// same events. The same client asks both, and what both answer is compared before it is timed.
#include <array>
#include <atomic>
#include <thread>

#include "measures.h"
#include "postgres_process.h"
#include "wire_load.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kGroups = 1'000'000;  // each event has an id of its own
constexpr std::uint64_t kReads = 100'000;
constexpr int kCompared = 1'000;
constexpr int kTopRuns = 5;
constexpr double kIngestRate = 100'000;  // events/s
constexpr std::uint64_t kIngestRows = 1'000;
constexpr const char* kRead = "SELECT c, s, mx FROM by_id WHERE id = $1";
constexpr const char* kTop = "SELECT id, s FROM by_id ORDER BY s DESC, id LIMIT 10";
constexpr const char* kTopOfEvents =
    "SELECT id, sum(value) AS s FROM ev GROUP BY id ORDER BY s DESC, id LIMIT 10";

/// Both servers with the same events.
struct Pair {
  std::unique_ptr<ServerProcess> ours;
  std::unique_ptr<PostgresProcess> theirs;
  EventGenerator generator;
  std::uint64_t groups = 0;
};

Result<Pair> start_pair(const Settings& settings, std::string_view name) {
  Pair out;
  out.groups = settings.scaled(kGroups, 20'000);
  MR_TRY(out.ours,
         ServerProcess::start(settings.binary, settings.folder / name,
                              {{"batch.interval_ms", "86400000"}, {"sql.rows_max", "20000000"}}));
  MR_TRY(out.theirs, PostgresProcess::start(settings.folder / fmt::format("{}_postgres", name)));
  MR_TRY(auto http, Connection::open(out.ours->port()));
  MR_RETURN_IF_ERROR(ask_sql(http, kStreamSql));
  MR_RETURN_IF_ERROR(ask_sql(http,
                             "CREATE MATERIALIZED VIEW by_id AS SELECT id, count(*) AS c, "
                             "sum(value) AS s, max(value) AS mx FROM ev GROUP BY id"));
  say(fmt::format("{}: {} events, each a group", name, out.groups));
  MR_TRY(const auto load, load_events(out.ours->port(), out.generator, out.groups));
  MR_TRY(const auto run, run_batch(http, false));

  MR_TRY(auto ours, WireConnection::open(out.ours->postgres_url()));
  MR_TRY(auto theirs, WireConnection::open(out.theirs->url()));
  MR_RETURN_IF_ERROR(theirs.ask("CREATE TABLE ev (id text, value float8)"));
  MR_TRY(const auto rows,
         ours.copy("COPY (SELECT id, value FROM ev) TO STDOUT", theirs, "COPY ev FROM STDIN"));
  if (rows != out.groups || load.requests == 0 || run == 0) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "{} of {} events were copied", rows,
                out.groups);
  }
  for (const char* statement :
       {"CREATE INDEX ON ev (id)",
        "CREATE TABLE by_id AS SELECT id, count(*) AS c, sum(value) AS s, max(value) AS mx FROM ev "
        "GROUP BY id",
        "ALTER TABLE by_id ADD PRIMARY KEY (id)", "VACUUM ANALYZE"}) {
    MR_RETURN_IF_ERROR(theirs.ask(statement));
  }
  return out;
}

class Keys {
 public:
  explicit Keys(std::uint64_t groups) : groups_(groups) {}
  void draw(std::string& key) {
    draw_ = draw_ * 6364136223846793005 + 1442695040888963407;
    key = fmt::format("e{:010}", (draw_ >> 33) % groups_);
  }

 private:
  const std::uint64_t groups_;
  std::uint64_t draw_ = 1;
};

/// Adds events at a rate as long as it lives.
class Ingest {
 public:
  Ingest(std::uint16_t port, EventGenerator& generator)
      : thread_([this, port, &generator] { run(port, generator); }) {}
  ~Ingest() { finish(); }
  /// What was added, by second. Errors: of the load.
  Result<double> rate() {
    finish();
    if (!done_) return std::unexpected(done_.error());
    return static_cast<double>(done_->requests * kIngestRows) / done_->seconds;
  }

 private:
  void finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void run(std::uint16_t port, EventGenerator& generator) {
    constexpr std::size_t kConnections = 2;
    std::array<std::string, kConnections> heads;
    std::array<std::string, kConnections> bodies;
    done_ = run_load(
        {.port = port,
         .connections = kConnections,
         .requests_per_second = kIngestRate / static_cast<double>(kIngestRows)},
        [&](std::size_t index, Request& request) {
          if (stop_) return false;
          bodies[index].clear();
          generator.append(bodies[index], kIngestRows);
          heads[index] = request_head("POST", kEventsTarget, kJsonLines, bodies[index].size());
          request = {heads[index], bodies[index]};
          return true;
        },
        [](std::size_t, const ReplyReader& reply) { return expect_status(reply, 200); });
  }

  std::atomic<bool> stop_{false};
  Result<LoadResult> done_;
  std::thread thread_;
};

Status compare_reads(const Pair& pair) {
  MR_TRY(auto ours, WireConnection::open(pair.ours->postgres_url()));
  MR_TRY(auto theirs, WireConnection::open(pair.theirs->url()));
  Keys keys(pair.groups);
  std::string key;
  for (int i = 0; i < kCompared; ++i) {
    keys.draw(key);
    const auto sql = fmt::format("SELECT c, s, mx FROM by_id WHERE id = '{}'", key);
    MR_TRY(const auto mine, ours.ask(sql));
    MR_TRY(const auto other, theirs.ask(sql));
    if (mine == other && !mine.empty()) continue;
    return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {} is not PostgreSQL's {}", sql,
                mine, other);
  }
  return {};
}

Result<LoadResult> read(const std::string& url, std::size_t connections, std::uint64_t groups,
                        std::uint64_t reads) {
  Keys keys(groups);
  return run_wire_load(
      {.url = url, .connections = connections, .statement = kRead},
      [&](std::size_t, std::string& key) {
        if (reads == 0) return false;
        --reads;
        keys.draw(key);
        return true;
      },
      [](std::size_t, const PGresult& rows) -> Status {
        if (PQntuples(&rows) == 1 && PQgetvalue(&rows, 0, 0)[0] == '1') return {};
        return fail(ErrorCode::kInternal, error_id::kInternal, "a read by key gives {} rows",
                    PQntuples(&rows));
      });
}

double rate_of(const LoadResult& load) { return static_cast<double>(load.requests) / load.seconds; }

std::string text_of(const LoadResult& load) {
  return fmt::format("{:.1f} k/s, p50 {:.3f} ms, p99 {:.3f} ms", rate_of(load) / 1e3,
                     load.latencies.ms(0.5), load.latencies.ms(0.99));
}

}  // namespace

Figures measure_point_reads(const Settings& settings) {
  MR_TRY(auto pair, start_pair(settings, "point"));
  MR_RETURN_IF_ERROR(compare_reads(pair));
  std::vector<Figure> figures;
  for (const std::size_t connections : {std::size_t{1}, std::size_t{16}}) {
    const std::uint64_t reads = settings.scaled(kReads, 5'000);
    say(fmt::format("13: {} reads by key on {} connections", reads, connections));
    MR_TRY(const auto theirs, read(pair.theirs->url(), connections, pair.groups, reads));
    MR_TRY(const auto idle, read(pair.ours->postgres_url(), connections, pair.groups, reads));
    Ingest ingest(pair.ours->port(), pair.generator);
    auto busy = read(pair.ours->postgres_url(), connections, pair.groups, reads);
    MR_TRY(const double came, ingest.rate());
    MR_RETURN_IF_ERROR(busy);
    const auto of =
        connections == 1 ? std::string("1 connection") : fmt::format("{} connections", connections);
    const double target = connections == 1 ? 1.0 : 1.3;
    for (const LoadResult* load : {&idle, static_cast<const LoadResult*>(&*busy)}) {
      const bool at_rest = load == &idle;
      figures.push_back(
          {.measure = 13,
           .what = fmt::format("read by key, {}, {}", of,
                               at_rest ? "at rest" : fmt::format("{:.0f} k events/s", came / 1e3)),
           .reached = text_of(*load),
           .roofline = fmt::format("PostgreSQL at rest {}", text_of(theirs)),
           .ratio = rate_of(*load) / rate_of(theirs),
           .target = fmt::format("ratio {}", target),
           .met = rate_of(*load) >= target * rate_of(theirs),
           .numbers = {{"reads_per_second", rate_of(*load)},
                       {"postgres_reads_per_second", rate_of(theirs)},
                       {"p50_ms", load->latencies.ms(0.5)},
                       {"p99_ms", load->latencies.ms(0.99)},
                       {"events_per_second", at_rest ? 0.0 : came}}});
    }
    const double stretch = busy->latencies.ms(0.99) / idle.latencies.ms(0.99);
    figures.push_back({.measure = 13,
                       .what = fmt::format("  p99 while events come in, {}", of),
                       .reached = fmt::format("{:.3f} ms", busy->latencies.ms(0.99)),
                       .roofline = fmt::format("{:.3f} ms at rest", idle.latencies.ms(0.99)),
                       .ratio = stretch,
                       .target = "at most 2",
                       .met = stretch <= 2,
                       .numbers = {{"p99_busy_ms", busy->latencies.ms(0.99)},
                                   {"p99_idle_ms", idle.latencies.ms(0.99)}}});
  }
  MR_RETURN_IF_ERROR(pair.ours->stop());
  return figures;
}

Figures measure_top(const Settings& settings) {
  MR_TRY(auto pair, start_pair(settings, "top"));
  MR_TRY(auto ours, WireConnection::open(pair.ours->postgres_url()));
  MR_TRY(auto theirs, WireConnection::open(pair.theirs->url()));
  say("14: the ten greatest");
  MR_TRY(const auto mine, ours.ask(kTop));
  MR_TRY(const auto other, theirs.ask(kTopOfEvents));
  if (mine != other || mine.empty()) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "the ten greatest: {} is not {}", mine,
                other);
  }
  Latencies ours_taken;
  Latencies theirs_taken;
  for (int i = 0; i < kTopRuns; ++i) {
    double begin = now_us();
    MR_RETURN_IF_ERROR(ours.ask(kTop));
    ours_taken.add_us(now_us() - begin);
    begin = now_us();
    MR_RETURN_IF_ERROR(theirs.ask(kTopOfEvents));
    theirs_taken.add_us(now_us() - begin);
  }
  MR_RETURN_IF_ERROR(pair.ours->stop());
  const double ratio = theirs_taken.ms(0.5) / ours_taken.ms(0.5);
  return std::vector<Figure>{
      {.measure = 14,
       .what =
           fmt::format("ten greatest of {:.2f} M groups", static_cast<double>(pair.groups) / 1e6),
       .reached = fmt::format("{:.1f} ms", ours_taken.ms(0.5)),
       .roofline = fmt::format("{:.1f} ms PostgreSQL, from the events", theirs_taken.ms(0.5)),
       .ratio = ratio,
       .target = "ratio 10",
       .met = ratio >= 10,
       .numbers = {{"ms", ours_taken.ms(0.5)}, {"postgres_ms", theirs_taken.ms(0.5)}}}};
}

}  // namespace millrace::bench
