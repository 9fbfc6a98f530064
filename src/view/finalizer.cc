#include "view/finalizer.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "view/key_codec.h"
#include "view/state_layout.h"

namespace millrace::view {

namespace {
constexpr std::size_t kAllRows = std::numeric_limits<std::size_t>::max();
/// That the final SQL computes at once.
constexpr std::size_t kStageRows = 16 * 1024;
}  // namespace

Finalizer::Finalizer(const CompiledView& view, std::unique_ptr<sql::ScalarStage> stage)
    : plan_(view.plan),
      standing_keys_(view.standing_keys),
      session_gap_us_(view.session_gap_us),
      stage_(std::move(stage)) {
  for (const auto& output : view.outputs) output_types_.push_back(output.type);
  if (stage_ != nullptr) {
    columns_ = view.group_columns;
    return;
  }
  for (const auto column : view.plain_outputs) columns_.push_back(view.group_columns[column]);
}

Finalizer::~Finalizer() = default;

Result<std::unique_ptr<Finalizer>> Finalizer::make(sql::Database& database,
                                                   const CompiledView& view) {
  std::unique_ptr<sql::ScalarStage> stage;
  if (!view.final_sql.empty()) {
    StreamDefinition groups;
    groups.name = kGroupRelation;
    for (const auto& column : view.group_columns)
      groups.columns.push_back({column.name, column.type});
    MR_TRY(stage, sql::ScalarStage::prepare(database, view.final_sql, groups));
  }
  return std::unique_ptr<Finalizer>(new Finalizer(view, std::move(stage)));
}

GroupTable Finalizer::with_standing(const GroupTable& groups,
                                    std::span<const std::string> keys) const {
  const StateLayout layout(plan_, 0);
  SingleState empty(layout);
  std::string state;
  layout.encode(empty.get(), state);
  GroupTable out = groups;
  for (const auto& key : keys) {
    const auto added = out.merge_state(key, state);
    MR_CHECK(added.has_value(), "an empty state is no state: {}", added.error().message);
  }
  return out;
}

namespace {

/// Tells of one group after the other, in the order of their keys, whether it is of the same
/// session as the one before.
class SessionEdges {
 public:
  SessionEdges(std::span<const Type> keys, std::int64_t gap_us) : keys_(keys), gap_us_(gap_us) {}

  Result<bool> goes_on(std::string_view key) {
    MR_RETURN_IF_ERROR(split_key(key, keys_, columns_));
    const std::string_view time = columns_.back();
    const bool has_time = time.front() != 0;
    ColumnBatch value(keys_.last(1));
    push_key_column(time, value.column(0), value.arena());
    const std::int64_t now_us = has_time ? value.column(0).data<std::int64_t>()[0] : 0;
    const std::string_view others = key.substr(0, key.size() - time.size());
    // Times ascend, so the difference of two is not negative; it fits 64 unsigned bits.
    const bool same = any_ && has_time && last_has_time_ && others == others_ &&
                      static_cast<std::uint64_t>(now_us) - static_cast<std::uint64_t>(last_us_) <=
                          static_cast<std::uint64_t>(gap_us_);
    any_ = true;
    last_has_time_ = has_time;
    last_us_ = now_us;
    others_.assign(others);
    return same;
  }

 private:
  std::span<const Type> keys_;
  std::int64_t gap_us_;
  std::vector<std::string_view> columns_;
  bool any_ = false;
  bool last_has_time_ = false;
  std::int64_t last_us_ = 0;
  std::string others_;
};

}  // namespace

/// Up to about `rows_max` rows. A session is never cut in two.
Status Finalizer::add_rows(StateCursor& groups, std::size_t rows_max, ColumnBatch& out) const {
  GroupFold fold(plan_);
  std::optional<SessionEdges> edges;
  if (session_gap_us_) edges.emplace(plan_.keys, *session_gap_us_);
  std::string key;  // of the row that is being made
  bool open = false;
  while (!groups.at_end()) {
    bool same = false;
    if (edges) {
      MR_TRY(same, edges->goes_on(groups.key()));
    }
    if (open && !same) {
      MR_RETURN_IF_ERROR(fold.finalize(key, columns_, out));
      open = false;
      // The next call begins with this group, which begins a session.
      if (out.rows() >= rows_max) return {};
    }
    if (!open) {
      fold.clear();
      key.assign(groups.key());
      open = true;
    }
    MR_RETURN_IF_ERROR(fold.add(groups.state()));
    MR_RETURN_IF_ERROR(groups.next());
  }
  return open ? fold.finalize(key, columns_, out) : Status();
}

Result<std::shared_ptr<ColumnBatch>> Finalizer::finish(std::shared_ptr<ColumnBatch> groups) const {
  if (stage_ == nullptr) return groups;
  auto out = std::make_shared<ColumnBatch>(output_types_);
  if (groups->rows() == 0) return out;
  StreamBatch batch;
  batch.columns = std::move(groups);
  MR_RETURN_IF_ERROR(
      stage_->run(std::span(&batch, 1), [&](const BatchView& rows) { out->append_all(rows); }));
  return out;
}

namespace {

std::shared_ptr<ColumnBatch> batch_of(std::span<const OutputColumn> columns) {
  std::vector<Type> types;
  for (const auto& column : columns) types.push_back(column.type);
  return std::make_shared<ColumnBatch>(types);
}

}  // namespace

Result<std::shared_ptr<ColumnBatch>> Finalizer::rows(const GroupTable& groups, bool whole) const {
  auto out = batch_of(columns_);
  if (session_gap_us_) {
    SortedGroups sorted(std::make_shared<const GroupTable>(groups));
    MR_RETURN_IF_ERROR(add_rows(sorted, kAllRows, *out));
  } else if (whole && !standing_keys_.empty()) {
    MR_RETURN_IF_ERROR(with_standing(groups, standing_keys_).finalize(columns_, true, *out));
  } else {
    MR_RETURN_IF_ERROR(groups.finalize(columns_, true, *out));
  }
  return finish(std::move(out));
}

Result<std::shared_ptr<ColumnBatch>> Finalizer::rows(StateCursor& groups) const {
  if (stage_ == nullptr) {
    auto out = batch_of(columns_);
    MR_RETURN_IF_ERROR(add_rows(groups, kAllRows, *out));
    return out;
  }
  auto out = std::make_shared<ColumnBatch>(output_types_);
  while (!groups.at_end()) {
    auto piece = batch_of(columns_);
    MR_RETURN_IF_ERROR(add_rows(groups, kStageRows, *piece));
    MR_TRY(const auto rows, finish(std::move(piece)));
    const auto views = rows->views();
    out->append_all({views, rows->rows()});
  }
  return out;
}

Result<std::shared_ptr<ColumnBatch>> Finalizer::rows_of(const GroupTable& groups,
                                                        std::span<const std::string> keys) const {
  MR_CHECK(!session_gap_us_, "the key of a session is not known before it is folded");
  std::vector<std::string> standing;
  for (const auto& key : keys) {
    if (std::ranges::find(standing_keys_, key) != standing_keys_.end()) standing.push_back(key);
  }
  auto out = batch_of(columns_);
  const auto take = [&](const GroupTable& from) -> Status {
    for (const auto& key : keys) {
      auto found = from.finalize_one(key, columns_, *out);
      if (!found) return std::unexpected(std::move(found).error());
    }
    return {};
  };
  MR_RETURN_IF_ERROR(standing.empty() ? take(groups) : take(with_standing(groups, standing)));
  return finish(std::move(out));
}

}  // namespace millrace::view
