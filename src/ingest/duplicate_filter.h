// Which records of a stream are repeats: those whose value of the dedup column a stored record has
// already (docs/decisions/0007). One filter per stream that asks for it. A request claims its new
// values before it is appended and, under the same lock, is appended: so the log has the requests
// in the order in which they were judged. A claim counts as seen at once, becomes memory when the
// log has it, and is taken back when the log fails; a request with a repeat of what is only claimed
// fails with the claimant. NULL is never a repeat. Thread: pass() on the endpoints' threads,
// settle() on the log's, remember() before either. Errors: those of `append`.
// Invariant: the memory is a function of the stored records alone, so a restart does not change it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "ingest/seen_values.h"
#include "lake/lake.h"
#include "model/stream.h"
#include "speed/speed_layer.h"
#include "sql/database.h"

namespace millrace::ingest {

class DuplicateFilter {
 public:
  explicit DuplicateFilter(const StreamDefinition& stream);

  /// What a request adds, on its way through the log.
  struct Claim {
    enum class State : std::uint8_t { kPending, kStored, kFailed };
    State state = State::kPending;  // changed on the log's thread, or before the log has it
    std::vector<SeenValue> values;
    /// Those whose values this request repeats, not yet durable then.
    std::vector<std::shared_ptr<const Claim>> waits_for;
    /// After the log has this: whether the repeated records are in it, too.
    [[nodiscard]] bool repeats_are_stored() const;
  };
  struct Passed {
    std::span<const std::uint32_t> rows;  // to be stored, ascending
    std::uint64_t duplicates = 0;
    std::shared_ptr<Claim> claim;
  };
  /// Judges the rows and, under the lock, calls `append`; where that fails nothing is claimed.
  Status pass(const StreamDefinition& stream, const ColumnBatch& columns, std::int64_t arrival_us,
              const std::function<Status(const Passed&)>& append);
  /// The log has the claim's group, or not.
  void settle(Claim& claim, bool stored);

  /// At the start: records that are stored.
  void remember(const StreamDefinition& stream, const StreamBatch& batch);
  /// At the start: what is older need not be remembered.
  [[nodiscard]] std::int64_t horizon_us() const;

  [[nodiscard]] std::uint64_t values() const;
  [[nodiscard]] std::uint64_t size_bytes() const;

 private:
  struct HashOfHash {
    std::size_t operator()(const Hash128& hash) const { return hash.low ^ hash.high; }
  };
  struct ClaimedValue {
    std::int64_t time_us = 0;
    std::shared_ptr<Claim> claim;
  };

  [[nodiscard]] std::vector<std::optional<SeenValue>> values_of(const StreamDefinition& stream,
                                                                const ColumnBatch& columns,
                                                                std::int64_t arrival_us) const;
  void take_back(const Claim& claim) REQUIRES(mutex_);

  const SipHashKey key_;
  mutable Mutex mutex_;
  SeenValues seen_ GUARDED_BY(mutex_);
  std::unordered_multimap<Hash128, ClaimedValue, HashOfHash> claimed_ GUARDED_BY(mutex_);
};

/// The filters of all streams that have a dedup column. Thread: any.
class DuplicateFilters {
 public:
  explicit DuplicateFilters(speed::SpeedLayer& speed) : speed_(speed) {}

  /// nullptr where the stream has no dedup column.
  std::shared_ptr<DuplicateFilter> of(const StreamDefinition& stream);
  /// At the start: the memory of a stream from what the lake has of it; the log's tail comes by
  /// remember(). `visit` sees what is read; its first column is the dedup column.
  Status restore(sql::Database& database, lake::Lake& lake, const StreamDefinition& stream,
                 const std::function<void(const ColumnBatch&)>& visit = {});

  [[nodiscard]] std::uint64_t size_bytes() const;

 private:
  speed::SpeedLayer& speed_;
  mutable Mutex mutex_;
  std::map<StreamId, std::shared_ptr<DuplicateFilter>> filters_ GUARDED_BY(mutex_);
};

}  // namespace millrace::ingest
