#include "cli/live_rows.h"

#include <simdjson.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

namespace millrace::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kHead = 3;  // _position, _op, _key

struct Line {
  std::vector<std::string> names;
  std::vector<std::string> cells;
};

/// The members of a line in their order, as JSON texts.
std::optional<Line> line_of(std::string_view text) {
  simdjson::padded_string padded(text);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::object object;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_object().get(object) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  Line out;
  for (auto member : object) {
    std::string_view key;
    simdjson::ondemand::value value;
    std::string_view raw;
    if (member.unescaped_key().get(key) != simdjson::SUCCESS) return std::nullopt;
    out.names.emplace_back(key);
    if (member.value().get(value) != simdjson::SUCCESS ||
        simdjson::to_json_string(value).get(raw) != simdjson::SUCCESS) {
      return std::nullopt;
    }
    while (!raw.empty() && (raw.back() == ' ' || raw.back() == '\n')) raw.remove_suffix(1);
    out.cells.emplace_back(raw);
  }
  if (out.names.size() < kHead || out.names[1] != "_op") return std::nullopt;
  return out;
}

/// The problem document of a last line.
Error error_of_line(std::string_view text) {
  Error error{.code = ErrorCode::kUnavailable, .id = {}, .message = {}, .hint = {}, .place = {}};
  boost::system::error_code failed;
  const auto document = json::parse(text, failed);
  const auto* problem = failed ? nullptr : document.as_object().if_contains("error");
  if (problem == nullptr || !problem->is_object()) return error;
  const auto said = [&](std::string_view name) {
    const auto* value = problem->get_object().if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
  };
  error.id = said("code");
  error.message = said("detail");
  error.hint = said("hint");
  return error;
}

}  // namespace

Result<bool> LiveRows::take(std::string_view text, Clock::time_point now) {
  auto line = line_of(text);
  if (!line) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "a line of a SUBSCRIBE is none: {}",
                text.substr(0, 200));
  }
  const std::string op = cell_text(line->cells[1]);
  if (op == "end") return std::unexpected(error_of_line(text));
  if (names_.empty()) names_.assign(line->names.begin() + kHead, line->names.end());
  if (op == "progress") {
    position_ = cell_text(line->cells[0]);
    return true;
  }
  ++changes_;
  if (op == "reset") {
    keys_.clear();
    forgot_ = false;
    return false;
  }
  auto& key = line->cells[2];
  if (op == "delete") {
    keys_.erase(key);
    return false;
  }
  auto& held = keys_[std::move(key)];
  if (op == "upsert") held.rows.clear();
  held.rows.emplace_back(std::make_move_iterator(line->cells.begin() + kHead),
                         std::make_move_iterator(line->cells.end()));
  held.changed = now;
  if (keys_.size() > kRowsMax) forget_oldest();
  return false;
}

/// A tenth of them at once, so that it is not done for every row.
void LiveRows::forget_oldest() {
  std::vector<Clock::time_point> times;
  times.reserve(keys_.size());
  for (const auto& [key, held] : keys_) times.push_back(held.changed);
  const auto tenth = times.begin() + static_cast<std::ptrdiff_t>(kRowsMax / 10);
  std::ranges::nth_element(times, tenth);
  const auto edge = *tenth;
  std::size_t left = kRowsMax / 10;
  std::erase_if(keys_, [&](const auto& one) {
    if (one.second.changed > edge || left == 0) return false;
    --left;
    return true;
  });
  forgot_ = true;
}

LiveRows::Shown LiveRows::shown(std::size_t rows_max, Clock::time_point since) const {
  std::vector<ResultColumn> columns;
  for (const auto& name : names_) columns.push_back({name, ""});
  std::vector<std::string> cells;
  std::vector<bool> is_new;
  for (const auto& [key, held] : keys_) {
    for (const auto& row : held.rows) {
      if (is_new.size() == rows_max) break;
      cells.insert(cells.end(), row.begin(), row.end());
      is_new.push_back(held.changed >= since);
    }
    if (is_new.size() == rows_max) break;
  }
  // Numbers stand to the right.
  for (std::size_t c = 0; c < columns.size() && !is_new.empty(); ++c) {
    const auto numeric = [&](std::size_t row) {
      const auto& cell = cells[row * columns.size() + c];
      return cell == "null" ||
             (!cell.empty() && (cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9')));
    };
    bool all = true;
    for (std::size_t row = 0; row < is_new.size(); ++row) all = all && numeric(row);
    columns[c].type = all ? "DOUBLE" : "VARCHAR";
  }
  return {ResultTable::of_cells(std::move(columns), std::move(cells)), std::move(is_new)};
}

}  // namespace millrace::cli
