#include "serving/statement_runner.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ascii_case.h"
#include "model/topic_rule.h"
#include "runtime/clock.h"
#include "serving/lake_pruning.h"
#include "serving/statement_rows.h"
#include "serving/view_reader.h"
#include "speed/moment.h"
#include "sql/allow_list.h"
#include "sql/catalogue_rewrite.h"
#include "sql/lake_select.h"
#include "sql/parameters.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

/// SELECTs that wait for a view's first generation hold a thread each: a few may, so that the other
/// statements find one, and not for ever.
constexpr unsigned kWaitersMax = 2;
constexpr std::uint64_t kWaitMsMax = 30'000;

/// Whether a SELECT with these column names wants the hidden columns of streams.
bool wants_hidden(const sql::AllowedSelect& allowed) {
  return std::ranges::any_of(allowed.columns, [](const std::string& column) {
    return same_name(column, kPartitionColumn) || same_name(column, kOffsetColumn) ||
           same_name(column, kArrivalColumn);
  });
}

std::string progress_text(const speed::ViewState& view, double built,
                          const std::optional<ReplacementProgress>& replacement) {
  const auto percent = [](double part) { return static_cast<int>(part * 100); };
  std::string out;
  if (view.phase() == speed::ViewPhase::kBuilding)
    out = fmt::format("building {} %", percent(built));
  if (const auto trouble = view.trouble())
    out += fmt::format("{}{}", out.empty() ? "" : "; ", trouble->message);
  if (replacement) {
    out += fmt::format("{}replacement {}", out.empty() ? "" : "; ", name(replacement->phase));
    if (replacement->phase == speed::ViewPhase::kBuilding)
      out += fmt::format(" {} %", percent(replacement->built));
    if (replacement->trouble) out += fmt::format(": {}", replacement->trouble->message);
  }
  return out;
}

std::uint64_t hash_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }
/// The position of the one stream, or an object of them by the streams' names.
std::string position_text(const SourceCoverage& source,
                          Position speed::StreamCoverage::* position) {
  const auto& streams = source.coverage.streams;
  if (streams.size() == 1) return (streams.front().*position).json();
  std::string out;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    out += fmt::format("{}\"{}\":{}", i == 0 ? "{" : ",", source.streams[i],
                       (streams[i].*position).json());
  }
  return out + "}";
}

/// Places in a view's SELECT count from the start of the whole statement.
Error placed_behind(Error error, TextPlace start) {
  if (error.place.line == 0) return error;
  if (error.place.line == 1) error.place.column += start.column - 1;
  error.place.line += start.line - 1;
  return error;
}

}  // namespace

StatementRunner::StatementRunner(catalog::Catalog& catalog, log::CommitLog& log, lake::Lake& lake,
                                 lake::Tables& tables, batch::StateFiles& state_files,
                                 speed::SpeedLayer& speed, sql::Database& speed_database,
                                 sql::Database& lake_database, sql::QueryWorkers& workers,
                                 ingest::LakeWriter& lake_writer, BatchScheduler& batch,
                                 access::Access& access, bridge::Bridge& bridge, ChangeFeed& feed,
                                 Sinks& sinks, StatementOptions options)
    : catalog_(catalog),
      log_(log),
      lake_(lake),
      tables_(tables),
      state_files_(state_files),
      speed_(speed),
      speed_database_(speed_database),
      lake_database_(lake_database),
      workers_(workers),
      lake_writer_(lake_writer),
      batch_(batch),
      access_(access),
      bridge_(bridge),
      feed_(feed),
      sinks_(sinks),
      options_(options) {}

Result<StatementResult> StatementRunner::run(std::string_view sql,
                                             const std::filesystem::path& base_folder) {
  MR_TRY(const auto statement, sql::parse_statement(sql));
  return execute(statement, access::Principal::owner(), base_folder);
}

Result<StatementResult> StatementRunner::run_as(const access::Principal& who,
                                                std::string_view sql) {
  MR_TRY(const auto statement, sql::parse_statement(sql));
  return run_as(who, statement, {});
}

Result<StatementResult> StatementRunner::run_as(const access::Principal& who,
                                                const sql::Statement& statement,
                                                const StatementContext& context) {
  MR_RETURN_IF_ERROR(check_allowed(who, statement));
  auto result = execute(statement, who, {}, context);
  if (!result) return std::unexpected(told(who, std::move(result).error()));
  return result;
}

