// ALTER STREAM: checked against the views, then made at a moment at which the lake has every event
// of the stream (docs/decisions/0028). So the log never holds events of two definitions, files say
// by their commit which columns they have, and the views go on with the states that they have.
#include <algorithm>

#include "base/ascii_case.h"
#include "serving/statement_runner.h"
#include "sql/allow_list.h"
#include "sql/stream_alteration.h"
#include "sql/syntax.h"

namespace millrace::serving {

Result<std::vector<StreamDefinition>> StatementRunner::streams_after(
    const speed::ViewState& view, const StreamDefinition& after) const {
  MR_TRY(auto streams, streams_of(catalog_, view.record()));
  for (auto& stream : streams) {
    if (stream.id == after.id) stream = after;
  }
  return streams;
}

Status StatementRunner::check_views(const sql::AlterStream& statement,
                                    const speed::StreamState& stream,
                                    const StreamDefinition& after) {
  const StreamDefinition& before = stream.definition();
  const std::string_view changed = sql::changed_column(statement);
  std::vector<std::string> names;
  const auto add_name = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  const auto names_changed = [&](const std::string& select) {
    const auto tree = sql::parse_select(select);
    if (!tree) return false;
    const auto allowed = sql::check_select(*tree, sql::Use::kAdHoc,
                                           [&](std::string_view name) { return resolve(name); });
    const auto is_stream = [&](const auto& table) { return same_name(table, before.name); };
    const auto is_changed = [&](const auto& column) { return same_name(column, changed); };
    return allowed && std::ranges::any_of(allowed->tables, is_stream) &&
           std::ranges::any_of(allowed->columns, is_changed);
  };
  for (const auto& view : catalog_.views()) {
    // A plain view is bound when it is read: a wider type is no harm to it.
    const bool bound = view.materialized || statement.action != sql::AlterStream::Action::kType;
    if (bound && !changed.empty() && names_changed(view.select)) add_name(view.name);
  }
  for (const auto& view : stream.views()) {
    MR_TRY(const auto streams, streams_after(*view, after));
    const auto tables = view->tables();
    const auto made = make_view_state({speed_database_, lake_database_, lake_}, view->record(),
                                      streams, {tables.begin(), tables.end()});
    // A new column may take a name that the view uses for something else.
    if (!made || (*made)->compiled().fingerprint != view->compiled().fingerprint)
      add_name(view->record().name);
  }
  for (const auto& derived : catalog_.streams()) {
    if (derived.source != before.id || changed.empty()) continue;
    const auto tree = sql::parse_select(derived.select);
    const auto allowed =
        tree ? sql::check_select(*tree, sql::Use::kAdHoc,
                                 [&](std::string_view name) { return resolve(name); })
             : Result<sql::AllowedSelect>(std::unexpected(tree.error()));
    if (!allowed || std::ranges::any_of(allowed->columns, [&](const auto& column) {
          return same_name(column, changed);
        })) {
      names.push_back(derived.name);
    }
  }
  if (names.empty()) return {};
  const std::string column = !changed.empty() ? std::string(changed) : statement.column.name;
  return std::unexpected(
      Error{.code = ErrorCode::kFailedPrecondition,
            .id = std::string(error_id::kInUse),
            .message = fmt::format("column '{}' of stream {} is used by {}", column, before.name,
                                   fmt::join(names, ", ")),
            .hint = "replace these views by ones that do not use it (CREATE OR REPLACE), or drop "
                    "them; then alter the stream",
            .place = statement.column_place});
}

Result<StatementResult> StatementRunner::alter_stream(const sql::AlterStream& statement) {
  const auto stream = speed_.find_stream(statement.name);
  if (stream == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "there is no stream {}",
                statement.name);
  }
  const StreamDefinition before = stream->definition();
  if (before.source) {
    return fail(
        ErrorCode::kFailedPrecondition, error_id::kInUse,
        "{} is a derived stream, its columns are those of its SELECT: drop it and create it "
        "again",
        before.name);
  }
  MR_TRY(StreamDefinition after, sql::altered(before, statement));
  StatementResult done;
  done.command = "ALTER STREAM";
  if (after == before) return done;
  if (after.version != before.version) MR_RETURN_IF_ERROR(check_views(statement, *stream, after));
  std::map<ViewId, speed::ViewState::Stages> stages;
  for (const auto& view : stream->views()) {
    MR_TRY(const auto streams, streams_after(*view, after));
    MR_TRY(stages[view->record().id],
           make_stages(speed_database_, view->compiled(), streams, view->tables()));
  }
  std::vector<std::shared_ptr<ingest::Derivation>> derivations;
  for (const auto& derived : catalog_.streams()) {
    if (derived.source != before.id) continue;
    MR_TRY(auto derivation,
           ingest::Derivation::make(speed_database_, after, derived, derived.select));
    derivations.push_back(std::move(derivation));
  }
  MR_RETURN_IF_ERROR(lake_writer_.change_stream(
      stream,
      [&]() -> Status {
        MR_RETURN_IF_ERROR(catalog_.alter_stream(after));
        stream->redefine(after, std::move(stages));
        speed_.stream_altered();
        auto& living = lake_writer_.ingest().derivations();
        for (const auto& derivation : derivations) {
          living.remove(derivation->derived());
          living.add(after.id, derivation);
        }
        return {};
      },
      stopping_));
  return done;
}

}  // namespace millrace::serving
