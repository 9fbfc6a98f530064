#include "batch/join_map.h"

#include <algorithm>
#include <array>
#include <limits>

#include "batch/range_files.h"
#include "batch/thread_tables.h"
#include "view/join_evaluator.h"
#include "view/time_ranges.h"

namespace millrace::batch {

namespace {

/// Of one side, that are joined one by one at a time.
constexpr std::size_t kIndexBytes = std::size_t{64} << 20;

/// Names of the files' relations, which those of the join are made of.
constexpr std::array<std::string_view, 2> kFileRelations = {"_left_files", "_right_files"};

/// One side's files in its range, and those before that can have partners there.
struct Side {
  const view::JoinSide* join = nullptr;
  const CommitRange* range = nullptr;
  RangeFiles added;
  std::vector<sql::LakeFile> old;
  [[nodiscard]] const StreamDefinition* stream() const { return range->stream; }
  [[nodiscard]] std::vector<sql::LakeFile> all() const {
    auto out = old;
    out.insert(out.end(), added.files.begin(), added.files.end());
    return out;
  }
};

class JoinMap {
 public:
  JoinMap(sql::Database& database, lake::Lake& lake, const BatchInput& input,
          BatchProgress& progress)
      : database_(database),
        lake_(lake),
        input_(input),
        join_(*input.view->join),
        progress_(progress) {}

  Result<view::GroupParts> run(std::uint64_t& skipped_rows);

 private:
  using Files = std::vector<sql::LakeFile>;
  Status report_failures(std::size_t number, std::uint64_t& skipped_rows);
  Status find_old(std::size_t number);
  Result<std::int64_t> bucket_width() const;
  Status scan(const Files& left, const Files& right, std::int64_t width, ThreadTables& tables);
  Result<view::GroupParts> one_by_one(std::uint64_t& skipped_pairs);
  Status read(std::size_t number, const Files& files,
              const std::function<Status(const view::JoinRows&)>& visit);

  sql::Database& database_;
  lake::Lake& lake_;
  const BatchInput& input_;
  const view::StreamJoin& join_;
  BatchProgress& progress_;
  std::array<Side, 2> sides_;
  std::unique_ptr<view::JoinEvaluator> evaluator_;  // made where it is needed
};

/// The rows of the range that no pair has, since an expression fails on them alone.
Status JoinMap::report_failures(std::size_t number, std::uint64_t& skipped_rows) {
  const auto& side = sides_[number];
  if (side.added.files.empty()) return {};
  // The hash looks at every key.
  std::string columns = "_low, _high";
  for (std::size_t k = 0; k < join_.keys(); ++k) columns += fmt::format(", _k{}", k);
  const auto tried = sql::query_lake_files(
      database_, {std::string(kFileRelations[number]), side.stream(), side.added.files},
      fmt::format("SELECT bit_xor(hash({0})) FROM ({1}) AS r({0})", columns,
                  view::rows_sql(*side.join, kFileRelations[number])),
      [](const BatchView&) -> Status { return {}; });
  if (tried) return {};
  if (tried.error().code != ErrorCode::kInvalidArgument) return tried;
  return sql::read_lake_files(
      database_, side.added.files, *side.stream(), [&](const StreamBatch& batch) -> Status {
        if (progress_.cancel) return std::unexpected(cancelled());
        Status told;
        MR_TRY(const auto rows, evaluator_->rows_of(number, std::span(&batch, 1), skipped_rows,
                                                    [&](view::FailedRow row) {
                                                      if (input_.failed && told)
                                                        told = input_.failed(side.stream()->id,
                                                                             std::move(row));
                                                    }));
        return told;
      });
}

/// The files before the range that the other side's new rows can have partners in.
Status JoinMap::find_old(std::size_t number) {
  auto& side = sides_[number];
  const auto& other = sides_[1 - number];
  if (other.added.files.empty() || side.range->after == CommitNumber(0)) return {};
  view::TimeRanges ranges;
  MR_RETURN_IF_ERROR(read(1 - number, other.added.files, [&](const view::JoinRows& rows) -> Status {
    for (const auto& row : rows.rows) ranges.add(row.low, row.high);
    return {};
  }));
  Files files;
  std::vector<catalog::FileRecord> records;
  const auto snapshot = lake_.snapshot(side.stream()->id);
  for (const auto& commit : snapshot->commits) {
    if (commit.number > side.range->after) break;
    for (const auto& file : commit.files) {
      files.push_back({lake_.path(side.stream()->id, file), commit.schema_version});
      records.push_back(file);
    }
  }
  if (files.empty() || ranges.empty()) return {};
  MR_TRY(const auto spans, sql::lake_file_spans(database_, {side.join->alias, side.stream(), files},
                                                side.join->low, side.join->high));
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!spans[i] || !ranges.meet(spans[i]->low, spans[i]->high)) continue;
    if (progress_.cancel) return std::unexpected(cancelled());
    MR_RETURN_IF_ERROR(lake_.verify_once(side.stream()->id, records[i]));
    side.old.push_back(files[i]);
  }
  return {};
}

