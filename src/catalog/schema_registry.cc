#include "catalog/schema_registry.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

namespace millrace::catalog {

namespace {

using format::SchemaType;
using format::WriterSchema;

constexpr std::string_view kNone = "NONE";
constexpr std::string_view kLevels[] = {
    "NONE", "BACKWARD",       "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE",
    "FULL", "FULL_TRANSITIVE"};
constexpr std::string_view kModes[] = {"READWRITE", "READONLY"};
constexpr std::size_t kSubjectBytesMax = 512;
constexpr std::size_t kSubjectsMax = 100'000;

std::string_view type_name(SchemaType type) {
  switch (type) {
    case SchemaType::kAvro:
      return "AVRO";
    case SchemaType::kProtobuf:
      return "PROTOBUF";
    case SchemaType::kJson:
      return "JSON";
  }
  return {};
}

/// JSON without the blanks between its tokens, so that a schema is the same however it is laid out.
Result<std::string> minified(std::string_view text) {
  boost::system::error_code failed;
  const auto value = boost::json::parse(text, failed);
  if (failed) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema, "the schema is not JSON: {}",
                failed.message());
  }
  return boost::json::serialize(value);
}

/// What makes two schemas the same one.
std::string key_of(const WriterSchema& schema) {
  if (schema.type == SchemaType::kProtobuf) return schema.text;
  auto text = minified(schema.text);
  return text ? std::move(*text) : schema.text;
}

Result<std::shared_ptr<WriterSchema>> parse(std::string_view type, std::string_view text) {
  auto out = std::make_shared<WriterSchema>();
  out->text = std::string(text);
  if (text.size() > format::AvroSchema::kBytesMax) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema,
                "the schema has {} bytes, {} are allowed", text.size(),
                format::AvroSchema::kBytesMax);
  }
  if (type == "AVRO") {
    out->type = SchemaType::kAvro;
    auto avro = format::AvroSchema::parse(text);
    if (!avro) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema, "{}", avro.error().message);
    }
    out->avro = std::make_shared<const format::AvroSchema>(std::move(*avro));
  } else if (type == "JSON") {
    out->type = SchemaType::kJson;
    MR_RETURN_IF_ERROR(minified(text));
  } else if (type == "PROTOBUF") {
    out->type = SchemaType::kProtobuf;
    MR_TRY(out->protobuf, format::ProtobufSchema::parse(text));
  } else {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema,
                "the schema type {} is none of AVRO, PROTOBUF, JSON", type);
  }
  return out;
}

std::unexpected<Error> no_subject(std::string_view name) {
  return fail(ErrorCode::kNotFound, error_id::kSubjectNotFound, "Subject '{}' not found.", name);
}

Status check_subject_name(std::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kSubjectBytesMax && std::ranges::none_of(name, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      });
  if (good) return {};
  return fail(ErrorCode::kInvalidArgument, error_id::kBadName,
              "a subject's name has 1 to {} bytes without control characters", kSubjectBytesMax);
}

bool all_deleted(const SubjectRecord& subject) {
  return std::ranges::all_of(subject.versions, &SubjectRecord::Version::deleted);
}

