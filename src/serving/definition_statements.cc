// CREATE and DROP of streams and views, and what a definition is made of when the program starts.
#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ascii_case.h"
#include "model/topic_rule.h"
#include "runtime/clock.h"
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "sql/allow_list.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

std::uint64_t hash_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

struct CheckedSelect {
  boost::json::object tree;
  sql::AllowedSelect allowed;
};

/// The SELECT of a definition, which stands at `start` of its statement.
Result<CheckedSelect> check_definition(
    const std::string& select, TextPlace start,
    const std::function<std::string(std::string_view)>& resolve) {
  auto tree = sql::parse_select(select);
  if (!tree) return std::unexpected(placed_behind(std::move(tree).error(), start));
  auto allowed = sql::check_select(*tree, sql::Use::kView, resolve, select);
  if (!allowed) return std::unexpected(placed_behind(std::move(allowed).error(), start));
  return CheckedSelect{std::move(*tree), std::move(*allowed)};
}

}  // namespace

/// What the SELECT of a derived stream says of its definition.
Status StatementRunner::define_derived(const sql::CreateStream& statement,
                                       StreamDefinition& definition) {
  MR_TRY(const auto select, check_definition(statement.select, statement.select_place,
                                             [&](std::string_view name) { return resolve(name); }));
  const auto& tables = select.allowed.tables;
  const auto source = tables.size() == 1 ? catalog_.find_stream(*tables.begin())
                                         : std::optional<StreamDefinition>();
  if (!source) {
    return fail(ErrorCode::kInvalidArgument, error_id::kNotMergeable,
                "a derived stream reads one stream, this SELECT reads {}", fmt::join(tables, ", "));
  }
  auto rows = view::compile_row_select(speed_database_, statement.select, select.tree, *source);
  if (!rows) return std::unexpected(placed_behind(std::move(rows).error(), statement.select_place));
  definition.columns = std::move(rows->columns);
  definition.source = source->id;
  definition.select = std::move(rows->sql);
  if (!statement.options.empty())
    MR_RETURN_IF_ERROR(sql::apply_stream_options(statement.options, definition));
  if (definition.dedup_column) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "a derived stream takes no dedup: give it to {}", source->name);
  }
  return {};
}

Status StatementRunner::check_topics_are_free(const StreamDefinition& definition) const {
  if (definition.mqtt.empty()) return {};
  if (definition.source) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "a derived stream takes no mqtt: give it to the stream that its SELECT reads");
  }
  MR_TRY(const auto rule, TopicRule::parse(definition.mqtt));
  if (!rule.content_type.empty()) {
    // A word that means nothing yet to this program is told now and not by a quarantine.
    MR_RETURN_IF_ERROR(format::payload_type_of(rule.content_type));
  }
  for (const auto& stream : catalog_.streams()) {
    if (stream.mqtt.empty()) continue;
    MR_TRY(const auto other, TopicRule::parse(stream.mqtt));
    if (!rule.overlaps(other)) continue;
    return std::unexpected(
        Error{.code = ErrorCode::kAlreadyExists,
              .id = std::string(error_id::kInUse),
              .message = fmt::format("topics of '{}' go to stream {} already, by '{}'",
                                     definition.mqtt, stream.name, stream.mqtt),
              .hint = "a message goes to one stream: let a derived stream read it, or choose "
                      "topics that differ in a level",
              .place = {}});
  }
  return {};
}

Result<StatementResult> StatementRunner::create_stream(const sql::CreateStream& statement) {
  if (statement.if_not_exists && catalog_.find_stream(statement.definition.name))
    return done("CREATE STREAM");
  MR_RETURN_IF_ERROR(check_name_is_free(statement.definition.name));
  auto definition = statement.definition;
  if (!statement.select.empty()) MR_RETURN_IF_ERROR(define_derived(statement, definition));
  MR_RETURN_IF_ERROR(check_topics_are_free(definition));
  MR_TRY(const auto created, catalog_.create_stream(definition));
  if (created.quarantine) {
    if (const auto quarantine = catalog_.stream(*created.quarantine)) {
      speed_.add_stream(*quarantine, CommitNumber(0), Position(quarantine->partitions));
    }
  }
  speed_.add_stream(created, CommitNumber(0), Position(created.partitions));
  if (created.source)
    MR_RETURN_IF_ERROR(start_derivation(speed_database_, lake_writer_.ingest(), catalog_, created));
  return done("CREATE STREAM");
}

Status StatementRunner::start_derivation(sql::Database& database, ingest::Ingest& ingest,
                                         const catalog::Catalog& catalog,
                                         const StreamDefinition& derived) {
  const auto source = catalog.stream(*derived.source);
  if (!source) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "stream {} is derived of stream {}, which the catalog does not have", derived.name,
                *derived.source);
  }
  MR_TRY(auto derivation, ingest::Derivation::make(database, *source, derived, derived.select));
  ingest.derivations().add(source->id, std::move(derivation));
  return {};
}