/// The widest span of any row: no row is then in more than two buckets.
Result<std::int64_t> JoinMap::bucket_width() const {
  // Sound where a span has no end: all in one bucket.
  constexpr std::int64_t kWidthMax = std::int64_t{1} << 62;
  std::int64_t width = 1;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& side = sides_[i];
    const auto files = side.all();
    if (files.empty()) continue;
    std::string names = "_low, _high";
    for (std::size_t k = 0; k < join_.keys(); ++k) names += fmt::format(", _k{}", k);
    MR_RETURN_IF_ERROR(sql::query_lake_files(
        database_, {std::string(kFileRelations[i]), side.stream(), files},
        fmt::format(
            "SELECT CAST(least(max(abs(CAST(_high AS HUGEINT) - _low)), {}) AS BIGINT) FROM "
            "({}) AS r({})",
            kWidthMax, view::sound_rows_sql(*side.join, kFileRelations[i]), names),
        [&](const BatchView& rows) -> Status {
          if (rows.rows == 1 && rows.columns[0].valid(0))
            width = std::max(width, rows.columns[0].as<std::int64_t>()[0]);
          return {};
        }));
  }
  return width;
}

Status JoinMap::scan(const Files& left, const Files& right, std::int64_t width,
                     ThreadTables& tables) {
  if (left.empty() || right.empty()) return {};
  const std::array<const Files*, 2> files = {&left, &right};
  std::vector<sql::LakeRelation> relations;
  std::vector<sql::NamedSelect> selects;
  for (std::size_t i = 0; i < 2; ++i) {
    relations.push_back({std::string(kFileRelations[i]), sides_[i].stream(), *files[i]});
    selects.push_back({std::string(view::kJoinRelations[i]),
                       view::scan_relation(*sides_[i].join, kFileRelations[i], width)});
  }
  const sql::ScanStage stage{join_.scan_sql, [&] { return tables.sink(); }, input_.tables};
  return sql::scan_lake_relations(database_, relations, selects, stage, progress_.rows_done,
                                  progress_.cancel);
}

Status JoinMap::read(std::size_t number, const Files& files,
                     const std::function<Status(const view::JoinRows&)>& visit) {
  if (files.empty()) return {};
  const auto& side = sides_[number];
  return sql::query_lake_files(database_,
                               {std::string(kFileRelations[number]), side.stream(), files},
                               view::sound_rows_sql(*side.join, kFileRelations[number]),
                               [&](const BatchView& chunk) -> Status {
                                 if (progress_.cancel) return std::unexpected(cancelled());
                                 view::JoinRows rows(evaluator_->types(number));
                                 evaluator_->take_rows(number, chunk, rows);
                                 return visit(rows);
                               });
}

/// The right side in parts that fit into memory, each with all of the left side.
Result<view::GroupParts> JoinMap::one_by_one(std::uint64_t& skipped_pairs) {
  auto groups = groups_of(input_, input_.table_bytes_max);
  progress_.rows_done = 0;
  for (const bool added : {false, true}) {
    const auto left = added ? sides_[0].all() : sides_[0].added.files;
    auto right = std::make_unique<view::JoinIndex>(evaluator_->types(1));
    const auto join_part = [&]() -> Status {
      const view::JoinIndex* const part = right.get();
      if (part->rows() == 0) return {};
      MR_RETURN_IF_ERROR(read(0, left, [&](const view::JoinRows& rows) -> Status {
        MR_RETURN_IF_ERROR(
            evaluator_->join(0, rows, std::span(&part, 1), groups.table(), skipped_pairs));
        return groups.spill_if_large();
      }));
      right = std::make_unique<view::JoinIndex>(evaluator_->types(1));
      return {};
    };
    MR_RETURN_IF_ERROR(read(1, added ? sides_[1].added.files : sides_[1].old,
                            [&](const view::JoinRows& rows) -> Status {
                              progress_.rows_done += rows.rows.size();
                              right->add(rows);
                              return right->size_bytes() < kIndexBytes ? Status() : join_part();
                            }));
    MR_RETURN_IF_ERROR(join_part());
  }
  return groups.take();
}

Result<view::GroupParts> JoinMap::run(std::uint64_t& skipped_rows) {
  progress_.rows_done = 0;
  progress_.rows_total = 0;
  // A stream that is joined with itself has one range.
  const std::array streams = {*input_.streams.front().stream, *input_.streams.back().stream};
  MR_TRY(evaluator_, view::JoinEvaluator::make(database_, *input_.view, streams, input_.tables));
  for (std::size_t i = 0; i < 2; ++i) {
    auto& side = sides_[i];
    side.join = &join_.sides[i];
    side.range = &*std::ranges::find(input_.streams, side.join->stream,
                                     [](const auto& one) { return one.stream->id; });
    MR_TRY(side.added, files_of(lake_, *side.range, progress_));
    progress_.rows_total += side.added.rows;
    MR_RETURN_IF_ERROR(report_failures(i, skipped_rows));
  }
  for (std::size_t i = 0; i < 2; ++i) MR_RETURN_IF_ERROR(find_old(i));
  MR_TRY(const auto width, bucket_width());
  ThreadTables tables(input_);
  auto scanned = scan(sides_[0].added.files, sides_[1].all(), width, tables);
  if (scanned) scanned = scan(sides_[0].old, sides_[1].added.files, width, tables);
  if (!scanned && scanned.error().id == error_id::kEvaluation) return one_by_one(skipped_rows);
  if (!scanned) return std::unexpected(std::move(scanned).error());
  return tables.take();
}

}  // namespace

Result<view::GroupParts> map_join(sql::Database& database, lake::Lake& lake,
                                  const BatchInput& input, BatchProgress& progress,
                                  std::uint64_t& skipped_rows) {
  return JoinMap(database, lake, input, progress).run(skipped_rows);
}

}  // namespace millrace::batch
