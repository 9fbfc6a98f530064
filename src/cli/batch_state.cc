#include "cli/batch_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "cli/json_fields.h"
#include "cli/terminal.h"
#include "model/column_batch.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;

constexpr auto kPollTime = std::chrono::milliseconds(50);

std::unexpected<Error> not_of_batch(std::string_view body) {
  return fail(ErrorCode::kInternal, error_id::kInternal,
              "the server's answer is not one of the batch layer: {}", body.substr(0, 200));
}

BatchRun run_of(const json::value& value) {
  BatchRun out;
  if (!value.is_object()) return out;
  const auto& object = value.get_object();
  out.run = number_field<std::uint64_t>(object, "run");
  out.full = bool_field(object, "full");
  out.reason = text_field(object, "reason");
  out.seconds = number_field<double>(object, "seconds");
  out.generations = number_field<std::uint64_t>(object, "generations");
  out.drift_rows = number_field<std::uint64_t>(object, "drift_rows");
  if (const auto& error = object_field(object, "error"); !error.empty()) {
    out.error = Error{
        .code = ErrorCode::kInternal,
        .id = text_field(error, "code"),
        .message = fmt::format("batch run {} failed: {}", out.run, text_field(error, "detail")),
        .hint = {},
        .place = {}};
    if (out.error->id.empty()) out.error->id = error_id::kInternal;
  }
  return out;
}

}  // namespace

const BatchRun* BatchState::ended(std::uint64_t number) const {
  const auto found = std::ranges::find(last, number, &BatchRun::run);
  return found != last.end() ? &*found : nullptr;
}

std::string BatchState::progress_text() const {
  if (state != "running") return fmt::format("batch layer: {}", state);
  const double share =
      rows_total == 0 ? 0
                      : 100.0 * static_cast<double>(rows_done) / static_cast<double>(rows_total);
  return fmt::format("batch run {}: view {}, {} of {} rows ({:.0f} %), {} rows/s, {:.0f} s left",
                     run, printable(view), grouped(rows_done), grouped(rows_total), share,
                     grouped(static_cast<std::uint64_t>(rows_per_second)), seconds_left);
}

Result<std::uint64_t> start_batch(ApiClient& api, bool full) {
  MR_TRY(const auto body, api.post("/v1/batch", full ? R"({"full":true})" : "{}"));
  boost::system::error_code error;
  const auto document = json::parse(body, error);
  if (error || !document.is_object()) return not_of_batch(body);
  const auto run = number_field<std::uint64_t>(document.get_object(), "run");
  if (run == 0) return not_of_batch(body);
  return run;
}

Result<BatchState> batch_state(ApiClient& api) {
  BatchState out;
  MR_TRY(out.json, api.get("/v1/batch"));
  boost::system::error_code error;
  const auto document = json::parse(out.json, error);
  if (error || !document.is_object()) return not_of_batch(out.json);
  const auto& object = document.get_object();
  out.state = text_field(object, "state");
  const auto& current = object_field(object, "current");
  out.run = number_field<std::uint64_t>(current, "run");
  out.view = text_field(current, "view");
  out.rows_done = number_field<std::uint64_t>(current, "rows_done");
  out.rows_total = number_field<std::uint64_t>(current, "rows_total");
  out.rows_per_second = std::max(0.0, number_field<double>(current, "rows_per_second"));
  out.seconds_left = number_field<double>(current, "seconds_left");
  for (const auto& run : array_field(object, "last")) out.last.push_back(run_of(run));
  return out;
}

Result<BatchState> wait_for_batch(ApiClient& api, std::uint64_t run,
                                  const std::function<Status(const BatchState&)>& progress) {
  while (true) {
    MR_TRY(auto state, batch_state(api));
    if (const auto* ended = state.ended(run)) {
      if (ended->error) return std::unexpected(*ended->error);
      return state;
    }
    // Only the newest runs are listed: one that is neither there nor to come has ended before.
    if (!state.last.empty() && state.last.front().run > run) return state;
    MR_RETURN_IF_ERROR(progress(state));
    std::this_thread::sleep_for(kPollTime);
  }
}

ResultTable generations_table(const BatchState& state) {
  std::vector<std::string> cells;
  boost::system::error_code error;
  const auto document = json::parse(state.json, error);
  if (!error && document.is_object()) {
    for (const auto& value : array_field(document.get_object(), "generations")) {
      if (!value.is_object()) continue;
      const auto& object = value.get_object();
      append_json_string(cells.emplace_back(), text_field(object, "view"));
      for (const auto* key : {"generation", "events", "groups", "drift_rows"}) {
        cells.push_back(fmt::format("{}", number_field<std::uint64_t>(object, key)));
      }
      cells.push_back(fmt::format("{:.3f}", number_field<double>(object, "seconds")));
      append_json_string(cells.emplace_back(), text_field(object, "created"));
    }
  }
  return ResultTable::of_cells({{"view", "VARCHAR"},
                                {"generation", "BIGINT"},
                                {"events", "BIGINT"},
                                {"groups", "BIGINT"},
                                {"drift", "BIGINT"},
                                {"seconds", "DOUBLE"},
                                {"created", "VARCHAR"}},
                               std::move(cells));
}

}  // namespace millrace::cli
