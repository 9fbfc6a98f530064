// The durable record of what exists: streams, tables, views, lake commits, generations,
// checkpoints. SQLite in WAL mode with synchronous=FULL; each row carries a CRC32C of its content,
// and the rows of a commit or a generation become visible in one transaction or not at all. Thread:
// any (one connection behind a mutex). Reads come from memory, writes go through. Errors: kDataLoss
// (kChecksum) a row does not match its checksum or the lake commits of a stream have a gap;
//   kAlreadyExists, kNotFound; kUnavailable (kDiskFailed).
// Invariant: commit n of a stream begins where commit n - 1 ends; ids are never given twice; a view
// has at most one replacement.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/grant.h"
#include "model/ids.h"
#include "model/position.h"
#include "model/stream.h"

namespace millrace::catalog {

/// A range of values, ends included.
template <class T>
struct Between {
  T least = 0;
  T most = 0;
  void include(T value) {
    least = value < least ? value : least;
    most = most < value ? value : most;
  }
  bool operator==(const Between&) const = default;
};

/// What the events of a lake file lie within: a read of others leaves the file out.
struct EventRange {
  Between<std::uint32_t> partition;
  Between<std::uint64_t> offset;
  Between<std::int64_t> arrival_us;
  /// Event times in microseconds, where the stream has them and not all are NULL.
  std::optional<Between<std::int64_t>> time_us;
  /// The column that they are of (StreamDefinition::field_id).
  std::uint32_t time_field = 0;
  bool operator==(const EventRange&) const = default;
};

/// One file that we wrote, with what proves it whole.
struct FileRecord {
  std::string name;  // in the folder of its kind
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
  std::uint64_t rows = 0;
  /// Of a lake file; none of those that earlier versions wrote.
  std::optional<EventRange> range = {};
  bool operator==(const FileRecord&) const = default;
};

/// One step of a stream's lake table: the events from `begin` to `end`, all of them, in these
/// files.
struct LakeCommit {
  StreamId stream;
  CommitNumber number;
  Position begin;
  Position end;
  std::vector<FileRecord> files;
  std::int64_t committed_us = 0;
  /// Of the stream's columns that the files have.
  std::uint32_t schema_version = 1;
  bool operator==(const LakeCommit&) const = default;
};

/// One content of a reference table.
struct TableContent {
  TableVersion version;
  FileRecord file;
  std::int64_t created_us = 0;
  bool operator==(const TableContent&) const = default;
};

/// A reference table: small, changed by statements, each change a version of its own.
struct TableRecord {
  TableId id;
  std::string name;
  std::vector<Column> columns;
  std::vector<std::uint32_t> primary_key;  // indices of columns; empty: none
  std::string sql;                         // the statement that made it
  std::int64_t created_us = 0;
  /// Those that a view is made of, and the newest, which is the last. Never empty.
  std::vector<TableContent> contents;
  [[nodiscard]] const TableContent& newest() const { return contents.back(); }
  bool operator==(const TableRecord&) const = default;
};

/// The content of a table that a materialized view is made of.
struct TableUse {
  TableId table;
  TableVersion version;
  bool operator==(const TableUse&) const = default;
};

struct ViewRecord {
  ViewId id;
  std::string name;
  bool materialized = false;
  /// What a materialized view reads, each once. What it has for each of its streams, such as cuts,
  /// is in this order everywhere.
  std::vector<StreamId> streams = {};
  std::string select;  // the text behind AS
  std::string sql;     // the whole statement
  std::int64_t created_us = 0;
  /// Set while this is the next definition of that view: built beside it, found by no name. It has
  /// the same name, and takes its place by switch_view().
  std::optional<ViewId> replaces = {};
  /// The reference tables that a materialized view joins.
  std::vector<TableUse> tables = {};
  bool operator==(const ViewRecord&) const = default;
};

/// Where a stream is cut: the end of a lake commit.
struct Cut {
  CommitNumber commit;
  Position end;
  bool operator==(const Cut&) const = default;
};

/// A group that batch and speed layer computed differently: what each has for it, as text.
struct DriftRow {
  std::string key;
  std::string batch;
  std::string speed;
  bool operator==(const DriftRow&) const = default;
};

/// One result of the batch layer: partial states of all events before the cuts.
struct Generation {
  ViewId view;
  GenerationNumber number;
  std::vector<Cut> cuts;  // one for each stream of the view
  FileRecord file;        // rows = groups
  std::uint64_t events = 0;
  std::int64_t created_us = 0;
  std::int64_t duration_us = 0;
  bool full = false;
  std::uint64_t drift_rows = 0;
  std::vector<DriftRow> drift = {};  // the first of them
  /// Rows before the cut whose evaluation failed: they are in no group.
  std::uint64_t skipped_rows = 0;
  bool operator==(const Generation&) const = default;
};

/// Partial states of one view over the events from the end of lake commit `base_commit` (the cut of
/// a generation) to the end of lake commit `commit`, as the speed layer had them. Of a view over
/// one stream.
struct Checkpoint {
  ViewId view;
  StreamId stream;
  CommitNumber base_commit;
  CommitNumber commit;
  FileRecord file;  // rows = groups
  std::uint64_t skipped_rows = 0;
  bool operator==(const Checkpoint&) const = default;
};

/// A schema of the registry; its id is never given to another.
struct SchemaRecord {
  std::uint32_t id = 0;
  std::string type;  // "AVRO", "PROTOBUF", "JSON"
  std::string text;
  bool operator==(const SchemaRecord&) const = default;
};

/// A subject of the registry; the one without a name is the registry as a whole.
struct SubjectRecord {
  struct Version {
    std::uint32_t version = 0;
    std::uint32_t schema = 0;
    bool deleted = false;
    bool operator==(const Version&) const = default;
  };
  std::uint32_t id = 0;
  std::string name;
  std::vector<Version> versions;
  std::string compatibility;  // empty: that of the whole
  std::string mode;           // empty: that of the whole
  bool operator==(const SubjectRecord&) const = default;
};

/// A secret that stands for a user; only its SHA-256 is kept, as hexadecimal digits.
struct TokenRecord {
  std::string name;  // of its own among the user's
  std::string digest;
  std::int64_t created_us = 0;
  std::optional<std::int64_t> expires_us = {};
  bool operator==(const TokenRecord&) const = default;
};

/// Who may use the server: what proves it, and what for.
struct UserRecord {
  std::uint64_t number = 0;
  std::string name;  // in lower case
  /// "SCRAM-SHA-256$iterations:salt$stored key:server key" as PostgreSQL has it; empty: no
  /// password.
  std::string verifier;
  std::int64_t created_us = 0;
  std::vector<TokenRecord> tokens = {};
  std::vector<Grant> grants = {};
  bool operator==(const UserRecord&) const = default;
};

/// Another broker whose messages come in.
struct ConnectionRecord {
  std::uint64_t number = 0;
  std::string name;
  std::string url;    // mqtt://host:port
  std::string topic;  // the filter that is subscribed to there
  /// Takes every message; empty: the streams whose own topics fit.
  std::string stream;
  std::string client_id;
  std::string user;
  std::string password;  // as it is: the other broker wants to see it
  std::string share;     // group of a shared subscription; empty: none
  std::uint8_t qos = 1;
  bool clean = false;
  bool paused = false;
  std::int64_t created_us = 0;
  bool operator==(const ConnectionRecord&) const = default;
};

/// A store outside that is kept equal to a materialized view.
struct SinkRecord {
  std::uint64_t number = 0;
  std::string name;
  std::string view;
  std::string url;     // without a password
  std::string select;  // the text behind AS
  std::string password;
  std::string password_file;
  std::string tls;
  std::string ca_file;
  std::string format;  // of Redis: "hash" or "json"
  /// In the store it names this sink, and no other that ever was.
  std::string uid;
  bool paused = false;
  std::int64_t created_us = 0;
  bool operator==(const SinkRecord&) const = default;
};

class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> open(const std::filesystem::path& path);
  virtual ~Catalog() = default;

