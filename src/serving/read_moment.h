// What several reads see together: streams and views as they were at one moment, at which none of
// the streams applied anything. A statement over views of the same streams has one while it reads,
// a transaction keeps one from its first read to its end. Owns: shared, immutable parts of the
// views' states and of the streams' tails; they stay in memory as long as it. Thread: one owner;
// taking it holds the streams' locks for as long as the copies take. Errors: kUnavailable (kBusy)
// where views are replaced again and again. Invariant: every view in it covers exactly the events
// before position() of its streams.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "lake/lake.h"
#include "model/stream.h"
#include "speed/speed_layer.h"

namespace millrace::serving {

/// The events of a stream at one moment: what the lake has, and the tail behind it.
struct StreamEvents {
  StreamDefinition stream;  // as it was at that moment
  std::shared_ptr<const lake::LakeSnapshot> lake;
  std::vector<StreamBatch> tail;
  Position applied;
};

class ReadMoment {
 public:
  using View = std::shared_ptr<speed::ViewState>;
  using Stream = std::shared_ptr<speed::StreamState>;

  /// A stream's part, its tail not yet decoded.
  struct StreamPart {
    StreamDefinition definition;
    std::shared_ptr<const lake::LakeSnapshot> lake;
    std::vector<speed::TailEntry> tail;
    Position applied;
  };
  struct Wanted {
    std::vector<Stream> streams;  // none of which is there yet
    std::vector<View> views;      // over these streams
    /// Views that are taken, too, where that costs little.
    std::vector<View> others = {};
    /// What the streams' events are, beside their positions.
    bool events = false;
  };
  /// Takes all of it at one moment.
  Status take(const Wanted& wanted, const lake::Lake& lake);

  [[nodiscard]] bool is_taken() const { return !streams_.empty() || !tables_.empty(); }
  [[nodiscard]] const speed::ViewSnapshot* find(const speed::ViewState& view) const;
  [[nodiscard]] const StreamPart* find(StreamId stream) const;
  /// Whether the view as it is now is the view as it was: then it is kept.
  bool keep_if_unchanged(const View& view);
  /// The positions of the view's streams; none where one is not there.
  [[nodiscard]] std::optional<std::vector<Position>> positions(const speed::ViewState& view) const;

  /// The rows of a reference table as they were first read; null where it was not.
  [[nodiscard]] const std::shared_ptr<const ColumnBatch>* table(TableId id) const {
    const auto found = tables_.find(id);
    return found == tables_.end() ? nullptr : &found->second;
  }
  void keep(TableId id, std::shared_ptr<const ColumnBatch> rows) { tables_[id] = std::move(rows); }

 private:
  struct ViewPart {
    View view;
    speed::ViewSnapshot snapshot;
  };
  void copy(const Wanted& wanted, const lake::Lake& lake, std::size_t next);
  [[nodiscard]] bool fits(const speed::Coverage& coverage, std::span<const StreamId> streams) const;

  std::map<StreamId, StreamPart> streams_;
  std::map<const speed::ViewState*, ViewPart> views_;
  std::map<TableId, std::shared_ptr<const ColumnBatch>> tables_;
  Status failed_;
};

}  // namespace millrace::serving
