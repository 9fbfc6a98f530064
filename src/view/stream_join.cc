#include "view/stream_join.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace millrace::view {

namespace {

std::string tried(std::string_view expression) { return fmt::format("TRY({})", expression); }

std::string condition_of(const JoinSide& side, bool sound) {
  std::string out;
  for (const auto& filter : side.filters)
    out += fmt::format("{}{}", out.empty() ? "" : " AND ", sound ? tried(filter) : filter);
  return out.empty() ? "TRUE" : out;
}

/// The stream's columns and the hidden ones, by their qualified names.
std::string columns_of(const JoinSide& side) {
  const auto alias = quote_identifier(side.alias);
  std::string out;
  for (const auto& column : side.columns)
    out += fmt::format("{}.{}, ", alias, quote_identifier(column));
  return fmt::format("{1}{0}.{2}, {0}.{3}, {0}.{4}", alias, out, kPartitionColumn, kOffsetColumn,
                     kArrivalColumn);
}

std::string select_rows(const JoinSide& side, std::string_view relation, bool sound) {
  std::string out = "SELECT ";
  const auto add = [&](std::string_view expression) {
    out += fmt::format("{}, ", sound ? tried(expression) : expression);
  };
  add(side.low);
  add(side.high);
  for (const auto& key : side.keys) add(key);
  return fmt::format("{}{} FROM {} AS {} WHERE {}", out, columns_of(side),
                     quote_identifier(relation), quote_identifier(side.alias),
                     condition_of(side, sound));
}

}  // namespace

std::string rows_sql(const JoinSide& side, std::string_view relation) {
  return select_rows(side, relation, false);
}

std::string sound_rows_sql(const JoinSide& side, std::string_view relation) {
  return select_rows(side, relation, true);
}

std::string scan_relation(const JoinSide& side, std::string_view relation,
                          std::int64_t bucket_width) {
  std::string whole =
      fmt::format("{} IS NOT NULL AND {} IS NOT NULL", tried(side.low), tried(side.high));
  for (const auto& key : side.keys) whole += fmt::format(" AND {} IS NOT NULL", tried(key));
  // A span may be the wrong way round: its partners' spans then have it inside.
  const auto bucket = [&](std::string_view which) {
    return fmt::format("{}({}, {}) // {}", which, tried(side.low), tried(side.high), bucket_width);
  };
  return fmt::format(
      "SELECT *, unnest(range({0}, _last_bucket + 1)) AS {1} FROM (SELECT {2}, {3} AS {0}, {4} AS "
      "_last_bucket FROM {5} AS {6} WHERE {7} AND {8})",
      kFirstBucketColumn, kBucketColumn, columns_of(side), bucket("least"), bucket("greatest"),
      quote_identifier(relation), quote_identifier(side.alias), condition_of(side, true), whole);
}

}  // namespace millrace::view