  /// The error that made the catalog refuse changes (a write whose outcome is not known), if there
  /// was one. Until the program starts again, what memory says may then be behind the file by one
  /// transaction.
  [[nodiscard]] virtual Status usable() const = 0;
  /// The id that the next stream gets: greater than all that were ever given.
  [[nodiscard]] virtual StreamId next_stream_id() const = 0;

  /// Creates the stream and its quarantine stream (name + "__quarantine") in one step and gives
  /// their ids.
  virtual Result<StreamDefinition> create_stream(StreamDefinition definition) = 0;
  /// Gives the stream of this id another definition. Errors: kInternal where it takes a version
  /// back or changes what a stream is for ever (name, partitions, quarantine).
  virtual Status alter_stream(const StreamDefinition& definition) = 0;
  /// With its quarantine stream, its lake commits and their files' records. The files stay for the
  /// sweep. Errors: kFailedPrecondition (kInUse) while a materialized view reads it.
  virtual Status drop_stream(StreamId id) = 0;
  [[nodiscard]] virtual std::vector<StreamDefinition> streams() const = 0;
  /// Names are compared without case, as in SQL; streams and views share one space of names.
  [[nodiscard]] virtual std::optional<StreamDefinition> find_stream(
      std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<StreamDefinition> stream(StreamId id) const = 0;

  /// With `replaces` it is a replacement of that materialized view, which has none yet.
  virtual Result<ViewRecord> create_view(ViewRecord record) = 0;
  /// Gives the plain view of this id another definition.
  virtual Status redefine_view(const ViewRecord& record) = 0;
  /// The replacement takes the place of the view that it replaces, which goes with its generations
  /// and checkpoints, in one transaction. Gives the names of the files that nobody needs any more.
  /// Errors: kNotFound where the replacement is not there any more.
  virtual Result<std::vector<std::string>> switch_view(ViewId replacement) = 0;
  /// With its replacement. Gives the names of the files that nobody needs any more.
  virtual Result<std::vector<std::string>> drop_view(ViewId id) = 0;
  /// Replacements too.
  [[nodiscard]] virtual std::vector<ViewRecord> views() const = 0;
  /// Never a replacement.
  [[nodiscard]] virtual std::optional<ViewRecord> find_view(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<ViewRecord> replacement_of(ViewId id) const = 0;

  /// The id that the next table gets.
  [[nodiscard]] virtual TableId next_table_id() const = 0;
  /// `record` has its first content. Streams, views and tables share one space of names.
  virtual Result<TableRecord> create_table(TableRecord record) = 0;
  /// The next content of the table. Like the two below, gives the names of the files that nobody
  /// needs any more.
  virtual Result<std::vector<std::string>> add_table_content(TableId id,
                                                             const TableContent& content) = 0;
  /// Forgets the contents that are not the newest and that no view is made of.
  virtual Result<std::vector<std::string>> drop_old_table_contents() = 0;
  /// Errors: kFailedPrecondition (kInUse) while a materialized view is made of it.
  virtual Result<std::vector<std::string>> drop_table(TableId id) = 0;
  [[nodiscard]] virtual std::vector<TableRecord> tables() const = 0;
  [[nodiscard]] virtual std::optional<TableRecord> find_table(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<TableRecord> table(TableId id) const = 0;

  /// Errors: kInternal where it does not begin at the end of the last one.
  virtual Status add_lake_commit(const LakeCommit& commit) = 0;
  [[nodiscard]] virtual std::vector<LakeCommit> lake_commits(StreamId stream) const = 0;

  /// Adds the generation and drops those of the view beyond the newest `keep`, and the view's
  /// checkpoints with a base_commit before its cut, in one transaction. Gives the names of the
  /// files that nobody needs any more. Errors: kInternal where a cut is not the end of a lake
  /// commit, or lies before that of the generation before.
  virtual Result<std::vector<std::string>> add_generation(const Generation& generation,
                                                          std::uint32_t keep) = 0;
  [[nodiscard]] virtual std::vector<Generation> generations(ViewId view) const = 0;

  /// Replaces the view's older checkpoints. Gives the names of the files that nobody needs any
  /// more.
  virtual Result<std::vector<std::string>> add_checkpoint(const Checkpoint& checkpoint) = 0;
  [[nodiscard]] virtual std::vector<Checkpoint> checkpoints(ViewId view) const = 0;

  /// The subject as it is from now on, and the schema that it needs, if that is new: in one
  /// transaction. What they mean is schema_registry.h's.
  virtual Status put_subject(const SubjectRecord& subject,
                             const std::optional<SchemaRecord>& schema) = 0;
  virtual Status drop_subject(std::uint32_t id) = 0;
  [[nodiscard]] virtual std::vector<SchemaRecord> schemas() const = 0;
  [[nodiscard]] virtual std::vector<SubjectRecord> subjects() const = 0;

  /// A user of this name gets the record's content; where there is none, it is made. The number is
  /// given here.
  virtual Status put_user(UserRecord user) = 0;
  /// Errors: kNotFound.
  virtual Status drop_user(std::string_view name) = 0;
  [[nodiscard]] virtual std::vector<UserRecord> users() const = 0;

  /// As put_user(). Names are compared without case.
  virtual Status put_connection(ConnectionRecord connection) = 0;
  virtual Status drop_connection(std::uint64_t number) = 0;
  [[nodiscard]] virtual std::vector<ConnectionRecord> connections() const = 0;

  /// As put_connection().
  virtual Status put_sink(SinkRecord sink) = 0;
  virtual Status drop_sink(std::uint64_t number) = 0;
  [[nodiscard]] virtual std::vector<SinkRecord> sinks() const = 0;
};

}  // namespace millrace::catalog
