#include "ingest/record_codec.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <numeric>

#include "format/base64.h"
#include "format/json_text.h"
#include "wire/record_batch.h"

namespace millrace::ingest {

namespace {

/// A record of the log lies on one line: where an element of a JSON array had line breaks, which
/// can only stand between its tokens, they become blanks.
std::string_view on_one_line(std::string_view value, Arena& arena) {
  if (std::memchr(value.data(), '\n', value.size()) == nullptr) return value;
  char* copy = arena.allocate(value.size());
  std::ranges::replace_copy(value, copy, '\n', ' ');
  return {copy, value.size()};
}

constexpr std::string_view kReplayId = "replay of ";
constexpr std::string_view kReadAs = " as ";
constexpr std::string_view kBoundTo = " with ";

std::string as_utf8(std::string_view text) {
  std::string out(text);
  for (std::size_t bad = format::first_bad_utf8(out); bad < out.size();
       bad = format::first_bad_utf8(out)) {
    out[bad] = '?';
  }
  return out;
}

}  // namespace

std::uint32_t murmur2(std::string_view key) {
  constexpr std::uint32_t kM = 0x5bd1e995;
  const auto size = static_cast<std::uint32_t>(key.size());
  std::uint32_t hash = 0x9747b28cU ^ size;
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, key.data() + i, 4);
    word *= kM;
    word ^= word >> 24;
    word *= kM;
    hash = hash * kM ^ word;
  }
  const auto byte = [&](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(key[at]));
  };
  switch (key.size() - i) {
    case 3:
      hash ^= byte(i + 2) << 16;
      [[fallthrough]];
    case 2:
      hash ^= byte(i + 1) << 8;
      [[fallthrough]];
    case 1:
      hash = (hash ^ byte(i)) * kM;
      break;
    default:
      break;
  }
  hash ^= hash >> 13;
  hash *= kM;
  hash ^= hash >> 15;
  return hash;
}

std::vector<PartitionRecords> encode_records(const StreamDefinition& stream,
                                             const format::Decoded& decoded,
                                             std::int64_t arrival_us) {
  std::vector<PartitionRecords> out;
  const std::size_t rows = decoded.values.size();
  if (rows == 0) return out;
  Arena arena;
  std::vector<std::string_view> values;
  values.reserve(rows);
  for (const auto value : decoded.values) values.push_back(on_one_line(value, arena));
  if (stream.partitions == 1 || !stream.key_column) {
    PartitionRecords all;
    all.columns = decoded.columns;
    wire::encode_record_batch(values, arrival_us, all.batch);
    out.push_back(std::move(all));
    return out;
  }
  std::vector<std::vector<std::uint32_t>> rows_of(stream.partitions);
  const auto key = decoded.columns->column(*stream.key_column).view();
  for (std::size_t row = 0; row < rows; ++row) {
    const auto text = value_text(key, row);
    const std::uint32_t partition = text ? (murmur2(*text) & 0x7fffffffU) % stream.partitions : 0;
    rows_of[partition].push_back(static_cast<std::uint32_t>(row));
  }
  const auto views = decoded.columns->views();
  std::vector<std::string_view> part;
  for (std::uint32_t p = 0; p < stream.partitions; ++p) {
    if (rows_of[p].empty()) continue;
    auto columns = std::make_shared<ColumnBatch>(stream.types());
    columns->append_rows({views, rows}, rows_of[p]);
    part.clear();
    for (const auto row : rows_of[p]) part.push_back(values[row]);
    PartitionRecords records;
    records.partition = PartitionId(p);
    records.columns = std::move(columns);
    wire::encode_record_batch(part, arrival_us, records.batch);
    out.push_back(std::move(records));
  }
  return out;
}

QuarantineRows::QuarantineRows() {
  std::vector<Type> types;
  for (const auto& column : quarantine_columns()) types.push_back(column.type);
  columns_ = std::make_shared<ColumnBatch>(types);
}

void QuarantineRows::add(const QuarantineRow& row) {
  static const std::vector<Column> kColumns = quarantine_columns();
  std::string& record = records_.emplace_back("{");
  const auto begin = [&](QuarantineColumn which) -> ColumnVector& {
    const auto index = static_cast<std::size_t>(which);
    if (record.size() > 1) record += ',';
    append_json_string(record, kColumns[index].name);
    record += ':';
    return columns_->column(index);
  };
  const auto null = [&](QuarantineColumn which) {
    columns_->column(static_cast<std::size_t>(which)).push_null();
  };
  const auto text = [&](QuarantineColumn which, std::optional<std::string_view> value) {
    if (!value) return null(which);
    // What the record says must come back from the log: a reason may quote bytes that are no text.
    const std::string good = as_utf8(*value);
    begin(which).push_string(good, columns_->arena());
    append_json_string(record, good);
  };
  const auto number = [&](QuarantineColumn which, std::optional<std::uint64_t> value) {
    if (!value) return null(which);
    begin(which).push(static_cast<std::int64_t>(*value));
    record += fmt::format("{}", *value);
  };
  const auto offset = [&](QuarantineColumn which, std::optional<Offset> value) {
    number(which, value ? std::optional(value->value) : std::nullopt);
  };
  text(QuarantineColumn::kCode, row.code);
  text(QuarantineColumn::kReason, row.reason);
  number(QuarantineColumn::kLine, row.line);
  if (row.raw) {
    begin(QuarantineColumn::kRaw).push_string(*row.raw, columns_->arena());
    record += '"' + format::base64_encode(*row.raw) + '"';
  } else {
    null(QuarantineColumn::kRaw);
  }
  text(QuarantineColumn::kEndpoint, row.endpoint);
  text(QuarantineColumn::kView, row.view);
  if (row.source_partition) {
    begin(QuarantineColumn::kSourcePartition)
        .push(static_cast<std::int32_t>(row.source_partition->value));
    record += fmt::format("{}", *row.source_partition);
  } else {
    null(QuarantineColumn::kSourcePartition);
  }
  offset(QuarantineColumn::kSourceOffset, row.source_offset);
  offset(QuarantineColumn::kReplays, row.replays);
  text(QuarantineColumn::kId, row.id);
  record += '}';
}

