// The texts of the catalog's records: one JSON object each, so that a person can read the file with
// sqlite3. Thread: any. Errors: kDataLoss (kChecksum) where a text that passed its checksum is not
// one that we write. Invariant: read_x(x_text(value)) == value.   Source:
// docs/internals/catalog_format.md
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "catalog/catalog.h"

namespace millrace::catalog {

[[nodiscard]] std::string record_text(const StreamDefinition& stream);
[[nodiscard]] std::string record_text(const LakeCommit& commit);
[[nodiscard]] std::string record_text(const TableRecord& table);
[[nodiscard]] std::string record_text(const ViewRecord& view);
[[nodiscard]] std::string record_text(const Generation& generation);
[[nodiscard]] std::string record_text(const Checkpoint& checkpoint);
[[nodiscard]] std::string record_text(const SchemaRecord& schema);
[[nodiscard]] std::string record_text(const SubjectRecord& subject);
[[nodiscard]] std::string record_text(const UserRecord& user);
[[nodiscard]] std::string record_text(const ConnectionRecord& connection);
[[nodiscard]] std::string record_text(const SinkRecord& sink);

/// T is a type of which record_text() gives the text.
template <class T>
Result<T> read_record(std::string_view text);

/// The ids that the next stream, the next view and the next table get.
struct Counters {
  std::uint32_t next_stream = 1;
  std::uint32_t next_view = 1;
  std::uint32_t next_table = 1;
};
[[nodiscard]] std::string record_text(const Counters& counters);

/// The number of the newest commit of a stream or generation of a view.
struct NewestNumber {
  std::uint64_t number = 0;
};
[[nodiscard]] std::string record_text(const NewestNumber& newest);

}  // namespace millrace::catalog
