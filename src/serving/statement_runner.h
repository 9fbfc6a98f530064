// Executes any statement, for whoever is allowed to: makes, replaces and drops streams and views,
// shows them, and answers SELECTs over both in the worker processes. Every endpoint that takes SQL
// calls this. Thread: any; statements that change what exists run one after the other, and so does
// the moment at which a replaced view's next definition takes its place (view_replacement.cc).
// Errors: those of sql/statement.h, sql/allow_list.h, view/compiler.h and sql/query_worker.h, with
// the place.
#pragma once

#include <atomic>
#include <boost/json.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "base/mutex.h"
#include "base/result.h"
#include "batch/state_files.h"
#include "bridge/bridge.h"
#include "catalog/catalog.h"
#include "ingest/ingest.h"
#include "ingest/lake_writer.h"
#include "lake/lake.h"
#include "lake/tables.h"
#include "log/commit_log.h"
#include "serving/batch_scheduler.h"
#include "serving/change_feed.h"
#include "serving/point_select.h"
#include "serving/read_moment.h"
#include "serving/select_reads.h"
#include "serving/sinks.h"
#include "serving/system_relations.h"
#include "serving/view_reader.h"
#include "serving/view_scan.h"
#include "speed/speed_layer.h"
#include "sql/as_of.h"
#include "sql/query_worker.h"
#include "sql/session_statement.h"
#include "sql/statement.h"

namespace millrace::serving {

/// What an answer says of one stream or view that it read.
struct SourceCoverage {
  std::string name;
  bool is_stream = false;
  /// Of a stream: generation and cut are those of the lake's last commit.
  speed::Coverage coverage;
  std::vector<std::string> streams;  // the names of those in `coverage`
  std::vector<StreamId> stream_ids;
  std::uint64_t quarantined = 0;
};

class LiveQuery;
struct LiveFetch;

struct StatementResult {
  /// "SELECT", "CREATE STREAM", ...
  std::string command;
  std::vector<Column> columns;
  std::vector<std::shared_ptr<const ColumnBatch>> batches;
  /// Rows behind those of `batches`, on disk; null for most.
  std::shared_ptr<sql::SpilledRows> rest = {};
  std::uint64_t rows = 0;  // of both
  bool truncated = false;
  std::vector<SourceCoverage> sources;
  /// Rows that a statement put, changed or took away.
  std::optional<std::uint64_t> affected = {};
  /// Of SUBSCRIBE: where rows come from behind those of `batches`, for as long as they are asked
  /// for, or as `fetch` says.
  std::shared_ptr<LiveQuery> live = {};
  std::shared_ptr<const LiveFetch> fetch = {};
};

/// A SELECT that was read once, to be executed as often as wanted. Parameters are still in its
/// tree; who executes it puts values there.
struct ParsedSelect {
  std::string text;  // that the tree was made of
  boost::json::object tree;
  std::vector<sql::PastRelation> past;
};

/// What a session adds to a statement of its own.
struct StatementContext {
  std::uint64_t deadline_ms = 0;  // 0: the server's
  sql::CancelFlag cancelled = {};
  ReadMoment* moment = nullptr;  // of its transaction
  std::optional<std::uint64_t> rows_max = {};
  /// All rows of a SELECT are wanted: StatementResult::rest may have some.
  bool whole = false;
  const SessionFacts* facts = nullptr;
  /// point_rows() reads nothing that memory does not have, and no more keys than are read at once.
  bool at_hand = false;
};

/// The rows of an INSERT INTO a stream, as a body for ingest.
struct InsertRows {
  std::shared_ptr<speed::StreamState> stream;
  std::string lines;  // JSON, a row each
  std::uint64_t rows = 0;
};

struct StatementOptions {
  std::uint64_t deadline_ms = 30'000;
  std::uint64_t rows_max = 100'000;
  std::uint64_t result_bytes_max = std::uint64_t{128} << 20;
  /// Of an answer that is wanted whole.
  std::uint64_t spill_bytes_max = std::uint64_t{4} << 30;
  std::uint64_t table_bytes_max = std::uint64_t{256} << 20;
  /// Where CREATE TABLE ... FROM 'file' of a client finds files; empty: nowhere.
  std::filesystem::path import_folder = {};
};

/// The next definition of a view, on its way.
struct ReplacementProgress {
  speed::ViewPhase phase = speed::ViewPhase::kBuilding;
  double built = 0;  // from 0 to 1
  std::optional<Error> trouble;
  std::string sql;
};

class StatementRunner {
 public:
  StatementRunner(catalog::Catalog& catalog, log::CommitLog& log, lake::Lake& lake,
                  lake::Tables& tables, batch::StateFiles& state_files, speed::SpeedLayer& speed,
                  sql::Database& speed_database, sql::Database& lake_database,
                  sql::QueryWorkers& workers, ingest::LakeWriter& lake_writer,
                  BatchScheduler& batch, access::Access& access, bridge::Bridge& bridge,
                  ChangeFeed& feed, Sinks& sinks, StatementOptions options);

