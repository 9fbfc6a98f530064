// EXPLAIN SELECT: what the statement reads, without running it: of each view the keys, columns and
// rows that are wanted, the generation, the cut and the delta's end, of each stream the files and
// the tail, and whether the index answers.
#include "serving/lake_pruning.h"
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"
#include "sql/allow_list.h"
#include "sql/catalogue_rewrite.h"
#include "sql/parameters.h"

namespace millrace::serving {

namespace {

std::string positions(const speed::Coverage& coverage, Position speed::StreamCoverage::* position) {
  std::string out;
  for (const auto& stream : coverage.streams)
    out += (out.empty() ? "" : " ") + (stream.*position).json();
  return out;
}

/// "keys k = 1 value; columns k, c (2 of 3); the first 10 of the keys' order"
std::string wanted_of(const view::CompiledView& view, const ViewScan& scan) {
  std::string out = scan.keys.text.empty() ? "all keys" : "keys " + scan.keys.text;
  std::string names;
  for (const auto output : scan.outputs) {
    names += (names.empty() ? "" : ", ");
    names += view.outputs[output].name;
  }
  out +=
      scan.outputs.size() == view.outputs.size()
          ? "; all columns"
          : fmt::format("; columns {} ({} of {})", names, scan.outputs.size(), view.outputs.size());
  switch (way_of(view, scan)) {
    case ScanWay::kAll:
      break;
    case ScanWay::kFirst:
      out += fmt::format("; the first {} in the order of the keys", *scan.limit);
      break;
    case ScanWay::kBest:
      out += fmt::format("; the first {} of the wanted order, out of all of these groups",
                         *scan.limit);
      break;
  }
  return out;
}

}  // namespace

std::string StatementRunner::explain_stream(const StreamDefinition& stream,
                                            const SelectReads& reads) const {
  const auto state = speed_.stream(stream.id);
  const auto lake = lake_.snapshot(stream.id);
  const auto mentions = reads.mentions(stream.name);
  std::size_t files = 0;
  std::size_t needed = 0;
  std::uint64_t events = 0;
  for (const auto& commit : lake->commits) {
    for (const auto& file : commit.files) {
      ++files;
      if (!is_needed(file, stream, mentions)) continue;
      ++needed;
      events += file.rows;
    }
  }
  const std::uint64_t applied = state == nullptr ? 0 : state->events();
  return fmt::format(
      "stream {}: {} of {} events in {} of {} files of {} lake commits, {} events of the log's "
      "tail",
      stream.name, events, lake->end.events(), needed, files, lake->commits.size(),
      applied - std::min(applied, lake->end.events()));
}

std::vector<std::string> StatementRunner::read_by(const boost::json::object& tree,
                                                  const access::Principal& who) const {
  Assembly names;
  names.who = who;
  names.catalogue = true;
  const auto allowed = sql::check_select(
      tree, sql::Use::kAdHoc, [&](std::string_view name) { return resolve_for(names, name); });
  std::vector<std::string> out;
  if (!allowed) return out;
  for (const auto& name : without_schema(allowed->tables)) {
    if (std::ranges::find(out, name) == out.end()) out.push_back(name);
    const auto plain = catalog_.find_view(name);
    if (!plain || plain->materialized) continue;
    for (auto& inner : everything_read_by(plain->select)) {
      if (std::ranges::find(out, inner) == out.end()) out.push_back(std::move(inner));
    }
  }
  return out;
}

Result<StatementResult> StatementRunner::explain(const access::Principal& who,
                                                 const ParsedSelect& select) {
  // Also the check of rights and of names.
  MR_RETURN_IF_ERROR(shape_of(who, select));
  Rows rows({{"QUERY PLAN", kText}});
  const auto point = point_select(who, select, {});
  rows.text(point != nullptr ? "by key: the view's index answers, without a worker process"
                             : "in a worker process, over what is read here:")
      .end();
  for (const auto& past : select.past) {
    rows.text(fmt::format("view {}: as it was; a generation from then and the events behind it",
                          past.name))
        .end();
  }
  auto tree = select.tree;
  MR_RETURN_IF_ERROR(sql::rewrite_catalogue(tree));
  // The check knows no parameters: it sees values in their places.
  MR_TRY(const auto null, sql::ParameterNode::make(Type{TypeKind::kVarchar}));
  MR_TRY(const auto value, null.of(0, std::nullopt));
  boost::json::value checked = tree;
  sql::replace_parameters(checked, [&](std::size_t) { return value; });
  const auto reads = reads_of(tree);
  for (const auto& name : read_by(checked.get_object(), who)) {
    if (const auto stream = catalog_.find_stream(name)) {
      rows.text(explain_stream(*stream, reads)).end();
    } else if (const auto table = catalog_.find_table(name)) {
      rows.text(fmt::format("table {}: version {}, {} rows", table->name,
                            table->newest().version.value, table->newest().file.rows))
          .end();
    } else if (const auto view = speed_.find_view(name)) {
      const auto coverage = view->coverage();
      const auto scan = scan_of(view->compiled(), reads, view->record().name);
      rows.text(fmt::format("view {}: {}; generation {} of {} groups, cut at {}; {} groups of the "
                            "delta to {}",
                            view->record().name, wanted_of(view->compiled(), scan),
                            coverage.generation.value, view->base_groups(),
                            positions(coverage, &speed::StreamCoverage::cut), view->delta_groups(),
                            positions(coverage, &speed::StreamCoverage::delta_end)))
          .end();
    } else if (const auto plain = catalog_.find_view(name)) {
      rows.text(fmt::format("plain view {}: computed when it is read", plain->name)).end();
    }
  }
  return std::move(rows).result("EXPLAIN");
}

}  // namespace millrace::serving
