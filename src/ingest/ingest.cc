#include "ingest/ingest.h"

#include <map>

#include "ingest/record_codec.h"
#include "runtime/clock.h"

namespace millrace::ingest {

/// What goes with a group through the log.
struct Ingest::Request {
  std::shared_ptr<speed::StreamState> stream;
  std::shared_ptr<speed::StreamState> quarantine;
  /// One for each entry of the group, in its order.
  std::vector<std::shared_ptr<const ColumnBatch>> columns;
  std::int64_t arrival_us = 0;
  IngestReply reply;
  Done done;
  /// Of a stream with a dedup column.
  std::shared_ptr<DuplicateFilter> filter;
  std::shared_ptr<DuplicateFilter::Claim> claim;
};

namespace {
std::uint64_t bytes_of(const std::vector<log::LogGroup>& groups) {
  std::uint64_t sum = 0;
  for (const auto& group : groups) {
    for (const auto& entry : group.entries) sum += entry.batch.size();
  }
  return sum;
}

/// The named rows of what was decoded.
format::Decoded only(const format::Decoded& decoded, std::span<const std::uint32_t> rows) {
  format::Decoded out;
  std::vector<Type> types;
  for (const auto& view : decoded.columns->views()) types.push_back(view.type);
  out.columns = std::make_shared<ColumnBatch>(types);
  const auto views = decoded.columns->views();
  out.columns->append_rows({views, decoded.columns->rows()}, rows);
  for (const auto row : rows) out.values.push_back(decoded.values[row]);
  return out;
}

}  // namespace

Ingest::Ingest(log::CommitLog& log, speed::SpeedLayer& speed, DuplicateFilters& filters,
               IngestOptions options)
    : log_(log), speed_(speed), filters_(filters), options_(options) {}

Ingest::~Ingest() { stop(); }

void Ingest::start() {
  thread_ = std::thread([this] { apply_loop(); });
  log_.start([this](std::vector<log::LogGroup> groups, const Status& status) {
    on_commit(std::move(groups), status);
  });
}

void Ingest::stop() {
  log_.stop();
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Ingest::submit(std::shared_ptr<speed::StreamState> stream, PaddedBytes body,
                    format::JsonFraming framing, std::string_view endpoint, Done done) {
  thread_local std::unique_ptr<format::JsonDecoder> decoder;
  if (decoder == nullptr) decoder = std::make_unique<format::JsonDecoder>(options_.limits);
  const auto& definition = stream->definition();
  // Whole milliseconds, as the log keeps them: what a reader sees must not depend on whether it
  // comes from memory or from the log.
  const std::int64_t arrival_us = runtime::wall_us() / 1000 * 1000;
  auto decoded = decoder->decode(body, framing, definition);

  counters_.bytes.fetch_add(body.size(), std::memory_order_relaxed);
  auto request = std::make_shared<Request>();
  request->arrival_us = arrival_us;
  request->filter = filters_.of(definition);
  log::LogGroup group;
  const auto add = [&](StreamId id, PartitionRecords records) {
    request->columns.push_back(records.columns);
    group.entries.push_back({.stream = id,
                             .partition = records.partition,
                             .record_count = static_cast<std::uint32_t>(records.columns->rows()),
                             .batch = std::move(records.batch),
                             .base_offset = {},
                             .place = {}});
  };
  if (!decoded.rejected.empty() && definition.quarantine) {
    request->quarantine = speed_.stream(*definition.quarantine);
    if (request->quarantine != nullptr) {
      add(*definition.quarantine, encode_quarantine(decoded.rejected, endpoint, arrival_us));
    }
  }
  for (auto& record : decoded.rejected) {
    record.raw.clear();
    request->reply.rejected.push_back(std::move(record));
  }
  const auto add_records = [&](const format::Decoded& records) {
    request->reply.accepted = records.values.size();
    for (auto& part : encode_records(definition, records, arrival_us))
      add(definition.id, std::move(part));
  };
  request->done = std::move(done);
  request->stream = stream;
  Status appended;
  if (request->filter == nullptr || decoded.values.empty()) {
    add_records(decoded);
    if (group.entries.empty()) {
      request->done(std::move(request->reply));
      return;
    }
    appended = append(request, std::move(group));
  } else {
    appended = request->filter->pass(
        definition, *decoded.columns, arrival_us,
        [&](const DuplicateFilter::Passed& passed) -> Status {
          request->claim = passed.claim;
          request->reply.duplicates = passed.duplicates;
          add_records(passed.duplicates == 0 ? decoded : only(decoded, passed.rows));
          // A group without records, too: its answer waits for what it repeats.
          return append(request, std::move(group));
        });
  }
  if (!appended) {
    if (appended.error().code == ErrorCode::kResourceExhausted)
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
    request->done(std::unexpected(std::move(appended).error()));
  }
}

Status Ingest::append(std::shared_ptr<Request> request, log::LogGroup group) {
  // Counted before the log has it: afterwards the request belongs to other threads.
  const IngestReply& reply = request->reply;
  const std::uint64_t accepted = reply.accepted;
  const std::uint64_t rejected = reply.rejected.size();
  const std::uint64_t duplicates = reply.duplicates;
  group.context = std::move(request);
  MR_RETURN_IF_ERROR(log_.append(std::move(group)));
  counters_.accepted.fetch_add(accepted, std::memory_order_relaxed);
  counters_.rejected.fetch_add(rejected, std::memory_order_relaxed);
  counters_.duplicates.fetch_add(duplicates, std::memory_order_relaxed);
  return {};
}

void Ingest::on_commit(std::vector<log::LogGroup> groups, const Status& status) {
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    if (request.claim != nullptr) request.filter->settle(*request.claim, status.has_value());
    if (!status) {
      if (request.claim != nullptr) request.claim->waits_for.clear();
      request.done(std::unexpected(status.error()));
    }
  }
  if (!status) return;
  const std::uint64_t bytes = bytes_of(groups);
  const MutexLock lock(mutex_);
  while (queue_bytes_ > options_.apply_queue_bytes_max) changed_.wait(mutex_);
  queue_bytes_ += bytes;
  queue_.push_back(std::move(groups));
  changed_.notify_all();
}

void Ingest::apply_loop() {
  for (;;) {
    std::vector<log::LogGroup> groups;
    {
      const MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.wait(mutex_);
      if (queue_.empty()) return;
      groups = std::move(queue_.front());
      queue_.pop_front();
      queue_bytes_ -= bytes_of(groups);
      changed_.notify_all();
    }
    apply(groups);
  }
}

void Ingest::apply(std::vector<log::LogGroup>& groups) {
  // One round per stream, so that a view's stage runs once for all requests of a commit.
  std::map<speed::StreamState*, std::vector<speed::TailEntry>> rounds;
  const std::int64_t now = runtime::monotonic_us();
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    for (std::size_t i = 0; i < group.entries.size(); ++i) {
      auto& entry = group.entries[i];
      const bool own = entry.stream == request.stream->definition().id;
      auto* stream = own ? request.stream.get() : request.quarantine.get();
      const Offset end(entry.base_offset.value + entry.record_count);
      if (own) request.reply.position.emplace_back(entry.partition, end);
      rounds[stream].push_back({.batch = {.stream = entry.stream,
                                          .partition = entry.partition,
                                          .base_offset = entry.base_offset,
                                          .arrival_us = request.arrival_us,
                                          .columns = std::move(request.columns[i])},
                                .place = entry.place,
                                .rows = entry.record_count,
                                .applied_us = now});
    }
  }
  for (auto& [stream, entries] : rounds) stream->apply(std::move(entries));
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    const bool stored = request.claim == nullptr || request.claim->repeats_are_stored();
    // A chain of requests that repeat each other must not hold them all.
    if (request.claim != nullptr) request.claim->waits_for.clear();
    if (!stored) {
      // Its own records are stored; sent again they are repeats.
      request.done(fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                        "a record of this request repeats one that could not be stored; send the "
                        "request again"));
      continue;
    }
    request.done(std::move(request.reply));
  }
}

Result<StreamBatch> load_tail_entry(const log::CommitLog& log, const StreamDefinition& stream,
                                    const speed::TailEntry& entry) {
  if (entry.batch.columns != nullptr) return entry.batch;
  MR_TRY(const std::string bytes, log.read(entry.place));
  MR_TRY(auto decoded, decode_record_batch(bytes, stream));
  StreamBatch batch = entry.batch;
  batch.columns = std::move(decoded.columns);
  return batch;
}

}  // namespace millrace::ingest