Result<std::shared_ptr<speed::ViewState>> StatementRunner::make_view_state(
    const ViewMakers& makers, const catalog::ViewRecord& record,
    std::span<const StreamDefinition> streams, std::vector<sql::ReferenceTable> tables) {
  auto& database = makers.database;
  MR_TRY(const auto tree, sql::parse_select(record.select));
  std::vector<view::TableDefinition> definitions;
  for (const auto& table : tables) definitions.push_back({table.name, table.columns});
  MR_TRY(auto compiled, view::compile_view(database, record.select, tree, streams, definitions));
  // States over other contents of the tables are states of another view.
  for (const auto& use : record.tables) {
    compiled.fingerprint =
        hash_of(fmt::format("{} {} {}", compiled.fingerprint, use.table, use.version));
  }
  MR_TRY(auto stages, make_stages(database, compiled, streams, tables));
  std::unique_ptr<speed::ViewJoin> join;
  if (compiled.join) {
    join = speed::ViewJoin::make(std::move(stages.join), makers.lake_database, makers.lake,
                                 *compiled.join, streams);
  }
  MR_TRY(auto finalizer, view::Finalizer::make(database, compiled));
  return std::make_shared<speed::ViewState>(record, std::move(compiled),
                                            std::move(stages.evaluators), std::move(finalizer),
                                            std::move(tables), std::move(join));
}

Result<speed::ViewState::Stages> StatementRunner::make_stages(
    sql::Database& database, const view::CompiledView& compiled,
    std::span<const StreamDefinition> streams, std::span<const sql::ReferenceTable> tables) {
  speed::ViewState::Stages stages;
  for (std::size_t i = 0; i < compiled.inputs.size(); ++i) {
    const auto stream =
        std::ranges::find(streams, compiled.inputs[i].stream, &StreamDefinition::id);
    MR_TRY(auto evaluator, view::Evaluator::make(database, compiled, i, *stream, tables));
    stages.evaluators.push_back(std::move(evaluator));
  }
  if (compiled.join) {
    MR_TRY(stages.join, view::JoinEvaluator::make(database, compiled, streams, tables));
  }
  return stages;
}

Result<std::vector<StreamDefinition>> StatementRunner::streams_of(
    const catalog::Catalog& catalog, const catalog::ViewRecord& record) {
  std::vector<StreamDefinition> out;
  for (const auto id : record.streams) {
    auto stream = catalog.stream(id);
    if (!stream) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "view {} reads stream {}, which the catalog does not have", record.name, id);
    }
    out.push_back(std::move(*stream));
  }
  return out;
}

Result<StatementResult> StatementRunner::create_materialized_view(
    const sql::CreateView& statement) {
  if (statement.if_not_exists && catalog_.find_view(statement.name))
    return done("CREATE MATERIALIZED VIEW");
  const auto replaced = statement.or_replace ? catalog_.find_view(statement.name) : std::nullopt;
  if (!replaced) MR_RETURN_IF_ERROR(check_name_is_free(statement.name));
  if (replaced && !replaced->materialized) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists,
                "{} is a plain view: DROP VIEW it, or use CREATE OR REPLACE VIEW", replaced->name);
  }
  MR_TRY(const auto select, check_definition(statement.select, statement.select_place,
                                             [&](std::string_view name) { return resolve(name); }));
  std::vector<StreamDefinition> streams;
  std::vector<catalog::TableUse> tables;
  for (const auto& name : select.allowed.tables) {
    if (auto stream = catalog_.find_stream(name)) {
      streams.push_back(std::move(*stream));
    } else if (const auto table = catalog_.find_table(name)) {
      tables.push_back({table->id, table->newest().version});
    } else {
      return fail(ErrorCode::kInvalidArgument, error_id::kNotMergeable,
                  "a materialized view reads a stream, and {} is a view; use CREATE VIEW", name);
    }
  }
  if (streams.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kNotMergeable,
                "a materialized view reads a stream, this SELECT reads none; use CREATE VIEW");
  }
  catalog::ViewRecord record;
  record.name = replaced ? replaced->name : statement.name;
  record.materialized = true;
  for (const auto& stream : streams) record.streams.push_back(stream.id);
  record.tables = std::move(tables);
  record.select = statement.select;
  record.sql = statement.sql;
  record.created_us = runtime::wall_us();
  // Made once for its errors, before the catalog knows of it.
  MR_TRY(auto contents, tables_.read_all(record.tables));
  auto trial = make_view_state({speed_database_, lake_database_, lake_}, record, streams,
                               std::move(contents));
  if (!trial)
    return std::unexpected(placed_behind(std::move(trial).error(), statement.select_place));
  if (replaced) {
    MR_RETURN_IF_ERROR(check_readers(
        {.name = record.name, .select = {}, .columns = columns_of((*trial)->compiled())}));
    MR_TRY(const bool there, make_room_for_replacement(**trial));
    if (there) return done("CREATE MATERIALIZED VIEW");
    record.replaces = replaced->id;
  }
  MR_RETURN_IF_ERROR(start_view(std::move(record), streams));
  return done("CREATE MATERIALIZED VIEW");
}

