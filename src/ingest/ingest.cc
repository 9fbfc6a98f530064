#include "ingest/ingest.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "ingest/bad_records.h"
#include "ingest/record_codec.h"
#include "runtime/clock.h"
#include "runtime/thread_priority.h"

namespace millrace::ingest {

/// A request that the stream's definition must outlast, until it is answered.
class Ingest::Inside {
 public:
  /// Nobody is inside where the gate is closed.
  static std::shared_ptr<Inside> enter(Ingest& ingest, StreamId stream) {
    const MutexLock lock(ingest.gates_mutex_);
    auto& gate = ingest.gates_[stream];
    if (gate.closed) return nullptr;
    ++gate.inside;
    return std::make_shared<Inside>(ingest, stream);
  }
  Inside(Ingest& ingest, StreamId stream) : ingest_(ingest), stream_(stream) {}
  ~Inside() {
    const MutexLock lock(ingest_.gates_mutex_);
    auto& gate = ingest_.gates_[stream_];
    --gate.inside;
    if (gate.closed) ingest_.left_.notify_all();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Ingest& ingest_;
  const StreamId stream_;
};

/// What goes with a group through the log.
struct Ingest::Request {
  std::shared_ptr<Inside> inside;
  std::shared_ptr<speed::StreamState> stream;
  /// One for each entry of the group, in its order, but for the attached one, which is last.
  struct Part {
    std::shared_ptr<speed::StreamState> stream;
    std::shared_ptr<const ColumnBatch> columns;
  };
  std::vector<Part> parts;
  std::optional<Attached> attached;  // its entry moves to the group
  std::int64_t arrival_us = 0;
  IngestReply reply;
  Done done;
  /// For a client that does not wait for the views; `done` tells it nothing any more afterwards.
  Done done_durable;
  /// Of the streams with a dedup column.
  struct Claimed {
    std::shared_ptr<DuplicateFilter> filter;
    std::shared_ptr<DuplicateFilter::Claim> claim;
  };
  std::vector<Claimed> claims;
  /// With an Idempotency-Key: its record stands right behind the entries with a part.
  std::optional<RequestKey> key;
  RequestPrint print;

