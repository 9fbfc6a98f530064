// The answer of a materialized view at a position or time that has passed: the newest generation
// that is kept and ends there or before, and the states of the events from its cut up to the point,
// computed again from the lake and the tail. Merging is exact, so the bits are those that were
// answered then. Thread and errors: those of statement_runner.h; kInvalidArgument (kBadValue) for a
// point that has not come.
#include <algorithm>

#include "batch/batch_job.h"
#include "ingest/ingest.h"
#include "model/value_text.h"
#include "serving/statement_runner.h"
#include "view/evaluator.h"

namespace millrace::serving {

namespace {

/// The rows of a batch that lie before a position.
std::optional<StreamBatch> before(const StreamBatch& batch, const Position& point) {
  const Offset end = point.end(batch.partition);
  if (end <= batch.base_offset) return std::nullopt;
  if (end >= batch.end_offset()) return batch;
  return view::slice(batch, 0, end.value - batch.base_offset.value);
}

}  // namespace

/// The events of `stream` at one moment: what the lake has, and the tail behind it.
Result<StatementRunner::Events> StatementRunner::events_of(const StreamDefinition& stream) {
  const auto state = speed_.stream(stream.id);
  if (state == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "stream {} was dropped",
                stream.name);
  }
  constexpr int kTries = 5;
  for (int attempt = 1;; ++attempt) {
    Events out;
    const auto snapshot = state->snapshot([&] {
      out.lake = lake_.snapshot(stream.id);
      out.stream = state->definition();
    });
    out.applied = snapshot.applied;
    Status loaded;
    for (const auto& entry : snapshot.tail) {
      // The lake may be one commit ahead of the tail: those events are read from the lake.
      if (entry.batch.base_offset < out.lake->end.end(entry.batch.partition)) continue;
      auto batch = ingest::load_tail_entry(log_, out.stream, entry);
      if (!batch) {
        loaded = std::unexpected(std::move(batch).error());
        break;
      }
      out.tail.push_back(std::move(*batch));
    }
    // The log may let a part go between the snapshot and the read, when the lake has it: look
    // again.
    if (!loaded && loaded.error().code == ErrorCode::kNotFound && attempt < kTries) continue;
    MR_RETURN_IF_ERROR(loaded);
    return out;
  }
}

Status StatementRunner::read_commit(const StreamDefinition& stream,
                                    const catalog::LakeCommit& commit,
                                    const std::function<Status(const StreamBatch&)>& visit) {
  std::vector<sql::LakeFile> files;
  for (const auto& file : commit.files) {
    MR_RETURN_IF_ERROR(lake_.verify_once(stream.id, file));
    files.push_back({lake_.path(stream.id, file), commit.schema_version});
  }
  return sql::read_lake_files(lake_database_, files, stream, visit);
}

/// The position before the first event of each partition that arrived after `time_us`.
Result<Position> StatementRunner::position_at(const StreamDefinition& stream, const Events& events,
                                              std::int64_t time_us) {
  Position point(stream.partitions);
  std::vector<bool> passed(stream.partitions, false);
  const auto visit = [&](const StreamBatch& batch) -> Status {
    const auto partition = batch.partition.value;
    if (batch.arrival_us > time_us) passed[partition] = true;
    if (!passed[partition]) point.set_end(batch.partition, batch.end_offset());
    return {};
  };
  for (const auto& commit : events.lake->commits) {
    // A commit comes after the arrival of all that is in it.
    if (commit.committed_us <= time_us && std::ranges::none_of(passed, std::identity())) {
      point = commit.end;
      continue;
    }
    if (std::ranges::all_of(passed, std::identity())) break;
    MR_RETURN_IF_ERROR(read_commit(stream, commit, visit));
  }
  for (const auto& batch : events.tail) MR_RETURN_IF_ERROR(visit(batch));
  return point;
}

Result<Position> StatementRunner::point_of(const StreamDefinition& stream, const Events& events,
                                           const sql::PastRelation& past) {
  const auto* position = std::get_if<Position>(&past.point);
  if (position == nullptr) return position_at(stream, events, std::get<std::int64_t>(past.point));
  if (!events.applied.covers(*position)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "AS OF POSITION {}: the stream {} is at {} only", position->json(), stream.name,
                events.applied.json());
  }
  Position point(stream.partitions);
  for (std::uint32_t p = 0; p < stream.partitions; ++p)
    point.set_end(PartitionId(p), position->end(PartitionId(p)));
  return point;
}