  /// A statement of a client, which must be allowed to; what it may not read is not there for it.
  Result<StatementResult> run_as(const access::Principal& who, std::string_view sql);
  /// A statement of whoever starts the program, who may do everything. `base_folder` is given for
  /// statements of whoever starts the program: their files may be anywhere, and relative paths
  /// begin there.
  Result<StatementResult> run(std::string_view sql, const std::filesystem::path& base_folder = {});
  /// The same of a session, of a statement that was read already.
  Result<StatementResult> run_as(const access::Principal& who, const sql::Statement& statement,
                                 const StatementContext& context);
  /// Errors: kNotFound where who asks may read no materialized view of this name.
  Status check_materialized(const access::Principal& who, std::string_view name) const;
  static Result<ParsedSelect> read_select(std::string_view text);
  Result<StatementResult> select(const access::Principal& who, const ParsedSelect& select,
                                 const StatementContext& context);
  /// Columns of the answer, and types of the parameters that are left in the tree.
  Result<sql::StatementShape> shape_of(const access::Principal& who, const ParsedSelect& select);
  /// What recognises and answers reads by key, where the view is as it was then; nullopt: another
  /// definition has its name, or a value is not in its plain form: select() answers.
  [[nodiscard]] std::shared_ptr<const PointSelect> point_select(
      const access::Principal& who, const ParsedSelect& select,
      std::span<const std::optional<Type>> given) const;
  Result<std::optional<StatementResult>> point_rows(
      const access::Principal& who, const PointSelect& select,
      std::span<const std::optional<std::string>> values, const StatementContext& context);
  /// live_statements.cc
  /// Columns of the SELECT of a SUBSCRIBE, and types of its parameters. Errors: also what no
  /// SUBSCRIBE may say (live_select.h).
  Result<sql::StatementShape> shape_of_live(const access::Principal& who,
                                            const ParsedSelect& select);
  /// The SELECT has no parameters any more; `columns` are its own.
  Result<std::shared_ptr<LiveQuery>> subscribe(const access::Principal& who,
                                               const ParsedSelect& select,
                                               std::vector<Column> columns,
                                               const sql::Subscribe& statement);
  [[nodiscard]] ChangeFeed& feed() { return feed_; }
  /// insert_events.cc
  /// Nothing is stored yet. Errors: also kNotFound (kStreamNotFound).
  Result<InsertRows> insert_rows(const access::Principal& who, const sql::Insert& statement,
                                 const StatementContext& context);
  /// Durable and visible when it returns; all of the rows or none. Gives how many are stored, which
  /// is fewer where the stream has some already, by its dedup column.
  Result<std::uint64_t> append(const InsertRows& rows);
  /// The columns that an INSERT sets, in its order. Errors: kNotFound, kInvalidArgument.
  [[nodiscard]] Result<std::vector<Column>> columns_of_insert(const sql::Insert& statement) const;
  /// A body of CSV with a header and `rows` rows, of COPY; as append(). `rows_before`: for the
  /// numbers in errors.
  Result<std::uint64_t> append_csv(const access::Principal& who, std::string_view stream,
                                   std::string body, std::uint64_t rows, std::uint64_t rows_before);
  [[nodiscard]] bool is_stream(std::string_view name) const {
    return speed_.find_stream(name) != nullptr;
  }
  [[nodiscard]] bool is_admin(const access::Principal& who) const { return access_.is_admin(who); }
  [[nodiscard]] bool may_publish(const access::Principal& who, std::string_view stream) const {
    return access_.allowed(who, Privilege::kPublish, stream);
  }
  /// explain.cc
  /// What the SELECT reads, and how; a line each.
  Result<StatementResult> explain(const access::Principal& who, const ParsedSelect& select);
  /// Statements whose flag of cancelling is set end now. Thread: any.
  void wake_cancelled() { workers_.wake(); }
  [[nodiscard]] const StatementOptions& options() const { return options_; }
  /// Of answers that were wanted whole.
  [[nodiscard]] const sql::SpillCounters& spilled() const { return workers_.spilled(); }
  /// table_statements.cc
  /// Reads a table of another database again; says whether it has other rows now.
  Result<bool> refresh_table(TableId id, const sql::CreateTable& statement,
                             const std::atomic<bool>& stopping) EXCLUDES(table_changes_);
  /// Whether `who` may know that a stream, view or table of this name is there.
  [[nodiscard]] bool is_visible(const access::Principal& who, std::string_view name) const;
  /// Those that wait for a view wait no longer.
  void stop() { stopping_ = true; }