  /// After the log has the request's group: whether all that it repeats is stored.
  [[nodiscard]] bool repeats_are_stored() const {
    return std::ranges::all_of(
        claims, [](const Claimed& claimed) { return claimed.claim->repeats_are_stored(); });
  }
  /// A chain of requests that repeat each other must not hold them all.
  void forget_repeats() {
    for (const Claimed& claimed : claims) claimed.claim->waits_for.clear();
  }
};

/// Rows on which a view failed, as many as go into the log at once.
struct Ingest::Report {
  std::shared_ptr<speed::StreamState> stream;
  std::uint64_t ticket = 0;
  ViewId view;
  std::string name;
  std::vector<view::FailedRow> rows;
};

namespace {

constexpr std::string_view kReplayedCode = "REPLAYED";
constexpr std::chrono::milliseconds kRetryPause(50);
constexpr std::chrono::milliseconds kRoomPause(20);
/// Of one group: well below what a log takes at once.
constexpr std::size_t kReportBytes = std::size_t{64} << 10;
constexpr std::size_t kRowBytes = 512;
constexpr std::size_t kReasonBytes = 1000;
/// Bodies that wait while their stream is altered.
constexpr std::uint64_t kWaitingBytesMax = std::uint64_t{64} << 20;

std::uint64_t bytes_of(const std::vector<log::LogGroup>& groups) {
  std::uint64_t sum = 0;
  for (const auto& group : groups) {
    for (const auto& entry : group.entries) sum += entry.batch.size();
  }
  return sum;
}

/// Kept for its buffers; a thread may outlive an Ingest and its limits.
format::PayloadDecoder& decoder_of_thread(const IngestOptions& options) {
  thread_local std::pair<format::DecodeLimits, const format::SchemaLookup*> made_for;
  thread_local std::unique_ptr<format::PayloadDecoder> decoder;
  if (decoder == nullptr || made_for != std::pair(options.limits, options.schemas)) {
    decoder = std::make_unique<format::PayloadDecoder>(options.limits, options.schemas);
    made_for = {options.limits, options.schemas};
  }
  return *decoder;
}

std::unexpected<Error> repeat_was_lost() {
  return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
              "a record of this request repeats one that could not be stored; send the request "
              "again");
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
               IngestOptions options, RequestMemory* requests)
    : log_(log), speed_(speed), filters_(filters), requests_(requests), options_(options) {}

Ingest::~Ingest() { stop(); }

void Ingest::start() {
  thread_ = std::thread([this] { apply_loop(); });
  log_.start([this](std::vector<log::LogGroup> groups, const Status& status) {
    on_commit(std::move(groups), status);
  });
}

void Ingest::stop() {
  leaving_.store(true, std::memory_order_relaxed);
  log_.stop();
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Ingest::submit(std::shared_ptr<speed::StreamState> stream, PaddedBytes body,
                    const format::PayloadType& type, std::string_view endpoint, Done done,
                    SubmitOptions options) {
  const StreamId id = stream->definition().id;
  auto inside = Inside::enter(*this, id);
  if (inside == nullptr) {
    auto parked = std::make_shared<PaddedBytes>(std::move(body));
    const std::uint64_t bytes = parked->size();
    auto told = std::make_shared<Done>(std::move(done));
    auto kept = std::make_shared<SubmitOptions>(std::move(options));
    {
      const MutexLock lock(gates_mutex_);
      auto& gate = gates_[id];
      if (gate.closed && gate.waiting_bytes + bytes <= kWaitingBytesMax) {
        gate.waiting_bytes += bytes;
        gate.waiting.push_back(
            [this, stream, parked, type, from = std::string(endpoint), told, kept] {
              submit(stream, std::move(*parked), type, from, std::move(*told), std::move(*kept));
            });
        return;
      }
    }
    (*told)(fail(ErrorCode::kResourceExhausted, error_id::kBusy, "stream {} is being altered",
                 stream->definition().name));
    return;
  }
  auto& decoder = decoder_of_thread(options_);
  const auto& definition = stream->definition();
  if (definition.source) {
    done(std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kInUse),
              .message = fmt::format("{} is a derived stream: its events are made of those of "
                                     "another stream",
                                     definition.name),
              .hint = "send the events to the stream that its SELECT reads",
              .place = {}}));
    return;
  }
  // Whole milliseconds, as the log keeps them: what a reader sees must not depend on whether it
  // comes from memory or from the log.
  const std::int64_t arrival_us = runtime::wall_us() / 1000 * 1000;
  Done done_durable;
  if (options.wait == Wait::kDurable) {
    auto told = std::make_shared<Done>(std::move(done));
    done_durable = [told](Result<IngestReply> reply) {
      std::exchange(*told, nullptr)(std::move(reply));
    };
    done = [told](Result<IngestReply> reply) {
      if (*told != nullptr) (*told)(std::move(reply));
    };
  }
  std::optional<RequestKey> key;
  RequestPrint print;
  if (requests_ != nullptr && !options.idempotency_key.empty()) {
    key = RequestKey{id, options.idempotency_key};
    print = request_print(origin_text(type.text(), type, options.bound), body.view());
    if (!requests_->begin(*key, print, arrival_us, done)) return;
    done = [this, key = *key, told = std::move(done)](Result<IngestReply> reply) {
      requests_->finish(key, reply);
      told(std::move(reply));
    };
  }
  auto decoded = decoder.decode(type, body, definition, options.bound);
  if (decoded.has_too_many_refused() && options.on_error != OnError::kReject) {
    if (!options.whole_when_too_many_bad) {
      done(std::unexpected(too_many_rejected(decoded, definition.name)));
      return;
    }
    decoded = rejected_whole(decoded, definition, options_.limits, body.view());
  }

