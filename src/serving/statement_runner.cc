#include "serving/statement_runner.h"

#include "serving/statement_rows.h"
#include "serving/view_reader.h"
#include "sql/syntax.h"

namespace millrace::serving {

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

}  // namespace millrace::serving
