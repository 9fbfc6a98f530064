#include "view_check.h"

#include <simdjson.h>

#include <bit>
#include <functional>

#include "http_load.h"
#include "model/value_text.h"

namespace millrace::bench {

namespace {

using simdjson::dom::array;
using simdjson::dom::element;

std::unexpected<Error> wrong(std::string_view view, std::string_view what) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "the answer of {} is wrong: {}", view,
              what);
}

bool same_bits(const element& value, double expected) {
  double found = 0;
  return value.get_double().get(found) == simdjson::SUCCESS &&
         std::bit_cast<std::uint64_t>(found) == std::bit_cast<std::uint64_t>(expected);
}

/// Finds the group of a row, nullptr for a row that should not be there.
using FindGroup = std::function<const GroupTotals*(const array& row)>;

Status check_view(Connection& connection, std::string_view view, std::size_t keys, bool with_ends,
                  std::size_t groups_expected, const FindGroup& find) {
  MR_TRY(const auto reply,
         connection.ask("GET", fmt::format("/v1/views/{}?limit=100000000", view)));
  if (reply.status != 200) return wrong(view, reply.body.substr(0, 300));
  simdjson::dom::parser parser;
  array rows;
  element document;
  if (parser.parse(reply.body).get(document) != simdjson::SUCCESS ||
      document["rows"].get_array().get(rows) != simdjson::SUCCESS) {
    return wrong(view, "no rows");
  }
  std::size_t groups = 0;
  for (const element line : rows) {
    ++groups;
    const array row = line.get_array().value_unsafe();
    const GroupTotals* expected = row.size() == keys + (with_ends ? 4 : 2) ? find(row) : nullptr;
    if (expected == nullptr || expected->count == 0) {
      return wrong(view,
                   fmt::format("unexpected row {}", std::string_view(simdjson::minify(line))));
    }
    std::uint64_t count = 0;
    const bool right =
        row.at(keys).get_uint64().get(count) == simdjson::SUCCESS && count == expected->count &&
        same_bits(row.at(keys + 1).value_unsafe(), expected->rounded_sum()) &&
        (!with_ends ||
         (same_bits(row.at(keys + 2).value_unsafe(), static_cast<double>(expected->min) / 100.0) &&
          same_bits(row.at(keys + 3).value_unsafe(), static_cast<double>(expected->max) / 100.0)));
    if (!right) {
      return wrong(view, fmt::format("row {} where count is {} and sum is {}",
                                     std::string(simdjson::minify(line)), expected->count,
                                     double_text(expected->rounded_sum())));
    }
  }
  if (groups != groups_expected)
    return wrong(view, fmt::format("{} groups, not {}", groups, groups_expected));
  return {};
}

std::size_t used_groups(const std::vector<GroupTotals>& groups) {
  std::size_t used = 0;
  for (const auto& group : groups) used += group.count != 0 ? 1 : 0;
  return used;
}

std::string_view text_at(const array& row, std::size_t index) {
  std::string_view text;
  return row.at(index).get_string().get(text) == simdjson::SUCCESS ? text : std::string_view();
}

std::size_t number_in(std::string_view text, std::size_t skip) {
  std::size_t value = 0;
  for (const char c : text.substr(std::min(skip, text.size())))
    value = value * 10 + static_cast<std::size_t>(c - '0');
  return value;
}

std::size_t type_index(std::string_view name) {
  for (std::size_t i = 0; i < kTypes; ++i) {
    if (kTypeNames[i] == name) return i;
  }
  return kTypes;
}

const GroupTotals* at(const std::vector<GroupTotals>& groups, std::size_t major, std::size_t type) {
  return type < kTypes && major * kTypes + type < groups.size() ? &groups[major * kTypes + type]
                                                                : nullptr;
}

}  // namespace

Status check_views(std::uint16_t port, const Totals& totals) {
  MR_TRY(auto connection, Connection::open(port));
  MR_RETURN_IF_ERROR(
      check_view(connection, "v1", 1, true, used_groups(totals.users), [&](const array& row) {
        const std::size_t user = number_in(text_at(row, 0), 1);
        return user < kUsers ? &totals.users[user] : nullptr;
      }));
  MR_RETURN_IF_ERROR(
      check_view(connection, "v2", 2, false, used_groups(totals.pages), [&](const array& row) {
        return at(totals.pages, number_in(text_at(row, 0), 3), type_index(text_at(row, 1)));
      }));
  return check_view(connection, "v3", 2, false, used_groups(totals.minutes), [&](const array& row) {
    const auto micros = parse_timestamp(text_at(row, 0));
    const std::int64_t minute = micros ? (*micros / 1000 - kFirstEventMs) / 60'000 + 1 : -1;
    return minute < 0
               ? nullptr
               : at(totals.minutes, static_cast<std::size_t>(minute), type_index(text_at(row, 1)));
  });
}

}  // namespace millrace::bench