  counters_.bytes.fetch_add(body.size(), std::memory_order_relaxed);
  auto request = std::make_shared<Request>();
  request->inside = std::move(inside);
  request->arrival_us = arrival_us;
  request->key = std::move(key);
  request->print = print;
  request->attached = std::move(options.attached);
  log::LogGroup group;
  if (!decoded.rejected.empty() && definition.quarantine &&
      options.on_error == OnError::kQuarantine) {
    if (auto quarantine = speed_.stream(*definition.quarantine)) {
      auto records = encode_quarantine(decoded.rejected, origin_text(endpoint, type, options.bound),
                                       arrival_us);
      group.entries.push_back(entry(std::move(quarantine), records, *request));
    }
  }
  for (auto& record : decoded.rejected) record.raw = {};
  request->reply.rejected = std::move(decoded.rejected);
  request->reply.rejected_count = decoded.rejected_count;
  if (request->key) RequestMemory::shorten(request->reply);
  if (options.on_error == OnError::kReject && !request->reply.rejected.empty()) {
    counters_.rejected.fetch_add(request->reply.rejected_count, std::memory_order_relaxed);
    done(std::move(request->reply));
    return;
  }
  const auto add_records = [&](const format::Decoded& records) -> Status {
    request->reply.accepted = records.values.size();
    for (auto& part : encode_records(definition, records, arrival_us))
      group.entries.push_back(entry(stream, part, *request));
    return derive(definition, records, *request, group);
  };
  request->done = std::move(done);
  request->done_durable = std::move(done_durable);
  request->stream = stream;
  const auto filter = filters_.of(definition);
  Status appended;
  if (filter == nullptr || decoded.values.empty()) {
    appended = add_records(decoded);
    if (appended && group.entries.empty() && !request->key && !request->attached) {
      request->done(std::move(request->reply));
      return;
    }
    if (appended) appended = append(request, std::move(group));
  } else {
    appended = filter->pass(definition, *decoded.columns, arrival_us,
                            [&](const DuplicateFilter::Passed& passed) -> Status {
                              request->claims.push_back({filter, passed.claim});
                              request->reply.duplicates = passed.duplicates;
                              MR_RETURN_IF_ERROR(add_records(
                                  passed.duplicates == 0 ? decoded : only(decoded, passed.rows)));
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

void Ingest::append(Attached attached, Done done) {
  auto request = std::make_shared<Request>();
  request->attached = std::move(attached);
  request->done = std::move(done);
  if (auto appended = append(request, {}); !appended) {
    if (appended.error().code == ErrorCode::kResourceExhausted)
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
    request->done(std::unexpected(std::move(appended).error()));
  }
}

Status Ingest::derive(const StreamDefinition& source, const format::Decoded& records,
                      Request& request, log::LogGroup& group) {
  for (const auto& derivation : derivations_.of(source.id)) {
    const auto stream = speed_.stream(derivation->derived());
    if (stream == nullptr) continue;  // dropped meanwhile
    const auto& definition = stream->definition();
    auto made = derivation->run(records.columns, request.arrival_us);
    if (!made) return std::unexpected(std::move(made).error().within("stream {}", definition.name));
    const PaddedBytes body = PaddedBytes::copy_of(made->lines);
    auto decoded =
        decoder_of_thread(options_).decode(format::JsonFraming::kLines, body, definition);
    for (auto& failed : made->failed) {
      // The record is whole in the source; as a record of this stream it would mean another thing,
      // so it stands in the reason.
      decoded.refuse(options_.limits,
                     {.line = failed.row + 1,
                      .id = std::string(error_id::kEvaluation),
                      .reason = fmt::format("{} (from {}: {})", failed.reason, source.name,
                                            records.values[failed.row].substr(0, kReasonBytes)),
                      .raw = {}});
    }
    if (decoded.has_too_many_refused())
      return std::unexpected(too_many_rejected(decoded, definition.name));
    if (!decoded.rejected.empty()) {
      if (auto quarantine = speed_.stream(*definition.quarantine)) {
        auto rows = encode_quarantine(decoded.rejected, source.name, request.arrival_us);
        group.entries.push_back(entry(std::move(quarantine), rows, request));
      }
    }
    for (auto& part : encode_records(definition, decoded, request.arrival_us))
      group.entries.push_back(entry(stream, part, request));
    MR_RETURN_IF_ERROR(derive(definition, decoded, request, group));
  }
  return {};
}

log::LogEntry Ingest::entry(std::shared_ptr<speed::StreamState> stream, PartitionRecords& records,
                            Request& request) {
  const StreamId id = stream->definition().id;
  request.parts.push_back({std::move(stream), records.columns});
  return {.stream = id,
          .partition = records.partition,
          .record_count = static_cast<std::uint32_t>(records.columns->rows()),
          .batch = std::move(records.batch),
          .base_offset = {},
          .place = {}};
}

Status Ingest::append(std::shared_ptr<Request> request, log::LogGroup group) {
  // Counted before the log has it: afterwards the request belongs to other threads.
  const IngestReply& reply = request->reply;
  const std::uint64_t accepted = reply.accepted;
  const std::uint64_t rejected = reply.rejected_count;
  const std::uint64_t duplicates = reply.duplicates;
  if (request->key) {
    std::vector<PartitionId> partitions;
    for (std::size_t i = 0; i < group.entries.size(); ++i) {
      if (request->parts[i].stream == request->stream)
        partitions.push_back(group.entries[i].partition);
    }
    group.entries.push_back(
        requests_->entry(*request->key, request->print, request->arrival_us, reply, partitions));
  }
  if (request->attached) group.entries.push_back(std::move(request->attached->entry));
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
    for (const auto& [filter, claim] : request.claims) filter->settle(*claim, status.has_value());
    if (!status) {
      request.forget_repeats();
      request.done(std::unexpected(status.error()));
      continue;
    }
    for (std::size_t i = 0; i < request.parts.size(); ++i) {
      const auto& entry = group.entries[i];
      if (request.parts[i].stream != request.stream) continue;
      request.reply.position.emplace_back(entry.partition,
                                          Offset(entry.base_offset.value + entry.record_count));
    }
    // Before the lake can take the events: what it takes, the log may let go of.
    if (request.key) {
      const auto& entry = group.entries[request.parts.size()];
      requests_->know(*request.key, request.print, request.arrival_us, request.reply,
                      Offset(entry.base_offset.value + entry.record_count));
    }
  }
  if (!status) return;
  // What a request repeats may be in the same commit.
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    if (request.done_durable == nullptr) continue;
    request.done_durable(request.repeats_are_stored() ? Result<IngestReply>(request.reply)
                                                      : Result<IngestReply>(repeat_was_lost()));
  }
  const std::uint64_t bytes = bytes_of(groups);
  const MutexLock lock(mutex_);
  while (queue_bytes_ > options_.apply_queue_bytes_max) changed_.wait(mutex_);
  queue_bytes_ += bytes;
  queue_.push_back(std::move(groups));
  changed_.notify_all();
}

void Ingest::apply_loop() {
  runtime::name_thread("apply");
  for (;;) {
    std::vector<log::LogGroup> groups;
    {
      const MutexLock lock(mutex_);
      // What the log did not take is tried again after a pause.
      while (queue_.empty() && !stopping_ && reports_.empty()) changed_.wait(mutex_);
      if (queue_.empty() && stopping_) return;
      if (queue_.empty() && retry_at_us_ > runtime::monotonic_us())
        changed_.wait_for(mutex_, kRetryPause);
      if (!queue_.empty()) {
        groups = std::move(queue_.front());
        queue_.pop_front();
        queue_bytes_ -= bytes_of(groups);
        changed_.notify_all();
      }
    }
    if (!groups.empty()) wait_for_room();
    apply(groups);
    write_reports();
  }
}

void Ingest::wait_for_room() {
  if (options_.spiller == nullptr) return;
  while (!leaving_.load(std::memory_order_relaxed)) {
    if (options_.spiller->wait_for_room(kRoomPause)) return;
  }
}

void Ingest::apply(std::vector<log::LogGroup>& groups) {
  // One round per stream, so that a view's stage runs once for all requests of a commit. The
  // younger streams first: where an event is visible, so is what was derived of it.
  struct Round {
    speed::StreamState* stream = nullptr;
    std::vector<speed::TailEntry> entries;
  };
  std::map<StreamId, Round, std::greater<>> rounds;
  const std::int64_t now = runtime::monotonic_us();
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    for (std::size_t i = 0; i < request.parts.size(); ++i) {
      auto& entry = group.entries[i];
      auto& part = request.parts[i];
      auto* stream = part.stream.get();
      if (stream != request.stream.get() && !stream->definition().quarantine) {
        constexpr auto kId = static_cast<std::size_t>(QuarantineColumn::kId);
        stream->add_quarantined(quarantined_by(part.columns->column(kId)));
      }
      auto& round = rounds[entry.stream];
      round.stream = stream;
      if (round.entries.empty()) round.entries.reserve(groups.size());
      round.entries.push_back({.batch = {.stream = entry.stream,
                                         .partition = entry.partition,
                                         .base_offset = entry.base_offset,
                                         .arrival_us = request.arrival_us,
                                         .columns = std::move(part.columns)},
                               .place = entry.place,
                               .rows = entry.record_count,
                               .applied_us = now});
    }
  }
  for (auto& [id, round] : rounds) {
    auto& [stream, entries] = round;
    const auto ticket = open_ticket(stream->definition().id);
    auto failures = stream->apply(std::move(entries));
    if (!failures.empty())
      report(speed_.stream(stream->definition().id), std::move(failures), ticket);
    close_ticket(stream->definition().id, ticket);
  }
  for (auto& group : groups) {
    auto& request = *static_cast<Request*>(group.context.get());
    if (request.attached) request.attached->stored(group.entries.back().base_offset);
    const bool stored = request.repeats_are_stored();
    request.forget_repeats();
    if (!stored) {
      // Its own records are stored; sent again they are repeats.
      request.done(repeat_was_lost());
      continue;
    }
    request.done(std::move(request.reply));
  }
}

void Ingest::bring_back(std::shared_ptr<speed::StreamState> stream, Offset offset,
                        std::string_view raw, std::string_view endpoint,
                        std::function<void(Result<Replayed>)> done) {
  auto inside = Inside::enter(*this, stream->definition().id);
  if (inside == nullptr) {
    done(fail(ErrorCode::kResourceExhausted, error_id::kBusy, "stream {} is being altered",
              stream->definition().name));
    return;
  }
  const auto& definition = stream->definition();
  const auto quarantine = definition.quarantine ? speed_.stream(*definition.quarantine)
                                                : std::shared_ptr<speed::StreamState>();
  if (quarantine == nullptr) {
    done(fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "stream {} has no quarantine",
              definition.name));
    return;
  }
  const PaddedBytes body = PaddedBytes::copy_of(raw);
  const RecordOrigin origin = read_origin(endpoint, raw);
  const auto decoded =
      decoder_of_thread(options_).decode(origin.type, body, definition, origin.bound);
  if (!decoded.rejected.empty() || decoded.values.empty()) {
    done(Replayed::kStillBad);
    return;
  }
  const std::string id = replay_id(offset);
  QuarantineRows marks;
  marks.add({.code = kReplayedCode,
             .reason = "the record was brought back by REPLAY QUARANTINE",
             .replays = offset,
             .id = id});
  auto request = std::make_shared<Request>();
  request->inside = std::move(inside);
  request->arrival_us = runtime::wall_us() / 1000 * 1000;
  request->stream = stream;
  // Filled in before the log has the request.
  auto outcome = std::make_shared<Replayed>(Replayed::kStored);
  request->done = [done, outcome](Result<IngestReply> reply) {
    if (reply) {
      done(*outcome);
    } else {
      done(std::unexpected(std::move(reply).error()));
    }
  };
  log::LogGroup group;
  const auto add_records = [&](const format::Decoded& records) -> Status {
    request->reply.accepted = records.values.size();
    for (auto& part : encode_records(definition, records, request->arrival_us))
      group.entries.push_back(entry(stream, part, *request));
    return derive(definition, records, *request, group);
  };
  const auto judge = filters_.of(quarantine->definition());
  const auto filter = filters_.of(definition);
  auto appended = judge->pass(
      quarantine->definition(), *marks.columns(), request->arrival_us,
      [&](const DuplicateFilter::Passed& mark) -> Status {
        request->claims.push_back({judge, mark.claim});
        if (mark.rows.empty()) {
          *outcome = Replayed::kAlready;
          return append(request, std::move(group));
        }
        auto records = marks.encode(mark.rows, request->arrival_us);
        group.entries.push_back(entry(quarantine, records, *request));
        if (filter == nullptr) {
          MR_RETURN_IF_ERROR(add_records(decoded));
          return append(request, std::move(group));
        }
        return filter->pass(definition, *decoded.columns, request->arrival_us,
                            [&](const DuplicateFilter::Passed& passed) -> Status {
                              request->claims.push_back({filter, passed.claim});
                              request->reply.duplicates = passed.duplicates;
                              if (passed.rows.empty()) *outcome = Replayed::kDuplicate;
                              MR_RETURN_IF_ERROR(add_records(
                                  passed.duplicates == 0 ? decoded : only(decoded, passed.rows)));
                              return append(request, std::move(group));
                            });
      });
  if (!appended) request->done(std::unexpected(std::move(appended).error()));
}

