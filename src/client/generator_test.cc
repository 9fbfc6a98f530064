#include "client/generator.h"

#include <gtest/gtest.h>

#include <set>

#include "format/json_decoder.h"

namespace millrace::client {
namespace {

constexpr EventKind kKinds[] = {EventKind::kFlights, EventKind::kIot, EventKind::kClicks};

/// Reads "name TYPE, name TYPE" out of the brackets of our own CREATE STREAM texts.
StreamDefinition definition_of(EventKind kind) {
  StreamDefinition stream;
  stream.name = stream_name(kind);
  std::string_view text = stream_sql(kind);
  std::string_view columns = text.substr(text.find('(') + 1);
  columns = columns.substr(0, columns.find(')'));
  while (!columns.empty()) {
    const auto comma = std::min(columns.find(", "), columns.size());
    const std::string_view column = columns.substr(0, comma);
    columns.remove_prefix(std::min(comma + 2, columns.size()));
    const auto blank = column.find(' ');
    std::string name(column.substr(0, blank));
    std::erase(name, '"');
    stream.columns.push_back({name, *Type::parse(column.substr(blank + 1))});
  }
  stream.time_column = 0;
  return stream;
}

std::string lines_of(const GeneratorOptions& options, GeneratorTotals* totals = nullptr,
                     std::size_t rows = 100) {
  auto generator = Generator::make(options);
  std::string out;
  while (generator->next_batch(out, rows)) {
  }
  if (totals != nullptr) *totals = generator->totals();
  return out;
}

TEST(Generator, MakesTheSameBytesForTheSameSeedInBatchesOfAnySize) {
  for (const auto kind : kKinds) {
    GeneratorOptions options{
        .kind = kind, .count = 2'000, .late = 0.1, .duplicates = 0.1, .bad = 0.1};
    const auto first = lines_of(options);
    EXPECT_EQ(first, lines_of(options, nullptr, 7));
    options.seed = 43;
    EXPECT_NE(first, lines_of(options));
  }
}

TEST(Generator, ItsGoodLinesAreAcceptedAndItsBadOnesRefused) {
  for (const auto kind : kKinds) {
    SCOPED_TRACE(stream_name(kind));
    GeneratorTotals totals;
    const auto text = lines_of(
        {.kind = kind, .count = 20'000, .late = 0.05, .duplicates = 0.03, .bad = 0.02}, &totals);
    EXPECT_EQ(totals.lines, 20'000U);
    EXPECT_EQ(totals.lines, totals.events + totals.duplicates + totals.bad);
    EXPECT_NEAR(static_cast<double>(totals.late), 1'000, 200);
    EXPECT_NEAR(static_cast<double>(totals.duplicates), 600, 150);
    EXPECT_NEAR(static_cast<double>(totals.bad), 400, 120);
    const auto body = PaddedBytes::copy_of(text);
    format::JsonDecoder decoder;
    const auto stream = definition_of(kind);
    const auto decoded = decoder.decode(body, format::JsonFraming::kLines, stream);
    EXPECT_EQ(decoded.columns->rows(), totals.events + totals.duplicates);
    EXPECT_EQ(decoded.rejected.size(), totals.bad);
    std::set<std::string> ids;
    for (const auto& record : decoded.rejected) ids.insert(record.id);
    EXPECT_GE(ids.size(), 6U);
    const std::set<std::string_view> distinct(decoded.values.begin(), decoded.values.end());
    EXPECT_LE(distinct.size(), totals.events);
    EXPECT_GE(distinct.size(), totals.events * 99 / 100);
  }
}

TEST(Generator, OnlyLateEventsGoBackInTime) {
  for (const auto kind : kKinds) {
    for (const double late : {0.0, 0.2}) {
      GeneratorTotals totals;
      const auto body =
          PaddedBytes::copy_of(lines_of({.kind = kind, .count = 5'000, .late = late}, &totals));
      format::JsonDecoder decoder;
      const auto decoded = decoder.decode(body, format::JsonFraming::kLines, definition_of(kind));
      const auto* times = decoded.columns->column(0).data<std::int64_t>();
      std::int64_t newest = times[0];
      std::uint64_t behind = 0;
      for (std::size_t row = 1; row < decoded.columns->rows(); ++row) {
        behind += times[row] < newest ? 1U : 0U;
        newest = std::max(newest, times[row]);
      }
      EXPECT_EQ(behind, totals.late) << stream_name(kind);
    }
  }
}

TEST(Generator, TellsWhenALineIsDue) {
  auto generator = Generator::make({.kind = EventKind::kIot, .rate = 1'000});
  std::string out;
  EXPECT_EQ(generator->due_us(), 0);
  ASSERT_TRUE(generator->next_batch(out, 500));
  EXPECT_EQ(generator->due_us(), 500'000);
}

TEST(Generator, RefusesOptionsThatCannotBe) {
  EXPECT_FALSE(Generator::make({.late = 1.5}));
  EXPECT_FALSE(Generator::make({.bad = -0.1}));
  EXPECT_FALSE(Generator::make({.late = 0.5, .duplicates = 0.4, .bad = 0.2}));
  EXPECT_FALSE(Generator::make({.rate = -1}));
  EXPECT_FALSE(parse_event_kind("stocks"));
  EXPECT_EQ(parse_event_kind("iot").value(), EventKind::kIot);
}

}  // namespace
}  // namespace millrace::client