  /// Where the view is a replacement and lives: its name finds it from here on, and what it
  /// replaces goes. Otherwise nothing.
  void finish_replacement(const std::shared_ptr<speed::ViewState>& view) EXCLUDES(definitions_);
  [[nodiscard]] std::optional<ReplacementProgress> replacement_of(
      const speed::ViewState& view) const;
  /// Begins to rebuild the views that are made of older contents of their tables.
  void refresh_views() EXCLUDES(definitions_);

  /// Makes the view of a record live: compiled, prepared, not yet part of a stream. Also used at
  /// the start.
  struct ViewMakers {
    sql::Database& database;  // of the speed layer
    /// What a join reads older events from.
    sql::Database& lake_database;
    lake::Lake& lake;
  };
  static Result<std::shared_ptr<speed::ViewState>> make_view_state(
      const ViewMakers& makers, const catalog::ViewRecord& record,
      std::span<const StreamDefinition> streams, std::vector<sql::ReferenceTable> tables);
  /// What runs a compiled view over its streams.
  static Result<speed::ViewState::Stages> make_stages(sql::Database& database,
                                                      const view::CompiledView& compiled,
                                                      std::span<const StreamDefinition> streams,
                                                      std::span<const sql::ReferenceTable> tables);
  /// Those that the view reads, in the record's order. Errors: kDataLoss where one is not there.
  static Result<std::vector<StreamDefinition>> streams_of(const catalog::Catalog& catalog,
                                                          const catalog::ViewRecord& record);
  /// From now on the derived stream gets what is made of its source's events. Also used at the
  /// start.
  static Status start_derivation(sql::Database& database, ingest::Ingest& ingest,
                                 const catalog::Catalog& catalog, const StreamDefinition& derived);
  /// Records of a stream that went to its quarantine, so far.
  [[nodiscard]] std::uint64_t quarantined(const StreamDefinition& stream) const;
  [[nodiscard]] SourceCoverage source_of(const speed::ViewState& view,
                                         const speed::Coverage& coverage) const;

