// How a view gets another definition without a gap. Of a materialized view the next definition is a
// view of its own that no name finds: it takes part in its stream from the start, the batch layer
// builds it from the lake, and when it lives, catalog and names are switched to it. A plain view is
// replaced in one step. Thread and errors: those of statement_runner.h.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/ascii_case.h"
#include "runtime/clock.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "speed/moment.h"
#include "sql/allow_list.h"
#include "sql/syntax.h"

namespace millrace::serving {

std::vector<std::string> StatementRunner::everything_read_by(std::string_view select) const {
  std::vector<std::string> out;
  std::vector<std::string> selects = {std::string(select)};
  while (!selects.empty()) {
    const auto tree = sql::parse_select(selects.back());
    selects.pop_back();
    if (!tree) continue;
    const auto allowed = sql::check_select(*tree, sql::Use::kAdHoc,
                                           [&](std::string_view name) { return resolve(name); });
    if (!allowed) continue;
    for (const auto& table : allowed->tables) {
      if (std::ranges::find(out, table) != out.end()) continue;
      out.push_back(table);
      const auto view = catalog_.find_view(table);
      if (view && !view->materialized) selects.push_back(view->select);
    }
  }
  return out;
}

std::vector<catalog::ViewRecord> StatementRunner::all_readers_of(std::string_view name) const {
  std::vector<catalog::ViewRecord> readers;
  for (auto& view : catalog_.views()) {
    if (view.materialized || same_name(view.name, name)) continue;
    const auto read = everything_read_by(view.select);
    if (std::ranges::any_of(read, [&](const auto& other) { return same_name(other, name); }))
      readers.push_back(std::move(view));
  }
  return readers;
}

std::vector<StatementRunner::Redefinition> StatementRunner::pending_redefinitions() const {
  std::vector<Redefinition> out;
  for (const auto& view : speed_.named_views()) {
    if (const auto next = speed_.replacement_of(view->record().id)) {
      out.push_back(
          {.name = view->record().name, .select = {}, .columns = columns_of(next->compiled())});
    }
  }
  return out;
}

Status StatementRunner::check_readers(const Redefinition& change) {
  for (const auto& reader : all_readers_of(change.name)) {
    auto columns = columns_of_select(reader.select, {&change, 1});
    if (columns) continue;
    auto error = std::move(columns).error();
    error.place = {};  // of the reader's text, which this statement does not have
    if (error.code != ErrorCode::kInvalidArgument && error.code != ErrorCode::kNotFound)
      return std::unexpected(std::move(error));
    return std::unexpected(
        Error{.code = ErrorCode::kFailedPrecondition,
              .id = std::string(error_id::kInUse),
              .message = fmt::format("the view {} reads {} and would not work with it any more: {}",
                                     reader.name, change.name, error.message),
              .hint = fmt::format("replace or drop {} first", reader.name),
              .place = {}});
  }
  return {};
}

Result<StatementResult> StatementRunner::replace_plain_view(catalog::ViewRecord record,
                                                            const sql::CreateView& statement) {
  if (record.materialized) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists,
                "{} is a materialized view: DROP MATERIALIZED VIEW it, or use CREATE OR REPLACE "
                "MATERIALIZED VIEW",
                record.name);
  }
  const auto read = everything_read_by(statement.select);
  if (std::ranges::any_of(read, [&](const auto& name) { return same_name(name, record.name); })) {
    return fail(ErrorCode::kInvalidArgument, error_id::kInUse, "{} would read itself: it reads {}",
                record.name, fmt::join(read, ", "));
  }
  MR_RETURN_IF_ERROR(
      check_readers({.name = record.name, .select = statement.select, .columns = {}}));
  record.select = statement.select;
  record.sql = statement.sql;
  record.created_us = runtime::wall_us();
  MR_RETURN_IF_ERROR(catalog_.redefine_view(record));
  StatementResult result;
  result.command = "CREATE VIEW";
  return result;
}

Result<bool> StatementRunner::make_room_for_replacement(const speed::ViewState& next) {
  const auto serving = speed_.find_view(next.record().name);
  MR_CHECK(serving != nullptr, "view {} is in the catalog and does not live", next.record().name);
  const auto is_next = [&](const speed::ViewState& view) {
    return view.compiled().fingerprint == next.compiled().fingerprint &&
           view.record().streams == next.record().streams &&
           view.phase() != speed::ViewPhase::kFailed;
  };
  const auto building = speed_.replacement_of(serving->record().id);
  if (building != nullptr && is_next(*building)) return true;
  if (building != nullptr) MR_RETURN_IF_ERROR(drop_replacement(*building));
  return is_next(*serving);
}

