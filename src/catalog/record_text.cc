#include "catalog/record_text.h"

#include <boost/json.hpp>
#include <limits>
#include <type_traits>
#include <utility>

namespace millrace::catalog {
namespace {

namespace json = boost::json;

json::array ends_of(const Position& position) {
  json::array out;
  for (std::uint32_t p = 0; p < position.partitions(); ++p) {
    out.push_back(position.end(PartitionId(p)).value);
  }
  return out;
}

template <class T>
json::array between_array(const Between<T>& between) {
  return {between.least, between.most};
}

json::object file_object(const FileRecord& file) {
  json::object out{{"name", file.name},
                   {"size_bytes", file.size_bytes},
                   {"crc32c", file.crc32c},
                   {"rows", file.rows}};
  if (file.range) {
    const auto& range = *file.range;
    json::object object{{"partition", between_array(range.partition)},
                        {"offset", between_array(range.offset)},
                        {"arrival_us", between_array(range.arrival_us)}};
    if (range.time_us) {
      object["time_us"] = between_array(*range.time_us);
      object["time_field"] = range.time_field;
    }
    out["range"] = std::move(object);
  }
  return out;
}

/// Takes the members of an object one by one; remembers that one was missing or of another type.
class Reader {
 public:
  explicit Reader(const json::value& value) : object_(value.if_object()) {}

  [[nodiscard]] bool ok() const { return object_ != nullptr && ok_; }