 private:
  friend class SystemRelations;
  /// What a name shall mean instead of what the catalog has: how a change is tried out.
  struct Redefinition {
    std::string name;
    std::optional<std::string> select;  // of a plain view
    std::vector<Column> columns;        // of a materialized one
  };
  /// A query and what it reads, on its way to a worker.
  struct Assembly {
    sql::Query query;
    std::vector<SourceCoverage> sources;
    std::vector<std::string> seen;
    std::int64_t started_us = 0;
    /// The relations get no rows: names and types of the answer are all that is wanted.
    bool types_only = false;
    std::span<const Redefinition> redefined = {};
    /// Views as they were: in the text that was given, not in the plain views that it reads.
    std::vector<sql::PastRelation> past = {};
    /// Of the text that was given: what plain views read, their readers may read through them.
    access::Principal who = access::Principal::owner();
    /// The text may name what PostgreSQL's clients ask for (sql/catalogue_rewrite.h).
    bool catalogue = false;
    /// With it: what the session of the client adds; null where there is none.
    const SessionFacts* facts = nullptr;
    std::shared_ptr<SystemRelations> system = {};
    /// With it: columns without AS are called as PostgreSQL calls them.
    bool postgres_names = false;
    /// What is read as it was at one moment; null where each relation is read when it comes.
    ReadMoment* moment = nullptr;
    std::uint64_t deadline_ms = 0;  // 0: the server's
    /// What the text wants of what it names.
    SelectReads reads = {};
  };

  Result<StatementResult> execute(const sql::Statement& statement, const access::Principal& who,
                                  const std::filesystem::path& base_folder,
                                  const StatementContext& context = {});
  /// access_statements.cc
  Status check_known(const access::Principal& who) const;
  /// What a hint suggests may be a name that this client should not learn.
  [[nodiscard]] Error told(const access::Principal& who, Error error) const;
  Status check_allowed(const access::Principal& who, const sql::Statement& statement) const;
  Result<StatementResult> create_user(const sql::CreateUser& statement);
  Result<StatementResult> drop_user(const sql::DropUser& statement);
  Result<StatementResult> create_connection(const sql::CreateConnection& statement);
  Result<StatementResult> alter_connection(const sql::AlterConnection& statement);
  Result<StatementResult> drop_connection(const sql::Drop& statement);
  Result<StatementResult> show_connections(const access::Principal& who);
  /// sink_statements.cc
  Result<StatementResult> create_sink(const sql::CreateSink& statement) EXCLUDES(definitions_);
  Result<StatementResult> alter_sink(const sql::AlterSink& statement);
  Result<StatementResult> drop_sink(const sql::Drop& statement);
  Result<StatementResult> show_sinks(const access::Principal& who);
  Result<StatementResult> create_token(const sql::CreateToken& statement);
  Result<StatementResult> drop_token(const sql::DropToken& statement);
  Result<StatementResult> change_grants(const sql::GrantStatement& statement);
  Result<StatementResult> show_users(const access::Principal& who, sql::ObjectKind kind);

  /// definition_statements.cc
  Status check_topics_are_free(const StreamDefinition& definition) const;
  Result<StatementResult> create_stream(const sql::CreateStream& statement);
  Status define_derived(const sql::CreateStream& statement, StreamDefinition& definition);
  Result<StatementResult> create_view(const sql::CreateView& statement) REQUIRES(definitions_);
  Result<StatementResult> create_materialized_view(const sql::CreateView& statement)
      REQUIRES(definitions_);
  Result<StatementResult> drop(const sql::Drop& statement) REQUIRES(definitions_);
  /// stream_change.cc
  Result<StatementResult> alter_stream(const sql::AlterStream& statement) REQUIRES(definitions_);
  /// No view may mean something else after the change, or nothing.
  Status check_views(const sql::AlterStream& statement, const speed::StreamState& stream,
                     const StreamDefinition& after) REQUIRES(definitions_);
  /// The streams of a view, one of them as it will be.
  Result<std::vector<StreamDefinition>> streams_after(const speed::ViewState& view,
                                                      const StreamDefinition& after) const;
  /// quarantine_replay.cc
  Result<StatementResult> replay_quarantine(const sql::ReplayQuarantine& statement);
  /// show_statements.cc
  Result<StatementResult> show(const access::Principal& who, const sql::Show& statement);
  Result<StatementResult> describe(const sql::Describe& statement);
  /// The columns that a SELECT would give.
  Result<std::vector<Column>> columns_of_select(std::string_view text,
                                                std::span<const Redefinition> redefined = {});

