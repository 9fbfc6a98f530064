// What a SELECT wants of streams and views, found in its tree and those of the plain views it
// reads.
#include <map>

#include "serving/statement_runner.h"
#include "sql/syntax.h"

namespace millrace::serving {

SelectReads StatementRunner::reads_of(const boost::json::object& tree) const {
  std::map<std::string, boost::json::object> plain_views;
  const auto find = [&](std::string_view name) -> NamedRelation {
    constexpr std::string_view kPublicPrefix = "public.";
    if (name.starts_with(kPublicPrefix)) name.remove_prefix(kPublicPrefix.size());
    NamedRelation out;
    if (const auto stream = catalog_.find_stream(name)) {
      out.name = stream->name;
      for (const auto& column : stream->columns) out.columns.push_back(column.name);
      for (const auto hidden : {kPartitionColumn, kOffsetColumn, kArrivalColumn})
        out.columns.emplace_back(hidden);
    } else if (const auto view = speed_.find_view(name)) {
      out.name = view->record().name;
      for (const auto& output : view->compiled().outputs) out.columns.push_back(output.name);
    } else if (const auto plain = catalog_.find_view(name); plain && !plain->materialized) {
      const auto known = plain_views.find(plain->name);
      if (known != plain_views.end()) {
        out.plain_view = &known->second;
      } else if (auto parsed = sql::parse_select(plain->select)) {
        out.plain_view = &plain_views.emplace(plain->name, std::move(*parsed)).first->second;
      }
    }
    return out;
  };
  return SelectReads::of(tree, find);
}

}  // namespace millrace::serving
