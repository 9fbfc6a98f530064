#include "event_source.h"

#include <bit>
#include <limits>
#include <string>

namespace millrace::parity {

namespace {

Column column(std::string name, std::string_view type) {
  return {std::move(name), *Type::parse(type)};
}

constexpr std::int64_t kStartUs = 978'307'200'000'000;  // 2001-01-01
constexpr std::int64_t kSecondUs = 1'000'000;

double any_double(Random& random) {
  using Limits = std::numeric_limits<double>;
  switch (below(random, 64)) {
    case 0:
      return -0.0;
    case 1:
      return 0.0;
    case 2:
      return std::bit_cast<double>(std::uint64_t{0xfff8000000000123});
    case 3:
      return Limits::denorm_min() * static_cast<double>(below(random, 1000));
    case 4:
      return below(random, 50) == 0 ? Limits::infinity() : 1e300;
    case 5:
      return -1e300;
    case 6:
      return 1e-300;
    case 7:
      return 0.1;
    default:
      return static_cast<double>(static_cast<std::int64_t>(random()) >> (20 + below(random, 40))) /
             1000.0;
  }
}

std::int64_t any_integer(Random& random) {
  switch (below(random, 64)) {
    case 0:
      return std::numeric_limits<std::int64_t>::min();
    case 1:
      return std::numeric_limits<std::int64_t>::max();
    case 2:
      return -1;
    case 3:
      return static_cast<std::int64_t>(random());
    default:
      return static_cast<std::int64_t>(below(random, 200)) - 100;
  }
}

std::string key_text(Random& random) {
  static const std::vector<std::string> kKeys = {"hot",
                                                 "",
                                                 "a",
                                                 "grün",
                                                 "Straße",
                                                 "日本語のとても長い鍵",
                                                 "\xf0\x9f\x8c\xbe mill",
                                                 "a key that is longer than twelve bytes",
                                                 "a key that is longer than twelve byteS",
                                                 std::string("nul\0inside", 10),
                                                 "e\xcc\x81",
                                                 "\xc3\xa9"};
  if (below(random, 10) < 3) return kKeys.front();
  return kKeys[below(random, kKeys.size())];
}

/// Appends a value of T, or NULL in one of `nulls` rows.
template <class T>
void push(Random& random, ColumnVector& out, std::uint64_t nulls, T value) {
  if (below(random, nulls) == 0) {
    out.push_null();
  } else {
    out.push(value);
  }
}

void push_text(Random& random, ColumnVector& out, Arena& arena, std::uint64_t nulls,
               std::string_view text) {
  if (below(random, nulls) == 0) {
    out.push_null();
  } else {
    out.push_string(text, arena);
  }
}

void push_event(Random& random, const EventOptions& options, std::uint64_t number,
                ColumnBatch& out) {
  Arena& arena = out.arena();
  std::size_t c = 0;
  const auto next = [&]() -> ColumnVector& { return out.column(c++); };
  push_text(random, next(), arena, 20, key_text(random));
  push(random, next(), 50, static_cast<std::int32_t>(below(random, options.keys)));
  push(random, next(), 10, below(random, 2) == 0);
  push(random, next(), 10, any_integer(random));
  push(random, next(), 10, static_cast<Int128>(any_integer(random)) << below(random, 40));
  push(random, next(), 10, any_double(random));
  push(random, next(), 10, static_cast<float>(below(random, 1000)) / 8.0F);
  push(random, next(), 10, static_cast<std::int64_t>(below(random, 2'000'000)) - 1'000'000);
  push(random, next(), 10,
       static_cast<Int128>(random()) * static_cast<Int128>(below(random, 1'000'000'000'000)));
  // Event time goes on by a second in about ten events; 1 % are late, by up to a day.
  std::int64_t time = kStartUs + static_cast<std::int64_t>(number / 10) * kSecondUs;
  if (below(random, 100) == 0) time -= static_cast<std::int64_t>(below(random, 86'400)) * kSecondUs;
  push(random, next(), 100, time);
  push(random, next(), 20, time + static_cast<std::int64_t>(below(random, 5)));
  push(random, next(), 20, static_cast<std::int32_t>(11'323 + below(random, 3)));
  push(random, next(), 20, (static_cast<Int128>(below(random, 300)) << 100) + 7);
  push_text(random, next(), arena, 20,
            below(random, 50) == 0 ? "no number" : std::to_string(below(random, 500)));
  push_text(random, next(), arena, 20, R"({"a": )" + std::to_string(below(random, 9)) + "}");
  push_text(random, next(), arena, 20, std::string(below(random, 20), static_cast<char>(0xff)));
}

}  // namespace

StreamDefinition event_stream() {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "e";
  stream.columns = {
      column("k", "VARCHAR"),   column("g", "INTEGER"),       column("b", "BOOLEAN"),
      column("i", "BIGINT"),    column("h", "HUGEINT"),       column("d", "DOUBLE"),
      column("f", "FLOAT"),     column("p", "DECIMAL(18,4)"), column("w", "DECIMAL(38,10)"),
      column("t", "TIMESTAMP"), column("z", "TIMESTAMPTZ"),   column("y", "DATE"),
      column("u", "UUID"),      column("x", "VARCHAR"),       column("j", "JSON"),
      column("o", "BLOB")};
  stream.time_column = 9;
  return stream;
}

std::vector<StreamBatch> make_events(const EventOptions& options) {
  const StreamDefinition stream = event_stream();
  Random random(options.seed);
  std::vector<std::uint64_t> ends(options.partitions);
  std::vector<StreamBatch> out;
  for (std::uint64_t made = 0; made < options.events;) {
    const std::uint64_t most = std::uint64_t{1} << below(random, 13);
    const std::uint64_t rows = std::min(1 + below(random, most), options.events - made);
    auto columns = std::make_shared<ColumnBatch>(stream.types());
    columns->reserve(rows);
    for (std::uint64_t row = 0; row < rows; ++row)
      push_event(random, options, made + row, *columns);
    const auto partition = static_cast<std::uint32_t>(below(random, options.partitions));
    out.push_back({.stream = stream.id,
                   .partition = PartitionId(partition),
                   .base_offset = Offset(ends[partition]),
                   .arrival_us = kStartUs + static_cast<std::int64_t>(made) * 100,
                   .columns = std::move(columns)});
    ends[partition] += rows;
    made += rows;
  }
  return out;
}

}  // namespace millrace::parity