PartitionRecords QuarantineRows::encode(std::span<const std::uint32_t> rows,
                                        std::int64_t arrival_us) const {
  PartitionRecords out;
  const auto views = columns_->views();
  std::vector<Type> types;
  for (const auto& view : views) types.push_back(view.type);
  auto chosen = std::make_shared<ColumnBatch>(types);
  chosen->append_rows({views, columns_->rows()}, rows);
  out.columns = std::move(chosen);
  std::vector<std::string_view> values;
  for (const auto row : rows) values.push_back(records_[row]);
  wire::encode_record_batch(values, arrival_us, out.batch);
  return out;
}

std::string origin_text(std::string_view endpoint, const format::PayloadType& type,
                        std::span<const format::BoundText> bound) {
  std::string out(endpoint);
  if (type.is_json() && bound.empty()) return out;
  out += kReadAs;
  out += type.text();
  if (bound.empty()) return out;
  out += kBoundTo;
  char before = '{';
  for (const auto& [column, text] : bound) {
    out += before;
    before = ',';
    append_json_string(out, as_utf8(column));
    out += ':';
    append_json_string(out, as_utf8(text));
  }
  out += '}';
  return out;
}

RecordOrigin read_origin(std::string_view endpoint, std::string_view raw) {
  RecordOrigin out;
  // A record of JSON Lines lies on one line, an element of an array or a whole body need not.
  out.type = raw.find('\n') == std::string_view::npos ? format::JsonFraming::kLines
                                                      : format::JsonFraming::kDocument;
  const auto as = endpoint.find(kReadAs);
  if (as == std::string_view::npos) return out;
  std::string_view type = endpoint.substr(as + kReadAs.size());
  const auto with = type.find(kBoundTo);
  std::string_view bound;
  if (with != std::string_view::npos) {
    bound = type.substr(with + kBoundTo.size());
    type = type.substr(0, with);
  }
  if (auto read = format::payload_type_of(type); read && !read->is_json())
    out.type = std::move(*read);
  boost::system::error_code failed;
  const auto values = boost::json::parse(bound, failed);
  if (failed || !values.is_object()) return out;
  for (const auto& field : values.get_object()) {
    if (field.value().is_string())
      out.bound.push_back({std::string(field.key()), std::string(field.value().get_string())});
  }
  return out;
}

PartitionRecords encode_quarantine(std::span<const format::RejectedRecord> rejected,
                                   std::string_view endpoint, std::int64_t arrival_us) {
  QuarantineRows out;
  for (const auto& record : rejected) {
    out.add({.code = record.id,
             .reason = record.reason,
             .line = record.line,
             .raw = record.raw,
             .endpoint = endpoint});
  }
  std::vector<std::uint32_t> rows(rejected.size());
  std::iota(rows.begin(), rows.end(), 0U);
  return out.encode(rows, arrival_us);
}

std::int64_t quarantined_by(const ColumnVector& id) {
  std::int64_t sum = 0;
  for (std::size_t row = 0; row < id.rows(); ++row) {
    if (!id.valid(row)) {
      ++sum;
    } else if (id.data<StringRef>()[row].view().starts_with(kReplayId)) {
      --sum;
    }
  }
  return sum;
}

std::string replay_id(Offset offset) { return fmt::format("{}{}", kReplayId, offset); }

std::string failure_id(ViewId view, PartitionId partition, Offset offset) {
  return fmt::format("view {} at {}:{}", view, partition, offset);
}

Result<DecodedRecords> decode_record_batch(std::string_view batch, const StreamDefinition& stream) {
  MR_TRY(const auto header, wire::check_record_batch(batch));
  thread_local PaddedBytes body;
  body.resize(0);
  body.reserve(batch.size());
  MR_RETURN_IF_ERROR(wire::for_each_record(batch, [&](std::string_view value) {
    body.append(value);
    body.append("\n");
  }));
  // What is in the log was accepted under the limits of its time, whatever they are today.
  thread_local format::JsonDecoder decoder(
      format::DecodeLimits{.depth_max = 1024, .record_bytes_max = std::uint32_t{1} << 30});
  auto decoded = decoder.decode(body, format::JsonFraming::kLines, stream);
  if (!decoded.rejected.empty() || decoded.values.size() != header.record_count) {
    return fail(
        ErrorCode::kDataLoss, error_id::kInternal,
        "stream {} offset {}: {} of {} records of the log decode; the first that does not: {}",
        stream.name, header.base_offset, decoded.values.size(), header.record_count,
        decoded.rejected.empty() ? "none" : decoded.rejected.front().reason);
  }
  return DecodedRecords{decoded.columns, header.base_timestamp_ms * 1000};
}

}  // namespace millrace::ingest