Status Ingest::close_gate(StreamId stream, const std::function<bool()>& cancelled) {
  {
    const MutexLock lock(gates_mutex_);
    auto& gate = gates_[stream];
    gate.closed = true;
    while (gate.inside != 0 && !cancelled())
      left_.wait_for(gates_mutex_, std::chrono::milliseconds(50));
    if (gate.inside == 0) return {};
  }
  open_gate(stream);
  return fail(ErrorCode::kCancelled, error_id::kStopping, "the server is stopping");
}

void Ingest::open_gate(StreamId stream) {
  std::vector<std::function<void()>> waiting;
  {
    const MutexLock lock(gates_mutex_);
    auto& gate = gates_[stream];
    gate.closed = false;
    gate.waiting_bytes = 0;
    waiting = std::exchange(gate.waiting, {});
  }
  for (const auto& request : waiting) request();
}

std::uint64_t Ingest::open_ticket(StreamId stream) {
  const MutexLock lock(mutex_);
  tickets_[stream].insert(++last_ticket_);
  return last_ticket_;
}

void Ingest::close_ticket(StreamId stream, std::uint64_t ticket) {
  const MutexLock lock(mutex_);
  const auto open = tickets_.find(stream);
  if (open == tickets_.end()) return;
  if (const auto place = open->second.find(ticket); place != open->second.end())
    open->second.erase(place);
  if (open->second.empty()) tickets_.erase(open);
  settled_.notify_all();
}

