// From a request's body to "acknowledged": decode once into columns, encode and checksum the
// records, append them to the log, and when they are durable put the same columns into every view;
// only then is the request told, unless it waits for the disk alone. Good records of a request are
// kept, bad ones go to the stream's quarantine in the same commit. Threads: submit() on the
// endpoints' threads (that is where decoding happens, in parallel); the log's thread hands commits
// over; one apply thread, which this owns, is the speed layer's thread. Memory: what waits for the
// apply thread is bounded; a full queue holds the log's thread, the log's queue fills, and submit()
// answers kResourceExhausted (kBusy). So it does where the views' deltas have no room. Invariant:
// views see the events of a partition in the order of their offsets, each once, after they are
// durable.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/padded_bytes.h"
#include "base/result.h"
#include "format/payload_decoder.h"
#include "ingest/derivation.h"
#include "ingest/duplicate_filter.h"
#include "ingest/ingest_reply.h"
#include "ingest/record_codec.h"
#include "ingest/request_memory.h"
#include "log/commit_log.h"
#include "speed/delta_spiller.h"
#include "speed/speed_layer.h"

namespace millrace::ingest {

/// What becomes of a request with bad records.
enum class OnError : std::uint8_t {
  kQuarantine,  // the good ones are stored, the bad ones go to quarantine
  kPartial,     // the good ones are stored, the bad ones are told of and forgotten
  kReject,      // nothing is stored
};

/// What a request waits for.
enum class Wait : std::uint8_t {
  kVisible,  // its events are durable, and in every view
  kDurable,  // its events are durable; views have them a moment later
};

/// Records of another owner (the MQTT broker) that become durable in one commit with a request's,
/// or on their own. They are not decoded and belong to no stream of the catalog.
struct Attached {
  log::LogEntry entry;
  /// On the apply thread, in log order, when the entry is durable and before the request is told;
  /// also where it is told of an error. Not called where the log did not take the request.
  std::function<void(Offset base_offset)> stored;
};

struct SubmitOptions {
  OnError on_error = OnError::kQuarantine;
  Wait wait = Wait::kVisible;
  /// Values that each record of the body gets from outside of it.
  std::vector<format::BoundText> bound = {};
  /// A request with the same key, stream and bytes gets the same answer, and stores nothing.
  /// Errors: kFailedPrecondition (kKeyReused) where the bytes are others.
  std::string idempotency_key = {};
  /// For a sender that cannot send less at once: where too many records of the body are bad, the
  /// body is one bad record. Else such a request is refused.
  bool whole_when_too_many_bad = false;
  /// Goes into the same commit.
  std::optional<Attached> attached = {};
};

struct IngestOptions {
  format::DecodeLimits limits;
  /// For framed records; outlives the Ingest.
  const format::SchemaLookup* schemas = nullptr;
  std::uint64_t apply_queue_bytes_max = std::uint64_t{64} << 20;
  /// Tells whether the views have room for events; outlives the Ingest. Null: they always have.
  speed::DeltaSpiller* spiller = nullptr;
};

struct IngestCounters {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> rejected{0};
  std::atomic<std::uint64_t> duplicates{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> busy{0};
};

/// What became of a record of a quarantine stream that was to be brought back.
enum class Replayed {
  kStored,     // its events are in the stream
  kDuplicate,  // decoded, and the stream had all its events by its dedup column: it is done, too
  kAlready,    // brought back before
  kStillBad,   // does not decode with the present definition either
};

class Ingest {
 public:
  /// Called once, on the apply thread, with Wait::kDurable on the log's (or at once, where nothing
  /// was to be appended or the log refused).
  using Done = std::function<void(Result<IngestReply>)>;

  /// Without `requests`, idempotency keys mean nothing.
  Ingest(log::CommitLog& log, speed::SpeedLayer& speed, DuplicateFilters& filters,
         IngestOptions options, RequestMemory* requests = nullptr);
  ~Ingest();

  /// Starts the log's and the apply thread.
  void start();
  /// Everything that was submitted is durable, applied and told; then the threads end. Idempotent.
  void stop();

  /// With OnError::kReject and a bad record, the reply has no record accepted and no position.
  /// Errors: kPayloadTooLarge (kTooManyRejected) where more records are bad than could be told of
  /// or quarantined, in memory that is bounded; nothing is stored then.
  void submit(std::shared_ptr<speed::StreamState> stream, PaddedBytes body,
              const format::PayloadType& type, std::string_view endpoint, Done done,
              SubmitOptions options = {});
  /// Makes records durable that are nobody's events.
  void append(Attached attached, Done done);
  /// Decodes the record at `offset` of the stream's quarantine again; raw and endpoint are what it
  /// has in these columns. Its events and the row that says so become durable in one commit, so it
  /// comes back once, whatever happens.
  void bring_back(std::shared_ptr<speed::StreamState> stream, Offset offset, std::string_view raw,
                  std::string_view endpoint, std::function<void(Result<Replayed>)> done);