Result<StatementResult> StatementRunner::execute(const sql::Statement& statement,
                                                 const access::Principal& who,
                                                 const std::filesystem::path& base_folder,
                                                 const StatementContext& context) {
  return std::visit(
      [&](const auto& parsed) -> Result<StatementResult> {
        using T = std::decay_t<decltype(parsed)>;
        if constexpr (std::is_same_v<T, sql::Select>) {
          MR_TRY(const auto read, read_select(parsed.text));
          return select(who, read, context);
        } else if constexpr (std::is_same_v<T, sql::Show>) {
          return show(who, parsed);
        } else if constexpr (std::is_same_v<T, sql::Describe>) {
          return describe(parsed);
        } else if constexpr (std::is_same_v<T, sql::ReplayQuarantine>) {
          return replay_quarantine(parsed);
        } else if constexpr (std::is_same_v<T, sql::CreateTable>) {
          return create_table(parsed, base_folder);
        } else if constexpr (std::is_same_v<T, sql::Insert>) {
          if (!catalog_.find_stream(parsed.table)) return insert(parsed);
          MR_TRY(const auto rows, insert_rows(who, parsed, context));
          MR_TRY(const auto count, append(rows));
          return changed("INSERT", count);
        } else if constexpr (std::is_same_v<T, sql::Update>) {
          return update(parsed);
        } else if constexpr (std::is_same_v<T, sql::Delete>) {
          return remove(parsed);
        } else if constexpr (std::is_same_v<T, sql::CreateUser>) {
          return create_user(parsed);
        } else if constexpr (std::is_same_v<T, sql::DropUser>) {
          return drop_user(parsed);
        } else if constexpr (std::is_same_v<T, sql::CreateToken>) {
          return create_token(parsed);
        } else if constexpr (std::is_same_v<T, sql::DropToken>) {
          return drop_token(parsed);
        } else if constexpr (std::is_same_v<T, sql::GrantStatement>) {
          return change_grants(parsed);
        } else if constexpr (std::is_same_v<T, sql::CreateConnection>) {
          return create_connection(parsed);
        } else if constexpr (std::is_same_v<T, sql::AlterConnection>) {
          return alter_connection(parsed);
        } else if constexpr (std::is_same_v<T, sql::CreateSink>) {
          return create_sink(parsed);
        } else if constexpr (std::is_same_v<T, sql::AlterSink>) {
          return alter_sink(parsed);
        } else {
          const MutexLock lock(definitions_);
          if constexpr (std::is_same_v<T, sql::AlterStream>) {
            return alter_stream(parsed);
          } else if constexpr (std::is_same_v<T, sql::CreateStream>) {
            return create_stream(parsed);
          } else if constexpr (std::is_same_v<T, sql::CreateView>) {
            return parsed.materialized ? create_materialized_view(parsed) : create_view(parsed);
          } else {
            return drop(parsed);
          }
        }
      },
      statement);
}

std::string StatementRunner::resolve(std::string_view name) const {
  if (const auto stream = catalog_.find_stream(name)) return stream->name;
  if (const auto view = catalog_.find_view(name)) return view->name;
  if (const auto table = catalog_.find_table(name)) return table->name;
  return {};
}

Status StatementRunner::check_name_is_free(std::string_view name) const {
  if (const std::string taken = resolve(name); !taken.empty()) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "{} exists already", taken);
  }
  return {};
}

