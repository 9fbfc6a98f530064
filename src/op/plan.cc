#include "op/plan.h"

#include <algorithm>
#include <boost/json.hpp>
#include <initializer_list>

#include "base/ascii_case.h"

namespace millrace::op {

namespace json = boost::json;

namespace {

constexpr std::int64_t kPlanVersion = 1;
constexpr std::size_t kStreamsMax = 64;

template <class... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalidArgument, error_id::kPlan, "plan: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

Status check_members(const json::object& object, std::string_view what,
                     std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : object) {
    const std::string_view member(name.data(), name.size());
    if (std::ranges::find(known, member) == known.end())
      return refuse("{} has a member \"{}\" that this version does not know", what,
                    member.substr(0, 100));
  }
  return {};
}

Result<std::string> text_member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return refuse("\"{}\" is no string", name);
  return std::string(value->get_string());
}

Result<const json::array*> array_member(const json::object& object, std::string_view name,
                                        std::size_t count_max) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_array()) return refuse("\"{}\" is no array", name);
  if (value->get_array().size() > count_max)
    return refuse("\"{}\" has {} entries, at most {} are taken", name, value->get_array().size(),
                  count_max);
  return &value->get_array();
}

/// The place of the column that "time" or "key" names.
Result<std::optional<std::uint32_t>> column_member(const json::object& object,
                                                   std::string_view name,
                                                   const StreamDefinition& stream) {
  if (!object.contains(name)) return std::optional<std::uint32_t>();
  MR_TRY(const auto column, text_member(object, name));
  const auto found = stream.find_column(column);
  if (!found) return refuse("\"{}\" names a column {} that is not there", name, column);
  return found;
}

Result<StreamDefinition> read_stream(const json::value& value) {
  if (!value.is_object()) return refuse("a stream is no object");
  const json::object& object = value.get_object();
  MR_RETURN_IF_ERROR(check_members(object, "a stream", {"name", "columns", "time", "key"}));
  StreamDefinition stream;
  MR_TRY(stream.name, text_member(object, "name"));
  MR_RETURN_IF_ERROR(check_object_name(stream.name));
  MR_TRY(const auto* columns, array_member(object, "columns", kColumnsMax));
  for (const json::value& entry : *columns) {
    if (!entry.is_object()) return refuse("a column of {} is no object", stream.name);
    MR_RETURN_IF_ERROR(check_members(entry.get_object(), "a column", {"name", "type"}));
    Column column;
    MR_TRY(column.name, text_member(entry.get_object(), "name"));
    MR_RETURN_IF_ERROR(check_column_name(column.name));
    for (const Column& other : stream.columns) {
      if (same_name(other.name, column.name))
        return refuse("two columns are named {}", column.name);
    }
    MR_TRY(const auto type, text_member(entry.get_object(), "type"));
    MR_TRY(column.type, Type::parse(type));
    stream.columns.push_back(std::move(column));
  }
  MR_TRY(stream.time_column, column_member(object, "time", stream));
  MR_TRY(stream.key_column, column_member(object, "key", stream));
  return stream;
}

}  // namespace

std::string write_plan(const Plan& plan) {
  json::array streams;
  for (const StreamDefinition& stream : plan.streams) {
    json::object object;
    object["name"] = stream.name;
    json::array columns;
    for (const Column& column : stream.columns)
      columns.push_back(json::object{{"name", column.name}, {"type", column.type.sql()}});
    object["columns"] = std::move(columns);
    if (stream.time_column) object["time"] = stream.columns[*stream.time_column].name;
    if (stream.key_column) object["key"] = stream.columns[*stream.key_column].name;
    streams.push_back(std::move(object));
  }
  json::object document;
  document["millrace_plan"] = kPlanVersion;
  document["program"] = plan.program;
  document["view"] = plan.view;
  document["select"] = plan.select;
  document["streams"] = std::move(streams);
  return json::serialize(document);
}

Result<Plan> read_plan(std::string_view text) {
  if (text.size() > kPlanBytesMax)
    return refuse("{} bytes are more than {}", text.size(), kPlanBytesMax);
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error) return refuse("it is no JSON document: {}", error.message());
  if (!value.is_object()) return refuse("it is no JSON object");
  const json::object& object = value.get_object();
  const json::value* version = object.if_contains("millrace_plan");
  if (version == nullptr || !version->is_int64())
    return refuse("it has no number \"millrace_plan\": is this the output of `millrace plan`?");
  if (version->get_int64() != kPlanVersion)
    return refuse("it has version {}, this program knows version {}", version->get_int64(),
                  kPlanVersion);
  if (const json::value* tables = object.if_contains("tables");
      tables != nullptr && !(tables->is_array() && tables->get_array().empty())) {
    return refuse("the view joins reference tables, which the operator does not have");
  }
  MR_RETURN_IF_ERROR(check_members(
      object, "it", {"millrace_plan", "program", "view", "select", "streams", "tables"}));
  Plan plan;
  MR_TRY(plan.program, text_member(object, "program"));
  MR_TRY(plan.view, text_member(object, "view"));
  MR_RETURN_IF_ERROR(check_object_name(plan.view));
  MR_TRY(plan.select, text_member(object, "select"));
  MR_TRY(const auto* streams, array_member(object, "streams", kStreamsMax));
  if (streams->empty()) return refuse("it has no stream");
  for (const json::value& entry : *streams) {
    MR_TRY(auto stream, read_stream(entry));
    for (const StreamDefinition& other : plan.streams) {
      if (same_name(other.name, stream.name))
        return refuse("two streams are named {}", stream.name);
    }
    stream.id = StreamId(static_cast<std::uint32_t>(plan.streams.size() + 1));
    plan.streams.push_back(std::move(stream));
  }
  return plan;
}

}  // namespace millrace::op
