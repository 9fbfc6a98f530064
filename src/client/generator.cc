#include "client/generator.h"

#include <algorithm>
#include <cmath>

#include "client/event_source.h"

namespace millrace::client {

namespace {

constexpr std::size_t kRecentMax = 1024;

struct Statements {
  std::string_view name;
  std::string_view stream;
  std::vector<std::string_view> views;
};

const Statements& statements(EventKind kind) {
  static const Statements flights = {
      "flights",
      "CREATE STREAM flights (date TIMESTAMP, delay BIGINT, distance BIGINT, origin VARCHAR, "
      "destination VARCHAR)"
      " WITH (time = date, key = origin)",
      {"CREATE MATERIALIZED VIEW delays_by_hour AS SELECT origin, date_trunc('hour', date) AS hour,"
       " count(*) AS flights, avg(delay) AS mean_delay, max(delay) AS worst FROM flights GROUP BY "
       "origin, hour",
       "CREATE MATERIALIZED VIEW routes AS SELECT origin, destination, count(*) AS flights, "
       "sum(distance) AS miles,"
       " min(delay) AS best, max(delay) AS worst FROM flights GROUP BY origin, destination",
       "CREATE MATERIALIZED VIEW long_delays AS SELECT origin, count(*) AS flights, avg(delay) AS "
       "mean_delay"
       " FROM flights WHERE delay > 60 GROUP BY origin"}};
  static const Statements iot = {
      "iot",
      "CREATE STREAM iot (ts TIMESTAMP, device VARCHAR, site VARCHAR, temperature DOUBLE, humidity "
      "DOUBLE,"
      " battery INTEGER, ok BOOLEAN) WITH (time = ts, key = device)",
      {"CREATE MATERIALIZED VIEW climate_by_minute AS SELECT site, date_trunc('minute', ts) AS "
       "minute,"
       " count(*) AS measurements, avg(temperature) AS temperature, avg(humidity) AS humidity FROM "
       "iot WHERE ok"
       " GROUP BY site, minute",
       "CREATE MATERIALIZED VIEW devices AS SELECT device, count(*) AS measurements, "
       "min(temperature) AS coldest,"
       " max(temperature) AS hottest, min(battery) AS battery FROM iot GROUP BY device",
       "CREATE MATERIALIZED VIEW faults AS SELECT site, device, count(*) AS faults, max(ts) AS "
       "last_fault FROM iot"
       " WHERE NOT ok GROUP BY site, device"}};
  static const Statements clicks = {
      "clicks",
      "CREATE STREAM clicks (ts TIMESTAMP, \"user\" VARCHAR, session VARCHAR, page VARCHAR, type "
      "VARCHAR,"
      " country VARCHAR, value DOUBLE) WITH (time = ts, key = \"user\")",
      {"CREATE MATERIALIZED VIEW users AS SELECT \"user\", count(*) AS clicks, sum(value) AS spent,"
       " max(ts) AS last_seen FROM clicks GROUP BY \"user\"",
       "CREATE MATERIALIZED VIEW pages AS SELECT page, type, count(*) AS clicks, sum(value) AS "
       "revenue FROM clicks"
       " GROUP BY page, type",
       "CREATE MATERIALIZED VIEW revenue_by_minute AS SELECT date_trunc('minute', ts) AS minute, "
       "country,"
       " count(*) AS purchases, sum(value) AS revenue, avg(value) AS mean, max(value) AS largest "
       "FROM clicks"
       " WHERE type = 'purchase' GROUP BY minute, country"}};
  switch (kind) {
    case EventKind::kFlights:
      return flights;
    case EventKind::kIot:
      return iot;
    case EventKind::kClicks:
      break;
  }
  return clicks;
}

std::unique_ptr<EventSource> source_of(EventKind kind) {
  switch (kind) {
    case EventKind::kFlights:
      return flight_events();
    case EventKind::kIot:
      return iot_events();
    case EventKind::kClicks:
      break;
  }
  return click_events();
}

Status check_share(std::string_view name, double share) {
  if (share >= 0 && share <= 1) return {};
  return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
              "{} is {}: a share lies between 0 and 1", name, share);
}

}  // namespace

Result<EventKind> parse_event_kind(std::string_view name) {
  for (const auto kind : {EventKind::kFlights, EventKind::kIot, EventKind::kClicks}) {
    if (stream_name(kind) == name) return kind;
  }
  return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
              "there is no generator of {}: take flights, iot or clicks", name);
}

std::string_view stream_name(EventKind kind) { return statements(kind).name; }
std::string_view stream_sql(EventKind kind) { return statements(kind).stream; }
std::vector<std::string_view> view_sql(EventKind kind) { return statements(kind).views; }

Result<Generator> Generator::make(const GeneratorOptions& options) {
  MR_RETURN_IF_ERROR(check_share("late", options.late));
  MR_RETURN_IF_ERROR(check_share("duplicates", options.duplicates));
  MR_RETURN_IF_ERROR(check_share("bad", options.bad));
  if (options.late + options.duplicates + options.bad > 1) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "late, duplicates and bad are {} together: there are only that many lines",
                options.late + options.duplicates + options.bad);
  }
  if (!std::isfinite(options.rate) || options.rate < 0) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "rate is {}: events per second, or 0", options.rate);
  }
  return Generator(options);
}

Generator::Generator(const GeneratorOptions& options)
    : options_(options), draws_(options.seed), source_(source_of(options.kind)) {}
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;
Generator::~Generator() = default;

bool Generator::next_batch(std::string& ndjson, std::size_t rows) {
  if (options_.count != 0) rows = std::min<std::uint64_t>(rows, options_.count - totals_.lines);
  for (std::size_t i = 0; i < rows; ++i) append_line(ndjson);
  return rows != 0;
}

std::int64_t Generator::due_us() const {
  if (options_.rate == 0) return 0;
  return static_cast<std::int64_t>(static_cast<double>(totals_.lines) / options_.rate * 1e6);
}

void Generator::append_line(std::string& out) {
  Draw random(draws_);
  ++totals_.lines;
  const double sort = random.unit();
  if (sort < options_.bad) {
    source_->append_bad(out, random, totals_.bad++ % EventSource::kBadForms);
  } else if (sort < options_.bad + options_.duplicates && !recent_.empty()) {
    ++totals_.duplicates;
    out += recent_[random.below(recent_.size())];
  } else {
    const bool late = sort >= options_.bad + options_.duplicates &&
                      sort < options_.bad + options_.duplicates + options_.late &&
                      totals_.events != 0;
    const std::size_t start = out.size();
    source_->append_event(out, random, late);
    if (options_.duplicates > 0) {
      if (recent_.size() < kRecentMax) {
        recent_.push_back(out.substr(start));
      } else {
        recent_[totals_.events % kRecentMax] = out.substr(start);
      }
    }
    ++totals_.events;
    totals_.late += late ? 1U : 0U;
  }
  out += '\n';
}

}  // namespace millrace::client
