// REPLAY QUARANTINE: the records of a quarantine stream that were not brought back yet, page by
// page, through ingest again. Each comes back in one commit with the row that says so, so a replay
// that was cut short goes on where it stood. Rows on which a view failed are not among them: they
// are in the stream, what brings them into the view is another definition of it.
#include <chrono>
#include <numeric>
#include <thread>

#include "serving/statement_runner.h"

namespace millrace::serving {

namespace {

/// Of a page; a raw record has 64 KiB at most.
constexpr std::size_t kRecordsAtOnce = 1000;
constexpr auto kBusyPause = std::chrono::milliseconds(20);

struct Record {
  Offset offset;
  std::string raw;
  std::string endpoint;
};

/// The outcomes of one page, which come on ingest's thread.
class Outcomes {
 public:
  void tell(std::size_t record, Result<ingest::Replayed> outcome) {
    const MutexLock lock(mutex_);
    if (outcome) {
      ++counts_[static_cast<std::size_t>(*outcome)];
    } else if (outcome.error().code == ErrorCode::kResourceExhausted) {
      busy_.push_back(record);
    } else if (!error_) {
      error_ = std::move(outcome).error();
    }
    --open_;
    changed_.notify_all();
  }
  void expect(std::size_t records) {
    const MutexLock lock(mutex_);
    open_ += records;
  }
  /// Waits for all of them; gives the records that the log had no room for.
  Result<std::vector<std::size_t>> wait() {
    const MutexLock lock(mutex_);
    while (open_ != 0) changed_.wait(mutex_);
    if (error_) return std::unexpected(*error_);
    return std::exchange(busy_, {});
  }
  [[nodiscard]] std::uint64_t count(ingest::Replayed outcome) {
    const MutexLock lock(mutex_);
    return counts_[static_cast<std::size_t>(outcome)];
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::size_t open_ GUARDED_BY(mutex_) = 0;
  std::uint64_t counts_[4] GUARDED_BY(mutex_) = {};
  std::vector<std::size_t> busy_ GUARDED_BY(mutex_);
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

}  // namespace

Result<StatementResult> StatementRunner::replay_quarantine(const sql::ReplayQuarantine& statement) {
  const auto stream = speed_.find_stream(statement.stream);
  if (stream == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "there is no stream {}",
                statement.stream);
  }
  const auto quarantine = stream->definition().quarantine
                              ? speed_.stream(*stream->definition().quarantine)
                              : std::shared_ptr<speed::StreamState>();
  if (quarantine == nullptr) {
    return fail(ErrorCode::kInvalidArgument, error_id::kStreamNotFound,
                "{} is a quarantine itself: name the stream whose records it keeps",
                statement.stream);
  }
  // What comes in from here on is of another replay.
  const std::uint64_t end = quarantine->applied().end(PartitionId(0)).value;
  const std::string name = quote_identifier(quarantine->definition().name);
  Outcomes outcomes;
  // Once at least: a condition that means nothing is an error also where there is no record.
  for (std::uint64_t next = 0; next == 0 || next < end;) {
    const std::string text = fmt::format(
        "SELECT _offset, raw, endpoint FROM {0} WHERE id IS NULL AND _offset >= {1} AND _offset < "
        "{2} AND "
        "_offset NOT IN (SELECT replays FROM {0} WHERE replays IS NOT NULL) AND (\n{3}\n) "
        "ORDER BY _offset LIMIT {4}",
        name, next, end, statement.condition.empty() ? "true" : statement.condition,
        kRecordsAtOnce);
    const auto read = read_select(text);
    auto page = read ? select(access::Principal::owner(), *read, {.rows_max = kRecordsAtOnce})
                     : Result<StatementResult>(std::unexpected(read.error()));
    if (!page) {
      Error error = std::move(page).error();
      if (error.place.line >= 2) {
        if (error.place.line == 2) error.place.column += statement.condition_place.column - 1;
        error.place.line += statement.condition_place.line - 2;
      } else {
        error.place = statement.condition_place;
      }
      return std::unexpected(std::move(error));
    }
    std::vector<Record> records;
    for (const auto& batch : page->batches) {
      const auto value = [&](std::size_t column, std::size_t row) {
        const auto& values = batch->column(column);
        return std::string(values.valid(row) ? values.data<StringRef>()[row].view() : "");
      };
      for (std::size_t row = 0; row < batch->rows(); ++row) {
        const auto offset = batch->column(0).data<std::int64_t>()[row];
        records.push_back({.offset = Offset(static_cast<std::uint64_t>(offset)),
                           .raw = value(1, row),
                           .endpoint = value(2, row)});
      }
    }
    if (records.empty()) break;
    next = records.back().offset.value + 1;
    std::vector<std::size_t> left(records.size());
    std::iota(left.begin(), left.end(), std::size_t{0});
    while (!left.empty()) {
      outcomes.expect(left.size());
      for (const auto record : left) {
        lake_writer_.ingest().bring_back(stream, records[record].offset, records[record].raw,
                                         records[record].endpoint,
                                         [&outcomes, record](Result<ingest::Replayed> outcome) {
                                           outcomes.tell(record, std::move(outcome));
                                         });
      }
      MR_TRY(left, outcomes.wait());
      if (!left.empty()) std::this_thread::sleep_for(kBusyPause);
    }
    if (records.size() < kRecordsAtOnce) break;
  }
  StatementResult result;
  result.command = "REPLAY QUARANTINE";
  const std::vector<Type> types(3, Type{TypeKind::kBigInt});
  auto row = std::make_shared<ColumnBatch>(types);
  const auto add = [&](std::string_view column, std::uint64_t value) {
    row->column(result.columns.size()).push(static_cast<std::int64_t>(value));
    result.columns.push_back({.name = std::string(column), .type = {TypeKind::kBigInt}});
  };
  add("replayed", outcomes.count(ingest::Replayed::kStored));
  add("duplicates", outcomes.count(ingest::Replayed::kDuplicate));
  add("still_bad", outcomes.count(ingest::Replayed::kStillBad));
  result.batches.push_back(std::move(row));
  result.rows = 1;
  return result;
}

}  // namespace millrace::serving
