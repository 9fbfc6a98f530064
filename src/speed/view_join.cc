#include "speed/view_join.h"

#include <algorithm>

#include "sql/scalar_stage.h"

namespace millrace::speed {

namespace {

/// The name of a file's relation in the SQL that reads it.
constexpr std::string_view kFileRelation = "_lake_rows";
/// Files of at most so many rows are kept when they were read.
constexpr std::uint64_t kKeptRowsMax = 65'536;
/// Rows of a larger file that are joined together.
constexpr std::size_t kPartBytes = std::size_t{16} << 20;

/// Partition, offset, arrival.
constexpr std::size_t kHiddenColumnCount = 3;

/// The rows of a chunk, as sound_rows_sql() gives them, whose positions lie before one.
std::vector<std::uint32_t> rows_before(const BatchView& chunk, const Position& position) {
  const auto hidden = chunk.columns.last(kHiddenColumnCount);
  std::vector<std::uint32_t> out;
  for (std::uint32_t row = 0; row < chunk.rows; ++row) {
    const auto partition = static_cast<std::uint32_t>(hidden[0].as<std::int32_t>()[row]);
    const auto offset = static_cast<std::uint64_t>(hidden[1].as<std::int64_t>()[row]);
    if (offset < position.end(PartitionId(partition)).value) out.push_back(row);
  }
  return out;
}

}  // namespace

std::unique_ptr<ViewJoin> ViewJoin::make(std::unique_ptr<view::JoinEvaluator> evaluator,
                                         sql::Database& lake_database, lake::Lake& lake,
                                         const view::StreamJoin& join,
                                         std::span<const StreamDefinition> streams,
                                         JoinOptions options) {
  std::unique_ptr<ViewJoin> out(new ViewJoin(std::move(evaluator), lake_database, lake, options));
  const MutexLock lock(out->mutex_);
  for (std::size_t i = 0; i < 2; ++i) {
    auto& side = out->sides_[i];
    side.join = join.sides[i];
    side.stream = *std::ranges::find(streams, side.join.stream, &StreamDefinition::id);
    side.end = Position(side.stream.partitions);
  }
  return out;
}

void ViewJoin::start(StreamId stream, const Position& start) {
  const MutexLock lock(mutex_);
  for (auto& side : sides_) {
    if (side.stream.id == stream) side.end = start;
  }
}

void ViewJoin::redefine(const StreamDefinition& stream,
                        std::unique_ptr<view::JoinEvaluator> evaluator) {
  const MutexLock lock(mutex_);
  for (auto& side : sides_) {
    if (side.stream.id == stream.id) side.stream = stream;
  }
  evaluator_ = std::move(evaluator);
}

bool ViewJoin::has_history() const {
  const MutexLock lock(mutex_);
  return std::ranges::all_of(sides_, [&](const Side& side) {
    return lake_.snapshot(side.stream.id)->end.covers(side.kept_from());
  });
}

Status ViewJoin::apply(StreamId stream, std::span<const StreamBatch> batches, const Position& end,
                       view::GroupTable& groups, std::uint64_t& skipped,
                       const view::FailureVisitor& failed) {
  const MutexLock lock(mutex_);
  // Where both sides are of the stream, the second one meets the first one's new rows, too.
  for (std::size_t own = 0; own < 2; ++own) {
    auto& side = sides_[own];
    if (side.stream.id != stream) continue;
    MR_TRY(const auto rows, evaluator_->rows_of(own, batches, skipped, failed));
    if (!rows.rows.empty()) {
      std::vector<const view::JoinIndex*> partners;
      for (const auto& part : sides_[1 - own].recent) partners.push_back(&part.rows);
      MR_RETURN_IF_ERROR(evaluator_->join(own, rows, partners, groups, skipped));
      MR_RETURN_IF_ERROR(join_with_lake({own, rows, groups, skipped}));
      if (side.recent.empty() || side.recent.back().rows.rows() >= options_.part_rows)
        side.recent.push_back({side.end, view::JoinIndex(evaluator_->types(own))});
      side.recent.back().rows.add(rows);
    }
    side.end = end;
  }
  for (auto& side : sides_) let_go(side);
  return {};
}

Status ViewJoin::join_with_lake(const Joining& joining) {
  auto& side = sides_[1 - joining.side];
  const auto lake = lake_.snapshot(side.stream.id);
  MR_RETURN_IF_ERROR(find_files(side, *lake));
  view::TimeRanges ranges;
  for (const auto& row : joining.rows.rows) ranges.add(row.low, row.high);
  ++uses_;
  for (auto& file : side.files) {
    if (file.span && ranges.meet(file.span->low, file.span->high))
      MR_RETURN_IF_ERROR(join_with_file(joining, ranges, *lake, file));
  }
  return {};
}

Status ViewJoin::find_files(Side& side, const lake::LakeSnapshot& lake) {
  std::vector<OldFile> found;
  std::size_t commit = side.commits;
  for (; commit < lake.commits.size(); ++commit) {
    const auto& one = lake.commits[commit];
    if (one.begin.covers(side.kept_from())) break;
    for (const auto& file : one.files) {
      MR_RETURN_IF_ERROR(lake_.verify_once(side.stream.id, file));
      found.push_back({.record = file,
                       .file = {lake_.path(side.stream.id, file), one.schema_version},
                       .commit = commit,
                       .span = {},
                       .rows = nullptr});
    }
  }
  if (found.empty()) return {};
  std::vector<sql::LakeFile> files;
  for (const auto& one : found) files.push_back(one.file);
  MR_TRY(const auto spans,
         sql::lake_file_spans(lake_database_, {side.join.alias, &side.stream, files}, side.join.low,
                              side.join.high));
  for (std::size_t i = 0; i < found.size(); ++i) {
    found[i].span = spans[i];
    side.files.push_back(std::move(found[i]));
  }
  side.commits = commit;
  return {};
}

Status ViewJoin::join_with_file(const Joining& joining, view::TimeRanges& ranges,
                                const lake::LakeSnapshot& lake, OldFile& file) {
  const std::size_t number = 1 - joining.side;
  auto& side = sides_[number];
  auto& evaluator = *evaluator_;
  file.used = uses_;
  const auto join_with = [&](const view::JoinIndex& rows) -> Status {
    const view::JoinIndex* const others[] = {&rows};
    return evaluator.join(joining.side, joining.rows, others, joining.groups, joining.skipped);
  };
  if (file.rows != nullptr) return join_with(*file.rows);
  MR_RETURN_IF_ERROR(lake_.verify_once(side.stream.id, file.record));
  file.partial = !side.kept_from().covers(lake.commits[file.commit].end);
  const bool kept = file.record.rows <= kKeptRowsMax;
  auto select = view::sound_rows_sql(side.join, kFileRelation);
  if (!kept) {
    std::string within;
    for (const auto& range : ranges.all()) {
      within += fmt::format("{}(TRY({}) <= {} AND TRY({}) >= {})", within.empty() ? "" : " OR ",
                            side.join.low, range.high, side.join.high, range.low);
    }
    select += fmt::format(" AND ({})", within);
  }
  auto rows = std::make_unique<view::JoinIndex>(evaluator.types(number));
  const std::vector<sql::LakeFile> files = {file.file};
  MR_RETURN_IF_ERROR(
      sql::query_lake_files(lake_database_, {std::string(kFileRelation), &side.stream, files},
                            select, [&](const BatchView& chunk) -> Status {
                              view::JoinRows taken(evaluator.types(number));
                              if (file.partial) {
                                const auto before = rows_before(chunk, side.kept_from());
                                std::vector<Type> types;
                                for (const auto& column : chunk.columns)
                                  types.push_back(column.type);
                                ColumnBatch chosen(types);
                                chosen.append_rows(chunk, before);
                                const auto views = chosen.views();
                                evaluator.take_rows(number, {views, chosen.rows()}, taken);
                              } else {
                                evaluator.take_rows(number, chunk, taken);
                              }
                              rows->add(taken);
                              if (kept || rows->size_bytes() < kPartBytes) return {};
                              MR_RETURN_IF_ERROR(join_with(*rows));
                              rows = std::make_unique<view::JoinIndex>(evaluator.types(number));
                              return {};
                            }));
  MR_RETURN_IF_ERROR(join_with(*rows));
  if (!kept) return {};
  side.file_bytes += rows->size_bytes();
  file.rows = std::move(rows);
  return {};
}

void ViewJoin::let_go(Side& side) {
  const auto drop = [&](OldFile& file) {
    side.file_bytes -= file.rows->size_bytes();
    file.rows.reset();
  };
  std::uint64_t bytes = 0;
  for (const auto& part : side.recent) bytes += part.rows.size_bytes();
  while (bytes > options_.recent_bytes_max && side.recent.size() > 1 &&
         lake_.snapshot(side.stream.id)->end.covers(side.recent[1].begin)) {
    bytes -= side.recent.front().rows.size_bytes();
    side.recent.pop_front();
    for (auto& file : side.files) {
      if (file.partial && file.rows != nullptr) drop(file);
    }
  }
  while (side.file_bytes > options_.lake_bytes_max) {
    OldFile* oldest = nullptr;
    for (auto& file : side.files) {
      if (file.rows != nullptr && (oldest == nullptr || file.used < oldest->used)) oldest = &file;
    }
    drop(*oldest);
  }
}

}  // namespace millrace::speed
