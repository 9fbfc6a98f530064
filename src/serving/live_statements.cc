// SUBSCRIBE: what it reads, and its beginning.
#include "serving/live_query.h"
#include "serving/live_select.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

namespace {

Error no_view_to_follow(std::string_view name, std::string_view what, std::string_view hint) {
  return {.code = ErrorCode::kInvalidArgument,
          .id = std::string(error_id::kUnsupportedStatement),
          .message = fmt::format("SUBSCRIBE follows materialized views, and {} is {}", name, what),
          .hint = std::string(hint),
          .place = {}};
}

}  // namespace

Result<sql::StatementShape> StatementRunner::shape_of_live(const access::Principal& who,
                                                           const ParsedSelect& select) {
  MR_RETURN_IF_ERROR(check_live_select(select));
  MR_TRY(auto shape, shape_of(who, select));
  const auto name = relation_of(select);
  if (speed_.find_view(name) != nullptr) return shape;
  if (speed_.find_stream(name) != nullptr) {
    return std::unexpected(no_view_to_follow(
        name, "a stream",
        "make a materialized view over it; its events can be followed over HTTP and MQTT"));
  }
  if (const auto record = catalog_.find_view(name)) {
    return std::unexpected(no_view_to_follow(
        name, "a plain view, which is computed when it is read",
        "subscribe to the materialized view that it reads, or make it a materialized view"));
  }
  return std::unexpected(no_view_to_follow(name, "none", "name a materialized view behind FROM"));
}

Result<std::shared_ptr<LiveQuery>> StatementRunner::subscribe(const access::Principal& who,
                                                              const ParsedSelect& select,
                                                              std::vector<Column> columns,
                                                              const sql::Subscribe& statement) {
  const auto name = relation_of(select);
  auto view = speed_.find_view(name);
  if (view == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kViewNotFound,
                "materialized view {} does not exist", name);
  }
  MR_RETURN_IF_ERROR(access_.require(who, Privilege::kSelect, name));
  MR_TRY(auto live, make_live_select(select, std::move(columns), std::move(view)));
  return LiveQuery::open(feed_, speed_database_, std::move(live),
                         {.snapshot = statement.snapshot,
                          .position = statement.position,
                          .allowed = [this, who, name] {
                            return access_.require_still(who, Privilege::kSelect, name);
                          }});
}

}  // namespace millrace::serving
