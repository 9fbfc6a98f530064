// SHOW and DESCRIBE: what there is, as rows.
#include <algorithm>

#include "serving/statement_rows.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

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

}  // namespace

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

}  // namespace millrace::serving