Status Ingest::wait_for_failures(StreamId stream, const std::function<bool()>& cancelled) {
  const MutexLock lock(mutex_);
  const std::uint64_t upto = last_ticket_;
  for (;;) {
    const auto open = tickets_.find(stream);
    if (open == tickets_.end() || *open->second.begin() > upto) return {};
    if (cancelled())
      return fail(ErrorCode::kCancelled, error_id::kStopping, "the server is stopping");
    settled_.wait_for(mutex_, std::chrono::milliseconds(50));
  }
}

void Ingest::report(const std::shared_ptr<speed::StreamState>& stream,
                    std::vector<speed::ViewFailures> failures) {
  if (stream == nullptr) return;
  const auto ticket = open_ticket(stream->definition().id);
  report(stream, std::move(failures), ticket);
  close_ticket(stream->definition().id, ticket);
}

void Ingest::report(const std::shared_ptr<speed::StreamState>& stream,
                    std::vector<speed::ViewFailures> failures, std::uint64_t ticket) {
  if (stream == nullptr || !stream->definition().quarantine) return;
  for (auto& of_view : failures) {
    auto rows = std::span(of_view.rows);
    while (!rows.empty()) {
      std::size_t count = 0;
      std::size_t bytes = 0;
      while (count < rows.size() && bytes < kReportBytes)
        bytes += kRowBytes + rows[count++].raw.size();
      auto report = std::make_shared<Report>();
      report->stream = stream;
      report->view = of_view.view;
      report->name = of_view.name;
      report->rows.assign(
          std::make_move_iterator(rows.begin()),
          std::make_move_iterator(rows.begin() + static_cast<std::ptrdiff_t>(count)));
      rows = rows.subspan(count);
      // That of the round: who waits for the round waits for what came of it.
      report->ticket = ticket;
      const MutexLock lock(mutex_);
      tickets_[stream->definition().id].insert(ticket);
      reports_.push_back(std::move(report));
      changed_.notify_all();
    }
  }
}

