// What decoding costs per event: 130-byte events with 8 columns, all of them wanted, 1000 events a
// body. One core. The yardstick is simdjson's own iterate_many that only adds the numbers up and
// keeps nothing.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <random>

#include "format/json_decoder.h"

namespace millrace::format {
namespace {

StreamDefinition events_stream() {
  StreamDefinition stream;
  stream.name = "ev";
  for (const auto& [name, type] : {std::pair{"ts", "BIGINT"},
                                   {"id", "VARCHAR"},
                                   {"user", "VARCHAR"},
                                   {"type", "VARCHAR"},
                                   {"page", "VARCHAR"},
                                   {"country", "VARCHAR"},
                                   {"value", "DOUBLE"},
                                   {"ok", "BOOLEAN"}}) {
    stream.columns.push_back({name, *Type::parse(type)});
  }
  return stream;
}

std::string events(std::size_t count) {
  std::mt19937_64 random(42);
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += fmt::format(
        R"({{"ts":{},"id":"e{:010d}","user":"u{:06d}","type":"{}","page":"/p/{:04d}","country":"C{}","value":{}.{:02d},"ok":{}}})"
        "\n",
        1767225600000 + i, i, random() % 100000, random() % 2 != 0 ? "view" : "purchase",
        random() % 2000, random() % 26, random() % 1000, random() % 100,
        random() % 2 != 0 ? "true" : "false");
  }
  return out;
}

void decode_lines(benchmark::State& state) {
  const auto stream = events_stream();
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto body = PaddedBytes::copy_of(events(count));
  JsonDecoder decoder;
  for (auto _ : state) {
    auto out = decoder.decode(body, JsonFraming::kLines, stream);
    if (out.values.size() != count) state.SkipWithError("a record was refused");
    benchmark::DoNotOptimize(out);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
BENCHMARK(decode_lines)->Arg(1)->Arg(1000)->Arg(10000);

void simdjson_alone(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const simdjson::padded_string body(events(count));
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    simdjson::ondemand::document_stream documents;
    if (parser.iterate_many(body, body.size() + 64).get(documents) != simdjson::SUCCESS) return;
    double sum = 0;
    for (auto document : documents) {
      sum += static_cast<double>(document["ts"].get_int64().value_unsafe());
      sum += static_cast<double>(document["user"].get_string().value_unsafe().size());
      sum += static_cast<double>(document["type"].get_string().value_unsafe().size());
      sum += static_cast<double>(document["page"].get_string().value_unsafe().size());
      sum += document["value"].get_double().value_unsafe();
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(simdjson_alone)->Arg(1000);

}  // namespace
}  // namespace millrace::format
