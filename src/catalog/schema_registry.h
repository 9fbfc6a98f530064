// The schema registry: subjects with versions, schemas with ids that are the same for the same
// schema wherever it is registered, and the rules by which a new version must fit the ones before.
// The names are those of Confluent's REST API, which endpoint/registry_routes.cc speaks. Everything
// is in the catalog, so it is durable when a call returns. Thread: any; a change waits for the
// disk. Errors: kSubjectNotFound, kVersionNotFound, kSchemaNotFound, kBadSchema, kIncompatible,
// kReadOnly, and those of the catalog. Compatibility is decided for Avro and, as far as field
// numbers tell, for Protobuf; of JSON schemas a subject with another level than NONE takes no
// second one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "catalog/catalog.h"
#include "format/writer_schema.h"

namespace millrace::catalog {

struct RegisteredVersion {
  std::string subject;
  std::uint32_t version = 0;
  SchemaRecord schema;
};

class SchemaRegistry final : public format::SchemaLookup {
 public:
  static constexpr std::string_view kBackward = "BACKWARD";
  static constexpr std::string_view kReadWrite = "READWRITE";

  /// Reads what the catalog has; the catalog outlives it, and nobody else changes subjects.
  static Result<std::unique_ptr<SchemaRegistry>> open(Catalog& catalog);

  [[nodiscard]] Result<std::shared_ptr<const format::WriterSchema>> schema(
      std::uint32_t id) const override;

  struct NewSchema {
    std::string type = "AVRO";
    std::string text;
  };
  /// Gives the id; a schema that the subject has already is not added again.
  Result<std::uint32_t> add(std::string_view subject, const NewSchema& schema);
  /// The version of the subject that has this very schema.
  Result<RegisteredVersion> find(std::string_view subject, const NewSchema& schema,
                                 bool deleted) const;
  /// `version`: a number, "latest" or "-1".
  Result<RegisteredVersion> version(std::string_view subject, std::string_view version,
                                    bool deleted) const;
  Result<std::vector<std::uint32_t>> versions(std::string_view subject, bool deleted) const;
  [[nodiscard]] std::vector<std::string> subjects(std::string_view prefix, bool deleted) const;
  Result<SchemaRecord> schema_record(std::uint32_t id) const;
  /// The subjects and versions that have a schema.
  Result<std::vector<std::pair<std::string, std::uint32_t>>> uses(std::uint32_t id) const;

  /// A version, or all of them, is not found any more, but keeps its number; `permanent` also
  /// forgets it, which only what was deleted before takes. Gives the numbers.
  Result<std::vector<std::uint32_t>> remove(std::string_view subject,
                                            std::optional<std::string_view> version,
                                            bool permanent);

  /// Why the schema does not fit; none where it does. Without `version`, against what the subject's
  /// level asks.
  Result<std::vector<std::string>> incompatibilities(std::string_view subject,
                                                     const NewSchema& schema,
                                                     std::optional<std::string_view> version) const;

  /// Of a subject, or of the whole where `subject` is empty. nullopt: the subject has none of its
  /// own. An empty value takes the subject's own away.
  [[nodiscard]] std::optional<std::string> compatibility(std::string_view subject) const;
  Status set_compatibility(std::string_view subject, std::string_view level);
  [[nodiscard]] std::optional<std::string> mode(std::string_view subject) const;
  Status set_mode(std::string_view subject, std::string_view mode);

 private:
  explicit SchemaRegistry(Catalog& catalog) : catalog_(catalog) {}
  using WriterSchemaPtr = std::shared_ptr<const format::WriterSchema>;

  [[nodiscard]] const SubjectRecord* subject_named(std::string_view name) const REQUIRES(mutex_);
  [[nodiscard]] SubjectRecord subject_or_new(std::string_view name) const REQUIRES(mutex_);
  [[nodiscard]] std::string level_of(std::string_view subject) const REQUIRES(mutex_);
  [[nodiscard]] std::string mode_of(std::string_view subject) const REQUIRES(mutex_);
  [[nodiscard]] Result<const SubjectRecord*> visible_subject(std::string_view name,
                                                             bool deleted) const REQUIRES(mutex_);
  [[nodiscard]] Result<SubjectRecord::Version> version_of(const SubjectRecord& subject,
                                                          std::string_view version,
                                                          bool deleted) const REQUIRES(mutex_);
  [[nodiscard]] std::vector<std::string> faults_against(const std::string& level,
                                                        const format::WriterSchema& schema,
                                                        const SubjectRecord& subject) const
      REQUIRES(mutex_);
  Status store(const SubjectRecord& subject, const WriterSchemaPtr& schema) REQUIRES(mutex_);

  Catalog& catalog_;
  // Held while the disk is waited for: registrations are rare, and come one after the other.
  mutable Mutex mutex_;
  std::map<std::uint32_t, WriterSchemaPtr> schemas_ GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, std::uint32_t> ids_ GUARDED_BY(mutex_);
  std::map<std::string, SubjectRecord, std::less<>> subjects_ GUARDED_BY(mutex_);
};

}  // namespace millrace::catalog
