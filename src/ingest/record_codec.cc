#include "ingest/record_codec.h"

#include <algorithm>
#include <cstring>

#include "format/base64.h"
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

PartitionRecords encode_quarantine(std::span<const format::RejectedRecord> rejected,
                                   std::string_view endpoint, std::int64_t arrival_us) {
  std::vector<Type> types;
  for (const auto& column : quarantine_columns()) types.push_back(column.type);
  auto columns = std::make_shared<ColumnBatch>(types);
  std::vector<std::string> lines;
  for (const auto& record : rejected) {
    columns->column(0).push_string(record.id, columns->arena());
    columns->column(1).push_string(record.reason, columns->arena());
    columns->column(2).push(static_cast<std::int64_t>(record.line));
    columns->column(3).push_string(record.raw, columns->arena());
    columns->column(4).push_string(endpoint, columns->arena());
    std::string line = "{\"code\":";
    append_json_string(line, record.id);
    line += ",\"reason\":";
    append_json_string(line, record.reason);
    line += fmt::format(",\"line\":{},\"raw\":\"{}\",\"endpoint\":", record.line,
                        format::base64_encode(record.raw));
    append_json_string(line, endpoint);
    line += "}";
    lines.push_back(std::move(line));
  }
  const std::vector<std::string_view> values(lines.begin(), lines.end());
  PartitionRecords out;
  out.columns = std::move(columns);
  wire::encode_record_batch(values, arrival_us, out.batch);
  return out;
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