std::vector<std::string> faults_between(std::string_view level, const WriterSchema& present,
                                        const WriterSchema& before) {
  if (present.type != before.type)
    return {fmt::format("the type is {}, that of the version before is {}", type_name(present.type),
                        type_name(before.type))};
  if (present.type == SchemaType::kJson) {
    if (key_of(present) == key_of(before)) return {};
    return {
        "compatibility of JSON schemas is not decided here: set the compatibility of the subject "
        "to NONE to take another"};
  }
  const auto read_faults = [](const WriterSchema& reader, const WriterSchema& writer) {
    return reader.type == SchemaType::kAvro
               ? format::avro_read_faults(*reader.avro, *writer.avro)
               : format::protobuf_read_faults(*reader.protobuf, *writer.protobuf);
  };
  std::vector<std::string> out;
  if (level.starts_with("BACKWARD") || level.starts_with("FULL"))
    out = read_faults(present, before);
  if (level.starts_with("FORWARD") || level.starts_with("FULL")) {
    for (auto& fault : read_faults(before, present))
      out.push_back("the version before reads it: " + std::move(fault));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<SchemaRegistry>> SchemaRegistry::open(Catalog& catalog) {
  std::unique_ptr<SchemaRegistry> out(new SchemaRegistry(catalog));
  const MutexLock lock(out->mutex_);
  for (const auto& record : catalog.schemas()) {
    MR_TRY(auto schema, parse(record.type, record.text));
    schema->id = record.id;
    out->ids_[{record.type, key_of(*schema)}] = record.id;
    out->schemas_[record.id] = std::move(schema);
  }
  for (auto& subject : catalog.subjects()) out->subjects_[subject.name] = subject;
  return out;
}

Result<std::shared_ptr<const format::WriterSchema>> SchemaRegistry::schema(std::uint32_t id) const {
  const MutexLock lock(mutex_);
  const auto found = schemas_.find(id);
  if (found != schemas_.end()) return found->second;
  return fail(ErrorCode::kNotFound, error_id::kSchemaNotFound, "Schema {} not found", id);
}

Result<SchemaRecord> SchemaRegistry::schema_record(std::uint32_t id) const {
  MR_TRY(const auto found, schema(id));
  return SchemaRecord{.id = id, .type = std::string(type_name(found->type)), .text = found->text};
}

const SubjectRecord* SchemaRegistry::subject_named(std::string_view name) const {
  const auto found = subjects_.find(name);
  return found != subjects_.end() ? &found->second : nullptr;
}

SubjectRecord SchemaRegistry::subject_or_new(std::string_view name) const {
  if (const auto* found = subject_named(name)) return *found;
  SubjectRecord out;
  for (const auto& [other, subject] : subjects_) out.id = std::max(out.id, subject.id);
  ++out.id;
  out.name = std::string(name);
  return out;
}

std::string SchemaRegistry::level_of(std::string_view subject) const {
  for (const auto name : {subject, std::string_view()}) {
    const auto* found = subject_named(name);
    if (found != nullptr && !found->compatibility.empty()) return found->compatibility;
  }
  return std::string(kBackward);
}

std::string SchemaRegistry::mode_of(std::string_view subject) const {
  for (const auto name : {subject, std::string_view()}) {
    const auto* found = subject_named(name);
    if (found != nullptr && !found->mode.empty()) return found->mode;
  }
  return std::string(kReadWrite);
}

Result<const SubjectRecord*> SchemaRegistry::visible_subject(std::string_view name,
                                                             bool deleted) const {
  const auto* found = name.empty() ? nullptr : subject_named(name);
  if (found == nullptr || found->versions.empty() || (!deleted && all_deleted(*found)))
    return no_subject(name);
  return found;
}

Result<SubjectRecord::Version> SchemaRegistry::version_of(const SubjectRecord& subject,
                                                          std::string_view version,
                                                          bool deleted) const {
  const bool latest = version == "latest" || version == "-1";
  std::uint32_t number = 0;
  const auto [end, code] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (!latest && (code != std::errc() || end != version.data() + version.size() || number == 0)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "The specified version '{}' is not a valid version id. Allowed values are between "
                "[1, 2^31-1] and the string \"latest\"",
                version);
  }
  for (auto it = subject.versions.rbegin(); it != subject.versions.rend(); ++it) {
    if ((deleted || !it->deleted) && (latest || it->version == number)) return *it;
  }
  return fail(ErrorCode::kNotFound, error_id::kVersionNotFound, "Version {} not found.", version);
}

Status SchemaRegistry::store(const SubjectRecord& subject, const WriterSchemaPtr& schema) {
  std::optional<SchemaRecord> record;
  if (schema != nullptr && !schemas_.contains(schema->id)) {
    record = SchemaRecord{
        .id = schema->id, .type = std::string(type_name(schema->type)), .text = schema->text};
  }
  MR_RETURN_IF_ERROR(catalog_.put_subject(subject, record));
  subjects_[subject.name] = subject;
  if (record) {
    ids_[{record->type, key_of(*schema)}] = schema->id;
    schemas_[schema->id] = schema;
  }
  return {};
}

std::vector<std::string> SchemaRegistry::faults_against(const std::string& level,
                                                        const format::WriterSchema& schema,
                                                        const SubjectRecord& subject) const {
  if (level == kNone) return {};
  std::vector<std::string> out;
  for (auto it = subject.versions.rbegin(); it != subject.versions.rend(); ++it) {
    if (it->deleted) continue;
    for (auto& fault : faults_between(level, schema, *schemas_.at(it->schema)))
      out.push_back(fmt::format("version {}: {}", it->version, fault));
    if (!level.ends_with("_TRANSITIVE")) break;
  }
  return out;
}

Result<std::uint32_t> SchemaRegistry::add(std::string_view subject, const NewSchema& schema) {
  MR_RETURN_IF_ERROR(check_subject_name(subject));
  MR_TRY(auto parsed, parse(schema.type, schema.text));
  const MutexLock lock(mutex_);
  SubjectRecord record = subject_or_new(subject);
  const auto known = ids_.find({schema.type, key_of(*parsed)});
  for (const auto& version : record.versions) {
    if (known != ids_.end() && !version.deleted && version.schema == known->second)
      return known->second;
  }
  if (mode_of(subject) != kReadWrite) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kReadOnly,
                "Subject {} is in read-only mode", subject);
  }
  if (subjects_.size() >= kSubjectsMax) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "there are {} subjects already",
                kSubjectsMax);
  }
  if (const auto faults = faults_against(level_of(subject), *parsed, record); !faults.empty()) {
    return fail(ErrorCode::kAlreadyExists, error_id::kIncompatible,
                "Schema being registered is incompatible with an earlier schema for subject "
                "\"{}\": {}",
                subject, fmt::join(faults, "; "));
  }
  parsed->id = known != ids_.end() ? known->second
               : schemas_.empty()  ? 1
                                   : schemas_.rbegin()->first + 1;
  const std::uint32_t id = parsed->id;
  record.versions.push_back(
      {.version = record.versions.empty() ? 1 : record.versions.back().version + 1,
       .schema = id,
       .deleted = false});
  MR_RETURN_IF_ERROR(store(record, parsed));
  return id;
}