Status StatementRunner::drop_replacement(const speed::ViewState& replacement) {
  const auto& record = replacement.record();
  MR_TRY(const auto garbage, catalog_.drop_view(record.id));
  for (const auto& stream : speed_.streams_of(replacement)) stream->remove_view(record.id);
  speed_.remove_view(record.id);
  state_files_.remove(garbage);
  return {};
}

void StatementRunner::switch_to(const std::shared_ptr<speed::ViewState>& view) {
  const auto& record = view->record();
  if (!record.replaces || view->phase() != speed::ViewPhase::kLive) return;
  // It has its place already, or it was dropped.
  if (speed_.replacement_of(*record.replaces) != view) return;
  const auto garbage = catalog_.switch_view(record.id);
  if (!garbage) {
    // The old definition serves on; the next generation tries again.
    spdlog::error("view {} is not replaced: {}", record.name, garbage.error().message);
    view->note_run(garbage.error());
    return;
  }
  const auto replaced = speed_.find_view(record.name);
  auto streams = speed_.streams_of(*view);
  for (auto& stream : speed_.streams_of(*replaced)) streams.push_back(std::move(stream));
  speed::switch_view(streams, *record.replaces,
                     [&] { speed_.switch_view(*record.replaces, record.id); });
  state_files_.remove(*garbage);
  drop_old_table_contents();
  spdlog::info("view {} is replaced", record.name);
}

Status StatementRunner::start_view(catalog::ViewRecord record,
                                   std::span<const StreamDefinition> streams) {
  std::vector<std::shared_ptr<speed::StreamState>> states;
  for (const auto& stream : streams) {
    states.push_back(speed_.stream(stream.id));
    MR_CHECK(states.back() != nullptr, "stream {} is in the catalog and does not live",
             stream.name);
  }
  MR_TRY(auto tables, tables_.read_all(record.tables));
  MR_TRY(record, catalog_.create_view(record));
  MR_TRY(const auto view, make_view_state({speed_database_, lake_database_, lake_}, record, streams,
                                          std::move(tables)));
  bool building = false;
  speed::add_view(states, view, [&](std::span<const catalog::Cut> edges) {
    std::vector<Position> ends;
    for (const auto& edge : edges) {
      building = building || edge.commit.value != 0;
      ends.push_back(edge.end);
    }
    if (building) {
      view->start_building(std::move(ends));
    } else {
      catalog::Generation empty;
      empty.view = record.id;
      empty.cuts.resize(ends.size());
      view->restore(empty, view::StateRun::empty(), {}, std::move(ends), 0);
    }
  });
  if (record.replaces) {
    speed_.add_replacement(view, *record.replaces);
    switch_to(view);
  } else {
    speed_.add_view(view);
  }
  if (building) batch_.request(false, "build");
  return {};
}

void StatementRunner::refresh_views() {
  const MutexLock lock(definitions_);
  refresh_views_locked();
}

void StatementRunner::refresh_views_locked() {
  for (const auto& view : speed_.named_views()) {
    auto record = view->record();
    if (record.tables.empty()) continue;
    std::vector<catalog::TableUse> newest;
    for (const auto& use : record.tables) {
      const auto table = catalog_.table(use.table);
      MR_CHECK(table.has_value(), "view {} is made of table {}, which is not there", record.name,
               use.table);
      newest.push_back({use.table, table->newest().version});
    }
    if (record.tables == newest) continue;
    if (const auto next = speed_.replacement_of(record.id)) {
      // What is being built is finished first, so that many small changes cannot keep a view from
      // ever being renewed; when it has its place, this runs again.
      if (next->phase() != speed::ViewPhase::kFailed) continue;
      if (const auto dropped = drop_replacement(*next); !dropped) {
        spdlog::error("view {}: {}", record.name, dropped.error().message);
        continue;
      }
    }
    const auto streams = streams_of(catalog_, record);
    MR_CHECK(streams.has_value(), "view {}: {}", record.name, streams.error().message);
    record.replaces = record.id;
    record.id = {};
    record.tables = std::move(newest);
    record.created_us = runtime::wall_us();
    if (const auto started = start_view(record, *streams); !started) {
      spdlog::error("view {} is not rebuilt over its tables: {}", record.name,
                    started.error().message);
      view->note_run(started.error());
    }
  }
}

void StatementRunner::finish_replacement(const std::shared_ptr<speed::ViewState>& view) {
  if (!view->record().replaces) return;
  const MutexLock lock(definitions_);
  switch_to(view);
  refresh_views_locked();
}

std::optional<ReplacementProgress> StatementRunner::replacement_of(
    const speed::ViewState& view) const {
  const auto next = speed_.replacement_of(view.record().id);
  if (next == nullptr) return std::nullopt;
  return ReplacementProgress{.phase = next->phase(),
                             .built = batch_.built(next->record().id),
                             .trouble = next->trouble(),
                             .sql = next->record().sql};
}

}  // namespace millrace::serving