Result<ScannedRows> StatementRunner::read_past(const speed::ViewState& view,
                                               const sql::PastRelation& past) {
  MR_TRY(const auto streams, streams_of(catalog_, view.record()));
  if (streams.size() != 1 && std::holds_alternative<Position>(past.point)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "AS OF POSITION is of one stream, and {} reads {}; use AS OF TIMESTAMP",
                view.record().name, streams.size());
  }
  std::vector<Events> events;
  std::vector<Position> points;
  for (const auto& stream : streams) {
    MR_TRY(auto found, events_of(stream));
    MR_TRY(auto point, point_of(stream, found, past));
    events.push_back(std::move(found));
    points.push_back(std::move(point));
  }
  return read_at(view, streams, events, std::move(points), whole_scan(view.compiled()));
}

Result<ScannedRows> StatementRunner::read_at(const speed::ViewState& view,
                                             std::span<const StreamDefinition> streams,
                                             std::span<const Events> events,
                                             std::vector<Position> points, const ViewScan& scan) {
  const auto& compiled = view.compiled();
  if (compiled.join) {
    return fail(ErrorCode::kUnimplemented, error_id::kUnsupportedStatement,
                "{} joins two streams, and cannot be read as it was; read it in the first "
                "statement of a transaction, and without AS OF",
                view.record().name);
  }
  auto generations = catalog_.generations(view.record().id);
  std::ranges::sort(generations, std::greater<>(), &catalog::Generation::number);
  catalog::Generation generation;
  generation.cuts.resize(streams.size());
  auto base = view::StateRun::empty();
  for (const auto& candidate : generations) {
    const bool before = std::ranges::equal(
        points, candidate.cuts,
        [](const auto& point, const auto& cut) { return point.covers(cut.end); });
    if (!before) continue;
    auto read = state_files_.read(candidate.file, compiled.fingerprint);
    if (!read) continue;  // damaged, or dropped meanwhile: an older one gives the same answer
    generation = candidate;
    base = std::move(*read);
    break;
  }

  batch::BatchInput input{.view = &compiled,
                          .streams = {},
                          .base = nullptr,
                          .tables = view.tables(),
                          .scratch = &state_files_,
                          .table_bytes_max = batch_.table_bytes_max()};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const CommitNumber after = generation.cuts[i].commit;
    CommitNumber whole = after;
    for (const auto& commit : events[i].lake->commits) {
      if (commit.number > whole && points[i].covers(commit.end)) whole = commit.number;
    }
    input.streams.push_back({.stream = &streams[i], .after = after, .upto = whole});
  }
  std::uint64_t skipped = 0;
  batch::BatchProgress progress;
  MR_TRY(auto parts, batch::map_commits(lake_database_, lake_, input, progress, skipped));
  auto groups = std::make_shared<view::GroupTable>(compiled.plan);
  for (std::size_t n = 0; n < compiled.inputs.size(); ++n) {
    const auto i = static_cast<std::size_t>(
        std::ranges::find(streams, compiled.inputs[n].stream, &StreamDefinition::id) -
        streams.begin());
    MR_TRY(const auto evaluator,
           view::Evaluator::make(speed_database_, compiled, n, streams[i], view.tables()));
    const auto take = [&](const StreamBatch& batch) -> Status {
      const auto part = before(batch, points[i]);
      return part ? evaluator->run(std::span(&*part, 1), *groups, skipped) : Status();
    };
    for (const auto& commit : events[i].lake->commits) {
      if (commit.number <= input.streams[i].upto) continue;
      MR_RETURN_IF_ERROR(read_commit(streams[i], commit, take));
      // Commits that begin at or behind the point in all partitions have nothing for it.
      if (commit.end.covers(points[i])) break;
    }
    for (const auto& batch : events[i].tail) MR_RETURN_IF_ERROR(take(batch));
  }
  parts.tables.push_back(std::move(groups));
  parts.runs.push_back(std::move(base));
  speed::ViewSnapshot snapshot{.parts = std::move(parts),
                               .coverage = {.generation = generation.number,
                                            .streams = {},
                                            .skipped_rows = generation.skipped_rows + skipped}};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    snapshot.coverage.streams.push_back({.cut_commit = generation.cuts[i].commit,
                                         .cut = generation.cuts[i].end,
                                         .delta_end = std::move(points[i])});
  }
  return scan_view(view, snapshot, scan);
}

}  // namespace millrace::serving
