// EXPLAIN SELECT: what the statement reads, without running it: of each view the generation, the
// cut and the delta's end, of each stream the files and the tail, and whether the index answers.
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"
#include "sql/allow_list.h"

namespace millrace::serving {

namespace {

std::string positions(const speed::Coverage& coverage, Position speed::StreamCoverage::* position) {
  std::string out;
  for (const auto& stream : coverage.streams)
    out += (out.empty() ? "" : " ") + (stream.*position).json();
  return out;
}

}  // namespace

Result<StatementResult> StatementRunner::explain(const access::Principal& who,
                                                 const ParsedSelect& select) {
  // Also the check of rights and of names.
  MR_RETURN_IF_ERROR(shape_of(who, select));
  Rows rows({{"QUERY PLAN", kText}});
  const auto point = point_select(who, select, {});
  rows.text(point != nullptr ? "by key: the view's index answers, without a worker process"
                             : "in a worker process: all rows of what is read, then the SELECT")
      .end();
  for (const auto& past : select.past) {
    rows.text(fmt::format("view {}: as it was; a generation from then and the events behind it",
                          past.name))
        .end();
  }
  for (const auto& name : everything_read_by(select.text)) {
    if (const auto stream = catalog_.find_stream(name)) {
      const auto state = speed_.stream(stream->id);
      const auto lake = lake_.snapshot(stream->id);
      std::size_t files = 0;
      for (const auto& commit : lake->commits) files += commit.files.size();
      const std::uint64_t applied = state == nullptr ? 0 : state->events();
      rows.text(fmt::format("stream {}: {} events in {} files of {} lake commits, {} events of the "
                            "log's tail",
                            stream->name, lake->end.events(), files, lake->commits.size(),
                            applied - std::min(applied, lake->end.events())))
          .end();
    } else if (const auto table = catalog_.find_table(name)) {
      rows.text(fmt::format("table {}: version {}, {} rows", table->name,
                            table->newest().version.value, table->newest().file.rows))
          .end();
    } else if (const auto view = speed_.find_view(name)) {
      const auto coverage = view->coverage();
      rows
          .text(fmt::format(
              "view {}: {} of generation {} cut at {}, {} of the delta to {}", view->record().name,
              point != nullptr ? "some groups" : fmt::format("{} groups", view->base_groups()),
              coverage.generation.value, positions(coverage, &speed::StreamCoverage::cut),
              point != nullptr ? "some groups" : fmt::format("{} groups", view->delta_groups()),
              positions(coverage, &speed::StreamCoverage::delta_end)))
          .end();
    } else if (const auto plain = catalog_.find_view(name)) {
      rows.text(fmt::format("plain view {}: computed when it is read", plain->name)).end();
    }
  }
  return std::move(rows).result("EXPLAIN");
}

}  // namespace millrace::serving