/// What the SELECT of a derived stream says of its definition.
Status StatementRunner::define_derived(const sql::CreateStream& statement,
                                       StreamDefinition& definition) {
  const auto in_select = [&](Error error) {
    return placed_behind(std::move(error), statement.select_place);
  };
  auto tree = sql::parse_select(statement.select);
  if (!tree) return std::unexpected(in_select(std::move(tree).error()));
  auto allowed = sql::check_select(
      *tree, sql::Use::kView, [&](std::string_view name) { return resolve(name); },
      statement.select);
  if (!allowed) return std::unexpected(in_select(std::move(allowed).error()));
  const auto source = allowed->tables.size() == 1 ? catalog_.find_stream(*allowed->tables.begin())
                                                  : std::optional<StreamDefinition>();
  if (!source) {
    return fail(ErrorCode::kInvalidArgument, error_id::kNotMergeable,
                "a derived stream reads one stream, this SELECT reads {}",
                fmt::join(allowed->tables, ", "));
  }
  auto rows = view::compile_row_select(speed_database_, statement.select, *tree, *source);
  if (!rows) return std::unexpected(in_select(std::move(rows).error()));
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
  const auto in_select = [&](Error error) {
    return placed_behind(std::move(error), statement.select_place);
  };
  auto tree = sql::parse_select(statement.select);
  if (!tree) return std::unexpected(in_select(std::move(tree).error()));
  auto allowed = sql::check_select(
      *tree, sql::Use::kView, [&](std::string_view name) { return resolve(name); },
      statement.select);
  if (!allowed) return std::unexpected(in_select(std::move(allowed).error()));
  std::vector<StreamDefinition> streams;
  std::vector<catalog::TableUse> tables;
  for (const auto& name : allowed->tables) {
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
  if (!trial) return std::unexpected(in_select(std::move(trial).error()));
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

Result<StatementResult> StatementRunner::show(const access::Principal& who,
                                              const sql::Show& statement) {
  if (statement.kind == sql::ObjectKind::kUser || statement.kind == sql::ObjectKind::kGrant)
    return show_users(who, statement.kind);
  if (statement.kind == sql::ObjectKind::kConnection) return show_connections(who);
  if (statement.kind == sql::ObjectKind::kSink) return show_sinks(who);
  const bool admin = access_.is_admin(who);
  // The text of a statement names what else is there.
  const auto put_sql = [&](Rows& rows, const std::string& text) {
    admin ? rows.text(text) : rows.null();
    rows.end();
  };
  if (statement.kind == sql::ObjectKind::kTable) {
    Rows rows({{"name", kText},
               {"rows", kNumber},
               {"version", kNumber},
               {"bytes", kNumber},
               {"read_by", kText},
               {"sql", kText}});
    for (const auto& table : catalog_.tables()) {
      if (!is_visible(who, table.name)) continue;
      auto readers = readers_of(table.name);
      std::erase_if(readers, [&](const auto& reader) { return !is_visible(who, reader); });
      rows.text(table.name)
          .number(table.newest().file.rows)
          .number(table.newest().version.value)
          .number(table.newest().file.size_bytes);
      readers.empty() ? rows.null() : rows.text(fmt::format("{}", fmt::join(readers, ", ")));
      put_sql(rows, table.sql);
    }
    return std::move(rows).result("SHOW TABLES");
  }
  if (statement.kind == sql::ObjectKind::kStream) {
    Rows rows({{"name", kText},
               {"partitions", kNumber},
               {"events", kNumber},
               {"in_lake", kNumber},
               {"lake_commits", kNumber},
               {"position", kText},
               {"sql", kText}});
    for (const auto& stream : speed_.streams()) {
      if (!is_visible(who, stream->definition().name)) continue;
      const auto snapshot = lake_.snapshot(stream->definition().id);
      const auto applied = stream->applied();
      rows.text(stream->definition().name)
          .number(stream->definition().partitions)
          .number(applied.events())
          .number(snapshot->end.events())
          .number(snapshot->commits.size())
          .text(applied.json());
      put_sql(rows, stream->definition().sql);
    }
    return std::move(rows).result("SHOW STREAMS");
  }
  Rows rows({{"name", kText},
             {"kind", kText},
             {"stream", kText},
             {"state", kText},
             {"generation", kNumber},
             {"cut", kText},
             {"delta_end", kText},
             {"groups_in_generation", kNumber},
             {"groups_in_delta", kNumber},
             {"progress", kText},
             {"sql", kText}});
  for (const auto& record : catalog_.views()) {
    if (record.replaces || !is_visible(who, record.name)) continue;
    const auto view = record.materialized ? speed_.find_view(record.name) : nullptr;
    if (view == nullptr) {
      rows.text(record.name)
          .text("view")
          .null()
          .text("live")
          .null()
          .null()
          .null()
          .null()
          .null()
          .null();
      put_sql(rows, record.sql);
      continue;
    }
    const auto source = source_of(*view, view->coverage());
    rows.text(record.name).text("materialized");
    admin ? rows.text(fmt::format("{}", fmt::join(source.streams, ", "))) : rows.null();
    rows.text(name(view->phase()))
        .number(source.coverage.generation.value)
        .text(position_text(source, &speed::StreamCoverage::cut))
        .text(position_text(source, &speed::StreamCoverage::delta_end))
        .number(view->base_groups())
        .number(view->delta_groups());
    const std::string progress =
        progress_text(*view, batch_.built(record.id), replacement_of(*view));
    progress.empty() ? rows.null() : rows.text(progress);
    put_sql(rows, record.sql);
  }
  return std::move(rows).result("SHOW VIEWS");
}

Result<StatementResult> StatementRunner::describe(const sql::Describe& statement) {
  std::vector<Column> columns;
  std::vector<std::string> roles;
  if (const auto stream = catalog_.find_stream(statement.name)) {
    columns = stream->columns;
    roles.resize(columns.size());
    if (stream->time_column) roles[*stream->time_column] = "time";
    if (stream->key_column) {
      auto& role = roles[*stream->key_column];
      role += role.empty() ? "key" : ", key";
    }
    if (stream->dedup_column) {
      auto& role = roles[*stream->dedup_column];
      role += role.empty() ? "dedup" : ", dedup";
    }
  } else if (const auto table = catalog_.find_table(statement.name)) {
    columns = table->columns;
    roles.resize(columns.size());
    for (const auto index : table->primary_key) roles[index] = "key";
  } else if (const auto view = speed_.find_view(statement.name)) {
    columns = columns_of(view->compiled());
    for (const auto& output : view->compiled().outputs) {
      roles.emplace_back(output.key ? "key" : "");
    }
  } else if (const auto plain = catalog_.find_view(statement.name)) {
    MR_TRY(columns, columns_of_select(plain->select));
    roles.resize(columns.size());
  } else {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound,
                "there is no stream, table or view {}", statement.name);
  }
  Rows rows({{"column", kText}, {"type", kText}, {"role", kText}});
  for (std::size_t i = 0; i < columns.size(); ++i) {
    rows.text(columns[i].name).text(columns[i].type.sql()).text(roles[i]).end();
  }
  return std::move(rows).result("DESCRIBE");
}

std::uint64_t StatementRunner::quarantined(const StreamDefinition& stream) const {
  if (!stream.quarantine) return 0;
  const auto state = speed_.stream(*stream.quarantine);
  return state == nullptr ? 0 : state->quarantined();
}

SourceCoverage StatementRunner::source_of(const speed::ViewState& view,
                                          const speed::Coverage& coverage) const {
  // By the living stream and not by the catalog, whose answer is a copy: this is on the way of
  // every look-up.
  SourceCoverage out{.name = view.record().name,
                     .is_stream = false,
                     .coverage = coverage,
                     .streams = {},
                     .stream_ids = view.record().streams,
                     .quarantined = coverage.skipped_rows};
  for (const auto id : view.record().streams) {
    const auto stream = speed_.stream(id);
    out.streams.push_back(stream == nullptr ? "" : stream->definition().name);
    if (stream != nullptr) out.quarantined += quarantined(stream->definition());
  }
  return out;
}

Status StatementRunner::add_stream(const StreamDefinition& stream, bool hidden_columns,
                                   Assembly& assembly) {
  if (assembly.types_only) {
    assembly.query.relations.push_back({.name = stream.name,
                                        .columns = stream.columns,
                                        .hidden_columns = hidden_columns,
                                        .lake_files = {},
                                        .tail = {},
                                        .rows = {}});
    return {};
  }
  MR_TRY(auto events, events_in(stream, assembly));
  sql::QueryRelation relation{.name = stream.name,
                              .columns = events.stream.columns,
                              .hidden_columns = hidden_columns,
                              .lake_files = {},
                              .tail = std::move(events.tail),
                              .rows = {}};
  const auto mentions = assembly.reads.mentions(stream.name);
  for (const auto& commit : events.lake->commits) {
    const auto needed = [&](const catalog::FileRecord& file) {
      return is_needed(file, events.stream, mentions);
    };
    if (std::ranges::none_of(commit.files, needed)) continue;
    auto* files = &relation.lake_files;
    if (commit.schema_version != events.stream.version) {
      auto items = sql::lake_items(events.stream, commit.schema_version, hidden_columns);
      if (relation.other_files.empty() || relation.other_files.back().items != items)
        relation.other_files.push_back({std::move(items), {}});
      files = &relation.other_files.back().files;
    }
    for (const auto& file : commit.files) {
      if (!needed(file)) continue;
      MR_RETURN_IF_ERROR(lake_.verify_once(stream.id, file));
      files->push_back(lake_.path(stream.id, file));
    }
  }
  speed::Coverage coverage;
  coverage.generation = GenerationNumber(events.lake->last().value);
  coverage.streams.push_back(
      {.cut_commit = events.lake->last(), .cut = events.lake->end, .delta_end = events.applied});
  assembly.sources.push_back(
      {stream.name, true, std::move(coverage), {stream.name}, {stream.id}, quarantined(stream)});
  assembly.query.relations.push_back(std::move(relation));
  return {};
}

std::shared_ptr<speed::ViewState> StatementRunner::find_built(const std::string& name,
                                                              std::int64_t started_us) {
  auto view = speed_.find_view(name);
  if (view == nullptr || view->phase() != speed::ViewPhase::kBuilding) return view;
  if (waiting_.fetch_add(1) < kWaitersMax) {
    const std::int64_t until_us =
        started_us + static_cast<std::int64_t>(std::min(options_.deadline_ms, kWaitMsMax)) * 1000;
    // Asked by name again and again: it may be dropped or replaced meanwhile.
    while (view != nullptr && view->phase() == speed::ViewPhase::kBuilding && !stopping_ &&
           runtime::monotonic_us() < until_us) {
      view->wait_while_building(100);
      view = speed_.find_view(name);
    }
  }
  waiting_.fetch_sub(1);
  return view;
}

Status StatementRunner::add_plain_view(const std::string& name, const std::string& select,
                                       bool hidden_columns, Assembly& assembly) {
  MR_TRY(const auto tree, sql::parse_select(select));
  MR_TRY(const auto allowed, sql::check_select(tree, sql::Use::kAdHoc, [&](std::string_view other) {
           return resolve(other);
         }));
  for (const auto& table : allowed.tables) {
    MR_RETURN_IF_ERROR(add_relation(table, hidden_columns || wants_hidden(allowed), assembly));
  }
  MR_TRY(auto text, sql::select_text(tree));
  assembly.query.views.push_back({name, std::move(text)});
  return {};
}

Status StatementRunner::add_relation(const std::string& name, bool hidden_columns,
                                     Assembly& assembly) {
  if (std::ranges::find(assembly.seen, name) != assembly.seen.end()) return {};
  assembly.seen.push_back(name);
  MR_TRY(const bool added, add_catalogue_relation(name, hidden_columns, assembly));
  if (added) return {};
  for (const auto& past : assembly.past) {
    if (past.relation != name) continue;
    const auto view = find_built(past.name, assembly.started_us);
    if (view == nullptr) {
      return std::unexpected(
          Error{.code = ErrorCode::kNotFound,
                .id = std::string(error_id::kViewNotFound),
                .message = fmt::format("AS OF: there is no materialized view {}", past.name),
                .hint = "a stream is read by conditions on _offset or _arrival",
                .place = past.place});
    }
    MR_TRY(auto read, read_past(*view, past));
    assembly.sources.push_back(source_of(*view, read.coverage));
    assembly.query.relations.push_back({.name = name,
                                        .columns = columns_of(view->compiled()),
                                        .hidden_columns = false,
                                        .lake_files = {},
                                        .tail = {},
                                        .rows = {std::move(read.rows)}});
    return {};
  }
  for (const auto& redefined : assembly.redefined) {
    if (!same_name(redefined.name, name)) continue;
    if (redefined.select) return add_plain_view(name, *redefined.select, hidden_columns, assembly);
    assembly.query.relations.push_back({.name = name,
                                        .columns = redefined.columns,
                                        .hidden_columns = false,
                                        .lake_files = {},
                                        .tail = {},
                                        .rows = {}});
    return {};
  }
  if (const auto stream = catalog_.find_stream(name))
    return add_stream(*stream, hidden_columns, assembly);
  if (const auto table = catalog_.find_table(name)) return add_table(*table, assembly);
  const auto view =
      assembly.types_only ? speed_.find_view(name) : find_built(name, assembly.started_us);
  if (view != nullptr) {
    auto scan = scan_of(view->compiled(), assembly.reads, view->record().name);
    sql::QueryRelation relation{.name = view->record().name,
                                .columns = {},
                                .hidden_columns = false,
                                .lake_files = {},
                                .tail = {},
                                .rows = {}};
    if (!assembly.types_only) {
      MR_TRY(auto read, read_in(view, scan, assembly));
      assembly.sources.push_back(source_of(*view, read.coverage));
      relation.rows = std::move(read.batches);
    }
    relation.columns = columns_of(view->compiled(), scan);
    assembly.query.relations.push_back(std::move(relation));
    return {};
  }
  const auto plain = catalog_.find_view(name);
  if (!plain)
    return fail(ErrorCode::kNotFound, error_id::kViewNotFound,
                "there is no stream, table or view {}", name);
  return add_plain_view(plain->name, plain->select, hidden_columns, assembly);
}

Status StatementRunner::assemble(std::string_view text, Assembly& assembly) {
  assembly.started_us = runtime::monotonic_us();
  MR_TRY(const auto tree, sql::parse_select(text));
  return assemble_tree(tree, text, assembly);
}

Status StatementRunner::assemble_tree(const boost::json::object& given, std::string_view text,
                                      Assembly& assembly) {
  if (assembly.started_us == 0) assembly.started_us = runtime::monotonic_us();
  boost::json::object tree = given;
  sql::CatalogueUse use;
  if (assembly.catalogue) {
    MR_TRY(use, sql::rewrite_catalogue(tree, assembly.postgres_names));
  }
  MR_TRY(const auto allowed,
         sql::check_select(
             tree, sql::Use::kAdHoc,
             [&](std::string_view name) { return resolve_for(assembly, name); }, text));
  MR_TRY(assembly.query.select, sql::select_text(tree));
  assembly.query.result_bytes_max = options_.result_bytes_max;
  if (!assembly.types_only) assembly.reads = reads_of(tree);
  // Where the statement has no transaction, the moment is over when all is read.
  std::optional<ReadMoment> own;
  const auto taken = take_moment(without_schema(allowed.tables), own, assembly);
  if (!taken) return taken;
  for (const auto& table : allowed.tables) {
    MR_RETURN_IF_ERROR(add_relation(table, wants_hidden(allowed), assembly));
  }
  for (const auto& macro : use.macros) MR_RETURN_IF_ERROR(add_macro(macro, assembly));
  if (own) assembly.moment = nullptr;
  const auto spent_ms =
      static_cast<std::uint64_t>((runtime::monotonic_us() - assembly.started_us) / 1000);
  const auto deadline_ms = assembly.deadline_ms == 0
                               ? options_.deadline_ms
                               : std::min(assembly.deadline_ms, options_.deadline_ms);
  assembly.query.deadline_ms = deadline_ms > spent_ms ? deadline_ms - spent_ms : 1;
  return {};
}

Result<ParsedSelect> StatementRunner::read_select(std::string_view text) {
  MR_TRY(auto past, sql::take_as_of(text));
  ParsedSelect out{.text = past.relations.empty() ? std::string(text) : std::move(past.text),
                   .tree = {},
                   .past = std::move(past.relations)};
  MR_TRY(out.tree, sql::parse_select(sql::without_postgres_spelling(out.text)));
  return out;
}

Result<StatementResult> StatementRunner::select(const access::Principal& who,
                                                const ParsedSelect& select,
                                                const StatementContext& context) {
  MR_RETURN_IF_ERROR(check_known(who));
  Assembly assembly;
  assembly.who = who;
  assembly.catalogue = true;
  assembly.facts = context.facts;
  assembly.postgres_names = context.facts != nullptr;
  assembly.moment = context.moment;
  assembly.deadline_ms = context.deadline_ms;
  assembly.past = select.past;
  assembly.query.rows_max = context.rows_max.value_or(options_.rows_max);
  assembly.query.cancelled = context.cancelled;
  for (const auto& relation : assembly.past)
    MR_RETURN_IF_ERROR(access_.require(who, Privilege::kSelect, relation.name));
  if (auto assembled = assemble_tree(select.tree, select.text, assembly); !assembled)
    return std::unexpected(told(who, std::move(assembled).error()));
  auto ran = workers_.run(assembly.query);
  if (!ran && ran.error().code == ErrorCode::kInvalidArgument) {
    // A name that is not there: what is there instead is told with all columns in sight.
    if (auto shape = shape_of(who, select); !shape) return std::unexpected(shape.error());
  }
  MR_TRY(auto result, std::move(ran));
  StatementResult out;
  out.command = "SELECT";
  out.columns = std::move(result.columns);
  out.batches = std::move(result.batches);
  out.rows = result.rows;
  out.truncated = result.truncated;
  out.sources = std::move(assembly.sources);
  return out;
}

Result<sql::StatementShape> StatementRunner::shape_of(const access::Principal& who,
                                                      const ParsedSelect& select) {
  MR_RETURN_IF_ERROR(check_known(who));
  Assembly assembly;
  assembly.who = who;
  assembly.catalogue = true;
  assembly.postgres_names = true;
  assembly.types_only = true;
  assembly.past = select.past;
  for (const auto& relation : assembly.past)
    MR_RETURN_IF_ERROR(access_.require(who, Privilege::kSelect, relation.name));
  // The check knows no parameters: it sees values in their places, and the worker what they are.
  MR_TRY(const auto null, sql::ParameterNode::make(Type{TypeKind::kVarchar}));
  MR_TRY(const auto value, null.of(0, std::nullopt));
  boost::json::value checked = select.tree;
  sql::replace_parameters(checked, [&](std::size_t) { return value; });
  if (auto assembled = assemble_tree(checked.get_object(), select.text, assembly); !assembled)
    return std::unexpected(told(who, std::move(assembled).error()));
  auto tree = select.tree;
  MR_TRY(const auto use, sql::rewrite_catalogue(tree, assembly.postgres_names));
  for (const auto& macro : use.macros) MR_RETURN_IF_ERROR(add_macro(macro, assembly));
  MR_TRY(assembly.query.select, sql::select_text(tree));
  assembly.query.prepare_only = true;
  MR_TRY(auto result, workers_.run(assembly.query));
  return sql::StatementShape{std::move(result.columns), std::move(result.parameters)};
}

std::shared_ptr<const PointSelect> StatementRunner::point_select(
    const access::Principal& who, const ParsedSelect& select,
    std::span<const std::optional<Type>> given) const {
  if (!select.past.empty()) return nullptr;
  auto point = PointSelect::make(select.tree, speed_, given);
  const bool allowed =
      point != nullptr && access_.allowed(who, Privilege::kSelect, point->view_name());
  return allowed ? point : nullptr;
}

Result<std::optional<StatementResult>> StatementRunner::point_rows(
    const access::Principal& who, const PointSelect& select,
    std::span<const std::optional<std::string>> values, const StatementContext& context) {
  const auto view = speed_.find_view(select.view_name());
  if (!select.is_for(view) || !access_.allowed(who, Privilege::kSelect, select.view_name()) ||
      view->phase() == speed::ViewPhase::kBuilding) {
    return std::optional<StatementResult>();
  }
  const auto keys = select.keys(values);
  if (!keys) return std::optional<StatementResult>();
  const speed::ViewSnapshot* snapshot = nullptr;
  if (context.moment != nullptr) {
    Assembly assembly;
    assembly.moment = context.moment;
    std::optional<ReadMoment> none;
    MR_RETURN_IF_ERROR(take_moment({view->record().name}, none, assembly));
    snapshot = context.moment->find(*view);
    if (snapshot == nullptr && context.moment->keep_if_unchanged(view))
      snapshot = context.moment->find(*view);
    if (snapshot == nullptr) return std::optional<StatementResult>();
  }
  MR_TRY(auto found, snapshot == nullptr ? view->lookup(*keys) : view->lookup(*snapshot, *keys));
  StatementResult out;
  out.command = "SELECT";
  out.columns = select.columns();
  out.rows = found.rows->rows();
  if (out.rows != 0) out.batches.push_back(select.project(std::move(found.rows)));
  out.sources.push_back(source_of(*view, found.coverage));
  return std::optional(std::move(out));
}

Result<std::vector<Column>> StatementRunner::columns_of_select(
    std::string_view text, std::span<const Redefinition> redefined) {
  Assembly assembly;
  assembly.query.rows_max = 0;
  assembly.types_only = true;
  assembly.redefined = redefined;
  MR_RETURN_IF_ERROR(assemble(text, assembly));
  MR_TRY(auto result, workers_.run(assembly.query));
  return std::move(result.columns);
}

}  // namespace millrace::serving
