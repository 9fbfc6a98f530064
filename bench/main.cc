// Measures the speed figures of docs/reference/performance.md on this machine: each next to what
// the same machine could do at best in the same run, and next to its target. Prints what was
// reached, also where it is less.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "measures.h"

namespace {

using namespace millrace;
using namespace millrace::bench;

struct Options {
  Settings settings{.binary = "build/release/millrace", .folder = {}};
  std::set<int> only;
  std::filesystem::path json;
  bool keep = false;
};

int usage() {
  fmt::print(stderr,
             "usage: bench/run.sh [--only N[,N...]] [--scale X] [--json FILE] [--binary FILE] "
             "[--folder DIR]\n"
             "  --only    1 bulk, 2 single posts, 3 freshness, 4 batch, 5 look-ups, 6 restart,\n"
             "            7 aggregation alone, 8 what views cost, 9 MQTT throughput,\n"
             "            10 MQTT one in flight, 11 idle MQTT connections, 12 MQTT fan-out,\n"
             "            13 reads by key over PostgreSQL's wire, 14 the ten greatest of a view,\n"
             "            15 an ad-hoc aggregate, 16 a sink to PostgreSQL, 17 a sink to Redis,\n"
             "            18 many groups on a small budget\n"
             "  --scale   share of the full number of events, 0.01 to 10\n"
             "  --folder  where the data of the servers go (a temporary folder)\n");
  return 2;
}

struct Measure {
  int number;
  Figures (*run)(const Settings& settings);
};
constexpr Measure kMeasures[] = {
    {1, measure_bulk},           {2, measure_single},      {3, measure_freshness},
    {4, measure_batch},          {5, measure_lookup},      {6, measure_restart},
    {7, measure_groups},         {8, measure_views},       {9, measure_mqtt_throughput},
    {10, measure_mqtt_single},   {11, measure_mqtt_idle},  {12, measure_mqtt_fan_out},
    {13, measure_point_reads},   {14, measure_top},        {15, measure_ad_hoc},
    {16, measure_postgres_sink}, {17, measure_redis_sink}, {18, measure_states}};

/// "1,5,10"
bool parse_only(std::string_view list, std::set<int>& only) {
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at != end) {
    int number = 0;
    const auto [after, code] = std::from_chars(at, end, number);
    if (code != std::errc() || number < 1 || number > kMeasures[std::size(kMeasures) - 1].number)
      return false;
    if (after != end && *after != ',') return false;
    only.insert(number);
    at = after == end ? end : after + 1;
  }
  return true;
}

bool parse(int count, char** arguments, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (i + 1 == count) return false;
    const std::string_view value = arguments[++i];
    if (name == "--only") {
      if (!parse_only(value, options.only)) return false;
    } else if (name == "--scale") {
      const auto [end, code] =
          std::from_chars(value.data(), value.data() + value.size(), options.settings.scale);
      if (code != std::errc() || end != value.data() + value.size()) return false;
      if (options.settings.scale < 0.01 || options.settings.scale > 10) return false;
    } else if (name == "--json") {
      options.json = value;
    } else if (name == "--binary") {
      options.settings.binary = value;
    } else if (name == "--folder") {
      options.settings.folder = value;
    } else {
      return false;
    }
  }
  return true;
}

int run(const Options& options) {
  std::vector<Figure> figures;
  bool failed = false;
  for (const auto& measure : kMeasures) {
    if (!options.only.empty() && !options.only.contains(measure.number)) continue;
    auto found = measure.run(options.settings);
    if (!found) {
      failed = true;
      fmt::print(stderr, "bench: measure {} gives no figure: {}\n", measure.number,
                 found.error().text());
      continue;
    }
    figures.insert(figures.end(), found->begin(), found->end());
  }
  fmt::print("{}", table_of(figures));
  if (!options.json.empty()) {
    if (const auto written = write_json(options.json, figures, options.settings.scale); !written) {
      fmt::print(stderr, "bench: {}\n", written.error().text());
      failed = true;
    }
  }
  return failed ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  if (!parse(count, arguments, options)) return usage();
  if (!std::filesystem::exists(options.settings.binary)) {
    fmt::print(stderr, "bench: {} does not exist: ./dev build makes it\n",
               options.settings.binary.string());
    return 1;
  }
  if (!options.settings.folder.empty()) {
    std::filesystem::create_directories(options.settings.folder);
    return run(options);
  }
  std::string folder = (std::filesystem::temp_directory_path() / "millrace-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    fmt::print(stderr, "bench: no temporary folder\n");
    return 1;
  }
  options.settings.folder = folder;
  const int code = run(options);
  std::filesystem::remove_all(folder);
  return code;
}