  [[nodiscard]] const json::value* find(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  template <class T>
  T number(std::string_view key) {
    const auto* value = find(key);
    if (value == nullptr) return missing<T>();
    boost::system::error_code error;
    const T out = value->to_number<T>(error);
    return error ? missing<T>() : out;
  }
  std::string string(std::string_view key) {
    const auto* value = find(key);
    if (value == nullptr || !value->is_string()) return missing<std::string>();
    return std::string(value->get_string());
  }
  bool boolean(std::string_view key) {
    const auto* value = find(key);
    if (value == nullptr || !value->is_bool()) return missing<bool>();
    return value->get_bool();
  }
  const json::array& array(std::string_view key) {
    static const json::array kEmpty;
    const auto* value = find(key);
    if (value != nullptr && value->is_array()) return value->get_array();
    ok_ = false;
    return kEmpty;
  }
  std::optional<std::uint32_t> optional(std::string_view key) {
    const auto* value = find(key);
    if (value != nullptr && value->is_null()) return std::nullopt;
    return number<std::uint32_t>(key);
  }
  /// A member that records of an earlier version do not have.
  template <class T>
  std::optional<T> added(std::string_view key) {
    return find(key) == nullptr ? std::nullopt : std::optional<T>(number<T>(key));
  }
  Position position(std::string_view key) {
    Position out;
    const auto& ends = array(key);
    for (std::uint32_t p = 0; p < ends.size(); ++p) {
      boost::system::error_code error;
      const auto end = ends[p].to_number<std::uint64_t>(error);
      if (error) ok_ = false;
      out.set_end(PartitionId(p), Offset(end));
    }
    return out;
  }
  FileRecord file(const json::value* value) {
    if (value == nullptr) return missing<FileRecord>();
    Reader reader(*value);
    FileRecord out{.name = reader.string("name"),
                   .size_bytes = reader.number<std::uint64_t>("size_bytes"),
                   .crc32c = reader.number<std::uint32_t>("crc32c"),
                   .rows = reader.number<std::uint64_t>("rows")};
    if (const auto* range = reader.find("range")) out.range = reader.event_range(*range);
    if (!reader.ok()) ok_ = false;
    return out;
  }
  EventRange event_range(const json::value& value) {
    Reader reader(value);
    EventRange out;
    out.partition = reader.between<std::uint32_t>("partition");
    out.offset = reader.between<std::uint64_t>("offset");
    out.arrival_us = reader.between<std::int64_t>("arrival_us");
    if (reader.find("time_us") != nullptr) {
      out.time_us = reader.between<std::int64_t>("time_us");
      out.time_field = reader.number<std::uint32_t>("time_field");
    }
    if (!reader.ok()) ok_ = false;
    return out;
  }
  template <class T>
  Between<T> between(std::string_view key) {
    const auto& ends = array(key);
    if (ends.size() != 2) return missing<Between<T>>();
    boost::system::error_code least_error;
    boost::system::error_code most_error;
    const Between<T> out{.least = ends[0].to_number<T>(least_error),
                         .most = ends[1].to_number<T>(most_error)};
    if (least_error || most_error || out.most < out.least) ok_ = false;
    return out;
  }
  void spoil() { ok_ = false; }

 private:
  template <class T>
  T missing() {
    ok_ = false;
    return T();
  }
  const json::object* object_;
  bool ok_ = true;
};

json::value index_or_null(std::optional<std::uint32_t> index) {
  return index ? json::value(*index) : json::value(nullptr);
}

json::array columns_array(const std::vector<Column>& columns) {
  json::array out;
  for (const auto& column : columns) {
    json::object object{{"name", column.name}, {"type", column.type.sql()}};
    if (column.id != 0) object["id"] = column.id;
    if (column.default_json) object["default"] = *column.default_json;
    out.push_back(std::move(object));
  }
  return out;
}

std::vector<Column> read_columns(Reader& reader, std::string_view key) {
  std::vector<Column> out;
  for (const auto& value : reader.array(key)) {
    Reader column(value);
    Column read{.name = column.string("name"), .type = {}};
    const auto type = Type::parse(column.string("type"));
    read.id = column.added<std::uint32_t>("id").value_or(0);
    if (column.find("default") != nullptr) read.default_json = column.string("default");
    if (!column.ok() || !type) {
      reader.spoil();
      break;
    }
    read.type = *type;
    out.push_back(std::move(read));
  }
  return out;
}

TableRecord read(Reader& reader, std::type_identity<TableRecord>) {
  TableRecord out;
  out.id = TableId(reader.number<std::uint32_t>("id"));
  out.name = reader.string("name");
  out.columns = read_columns(reader, "columns");
  for (const auto& value : reader.array("primary_key")) {
    boost::system::error_code error;
    out.primary_key.push_back(value.to_number<std::uint32_t>(error));
    if (error || out.primary_key.back() >= out.columns.size()) reader.spoil();
  }
  out.sql = reader.string("sql");
  out.created_us = reader.number<std::int64_t>("created_us");
  for (const auto& value : reader.array("contents")) {
    Reader content(value);
    out.contents.push_back({.version = TableVersion(content.number<std::uint64_t>("version")),
                            .file = content.file(content.find("file")),
                            .created_us = content.number<std::int64_t>("created_us")});
    if (!content.ok()) reader.spoil();
  }
  if (out.contents.empty()) reader.spoil();
  return out;
}

SchemaRecord read(Reader& reader, std::type_identity<SchemaRecord>) {
  SchemaRecord out;
  out.id = reader.number<std::uint32_t>("id");
  out.type = reader.string("type");
  out.text = reader.string("text");
  return out;
}

SubjectRecord read(Reader& reader, std::type_identity<SubjectRecord>) {
  SubjectRecord out;
  out.id = reader.number<std::uint32_t>("id");
  out.name = reader.string("name");
  for (const auto& value : reader.array("versions")) {
    Reader version(value);
    out.versions.push_back({.version = version.number<std::uint32_t>("version"),
                            .schema = version.number<std::uint32_t>("schema"),
                            .deleted = version.boolean("deleted")});
    if (!version.ok()) reader.spoil();
  }
  out.compatibility = reader.string("compatibility");
  out.mode = reader.string("mode");
  return out;
}

StreamDefinition read(Reader& reader, std::type_identity<StreamDefinition>) {
  StreamDefinition out;
  out.id = StreamId(reader.number<std::uint32_t>("id"));
  out.name = reader.string("name");
  out.columns = read_columns(reader, "columns");
  out.time_column = reader.optional("time_column");
  out.key_column = reader.optional("key_column");
  out.dedup_column = reader.added<std::uint32_t>("dedup_column");
  out.dedup_within_us = reader.added<std::int64_t>("dedup_within_us");
  out.partitions = reader.number<std::uint32_t>("partitions");
  if (reader.find("mqtt") != nullptr) out.mqtt = reader.string("mqtt");
  out.version = reader.added<std::uint32_t>("version").value_or(1);
  if (reader.find("history") != nullptr) {
    for (const auto& value : reader.array("history")) {
      Reader before(value);
      out.history.push_back({.version = before.number<std::uint32_t>("version"),
                             .columns = read_columns(before, "columns")});
      if (!before.ok()) reader.spoil();
    }
  }
  const auto unknown = reader.added<std::uint32_t>("unknown_fields").value_or(0);
  if (unknown > static_cast<std::uint32_t>(UnknownFields::kKeep)) reader.spoil();
  out.unknown_fields = static_cast<UnknownFields>(unknown);
  out.unknown_column = reader.added<std::uint32_t>("unknown_column");
  if (const auto quarantine = reader.optional("quarantine")) out.quarantine = StreamId(*quarantine);
  if (const auto source = reader.added<std::uint32_t>("source")) {
    out.source = StreamId(*source);
    out.select = reader.string("select");
  }
  out.sql = reader.string("sql");
  return out;
}

LakeCommit read(Reader& reader, std::type_identity<LakeCommit>) {
  LakeCommit out;
  out.stream = StreamId(reader.number<std::uint32_t>("stream"));
  out.number = CommitNumber(reader.number<std::uint64_t>("number"));
  out.begin = reader.position("begin");
  out.end = reader.position("end");
  for (const auto& value : reader.array("files")) out.files.push_back(reader.file(&value));
  out.committed_us = reader.number<std::int64_t>("committed_us");
  out.schema_version = reader.added<std::uint32_t>("schema_version").value_or(1);
  return out;
}

ViewRecord read(Reader& reader, std::type_identity<ViewRecord>) {
  ViewRecord out;
  out.id = ViewId(reader.number<std::uint32_t>("id"));
  out.name = reader.string("name");
  out.materialized = reader.boolean("materialized");
  // Records of an earlier version have one stream, or none as 0.
  if (reader.find("streams") != nullptr) {
    for (const auto& value : reader.array("streams")) {
      boost::system::error_code error;
      out.streams.emplace_back(value.to_number<std::uint32_t>(error));
      if (error) reader.spoil();
    }
  } else if (const StreamId stream(reader.number<std::uint32_t>("stream")); stream.value != 0) {
    out.streams.push_back(stream);
  }
  out.select = reader.string("select");
  out.sql = reader.string("sql");
  out.created_us = reader.number<std::int64_t>("created_us");
  if (const auto replaces = reader.added<std::uint32_t>("replaces"))
    out.replaces = ViewId(*replaces);
  if (reader.find("tables") != nullptr) {
    for (const auto& value : reader.array("tables")) {
      Reader use(value);
      out.tables.push_back({.table = TableId(use.number<std::uint32_t>("table")),
                            .version = TableVersion(use.number<std::uint64_t>("version"))});
      if (!use.ok()) reader.spoil();
    }
  }
  return out;
}

Generation read(Reader& reader, std::type_identity<Generation>) {
  Generation out;
  out.view = ViewId(reader.number<std::uint32_t>("view"));
  out.number = GenerationNumber(reader.number<std::uint64_t>("number"));
  // Records of an earlier version have the cut of one stream.
  if (reader.find("cuts") != nullptr) {
    for (const auto& value : reader.array("cuts")) {
      Reader cut(value);
      out.cuts.push_back({.commit = CommitNumber(cut.number<std::uint64_t>("commit")),
                          .end = cut.position("end")});
      if (!cut.ok()) reader.spoil();
    }
  } else {
    out.cuts.push_back({.commit = CommitNumber(reader.number<std::uint64_t>("cut_commit")),
                        .end = reader.position("cut")});
  }
  out.file = reader.file(reader.find("file"));
  out.events = reader.number<std::uint64_t>("events");
  out.created_us = reader.number<std::int64_t>("created_us");
  out.duration_us = reader.number<std::int64_t>("duration_us");
  out.full = reader.boolean("full");
  out.drift_rows = reader.number<std::uint64_t>("drift_rows");
  if (reader.find("drift") != nullptr) {
    for (const auto& value : reader.array("drift")) {
      Reader row(value);
      out.drift.push_back(
          {.key = row.string("key"), .batch = row.string("batch"), .speed = row.string("speed")});
      if (!row.ok()) reader.spoil();
    }
  }
  out.skipped_rows = reader.number<std::uint64_t>("skipped_rows");
  return out;
}

Checkpoint read(Reader& reader, std::type_identity<Checkpoint>) {
  Checkpoint out;
  out.view = ViewId(reader.number<std::uint32_t>("view"));
  out.stream = StreamId(reader.number<std::uint32_t>("stream"));
  out.base_commit = CommitNumber(reader.number<std::uint64_t>("base_commit"));
  out.commit = CommitNumber(reader.number<std::uint64_t>("commit"));
  out.file = reader.file(reader.find("file"));
  out.skipped_rows = reader.number<std::uint64_t>("skipped_rows");
  return out;
}

ConnectionRecord read(Reader& reader, std::type_identity<ConnectionRecord>) {
  ConnectionRecord out;
  out.number = reader.number<std::uint64_t>("number");
  out.name = reader.string("name");
  out.url = reader.string("url");
  out.topic = reader.string("topic");
  out.stream = reader.string("stream");
  out.client_id = reader.string("client_id");
  out.user = reader.string("user");
  out.password = reader.string("password");
  out.share = reader.string("share");
  out.qos = reader.number<std::uint8_t>("qos");
  out.clean = reader.boolean("clean");
  out.paused = reader.boolean("paused");
  out.created_us = reader.number<std::int64_t>("created_us");
  return out;
}

SinkRecord read(Reader& reader, std::type_identity<SinkRecord>) {
  SinkRecord out;
  out.number = reader.number<std::uint64_t>("number");
  out.name = reader.string("name");
  out.view = reader.string("view");
  out.url = reader.string("url");
  out.select = reader.string("select");
  out.password = reader.string("password");
  out.password_file = reader.string("password_file");
  out.tls = reader.string("tls");
  out.ca_file = reader.string("ca_file");
  out.format = reader.string("format");
  out.uid = reader.string("uid");
  out.paused = reader.boolean("paused");
  out.created_us = reader.number<std::int64_t>("created_us");
  return out;
}

UserRecord read(Reader& reader, std::type_identity<UserRecord>) {
  UserRecord out;
  out.number = reader.number<std::uint64_t>("number");
  out.name = reader.string("name");
  out.verifier = reader.string("verifier");
  out.created_us = reader.number<std::int64_t>("created_us");
  for (const auto& value : reader.array("tokens")) {
    Reader token(value);
    out.tokens.push_back({.name = token.string("name"),
                          .digest = token.string("digest"),
                          .created_us = token.number<std::int64_t>("created_us"),
                          .expires_us = token.added<std::int64_t>("expires_us")});
    if (!token.ok()) reader.spoil();
  }
  for (const auto& value : reader.array("grants")) {
    Reader grant(value);
    const auto privilege = parse_privilege(grant.string("privilege"));
    const auto target = grant.number<std::uint8_t>("target");
    if (!privilege || target > static_cast<std::uint8_t>(GrantTarget::kTopic)) {
      reader.spoil();
      break;
    }
    out.grants.push_back({*privilege, static_cast<GrantTarget>(target), grant.string("object")});
    if (!grant.ok()) reader.spoil();
  }
  return out;
}

Counters read(Reader& reader, std::type_identity<Counters>) {
  return {.next_stream = reader.number<std::uint32_t>("next_stream"),
          .next_view = reader.number<std::uint32_t>("next_view"),
          .next_table = reader.added<std::uint32_t>("next_table").value_or(1)};
}

NewestNumber read(Reader& reader, std::type_identity<NewestNumber>) {
  return {.number = reader.number<std::uint64_t>("number")};
}

}  // namespace

std::string record_text(const StreamDefinition& stream) {
  std::optional<std::uint32_t> quarantine;
  if (stream.quarantine) quarantine = stream.quarantine->value;
  json::object out{{"id", stream.id.value},
                   {"name", stream.name},
                   {"columns", columns_array(stream.columns)},
                   {"time_column", index_or_null(stream.time_column)},
                   {"key_column", index_or_null(stream.key_column)},
                   {"partitions", stream.partitions},
                   {"quarantine", index_or_null(quarantine)},
                   {"sql", stream.sql}};
  if (stream.dedup_column) out["dedup_column"] = *stream.dedup_column;
  if (stream.dedup_within_us) out["dedup_within_us"] = *stream.dedup_within_us;
  if (!stream.mqtt.empty()) out["mqtt"] = stream.mqtt;
  if (stream.source) {
    out["source"] = stream.source->value;
    out["select"] = stream.select;
  }
  if (stream.version != 1) out["version"] = stream.version;
  if (!stream.history.empty()) {
    json::array history;
    for (const auto& before : stream.history) {
      history.push_back(
          json::object{{"version", before.version}, {"columns", columns_array(before.columns)}});
    }
    out["history"] = std::move(history);
  }
  if (stream.unknown_fields != UnknownFields::kIgnore)
    out["unknown_fields"] = static_cast<std::uint32_t>(stream.unknown_fields);
  if (stream.unknown_column) out["unknown_column"] = *stream.unknown_column;
  return json::serialize(out);
}

std::string record_text(const LakeCommit& commit) {
  json::array files;
  for (const auto& file : commit.files) files.push_back(file_object(file));
  json::object out{{"stream", commit.stream.value},  {"number", commit.number.value},
                   {"begin", ends_of(commit.begin)}, {"end", ends_of(commit.end)},
                   {"files", std::move(files)},      {"committed_us", commit.committed_us}};
  if (commit.schema_version != 1) out["schema_version"] = commit.schema_version;
  return json::serialize(out);
}

std::string record_text(const TableRecord& table) {
  json::array contents;
  for (const auto& content : table.contents) {
    contents.push_back(json::object{{"version", content.version.value},
                                    {"file", file_object(content.file)},
                                    {"created_us", content.created_us}});
  }
  return json::serialize(
      json::object{{"id", table.id.value},
                   {"name", table.name},
                   {"columns", columns_array(table.columns)},
                   {"primary_key", json::array(table.primary_key.begin(), table.primary_key.end())},
                   {"sql", table.sql},
                   {"created_us", table.created_us},
                   {"contents", std::move(contents)}});
}

std::string record_text(const ViewRecord& view) {
  json::array streams;
  for (const auto stream : view.streams) streams.push_back(stream.value);
  json::object out{
      {"id", view.id.value},           {"name", view.name},     {"materialized", view.materialized},
      {"streams", std::move(streams)}, {"select", view.select}, {"sql", view.sql},
      {"created_us", view.created_us}};
  if (view.replaces) out["replaces"] = view.replaces->value;
  if (!view.tables.empty()) {
    json::array tables;
    for (const auto& use : view.tables) {
      tables.push_back(json::object{{"table", use.table.value}, {"version", use.version.value}});
    }
    out["tables"] = std::move(tables);
  }
  return json::serialize(out);
}

std::string record_text(const Generation& generation) {
  json::array cuts;
  for (const auto& cut : generation.cuts)
    cuts.push_back(json::object{{"commit", cut.commit.value}, {"end", ends_of(cut.end)}});
  json::object out{{"view", generation.view.value},
                   {"number", generation.number.value},
                   {"cuts", std::move(cuts)},
                   {"file", file_object(generation.file)},
                   {"events", generation.events},
                   {"created_us", generation.created_us},
                   {"duration_us", generation.duration_us},
                   {"full", generation.full},
                   {"drift_rows", generation.drift_rows},
                   {"skipped_rows", generation.skipped_rows}};
  if (!generation.drift.empty()) {
    json::array rows;
    for (const auto& row : generation.drift) {
      rows.push_back(json::object{{"key", row.key}, {"batch", row.batch}, {"speed", row.speed}});
    }
    out["drift"] = std::move(rows);
  }
  return json::serialize(out);
}

std::string record_text(const Checkpoint& checkpoint) {
  return json::serialize(json::object{{"view", checkpoint.view.value},
                                      {"stream", checkpoint.stream.value},
                                      {"base_commit", checkpoint.base_commit.value},
                                      {"commit", checkpoint.commit.value},
                                      {"file", file_object(checkpoint.file)},
                                      {"skipped_rows", checkpoint.skipped_rows}});
}

std::string record_text(const SchemaRecord& schema) {
  return json::serialize(
      json::object{{"id", schema.id}, {"type", schema.type}, {"text", schema.text}});
}

std::string record_text(const SubjectRecord& subject) {
  json::array versions;
  for (const auto& version : subject.versions) {
    versions.push_back(json::object{
        {"version", version.version}, {"schema", version.schema}, {"deleted", version.deleted}});
  }
  return json::serialize(json::object{{"id", subject.id},
                                      {"name", subject.name},
                                      {"versions", std::move(versions)},
                                      {"compatibility", subject.compatibility},
                                      {"mode", subject.mode}});
}

std::string record_text(const ConnectionRecord& connection) {
  return json::serialize(json::object{{"number", connection.number},
                                      {"name", connection.name},
                                      {"url", connection.url},
                                      {"topic", connection.topic},
                                      {"stream", connection.stream},
                                      {"client_id", connection.client_id},
                                      {"user", connection.user},
                                      {"password", connection.password},
                                      {"share", connection.share},
                                      {"qos", connection.qos},
                                      {"clean", connection.clean},
                                      {"paused", connection.paused},
                                      {"created_us", connection.created_us}});
}

std::string record_text(const SinkRecord& sink) {
  return json::serialize(json::object{{"number", sink.number},
                                      {"name", sink.name},
                                      {"view", sink.view},
                                      {"url", sink.url},
                                      {"select", sink.select},
                                      {"password", sink.password},
                                      {"password_file", sink.password_file},
                                      {"tls", sink.tls},
                                      {"ca_file", sink.ca_file},
                                      {"format", sink.format},
                                      {"uid", sink.uid},
                                      {"paused", sink.paused},
                                      {"created_us", sink.created_us}});
}

std::string record_text(const UserRecord& user) {
  json::array tokens;
  for (const auto& token : user.tokens) {
    json::object one{
        {"name", token.name}, {"digest", token.digest}, {"created_us", token.created_us}};
    if (token.expires_us) one["expires_us"] = *token.expires_us;
    tokens.push_back(std::move(one));
  }
  json::array grants;
  for (const auto& grant : user.grants) {
    grants.push_back(json::object{{"privilege", privilege_name(grant.privilege)},
                                  {"target", static_cast<std::uint8_t>(grant.target)},
                                  {"object", grant.object}});
  }
  return json::serialize(json::object{{"number", user.number},
                                      {"name", user.name},
                                      {"verifier", user.verifier},
                                      {"created_us", user.created_us},
                                      {"tokens", std::move(tokens)},
                                      {"grants", std::move(grants)}});
}

std::string record_text(const Counters& counters) {
  return json::serialize(json::object{{"next_stream", counters.next_stream},
                                      {"next_view", counters.next_view},
                                      {"next_table", counters.next_table}});
}

std::string record_text(const NewestNumber& newest) {
  return json::serialize(json::object{{"number", newest.number}});
}

template <class T>
Result<T> read_record(std::string_view text) {
  // A statement's text is kept as it came, so its bytes need not be UTF-8.
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  boost::system::error_code error;
  const auto value = json::parse(text, error, {}, options);
  Reader reader(value);
  T out = read(reader, std::type_identity<T>());
  if (error || !reader.ok()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "not a record of the catalog: {}",
                text.substr(0, 200));
  }
  return out;
}

template Result<StreamDefinition> read_record(std::string_view);
template Result<LakeCommit> read_record(std::string_view);
template Result<TableRecord> read_record(std::string_view);
template Result<ViewRecord> read_record(std::string_view);
template Result<Generation> read_record(std::string_view);
template Result<Checkpoint> read_record(std::string_view);
template Result<SchemaRecord> read_record(std::string_view);
template Result<SubjectRecord> read_record(std::string_view);
template Result<UserRecord> read_record(std::string_view);
template Result<ConnectionRecord> read_record(std::string_view);
template Result<SinkRecord> read_record(std::string_view);
template Result<Counters> read_record(std::string_view);
template Result<NewestNumber> read_record(std::string_view);

}  // namespace millrace::catalog
