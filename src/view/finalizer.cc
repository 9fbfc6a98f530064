#include "view/finalizer.h"

#include <algorithm>

#include "base/check.h"
#include "view/session_keys.h"
#include "view/state_layout.h"

namespace millrace::view {

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

Result<GroupTable> Finalizer::fold_sessions(const GroupTable& groups) const {
  GroupTable out(plan_);
  SessionKeys sessions(plan_, *session_gap_us_);
  Status status;
  groups.for_each_sorted([&](std::string_view key, std::string_view state) {
    if (!status) return;
    const auto begins = sessions.begins(key);
    status = begins ? out.merge_state(sessions.session(), state)
                    : Status(std::unexpected(begins.error()));
  });
  MR_RETURN_IF_ERROR(status);
  return out;
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
    MR_TRY(const auto sessions, fold_sessions(groups));
    MR_RETURN_IF_ERROR(sessions.finalize(columns_, true, *out));
  } else if (whole && !standing_keys_.empty()) {
    MR_RETURN_IF_ERROR(with_standing(groups, standing_keys_).finalize(columns_, true, *out));
  } else {
    MR_RETURN_IF_ERROR(groups.finalize(columns_, true, *out));
  }
  return finish(std::move(out));
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
