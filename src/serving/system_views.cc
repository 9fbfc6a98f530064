// The schema millrace: what SHOW tells, and more of it, as relations to select from. As
// system_relations.h says; docs/reference/catalogue.md lists the columns.
#include "runtime/clock.h"
#include "serving/statement_runner.h"
#include "serving/system_relations.h"

namespace millrace::serving {
namespace {

constexpr PostgresRelation kRelations[] = {
    {"millrace.streams", 13'100, true,
     "oid:o! name:t! partitions:i! events:l! in_lake:l! lake_commits:l! lake_bytes:l! "
     "events_per_second:d! time_column:t key_column:t dedup_column:t derived_from:t quarantine:t "
     "schema_version:i! position:t! sql:t"},
    {"millrace.views", 13'101, true,
     "oid:o! name:t! materialized:b! state:t! generation:l cut:t delta_end:t "
     "groups_in_generation:l groups_in_delta:l delta_bytes:l skipped_rows:l built:d error:t "
     "created:z! sql:t"},
    {"millrace.tables", 13'102, true,
     "oid:o! name:t! rows:l! version:l! bytes:l! created:z! sql:t"},
    {"millrace.generations", 13'103, true,
     "view:t! generation:l! groups:l! events:l! bytes:l! skipped_rows:l! drift_rows:l! full_run:b! "
     "created:z! duration_ms:d!"},
    {"millrace.positions", 13'104, true, "stream:t! partition:i! applied:l! in_lake:l!"},
    {"millrace.jobs", 13'105, true,
     "run:l! state:t! reason:t! full_run:b! view:t rows_done:l rows_total:l started:z! "
     "duration_ms:d generations:l! drift_rows:l! error:t"},
    {"millrace.connections", 13'106, true,
     "name:t! type:t! url:t! topic:t! stream:t state:t! error:t messages:l! redelivered:l! "
     "quarantined:l! unmatched:l! waiting:l! connects:l! client_id:t!"},
    {"millrace.sinks", 13'113, true,
     "name:t! type:t! url:t! view:t! state:t! error:t lag_events:l! lag_ms:l! rows:l! deletes:l! "
     "commits:l! backfills:l! connects:l! errors:l! position:t"},
    {"millrace.sessions", 13'107, true,
     "process_id:i! user_name:t! application_name:t protocol:t! address:t started:z! state:t! "
     "statement_started:z"},
    {"millrace.quarantine", 13'108, true, "stream:t! quarantine:t! records:l!"},
    {"millrace.audit", 13'109, true,
     "view:t! generation:l! created:z! drift_rows:l! key:t batch:t speed:t"},
    {"millrace.metrics", 13'110, true, "name:t! object:t value:d!"},
    {"millrace.users", 13'111, true, "name:t! has_password:b! tokens:T! admin:b! created:z!"},
    {"millrace.grants", 13'112, true, "user_name:t! privilege:t! object_kind:t! object:t"},
};

SystemValue text_or_null(std::string_view text) { return text.empty() ? nothing() : words(text); }

std::string streams_position(const SourceCoverage& source,
                             Position speed::StreamCoverage::* position) {
  std::string out;
  for (std::size_t i = 0; i < source.coverage.streams.size(); ++i) {
    out += fmt::format("{}\"{}\": {}", i == 0 ? "{" : ", ", source.streams[i],
                       (source.coverage.streams[i].*position).json());
  }
  return out + "}";
}

}  // namespace

std::span<const PostgresRelation> millrace_relations() { return kRelations; }

void SystemRelations::millrace_streams(SystemRows& rows) {
  const auto now = runtime::monotonic_us();
  for (const auto& state : runner_.speed_.streams()) {
    const auto stream = state->definition();
    if (!runner_.is_visible(who_, stream.name)) continue;
    const auto snapshot = runner_.lake_.snapshot(stream.id);
    std::uint64_t bytes = 0;
    for (const auto& commit : snapshot->commits)
      for (const auto& file : commit.files) bytes += file.size_bytes;
    const auto column = [&](std::optional<std::uint32_t> index) {
      return index ? words(stream.columns[*index].name) : nothing();
    };
    const auto other = [&](std::optional<StreamId> id) {
      const auto found = id ? runner_.catalog_.stream(*id) : std::nullopt;
      return found && runner_.is_visible(who_, found->name) ? words(found->name) : nothing();
    };
    const auto applied = state->applied();
    const auto object = std::ranges::find(objects(), stream.name, &Object::name);
    rows.add({{"oid", number(object == objects().end() ? 0 : object->oid)},
              {"name", words(stream.name)},
              {"partitions", number(stream.partitions)},
              {"events", number(applied.events())},
              {"in_lake", number(snapshot->end.events())},
              {"lake_commits", number(snapshot->commits.size())},
              {"lake_bytes", number(bytes)},
              {"events_per_second", state->rate(now)},
              {"time_column", column(stream.time_column)},
              {"key_column", column(stream.key_column)},
              {"dedup_column", column(stream.dedup_column)},
              {"derived_from", other(stream.source)},
              {"quarantine", other(stream.quarantine)},
              {"schema_version", number(stream.version)},
              {"position", words(applied.json())},
              {"sql", admin() ? text_or_null(stream.sql) : nothing()}});
  }
}

void SystemRelations::millrace_views(SystemRows& rows) {
  for (const auto& record : runner_.catalog_.views()) {
    if (record.replaces || !runner_.is_visible(who_, record.name)) continue;
    const auto object = std::ranges::find(objects(), record.name, &Object::name);
    std::vector<SystemCell> cells = {{"oid", number(object == objects().end() ? 0 : object->oid)},
                                     {"name", words(record.name)},
                                     {"materialized", record.materialized},
                                     {"created", record.created_us},
                                     {"sql", admin() ? words(record.sql) : nothing()},
                                     {"state", words("live")}};
    if (const auto view = record.materialized ? runner_.speed_.find_view(record.name) : nullptr) {
      const auto source = runner_.source_of(*view, view->coverage());
      const auto trouble = view->trouble();
      const bool building = view->phase() == speed::ViewPhase::kBuilding;
      cells.back().value = words(speed::name(view->phase()));
      const std::vector<SystemCell> more = {
          {"generation", number(source.coverage.generation.value)},
          // Positions name the streams.
          {"cut",
           admin() ? words(streams_position(source, &speed::StreamCoverage::cut)) : nothing()},
          {"delta_end", admin() ? words(streams_position(source, &speed::StreamCoverage::delta_end))
                                : nothing()},
          {"groups_in_generation", number(view->base_groups())},
          {"groups_in_delta", number(view->delta_groups())},
          {"delta_bytes", number(view->delta_bytes())},
          {"skipped_rows", number(source.coverage.skipped_rows)},
          {"built", building ? runner_.batch_.built(record.id) : 1.0},
          {"error", trouble ? words(trouble->message) : nothing()}};
      cells.insert(cells.end(), more.begin(), more.end());
    }
    rows.add(cells);
  }
}

void SystemRelations::millrace_tables(SystemRows& rows) {
  for (const auto& table : runner_.catalog_.tables()) {
    if (!runner_.is_visible(who_, table.name)) continue;
    const auto object = std::ranges::find(objects(), table.name, &Object::name);
    rows.add({{"oid", number(object == objects().end() ? 0 : object->oid)},
              {"name", words(table.name)},
              {"rows", number(table.newest().file.rows)},
              {"version", number(table.newest().version.value)},
              {"bytes", number(table.newest().file.size_bytes)},
              {"created", table.created_us},
              {"sql", admin() ? words(table.sql) : nothing()}});
  }
}

void SystemRelations::millrace_generations(SystemRows& rows) {
  for (const auto& record : runner_.catalog_.views()) {
    if (record.replaces || !runner_.is_visible(who_, record.name)) continue;
    for (const auto& generation : runner_.catalog_.generations(record.id)) {
      rows.add({{"view", words(record.name)},
                {"generation", number(generation.number.value)},
                {"groups", number(generation.file.rows)},
                {"events", number(generation.events)},
                {"bytes", number(generation.file.size_bytes)},
                {"skipped_rows", number(generation.skipped_rows)},
                {"drift_rows", number(generation.drift_rows)},
                {"full_run", generation.full},
                {"created", generation.created_us},
                {"duration_ms", static_cast<double>(generation.duration_us) / 1000}});
    }
  }
}

void SystemRelations::millrace_positions(SystemRows& rows) {
  for (const auto& state : runner_.speed_.streams()) {
    const auto stream = state->definition();
    if (!runner_.is_visible(who_, stream.name)) continue;
    const auto applied = state->applied();
    const auto snapshot = runner_.lake_.snapshot(stream.id);
    for (std::uint32_t partition = 0; partition < stream.partitions; ++partition) {
      rows.add({{"stream", words(stream.name)},
                {"partition", number(partition)},
                {"applied", number(applied.end(PartitionId(partition)).value)},
                {"in_lake", number(snapshot->end.end(PartitionId(partition)).value)}});
    }
  }
}

void SystemRelations::millrace_jobs(SystemRows& rows) {
  if (!admin()) return;
  const auto state = runner_.batch_.state();
  const auto add = [&](const BatchRunSummary& run, bool running) {
    rows.add({{"run", number(run.run)},
              {"state", words(running     ? "running"
                              : run.error ? "failed"
                                          : "done")},
              {"reason", words(run.reason)},
              {"full_run", run.full},
              {"view", running ? text_or_null(state.view) : nothing()},
              {"rows_done", running ? number(state.rows_done) : nothing()},
              {"rows_total", running ? number(state.rows_total) : nothing()},
              {"started", run.started_us},
              {"duration_ms",
               running ? nothing() : SystemValue(static_cast<double>(run.duration_us) / 1000)},
              {"generations", number(run.generations)},
              {"drift_rows", number(run.drift_rows)},
              {"error", run.error ? words(run.error->message) : nothing()}});
  };
  if (state.running) add(state.current, true);
  for (const auto& run : state.last) add(run, false);
}

void SystemRelations::millrace_connections(SystemRows& rows) {
  if (!admin()) return;
  for (const auto& connection : runner_.bridge_.connections()) {
    const auto& record = connection.record;
    rows.add({{"name", words(record.name)},
              {"type", words("mqtt")},
              {"url", words(record.url)},
              {"topic", words(record.topic)},
              {"stream", text_or_null(record.stream)},
              {"state", words(name(connection.status.state))},
              {"error", text_or_null(connection.status.error)},
              {"messages", number(connection.messages)},
              {"redelivered", number(connection.redelivered)},
              {"quarantined", number(connection.quarantined)},
              {"unmatched", number(connection.unmatched)},
              {"waiting", number(connection.waiting)},
              {"connects", number(connection.connects)},
              {"client_id", words(record.client_id)}});
  }
}

void SystemRelations::millrace_sinks(SystemRows& rows) {
  if (!admin()) return;
  for (const auto& sink : runner_.sinks_.infos()) {
    rows.add({{"name", words(sink.record.name)},
              {"type", words(sink::name(sink.kind))},
              {"url", words(sink.record.url)},
              {"view", words(sink.record.view)},
              {"state", words(name(sink.state))},
              {"error", text_or_null(sink.error)},
              {"lag_events", number(sink.lag_events)},
              {"lag_ms", number(static_cast<std::uint64_t>(sink.lag_us / 1000))},
              {"rows", number(sink.rows)},
              {"deletes", number(sink.deletes)},
              {"commits", number(sink.commits)},
              {"backfills", number(sink.backfills)},
              {"connects", number(sink.connects)},
              {"errors", number(sink.errors)},
              {"position", text_or_null(sink.position)}});
  }
}

void SystemRelations::millrace_quarantine(SystemRows& rows) {
  for (const auto& stream : runner_.catalog_.streams()) {
    if (!stream.quarantine || !runner_.is_visible(who_, stream.name)) continue;
    rows.add({{"stream", words(stream.name)},
              {"quarantine", words(stream.name + std::string(kQuarantineSuffix))},
              {"records", number(runner_.quarantined(stream))}});
  }
}

void SystemRelations::millrace_audit(SystemRows& rows) {
  for (const auto& record : runner_.catalog_.views()) {
    if (record.replaces || !runner_.access_.allowed(who_, Privilege::kSelect, record.name))
      continue;
    for (const auto& generation : runner_.catalog_.generations(record.id)) {
      const auto add = [&](const catalog::DriftRow* drift) {
        rows.add({{"view", words(record.name)},
                  {"generation", number(generation.number.value)},
                  {"created", generation.created_us},
                  {"drift_rows", number(generation.drift_rows)},
                  {"key", drift == nullptr ? nothing() : words(drift->key)},
                  {"batch", drift == nullptr ? nothing() : words(drift->batch)},
                  {"speed", drift == nullptr ? nothing() : words(drift->speed)}});
      };
      if (generation.drift.empty()) add(nullptr);
      for (const auto& drift : generation.drift) add(&drift);
    }
  }
}

void SystemRelations::millrace_metrics(SystemRows& rows) {
  const auto add = [&](std::string_view metric, std::string_view object, double value) {
    rows.add({{"name", words(metric)}, {"object", text_or_null(object)}, {"value", value}});
  };
  for (const auto& state : runner_.speed_.streams()) {
    const auto stream = state->definition();
    if (!runner_.is_visible(who_, stream.name)) continue;
    add("stream_events", stream.name, static_cast<double>(state->applied().events()));
    add("stream_events_per_second", stream.name, state->rate(runtime::monotonic_us()));
    add("stream_tail_rows", stream.name, static_cast<double>(state->tail_rows()));
    add("stream_quarantined", stream.name, static_cast<double>(runner_.quarantined(stream)));
  }
  for (const auto& view : runner_.speed_.named_views()) {
    if (!runner_.is_visible(who_, view->record().name)) continue;
    add("view_delta_groups", view->record().name, static_cast<double>(view->delta_groups()));
    add("view_delta_bytes", view->record().name, static_cast<double>(view->delta_bytes()));
    add("view_delta_events", view->record().name, static_cast<double>(view->delta_events()));
    add("view_generation_groups", view->record().name, static_cast<double>(view->base_groups()));
  }
  if (!admin()) return;
  const auto batch = runner_.batch_.state();
  add("batch_runs", {}, static_cast<double>(batch.runs));
  add("batch_failures", {}, static_cast<double>(batch.failures));
  add("batch_drift_rows", {}, static_cast<double>(batch.drift_rows));
  add("delta_bytes", {}, static_cast<double>(runner_.speed_.delta_bytes()));
  add("tail_bytes", {}, static_cast<double>(runner_.speed_.tail_bytes()));
}

void SystemRelations::millrace_users(SystemRows& rows) {
  for (const auto& user : runner_.access_.users()) {
    if (!admin() && !who_.is_user(user.name)) continue;
    std::vector<std::string> tokens;
    for (const auto& token : user.tokens) tokens.push_back(token.name);
    rows.add({{"name", words(user.name)},
              {"has_password", !user.verifier.empty()},
              {"tokens", std::move(tokens)},
              {"admin", runner_.access_.is_admin(access::Principal::user(user.name))},
              {"created", user.created_us}});
  }
}

void SystemRelations::millrace_grants(SystemRows& rows) {
  constexpr std::string_view kKinds[] = {"all", "relation", "topic"};
  for (const auto& user : runner_.access_.users()) {
    if (!admin() && !who_.is_user(user.name)) continue;
    for (const auto& grant : user.grants) {
      rows.add({{"user_name", words(user.name)},
                {"privilege", words(privilege_name(grant.privilege))},
                {"object_kind", words(kKinds[static_cast<std::size_t>(grant.target)])},
                {"object", text_or_null(grant.object)}});
    }
  }
}

}  // namespace millrace::serving