  /// Rows on which views failed go to the stream's quarantine, each once per view: by the apply
  /// thread, as soon as the log takes them. Thread: any.
  void report(const std::shared_ptr<speed::StreamState>& stream,
              std::vector<speed::ViewFailures> failures);
  /// Waits until all that was reported of a stream up to now is durable, and all rounds of events
  /// that began are through the views. Errors: kCancelled.
  Status wait_for_failures(StreamId stream, const std::function<bool()>& cancelled);
  /// From here on requests for the stream wait, and those that were under way are through when it
  /// returns; open_gate() lets them in. Errors: kCancelled, and the gate is open.
  Status close_gate(StreamId stream, const std::function<bool()>& cancelled);
  void open_gate(StreamId stream);
  /// Before the lake takes events: what was answered of their requests is durable without the log.
  Status save_requests() { return requests_ != nullptr ? requests_->save() : Status(); }
  [[nodiscard]] bool is_save_of_requests_due() const {
    return requests_ != nullptr && requests_->is_save_due();
  }
  /// What the log need not have any more of kRequestsStream.
  [[nodiscard]] Offset requests_end() const {
    return requests_ != nullptr ? requests_->saved_end() : Offset();
  }
  [[nodiscard]] const IngestCounters& counters() const { return counters_; }
  /// How derived streams are made; a stream must live before its derivation is added.
  [[nodiscard]] Derivations& derivations() { return derivations_; }

 private:
  /// Of a stream that is being altered.
  struct Gate {
    bool closed = false;
    std::uint64_t inside = 0;
    std::uint64_t waiting_bytes = 0;
    std::vector<std::function<void()>> waiting;
  };
  class Inside;
  struct Request;
  struct Report;
  Status append(std::shared_ptr<Request> request, log::LogGroup group);
  static log::LogEntry entry(std::shared_ptr<speed::StreamState> stream, PartitionRecords& records,
                             Request& request);
  /// Puts what derived streams make of the records into the same group, and what is derived of
  /// those.
  Status derive(const StreamDefinition& source, const format::Decoded& records, Request& request,
                log::LogGroup& group);
  std::uint64_t open_ticket(StreamId stream) EXCLUDES(mutex_);
  void report(const std::shared_ptr<speed::StreamState>& stream,
              std::vector<speed::ViewFailures> failures, std::uint64_t ticket) EXCLUDES(mutex_);
  void close_ticket(StreamId stream, std::uint64_t ticket) EXCLUDES(mutex_);
  void write_reports() EXCLUDES(mutex_);
  void write_report(std::shared_ptr<Report> report) EXCLUDES(mutex_);
  void on_commit(std::vector<log::LogGroup> groups, const Status& status);
  void apply_loop();
  void wait_for_room();
  void apply(std::vector<log::LogGroup>& groups);

  log::CommitLog& log_;
  speed::SpeedLayer& speed_;
  DuplicateFilters& filters_;
  RequestMemory* const requests_;
  const IngestOptions options_;
  IngestCounters counters_;
  std::atomic<bool> leaving_{false};
  Derivations derivations_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::vector<log::LogGroup>> queue_ GUARDED_BY(mutex_);
  std::uint64_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  /// Failures on their way into the quarantine, and rounds of events that are being applied: what
  /// the lake must not overtake, since after a restart only the log's events are looked at again.
  std::map<StreamId, std::multiset<std::uint64_t>> tickets_ GUARDED_BY(mutex_);
  std::uint64_t last_ticket_ GUARDED_BY(mutex_) = 0;
  CondVar settled_;
  std::deque<std::shared_ptr<Report>> reports_ GUARDED_BY(mutex_);
  std::int64_t retry_at_us_ GUARDED_BY(mutex_) = 0;
  Mutex gates_mutex_;
  CondVar left_;
  std::map<StreamId, Gate> gates_ GUARDED_BY(gates_mutex_);
  std::thread thread_;
};

/// The events of a tail entry, decoded again from the log where their columns were let go.
Result<StreamBatch> load_tail_entry(const log::CommitLog& log, const StreamDefinition& stream,
                                    const speed::TailEntry& entry);

}  // namespace millrace::ingest
