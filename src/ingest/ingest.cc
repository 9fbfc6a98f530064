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
};

namespace {
std::uint64_t bytes_of(const std::vector<log::LogGroup>& groups) {
  std::uint64_t sum = 0;
  for (const auto& group : groups) {
    for (const auto& entry : group.entries) sum += entry.batch.size();
  }
  return sum;
}
}  // namespace

Ingest::Ingest(log::CommitLog& log, speed::SpeedLayer& speed, IngestOptions options)
    : log_(log), speed_(speed), options_(options) {}

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

  auto request = std::make_shared<Request>();
  request->arrival_us = arrival_us;
  request->reply.accepted = decoded.values.size();
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
  for (auto& records : encode_records(definition, decoded, arrival_us))
    add(definition.id, std::move(records));
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
  if (group.entries.empty()) {
    done(std::move(request->reply));
    return;
  }
  counters_.accepted.fetch_add(request->reply.accepted, std::memory_order_relaxed);
  counters_.rejected.fetch_add(request->reply.rejected.size(), std::memory_order_relaxed);
  counters_.bytes.fetch_add(body.size(), std::memory_order_relaxed);
  request->stream = std::move(stream);
  request->done = std::move(done);
  group.context = request;
  auto appended = log_.append(std::move(group));
  if (!appended) {
    if (appended.error().code == ErrorCode::kResourceExhausted)
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
    request->done(std::unexpected(std::move(appended).error()));
  }
}

void Ingest::on_commit(std::vector<log::LogGroup> groups, const Status& status) {
  if (!status) {
    for (auto& group : groups)
      static_cast<Request*>(group.context.get())->done(std::unexpected(status.error()));
    return;
  }
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
