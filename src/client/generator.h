// Makes events that look real, for trying Millrace out, for load and for tests: the same options
// give the same bytes on every machine. Stands before the life of an event: its lines are what a
// producer would send. Owns: its random numbers and the lines that it may repeat. No clock: who
// sends the lines asks due_us() when. Thread: one at a time. Errors: a wrong option, told by
// make(). Invariant: every line that is not counted as bad is accepted by the stream of
// stream_sql(); every bad one is refused.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::client {

enum class EventKind : std::uint8_t { kFlights, kIot, kClicks };

/// "flights", "iot", "clicks"; kInvalidArgument for another name.
Result<EventKind> parse_event_kind(std::string_view name);

struct GeneratorOptions {
  EventKind kind = EventKind::kFlights;
  /// Lines in all, of every sort; 0: without end.
  std::uint64_t count = 0;
  std::uint64_t seed = 42;
  /// Lines per second that due_us() tells; 0: as fast as possible.
  double rate = 0;
  /// Shares of all lines, 0 to 1, together at most 1. Late: an event older than its neighbours.
  /// Duplicate: a line again that was made before. Bad: a record that must be refused.
  double late = 0;
  double duplicates = 0;
  double bad = 0;
};

/// What was made so far. lines = events + duplicates + bad; late ones are among the events.
struct GeneratorTotals {
  std::uint64_t lines = 0;
  std::uint64_t events = 0;
  std::uint64_t late = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t bad = 0;
};

/// The events of one kind: fields, values and their order in time.
class EventSource;

class Generator {
 public:
  static Result<Generator> make(const GeneratorOptions& options);
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;
  ~Generator();

  /// Appends up to `rows` lines of JSON. False when nothing was left to append.
  bool next_batch(std::string& ndjson, std::size_t rows);
  /// When the next line is due at the rate, in microseconds after the first; 0 without a rate.
  [[nodiscard]] std::int64_t due_us() const;
  [[nodiscard]] const GeneratorTotals& totals() const { return totals_; }

 private:
  explicit Generator(const GeneratorOptions& options);
  void append_line(std::string& out);

  GeneratorOptions options_;
  GeneratorTotals totals_;
  std::uint64_t draws_;
  std::unique_ptr<EventSource> source_;
  std::vector<std::string> recent_;  // events that may come again, a ring
};

/// The name of the stream that the events are made for, its CREATE STREAM, and views to try on it.
[[nodiscard]] std::string_view stream_name(EventKind kind);
[[nodiscard]] std::string_view stream_sql(EventKind kind);
[[nodiscard]] std::vector<std::string_view> view_sql(EventKind kind);

}  // namespace millrace::client