Result<StatementResult> StatementRunner::create_view(const sql::CreateView& statement) {
  if (statement.if_not_exists && catalog_.find_view(statement.name)) return done("CREATE VIEW");
  const auto replaced = statement.or_replace ? catalog_.find_view(statement.name) : std::nullopt;
  if (!replaced) MR_RETURN_IF_ERROR(check_name_is_free(statement.name));
  // Tried without rows, so that an unknown column is an error now and not at the first use.
  if (auto trial = columns_of_select(statement.select); !trial)
    return std::unexpected(placed_behind(std::move(trial).error(), statement.select_place));
  for (const auto& pending : pending_redefinitions()) {
    if (auto trial = columns_of_select(statement.select, {&pending, 1}); !trial) {
      return std::unexpected(
          placed_behind(std::move(trial).error(), statement.select_place)
              .within("with the definition of {} that is being built", pending.name));
    }
  }
  if (replaced) return replace_plain_view(*replaced, statement);
  catalog::ViewRecord record;
  record.name = statement.name;
  record.select = statement.select;
  record.sql = statement.sql;
  record.created_us = runtime::wall_us();
  MR_TRY(record, catalog_.create_view(record));
  return done("CREATE VIEW");
}

std::vector<std::string> StatementRunner::readers_of(std::string_view name) const {
  std::vector<std::string> readers;
  for (const auto& view : catalog_.views()) {
    const auto tree = sql::parse_select(view.select);
    if (!tree) continue;
    const auto allowed = sql::check_select(*tree, sql::Use::kAdHoc,
                                           [&](std::string_view other) { return resolve(other); });
    if (!allowed) continue;
    if (std::ranges::any_of(allowed->tables,
                            [&](const auto& table) { return same_name(table, name); }) &&
        std::ranges::find(readers, view.name) == readers.end()) {
      readers.push_back(view.name);
    }
  }
  return readers;
}

Result<StatementResult> StatementRunner::drop(const sql::Drop& statement) {
  if (statement.kind == sql::ObjectKind::kTable) return drop_table(statement);
  if (statement.kind == sql::ObjectKind::kConnection) return drop_connection(statement);
  if (statement.kind == sql::ObjectKind::kSink) return drop_sink(statement);
  const std::string command = statement.kind == sql::ObjectKind::kStream ? "DROP STREAM"
                              : statement.kind == sql::ObjectKind::kMaterializedView
                                  ? "DROP MATERIALIZED VIEW"
                                  : "DROP VIEW";
  const auto stream = catalog_.find_stream(statement.name);
  const auto view = catalog_.find_view(statement.name);
  const bool wants_stream = statement.kind == sql::ObjectKind::kStream;
  if (wants_stream ? !stream : !view) {
    if (statement.if_exists && !stream && !view) return done(command);
    auto error =
        Error{.code = ErrorCode::kNotFound,
              .id = std::string(wants_stream ? error_id::kStreamNotFound : error_id::kViewNotFound),
              .message = fmt::format("there is no {} {}", wants_stream ? "stream" : "view",
                                     statement.name),
              .hint = {},
              .place = {}};
    if (stream || view)
      error.hint = fmt::format("{} is a {}", statement.name, stream ? "stream" : "view");
    return std::unexpected(std::move(error));
  }
  const bool wants_materialized = statement.kind == sql::ObjectKind::kMaterializedView;
  if (view && view->materialized != wants_materialized) {
    return fail(ErrorCode::kInvalidArgument, error_id::kViewNotFound, "{} is a {}: use DROP {}",
                view->name, view->materialized ? "materialized view" : "plain view",
                view->materialized ? "MATERIALIZED VIEW" : "VIEW");
  }
  auto readers = readers_of(statement.name);
  if (stream) {
    for (auto& reader : readers_of(stream->name + std::string(kQuarantineSuffix)))
      readers.push_back(std::move(reader));
  }
  for (const auto& derived : catalog_.streams()) {
    if (stream && derived.source == stream->id) readers.push_back(derived.name);
  }
  if (view) {
    for (auto& reader : sinks_.readers_of(view->name)) readers.push_back(std::move(reader));
  }
  if (!readers.empty()) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                "{} is read by {}: drop that first", statement.name, fmt::join(readers, ", "));
  }
  if (view) {
    const auto replacement = speed_.replacement_of(view->id);
    MR_TRY(const auto garbage, catalog_.drop_view(view->id));
    if (view->materialized) {
      for (const auto& gone : {replacement, speed_.find_view(view->name)}) {
        if (gone == nullptr) continue;
        for (const auto& state : speed_.streams_of(*gone)) state->remove_view(gone->record().id);
        speed_.remove_view(gone->record().id);
      }
    }
    state_files_.remove(garbage);
    drop_old_table_contents();
    return done(command);
  }
  if (!stream->quarantine) {
    return fail(ErrorCode::kInvalidArgument, error_id::kInUse,
                "{} belongs to its stream and goes with it", stream->name);
  }
  MR_RETURN_IF_ERROR(catalog_.drop_stream(stream->id));
  lake_writer_.ingest().derivations().remove(stream->id);
  speed_.remove_stream(stream->id);
  speed_.remove_stream(*stream->quarantine);
  return done(command);
}

}  // namespace millrace::serving