  /// select_statements.cc
  /// The name that `who` may read and that is nearest to this one; empty where none is near.
  [[nodiscard]] std::string nearest_name(const access::Principal& who, std::string_view name) const;
  /// The catalog's spelling of a stream's or view's name; empty where there is none.
  [[nodiscard]] std::string resolve(std::string_view name) const;
  /// Fills in what the query reads of a name, and of what that reads if it is a plain view.
  Status assemble(std::string_view text, Assembly& assembly);
  Status assemble_tree(const boost::json::object& tree, std::string_view text, Assembly& assembly);
  Status add_relation(const std::string& name, bool hidden_columns, Assembly& assembly);
  /// catalogue_statements.cc: system relations, and "public.name"
  Result<bool> add_catalogue_relation(const std::string& name, bool hidden_columns,
                                      Assembly& assembly);
  /// A function of the catalogue, and what it reads.
  Status add_macro(const std::string& name, Assembly& assembly);
  /// "public.name" as "name".
  [[nodiscard]] static std::set<std::string> without_schema(const std::set<std::string>& relations);
  /// What a name means that the check asks for; empty where there is none.
  [[nodiscard]] std::string resolve_for(const Assembly& assembly, std::string_view name) const;
  /// None where it means nothing any more.
  std::vector<Column> columns_of_plain_view(const catalog::ViewRecord& record)
      EXCLUDES(plain_columns_mutex_);
  Status add_stream(const StreamDefinition& stream, bool hidden_columns, Assembly& assembly);
  Status add_plain_view(const std::string& name, const std::string& select, bool hidden_columns,
                        Assembly& assembly);
  /// The view of this name; waits while it is being built for the first time, if not too many do.
  std::shared_ptr<speed::ViewState> find_built(const std::string& name, std::int64_t started_us);
  /// Views whose SELECT names `name`.
  [[nodiscard]] std::vector<std::string> readers_of(std::string_view name) const;
  Status check_name_is_free(std::string_view name) const;

  // pushdown.cc
  /// What a SELECT wants of the relations that it names.
  [[nodiscard]] SelectReads reads_of(const boost::json::object& tree) const;
  // explain.cc
  /// Names of what the SELECT reads, through plain views too.
  [[nodiscard]] std::vector<std::string> read_by(const boost::json::object& tree,
                                                 const access::Principal& who) const;
  [[nodiscard]] std::string explain_stream(const StreamDefinition& stream,
                                           const SelectReads& reads) const;

  // time_travel.cc
  using Events = StreamEvents;
  Result<Events> events_of(const StreamDefinition& stream);
  Status read_commit(const StreamDefinition& stream, const catalog::LakeCommit& commit,
                     const std::function<Status(const StreamBatch&)>& visit);
  Result<Position> position_at(const StreamDefinition& stream, const Events& events,
                               std::int64_t time_us);
  Result<Position> point_of(const StreamDefinition& stream, const Events& events,
                            const sql::PastRelation& past);
  Result<ScannedRows> read_past(const speed::ViewState& view, const sql::PastRelation& past);
  /// `events` and `points` are those of `streams`, which the view reads.
  Result<ScannedRows> read_at(const speed::ViewState& view,
                              std::span<const StreamDefinition> streams,
                              std::span<const Events> events, std::vector<Position> points,
                              const ViewScan& scan);

  // read_moment.cc
  /// Takes the moment at which the relations are read, where they must be read at one. `own` is
  /// made and used where the statement has no transaction.
  Status take_moment(const std::set<std::string>& relations, std::optional<ReadMoment>& own,
                     Assembly& assembly);
  Result<ScannedRows> read_in(const std::shared_ptr<speed::ViewState>& view, const ViewScan& scan,
                              Assembly& assembly);
  Result<Events> events_in(const StreamDefinition& stream, Assembly& assembly);