Result<RegisteredVersion> SchemaRegistry::find(std::string_view subject, const NewSchema& schema,
                                               bool deleted) const {
  MR_TRY(const auto parsed, parse(schema.type, schema.text));
  const MutexLock lock(mutex_);
  MR_TRY(const auto* record, visible_subject(subject, deleted));
  const auto known = ids_.find({schema.type, key_of(*parsed)});
  for (const auto& version : record->versions) {
    if (known == ids_.end() || version.schema != known->second || (version.deleted && !deleted))
      continue;
    return RegisteredVersion{std::string(subject),
                             version.version,
                             {version.schema, schema.type, schemas_.at(version.schema)->text}};
  }
  return fail(ErrorCode::kNotFound, error_id::kSchemaNotFound, "Schema not found");
}

Result<RegisteredVersion> SchemaRegistry::version(std::string_view subject,
                                                  std::string_view version, bool deleted) const {
  const MutexLock lock(mutex_);
  MR_TRY(const auto* record, visible_subject(subject, deleted));
  MR_TRY(const auto found, version_of(*record, version, deleted));
  const auto& schema = *schemas_.at(found.schema);
  return RegisteredVersion{std::string(subject),
                           found.version,
                           {found.schema, std::string(type_name(schema.type)), schema.text}};
}

Result<std::vector<std::uint32_t>> SchemaRegistry::versions(std::string_view subject,
                                                            bool deleted) const {
  const MutexLock lock(mutex_);
  MR_TRY(const auto* record, visible_subject(subject, deleted));
  std::vector<std::uint32_t> out;
  for (const auto& version : record->versions) {
    if (deleted || !version.deleted) out.push_back(version.version);
  }
  return out;
}

std::vector<std::string> SchemaRegistry::subjects(std::string_view prefix, bool deleted) const {
  const MutexLock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, subject] : subjects_) {
    if (visible_subject(name, deleted) && name.starts_with(prefix)) out.push_back(name);
  }
  return out;
}

