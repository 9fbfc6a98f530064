// The rows of a SELECT over one materialized view, and then what changes of them, for as long as
// somebody asks: SUBSCRIBE. A follower of the change feed that puts each batch through the SELECT.
// Three columns come before the SELECT's own (reference: docs/reference/sql.md, SUBSCRIBE):
//   _position  of a 'progress' row: the rows before it, all together, are those at this position,
//              from which another SUBSCRIBE goes on; otherwise NULL
//   _op        'upsert': this is the row under the key now; 'delete': there is none under it any
//              more; 'insert': one of several rows under the key, behind its 'delete' (views with
//              sessions); 'reset': forget all rows, they come anew; 'progress'
//   _key       the view's group key of the row, as a JSON array
// Owns: the subscription, and at most two batches that nobody has taken yet: whoever reads slowly
// makes the feed wait, and costs no more. Thread: next() one at a time; the rest any. Errors: those
// of the feed and of evaluating the SELECT; each ends it. Invariant: where a progress row stands,
// the rows that its reader has are the SELECT's over the view at that position.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "model/column_batch.h"
#include "serving/change_feed.h"
#include "serving/live_select.h"
#include "sql/scalar_stage.h"

namespace millrace::serving {

inline constexpr std::size_t kLiveColumns = 3;  // before those of the SELECT

/// Columns of a SUBSCRIBE whose SELECT has these.
[[nodiscard]] std::vector<Column> live_columns(std::span<const Column> columns);

/// So much of it FETCH wants; at the end of one it may go on with the next.
struct LiveFetch {
  std::uint64_t rows_max = 0;
  /// FETCH ALL: up to the next progress row, that one too.
  bool to_progress = false;
  /// For a first row.
  std::uint64_t wait_ms = 0;
};

class LiveQuery {
 public:
  struct Options {
    bool snapshot = true;
    std::string position;
    std::function<Status()> allowed;
  };
  static Result<std::shared_ptr<LiveQuery>> open(ChangeFeed& feed, sql::Database& database,
                                                 LiveSelect select, Options options);
  ~LiveQuery();
  LiveQuery(const LiveQuery&) = delete;
  LiveQuery& operator=(const LiveQuery&) = delete;

  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  /// Whether next() has something to do.
  [[nodiscard]] bool is_ready() const;
  /// Called on any thread when is_ready() has become true; must not block.
  void on_ready(std::function<void()> wake);
  /// It ends with kCancelled.
  void cancel();

  struct Piece {
    std::shared_ptr<const ColumnBatch> rows;  // null: nothing is there now
    bool ends_in_progress = false;
  };
  Result<Piece> next(std::uint64_t rows_max);

 private:
  class Inbox;
  /// A batch after the SELECT: its rows in the order of the keys.
  struct Selected {
    std::shared_ptr<const ColumnBatch> rows;
    std::vector<std::uint32_t> numbers;  // of each row in the batch
  };
  struct Maker;

  LiveQuery(LiveSelect select, std::unique_ptr<sql::ScalarStage> stage);
  Status take_start(FeedStart why, const FeedShape& shape, const std::string& token, Maker& out);
  Status take_batch(const FeedBatch& batch, Maker& out);
  Result<Selected> select_rows(const FeedBatch& batch);
  void take_key(const FeedBatch& batch, std::size_t unit, std::size_t begin, std::size_t end,
                Maker& out);
  /// Whether the reader may have rows under the key; remembers what it has from now on.
  bool note(const std::string& key, bool has_rows);
  void progress(const std::string& token, Maker& out);

  const LiveSelect select_;
  const std::vector<Column> columns_;
  const std::vector<Type> types_;
  const bool several_rows_;  // under one key
  const std::unique_ptr<sql::ScalarStage> stage_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<FeedSubscription> subscription_;

  // Of the reader.
  std::shared_ptr<const ColumnBatch> left_;  // made, and not given
  std::size_t left_from_ = 0;
  bool left_ends_in_progress_ = false;
  std::atomic<bool> has_left_{false};
  std::optional<Error> ended_;
  /// The keys under which the reader has rows; none where that is not known, or too much.
  std::optional<std::unordered_set<std::string>> known_;
  std::size_t known_bytes_ = 0;
  bool told_any_ = false;
  std::int64_t told_us_ = 0;  // the last progress
};

}  // namespace millrace::serving
