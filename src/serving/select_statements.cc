// SELECT: what it reads is put together for a worker process, at one moment, and answered.
#include <algorithm>

#include "base/ascii_case.h"
#include "runtime/clock.h"
#include "serving/lake_pruning.h"
#include "serving/statement_runner.h"
#include "serving/view_reader.h"
#include "speed/moment.h"
#include "sql/allow_list.h"
#include "sql/catalogue_rewrite.h"
#include "sql/parameters.h"
#include "sql/suggestion.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

/// SELECTs that wait for a view's first generation hold a thread each: a few may, so that the other
/// statements find one, and not for ever.
constexpr unsigned kWaitersMax = 2;
constexpr std::uint64_t kWaitMsMax = 30'000;
/// Keys that an I/O thread reads by itself.
constexpr std::size_t kAtHandKeysMax = 100;

/// Whether a SELECT with these column names wants the hidden columns of streams.
bool wants_hidden(const sql::AllowedSelect& allowed) {
  return std::ranges::any_of(allowed.columns, [](const std::string& column) {
    return same_name(column, kPartitionColumn) || same_name(column, kOffsetColumn) ||
           same_name(column, kArrivalColumn);
  });
}

}  // namespace

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
                                        .rows = std::move(read.batches)});
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
    const auto scan = scan_of(view->compiled(), assembly.reads, view->record().name);
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

std::string StatementRunner::nearest_name(const access::Principal& who,
                                          std::string_view name) const {
  std::vector<std::string> names;
  const auto add = [&](const std::string& there) {
    if (access_.allowed(who, Privilege::kSelect, there)) names.push_back(there);
  };
  for (const auto& stream : catalog_.streams()) add(stream.name);
  for (const auto& view : catalog_.views()) add(view.name);
  for (const auto& table : catalog_.tables()) add(table.name);
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  return std::string(sql::closest(name, candidates));
}

Status StatementRunner::assemble_tree(const boost::json::object& given, std::string_view text,
                                      Assembly& assembly) {
  if (assembly.started_us == 0) assembly.started_us = runtime::monotonic_us();
  boost::json::object tree = given;
  sql::CatalogueUse use;
  if (assembly.catalogue) {
    MR_TRY(use, sql::rewrite_catalogue(tree, assembly.postgres_names));
  }
  std::string_view missing;
  const auto allowed = sql::check_select(
      tree, sql::Use::kAdHoc,
      [&](std::string_view name) {
        auto found = resolve_for(assembly, name);
        if (found.empty()) missing = name;
        return found;
      },
      text);
  if (!allowed) {
    auto meant = missing.empty() ? std::string() : nearest_name(assembly.who, missing);
    if (meant.empty() || allowed.error().code != ErrorCode::kNotFound)
      return std::unexpected(allowed.error());
    return std::unexpected(
        Error(allowed.error()).with_hint(fmt::format("did you mean {}?", meant)));
  }
  MR_TRY(assembly.query.select, sql::select_text(tree));
  assembly.query.result_bytes_max = options_.result_bytes_max;
  if (!assembly.types_only) assembly.reads = reads_of(tree);
  // Where the statement has no transaction, the moment is over when all is read.
  std::optional<ReadMoment> own;
  const auto taken = take_moment(without_schema(allowed->tables), own, assembly);
  if (!taken) return taken;
  for (const auto& table : allowed->tables) {
    MR_RETURN_IF_ERROR(add_relation(table, wants_hidden(*allowed), assembly));
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
  if (context.whole) assembly.query.spill_bytes_max = options_.spill_bytes_max;
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
  out.rest = std::move(result.rest);
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
  if (context.at_hand && (keys->size() > kAtHandKeysMax || !view->is_cached(*keys)))
    return std::optional<StatementResult>();
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
