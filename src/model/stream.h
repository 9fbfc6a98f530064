// What a stream is: its columns, which of them is the event time and which the key, how many
// partitions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/ids.h"
#include "model/position.h"
#include "model/type.h"

namespace millrace {

struct Column {
  std::string name;
  Type type;
  /// Names the column for ever, under whatever name it has; 0 in a stream that was never altered
  /// (StreamDefinition::field_id).
  std::uint32_t id = 0;
  /// Instead of NULL where a record has no such field: a JSON token.
  std::optional<std::string> default_json = {};
  bool operator==(const Column&) const = default;
};

/// The columns that a stream had before an ALTER: those of the lake files of that time.
struct SchemaVersion {
  std::uint32_t version = 1;
  std::vector<Column> columns;
  bool operator==(const SchemaVersion&) const = default;
};

/// What becomes of a field that names no column.
enum class UnknownFields : std::uint8_t { kIgnore, kRefuse, kKeep };

/// Behind the columns of every stream, in lake and SQL; SELECT * has them only where one is named.
inline constexpr std::string_view kPartitionColumn = "_partition";  // INTEGER
inline constexpr std::string_view kOffsetColumn = "_offset";        // BIGINT
inline constexpr std::string_view kArrivalColumn = "_arrival";      // TIMESTAMP WITH TIME ZONE

inline constexpr std::uint32_t kPartitionsMax = 1024;
inline constexpr std::uint32_t kColumnsMax = 1024;
inline constexpr std::string_view kQuarantineSuffix = "__quarantine";

struct StreamDefinition {
  StreamId id;
  std::string name;
  std::vector<Column> columns;
  std::optional<std::uint32_t> time_column;
  std::optional<std::uint32_t> key_column;
  /// A record whose value of this column a stored record has already is a repeat.
  std::optional<std::uint32_t> dedup_column;
  /// How long a value is remembered; none: for ever.
  std::optional<std::int64_t> dedup_within_us;
  std::uint32_t partitions = 1;
  /// The stream that keeps the records of this one that could not be decoded; none for a quarantine
  /// stream.
  std::optional<StreamId> quarantine;
  /// Of a derived stream: whose events it is made of, and how (view::RowSelect::sql).
  std::optional<StreamId> source;
  std::string select;
  UnknownFields unknown_fields = UnknownFields::kIgnore;
  /// With kKeep: the JSON column that gets them as one object.
  std::optional<std::uint32_t> unknown_column;
  /// The MQTT topics whose messages are events of the stream (TopicRule); empty where there are
  /// none.
  std::string mqtt;
  /// Of `columns`; each ALTER that changes them counts one on.
  std::uint32_t version = 1;
  /// The versions before, oldest first.
  std::vector<SchemaVersion> history;
  std::string sql;

  [[nodiscard]] std::uint32_t field_id(std::size_t column) const {
    return columns[column].id != 0 ? columns[column].id : static_cast<std::uint32_t>(column) + 1;
  }
  /// Greater than all that were ever given.
  [[nodiscard]] std::uint32_t next_field_id() const;
  /// The columns of a version; nullptr where there never was one.
  [[nodiscard]] const std::vector<Column>* columns_of(std::uint32_t of_version) const;

  [[nodiscard]] std::optional<std::uint32_t> find_column(std::string_view column) const;
  [[nodiscard]] std::vector<Type> types() const;
  bool operator==(const StreamDefinition&) const = default;
};

/// The columns of every quarantine stream. A row is one of three things: a record that could not be
/// decoded (`id` is NULL); a row of the stream on which a view failed (view, source_partition,
/// source_offset); or that a record was brought back (replays: its _offset here). `id` names the
/// last two, so that each is written once: it is the quarantine's dedup column.
[[nodiscard]] std::vector<Column> quarantine_columns();
enum class QuarantineColumn : std::uint8_t {
  kCode,
  kReason,
  kLine,
  kRaw,
  kEndpoint,
  kView,
  kSourcePartition,
  kSourceOffset,
  kReplays,
  kId,
};
/// The definition of a quarantine stream, without ids and name.
[[nodiscard]] StreamDefinition quarantine_definition();
/// _partition, _offset and _arrival.
[[nodiscard]] std::vector<Column> hidden_columns();

/// A name of a stream, view or column: a letter or '_' first, then letters, digits, '_'; at most 63
/// bytes. Column names are laxer: any UTF-8 without control characters, so that JSON keys fit.
Status check_object_name(std::string_view name);
Status check_column_name(std::string_view name);
/// "name" with quotes doubled: for SQL text that we make.
[[nodiscard]] std::string quote_identifier(std::string_view name);
[[nodiscard]] std::string quote_literal(std::string_view text);

/// Events of one partition with consecutive offsets, decoded. The unit that goes from ingest to the
/// speed layer and the lake. Events from anywhere carry the hidden columns behind those of the
/// stream, for the scalar stage; then partition, base_offset and arrival_us say nothing.
struct StreamBatch {
  StreamId stream;
  PartitionId partition;
  Offset base_offset;
  std::int64_t arrival_us = 0;
  std::shared_ptr<const ColumnBatch> columns;

  [[nodiscard]] Offset end_offset() const { return Offset(base_offset.value + columns->rows()); }
};

}  // namespace millrace