Result<std::vector<std::pair<std::string, std::uint32_t>>> SchemaRegistry::uses(
    std::uint32_t id) const {
  MR_RETURN_IF_ERROR(schema(id));
  const MutexLock lock(mutex_);
  std::vector<std::pair<std::string, std::uint32_t>> out;
  for (const auto& [name, subject] : subjects_) {
    for (const auto& version : subject.versions) {
      if (!version.deleted && version.schema == id) out.emplace_back(name, version.version);
    }
  }
  return out;
}

Result<std::vector<std::uint32_t>> SchemaRegistry::remove(std::string_view subject,
                                                          std::optional<std::string_view> version,
                                                          bool permanent) {
  const MutexLock lock(mutex_);
  MR_TRY(const auto* found, visible_subject(subject, permanent));
  if (mode_of(subject) != kReadWrite) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kReadOnly,
                "Subject {} is in read-only mode", subject);
  }
  SubjectRecord record = *found;
  std::uint32_t only = 0;
  if (version) {
    MR_TRY(const auto one, version_of(record, *version, permanent));
    only = one.version;
  }
  std::vector<std::uint32_t> out;
  for (auto& one : record.versions) {
    if (only != 0 && one.version != only) continue;
    if (permanent && !one.deleted) {
      return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                  "Subject '{}' Version {} was not deleted first before being permanently deleted",
                  subject, one.version);
    }
    if (!permanent && one.deleted) continue;
    one.deleted = true;
    out.push_back(one.version);
  }
  if (permanent) {
    std::erase_if(record.versions, [&](const SubjectRecord::Version& one) {
      return only == 0 || one.version == only;
    });
  }
  if (record.versions.empty() && record.compatibility.empty() && record.mode.empty()) {
    MR_RETURN_IF_ERROR(catalog_.drop_subject(record.id));
    subjects_.erase(record.name);
    return out;
  }
  MR_RETURN_IF_ERROR(store(record, nullptr));
  return out;
}

Result<std::vector<std::string>> SchemaRegistry::incompatibilities(
    std::string_view subject, const NewSchema& schema,
    std::optional<std::string_view> version) const {
  MR_TRY(const auto parsed, parse(schema.type, schema.text));
  const MutexLock lock(mutex_);
  const std::string level = level_of(subject);
  if (!version) {
    const auto* record = subject_named(subject);
    return record != nullptr ? faults_against(level, *parsed, *record) : std::vector<std::string>();
  }
  MR_TRY(const auto* record, visible_subject(subject, false));
  MR_TRY(const auto one, version_of(*record, *version, false));
  if (level == kNone) return std::vector<std::string>();
  return faults_between(level, *parsed, *schemas_.at(one.schema));
}

std::optional<std::string> SchemaRegistry::compatibility(std::string_view subject) const {
  const MutexLock lock(mutex_);
  if (subject.empty()) return level_of(subject);
  const auto* record = subject_named(subject);
  if (record == nullptr || record->compatibility.empty()) return std::nullopt;
  return record->compatibility;
}

Status SchemaRegistry::set_compatibility(std::string_view subject, std::string_view level) {
  if (!subject.empty()) MR_RETURN_IF_ERROR(check_subject_name(subject));
  if (!level.empty() && std::ranges::find(kLevels, level) == std::end(kLevels)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "Invalid compatibility level. Valid values are {}", fmt::join(kLevels, ", "));
  }
  const MutexLock lock(mutex_);
  SubjectRecord record = subject_or_new(subject);
  record.compatibility = std::string(level);
  return store(record, nullptr);
}

std::optional<std::string> SchemaRegistry::mode(std::string_view subject) const {
  const MutexLock lock(mutex_);
  if (subject.empty()) return mode_of(subject);
  const auto* record = subject_named(subject);
  if (record == nullptr || record->mode.empty()) return std::nullopt;
  return record->mode;
}

Status SchemaRegistry::set_mode(std::string_view subject, std::string_view mode) {
  if (!subject.empty()) MR_RETURN_IF_ERROR(check_subject_name(subject));
  if (!mode.empty() && std::ranges::find(kModes, mode) == std::end(kModes)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "Invalid mode. Valid values are {}", fmt::join(kModes, ", "));
  }
  const MutexLock lock(mutex_);
  SubjectRecord record = subject_or_new(subject);
  record.mode = std::string(mode);
  return store(record, nullptr);
}

}  // namespace millrace::catalog
