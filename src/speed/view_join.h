// What the speed layer keeps of the two sides of a joined view, so that each new event meets all
// earlier ones of the other side: an index of the newest rows in memory, and the lake for those
// that are older. A lake file is read only when its span of time meets that of new events; small
// ones stay for a while. So events in order cost memory alone, and a late one the files of its
// time. The two sides may be of one stream. Thread: any; one mutex, held while files are read.
// Errors: kDataLoss names the lake file. Invariant: the rows of a side are those of its lake files
// before `kept_from` and those of `recent`, each once.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "lake/lake.h"
#include "sql/database.h"
#include "view/join_evaluator.h"
#include "view/time_ranges.h"

namespace millrace::speed {

struct JoinOptions {
  /// Of a side: rows in memory beyond this are left to the lake when it has them.
  std::uint64_t recent_bytes_max = std::uint64_t{64} << 20;
  /// Of a side: rows of lake files that were read.
  std::uint64_t lake_bytes_max = std::uint64_t{32} << 20;
  /// Rows that are let go together.
  std::uint64_t part_rows = 32'768;
};

class ViewJoin {
 public:
  static std::unique_ptr<ViewJoin> make(std::unique_ptr<view::JoinEvaluator> evaluator,
                                        sql::Database& lake_database, lake::Lake& lake,
                                        const view::StreamJoin& join,
                                        std::span<const StreamDefinition> streams,
                                        JoinOptions options = {});

  /// Before the first apply(): what comes of this stream follows `start`.
  void start(StreamId stream, const Position& start);
  /// Adds the pairs of these events, of which the last ends at `end`, with all events of the other
  /// side that were applied before.
  Status apply(StreamId stream, std::span<const StreamBatch> batches, const Position& end,
               view::GroupTable& groups, std::uint64_t& skipped,
               const view::FailureVisitor& failed);
  /// The same columns in another definition of a stream.
  void redefine(const StreamDefinition& stream, std::unique_ptr<view::JoinEvaluator> evaluator);
  /// Whether the lake has all that came before the first event that was applied: until then pairs
  /// may lack.
  [[nodiscard]] bool has_history() const;

 private:
  struct Recent {
    Position begin;
    view::JoinIndex rows;
  };
  /// A lake file with rows that come before those in memory.
  struct OldFile {
    catalog::FileRecord record;
    sql::LakeFile file;
    std::size_t commit = 0;                 // of the lake's, counted from 0
    std::optional<sql::FileSpan> span;      // none where no row can have a partner
    std::unique_ptr<view::JoinIndex> rows;  // null where they are not in memory
    bool partial = false;                   // without those that are in `recent`
    std::uint64_t used = 0;
  };
  struct Side {
    view::JoinSide join;
    StreamDefinition stream;
    Position end;
    std::deque<Recent> recent;
    std::vector<OldFile> files;
    std::size_t commits = 0;       // of the lake, that `files` are of
    std::uint64_t file_bytes = 0;  // of the rows in memory
    [[nodiscard]] const Position& kept_from() const {
      return recent.empty() ? end : recent.front().begin;
    }
  };
  /// New rows of a side, on the way through the other one's.
  struct Joining {
    std::size_t side;
    const view::JoinRows& rows;
    view::GroupTable& groups;
    std::uint64_t& skipped;
  };
  ViewJoin(std::unique_ptr<view::JoinEvaluator> evaluator, sql::Database& lake_database,
           lake::Lake& lake, JoinOptions options)
      : lake_database_(lake_database),
        lake_(lake),
        options_(options),
        evaluator_(std::move(evaluator)) {}

  Status join_with_lake(const Joining& joining) REQUIRES(mutex_);
  /// Makes `files` all that have rows before those in memory.
  Status find_files(Side& side, const lake::LakeSnapshot& lake) REQUIRES(mutex_);
  Status join_with_file(const Joining& joining, view::TimeRanges& ranges,
                        const lake::LakeSnapshot& lake, OldFile& file) REQUIRES(mutex_);
  void let_go(Side& side) REQUIRES(mutex_);

  sql::Database& lake_database_;
  lake::Lake& lake_;
  const JoinOptions options_;
  mutable Mutex mutex_;
  std::unique_ptr<view::JoinEvaluator> evaluator_ GUARDED_BY(mutex_);
  std::array<Side, 2> sides_ GUARDED_BY(mutex_);
  std::uint64_t uses_ GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace::speed