void Ingest::write_reports() {
  for (;;) {
    std::shared_ptr<Report> report;
    {
      const MutexLock lock(mutex_);
      if (reports_.empty() || stopping_ || retry_at_us_ > runtime::monotonic_us()) return;
      report = std::move(reports_.front());
      reports_.pop_front();
    }
    write_report(std::move(report));
  }
}

void Ingest::write_report(std::shared_ptr<Report> report) {
  const auto& definition = report->stream->definition();
  const auto quarantine = speed_.stream(*definition.quarantine);
  if (quarantine == nullptr) {  // dropped meanwhile
    close_ticket(definition.id, report->ticket);
    return;
  }
  QuarantineRows rows;
  for (const auto& row : report->rows) {
    const std::string id = failure_id(report->view, row.partition, row.offset);
    const std::string reason = fmt::format("view {}: {}", report->name, row.reason);
    rows.add({.code = error_id::kEvaluation,
              .reason = std::string_view(reason).substr(0, kReasonBytes),
              .raw = row.raw,
              .view = report->name,
              .source_partition = row.partition,
              .source_offset = row.offset,
              .id = id});
  }
  auto request = std::make_shared<Request>();
  request->arrival_us = runtime::wall_us() / 1000 * 1000;
  request->stream = report->stream;
  request->done = [this, report](const Result<IngestReply>& reply) {
    if (reply) {
      close_ticket(report->stream->definition().id, report->ticket);
      return;
    }
    // A full queue or disk; after a failed sync it stays open, and the lake waits for the restart.
    const MutexLock lock(mutex_);
    retry_at_us_ = runtime::monotonic_us() + 1000 * kRetryPause.count();
    reports_.push_back(report);
    changed_.notify_all();
  };
  const auto judge = filters_.of(quarantine->definition());
  auto appended = judge->pass(quarantine->definition(), *rows.columns(), request->arrival_us,
                              [&](const DuplicateFilter::Passed& passed) -> Status {
                                request->claims.push_back({judge, passed.claim});
                                log::LogGroup group;
                                if (!passed.rows.empty()) {
                                  auto records = rows.encode(passed.rows, request->arrival_us);
                                  group.entries.push_back(entry(quarantine, records, *request));
                                }
                                return append(request, std::move(group));
                              });
  if (!appended) request->done(std::unexpected(std::move(appended).error()));
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