  // view_replacement.cc
  /// Plain views that read `name`, or read one that does.
  [[nodiscard]] std::vector<catalog::ViewRecord> all_readers_of(std::string_view name) const;
  /// Everything that a SELECT reads, through plain views too.
  [[nodiscard]] std::vector<std::string> everything_read_by(std::string_view select) const;
  /// The views that read a redefined name must still mean something.
  Status check_readers(const Redefinition& change);
  /// The next definitions of views that are being built, as what their names will mean.
  [[nodiscard]] std::vector<Redefinition> pending_redefinitions() const;
  Result<StatementResult> replace_plain_view(catalog::ViewRecord record,
                                             const sql::CreateView& statement)
      REQUIRES(definitions_);
  /// True where `next` is what serves already, or is being built. Otherwise the name has no
  /// replacement when it returns.
  Result<bool> make_room_for_replacement(const speed::ViewState& next) REQUIRES(definitions_);
  Status drop_replacement(const speed::ViewState& replacement) REQUIRES(definitions_);
  void switch_to(const std::shared_ptr<speed::ViewState>& view) REQUIRES(definitions_);
  /// Adds the record to the catalog and its view to the stream; building begins where there is
  /// history.
  Status start_view(catalog::ViewRecord record, std::span<const StreamDefinition> streams)
      REQUIRES(definitions_);
  void refresh_views_locked() REQUIRES(definitions_);

  Result<std::uint64_t> store(const std::shared_ptr<speed::StreamState>& stream,
                              std::string_view body, const format::PayloadType& type,
                              std::uint64_t rows, std::uint64_t rows_before);

  // table_statements.cc
  Result<StatementResult> create_table(const sql::CreateTable& statement,
                                       const std::filesystem::path& base_folder);
  Result<StatementResult> insert(const sql::Insert& statement);
  Result<StatementResult> update(const sql::Update& statement);
  Result<StatementResult> remove(const sql::Delete& statement);
  Result<StatementResult> drop_table(const sql::Drop& statement) REQUIRES(definitions_);
  void drop_old_table_contents() REQUIRES(definitions_);
  Status add_table(const catalog::TableRecord& table, Assembly& assembly);
  Result<catalog::TableRecord> table_named(std::string_view name) const;
  /// The whole answer of a SELECT, for a table.
  Result<sql::QueryResult> compute(const std::string& select);
  Result<std::filesystem::path> import_path(const std::string& file,
                                            const std::filesystem::path& base_folder) const;
  Status put_content(const catalog::TableRecord& table, std::shared_ptr<const ColumnBatch> rows)
      REQUIRES(table_changes_) EXCLUDES(definitions_);

  catalog::Catalog& catalog_;
  log::CommitLog& log_;
  lake::Lake& lake_;
  lake::Tables& tables_;
  batch::StateFiles& state_files_;
  speed::SpeedLayer& speed_;
  sql::Database& speed_database_;
  sql::Database& lake_database_;
  sql::QueryWorkers& workers_;
  ingest::LakeWriter& lake_writer_;
  BatchScheduler& batch_;
  access::Access& access_;
  bridge::Bridge& bridge_;
  ChangeFeed& feed_;
  Sinks& sinks_;
  const StatementOptions options_;
  Mutex table_changes_;  // held by one statement that changes a table, before definitions_
  Mutex definitions_;    // held by one statement that changes what exists
  /// Columns of plain views, as long as nothing is made, changed or dropped.
  Mutex plain_columns_mutex_;
  std::uint64_t plain_columns_of_ GUARDED_BY(plain_columns_mutex_) = 0;
  std::map<ViewId, std::vector<Column>> plain_columns_ GUARDED_BY(plain_columns_mutex_);
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> waiting_{0};  // for a view to be built
};

}  // namespace millrace::serving
