// Reads the events of a stream from any position on, a page at a time: from the lake what it has,
// from the tail what it does not have yet. Each event once, in the order of its partition. Memory:
// one page. Thread: any; reads files, so not on an I/O thread. Errors: kDataLoss names the file;
// kInvalidArgument (kBadValue) for a place that is none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/lake.h"
#include "log/commit_log.h"
#include "speed/stream_state.h"
#include "sql/database.h"
#include "sql/lake_page.h"

namespace millrace::serving {

struct EventPage {
  StreamDefinition stream;  // as it was when the page was read
  std::vector<StreamBatch> batches;
  Position end;         // behind them
  bool at_end = false;  // there were no more
};

class EventReader {
 public:
  EventReader(lake::Lake& lake, log::CommitLog& log, sql::Database& lake_database)
      : lake_(lake), log_(log), lake_database_(lake_database) {}

  /// "earliest", "latest", a position ({"0":17}, or 17-4 as in an event's id), or a time
  /// ("2026-01-01T00:00:00Z"): the first events that arrived after it.
  Result<Position> place(const speed::StreamState& stream, std::string_view text);
  Result<EventPage> read(const speed::StreamState& stream, const Position& from,
                         std::uint64_t rows_max);

 private:
  struct Moment;
  Moment moment_of(const speed::StreamState& stream);
  Result<std::vector<sql::LakeFile>> files_of(const StreamDefinition& stream,
                                              const catalog::LakeCommit& commit);
  Status read_lake(const Moment& moment, std::uint64_t rows_max, EventPage& page);
  Status read_tail(const Moment& moment, std::uint64_t rows_max, EventPage& page);

  lake::Lake& lake_;
  log::CommitLog& log_;
  sql::Database& lake_database_;
};

}  // namespace millrace::serving
