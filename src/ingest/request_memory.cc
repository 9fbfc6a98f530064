#include "ingest/request_memory.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "wire/record_batch.h"

namespace millrace::ingest {

namespace {

constexpr std::uint32_t kMagic = 0x5152524d;  // "MRRQ"
constexpr std::uint32_t kVersion = 1;
/// More files than this are written into one.
constexpr std::size_t kFilesMax = 16;
/// Of the refused records of a request that its answer names again.
constexpr std::size_t kRejectedMax = 100;
constexpr std::size_t kReasonBytes = 500;

std::unexpected<Error> damaged(const std::filesystem::path& path) {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum, "{} does not match its checksum",
              path.string());
}

}  // namespace

RequestPrint request_print(std::string_view type, std::string_view body) {
  const auto whole = XXH3_128bits(body.data(), body.size());
  const auto with_type =
      XXH3_128bits_withSeed(type.data(), type.size(), whole.low64 ^ whole.high64);
  return {whole.low64 ^ with_type.low64, whole.high64 ^ with_type.high64};
}

std::string RequestMemory::encode(const Record& record) {
  std::string out;
  ByteWriter writer(out);
  writer.put(record.key.stream.value);
  writer.put_string(record.key.key);
  writer.put(record.print.low);
  writer.put(record.print.high);
  writer.put(record.time_us);
  writer.put_varint(record.end);
  writer.put_varint(record.reply.accepted);
  writer.put_varint(record.reply.duplicates);
  const auto rejected = std::min(record.reply.rejected.size(), kRejectedMax);
  writer.put_varint(rejected);
  for (std::size_t i = 0; i < rejected; ++i) {
    const auto& one = record.reply.rejected[i];
    writer.put_varint(one.line);
    writer.put_string(one.id);
    writer.put_string(std::string_view(one.reason).substr(0, kReasonBytes));
  }
  writer.put_varint(record.reply.position.size());
  for (const auto& [partition, end] : record.reply.position) {
    writer.put_varint(partition.value);
    writer.put_varint(end.value);
  }
  return out;
}

Result<RequestMemory::Record> RequestMemory::decode(std::string_view bytes) {
  Record out;
  ByteReader reader(bytes);
  out.key.stream = StreamId(reader.get<std::uint32_t>());
  out.key.key = std::string(reader.get_string());
  out.print.low = reader.get<std::uint64_t>();
  out.print.high = reader.get<std::uint64_t>();
  out.time_us = reader.get<std::int64_t>();
  out.end = reader.get_varint();
  out.reply.accepted = reader.get_varint();
  out.reply.duplicates = reader.get_varint();
  for (std::uint64_t n = reader.get_varint(); n != 0 && reader.ok(); --n) {
    format::RejectedRecord one;
    one.line = reader.get_varint();
    one.id = std::string(reader.get_string());
    one.reason = std::string(reader.get_string());
    out.reply.rejected.push_back(std::move(one));
  }
  for (std::uint64_t n = reader.get_varint(); n != 0 && reader.ok(); --n) {
    const PartitionId partition(static_cast<std::uint32_t>(reader.get_varint()));
    out.reply.position.emplace_back(partition, Offset(reader.get_varint()));
  }
  if (!reader.at_end()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "a record of an Idempotency-Key is not one that we write");
  }
  return out;
}

Result<std::unique_ptr<RequestMemory>> RequestMemory::open(runtime::FileSystem& files,
                                                           std::filesystem::path folder) {
  std::unique_ptr<RequestMemory> out(new RequestMemory(files, std::move(folder)));
  MR_RETURN_IF_ERROR(files.create_directories(out->folder_));
  MR_RETURN_IF_ERROR(out->load());
  return out;
}

std::filesystem::path RequestMemory::path_of(std::uint64_t number) const {
  return folder_ / fmt::format("{:012}.requests", number);
}

// A file: magic, version, number, whether it holds all before it, end, count, records with their
// lengths, CRC32C of all that.
Status RequestMemory::write(std::uint64_t number, bool is_whole, const std::vector<Record>& records,
                            std::uint64_t end) {
  std::string out;
  ByteWriter writer(out);
  writer.put(kMagic);
  writer.put(kVersion);
  writer.put(number);
  writer.put(static_cast<std::uint8_t>(is_whole));
  writer.put(end);
  writer.put(static_cast<std::uint64_t>(records.size()));
  for (const Record& record : records) writer.put_string(encode(record));
  writer.put(crc32c(out));
  return runtime::write_file_durably(files_, path_of(number), out);
}

Status RequestMemory::load() {
  MR_TRY(const auto names, files_.list(folder_));
  std::vector<std::uint64_t> numbers;
  for (const auto& name : names) {
    std::uint64_t number = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (code == std::errc() && std::string_view(end) == ".requests") numbers.push_back(number);
  }
  const MutexLock lock(mutex_);
  for (const auto number : numbers) {
    const auto path = path_of(number);
    MR_TRY(const auto bytes, runtime::read_file(files_, path));
    if (bytes.size() < 4) return damaged(path);
    ByteReader checksum(std::string_view(bytes).substr(bytes.size() - 4));
    const std::string_view content = std::string_view(bytes).substr(0, bytes.size() - 4);
    if (crc32c(content) != checksum.get<std::uint32_t>()) return damaged(path);
    ByteReader reader(content);
    const bool ours = reader.get<std::uint32_t>() == kMagic;
    if (ours && reader.get<std::uint32_t>() != kVersion) {
      return fail(ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
                  "{} was written by another version", path.string());
    }
    if (!ours || reader.get<std::uint64_t>() != number) return damaged(path);
    const bool is_whole = reader.get<std::uint8_t>() != 0;
    const auto end = reader.get<std::uint64_t>();
    // What is before a whole one is left from a crash before it was removed. Else none may lack.
    if (is_whole) {
      for (const auto old : live_files_) MR_RETURN_IF_ERROR(files_.remove(path_of(old)));
      live_files_.clear();
      entries_.clear();
      by_age_.clear();
    } else if (!live_files_.empty() ? live_files_.back() + 1 != number : number != 1) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum, "the file before {} is missing",
                  path.string());
    }
    for (auto count = reader.get<std::uint64_t>(); count != 0 && reader.ok(); --count) {
      MR_TRY(auto record, decode(reader.get_string()));
      keep(std::move(record), true);
    }
    if (!reader.at_end()) return damaged(path);
    saved_end_ = known_end_ = end;
    live_files_.push_back(number);
    next_file_ = number + 1;
  }
  return {};
}

Offset RequestMemory::saved_end() const {
  const MutexLock lock(mutex_);
  return Offset(saved_end_);
}

std::size_t RequestMemory::size() const {
  const MutexLock lock(mutex_);
  return entries_.size();
}

void RequestMemory::keep(Record record, bool finished) {
  auto& entry = entries_[record.key];
  entry.print = record.print;
  entry.is_known = true;
  entry.is_finished = finished;
  entry.time_us = record.time_us;
  entry.reply = std::move(record.reply);
  by_age_.emplace_back(record.time_us, std::move(record.key));
}

Status RequestMemory::meet(const log::RecoveredBatch& batch) {
  if (batch.stream != kRequestsStream) {
    ends_[{batch.stream, batch.partition}] = Offset(batch.base_offset.value + batch.record_count);
    return {};
  }
  Result<Record> record = Record();
  MR_RETURN_IF_ERROR(
      wire::for_each_record(batch.batch, [&](std::string_view value) { record = decode(value); }));
  if (!record) return std::unexpected(std::move(record).error());
  // The request's own batches stand right before it.
  for (auto& [partition, end] : record->reply.position)
    end = ends_[{record->key.stream, partition}];
  record->end = batch.base_offset.value + batch.record_count;
  const MutexLock lock(mutex_);
  known_end_ = record->end;
  unsaved_.push_back(*record);
  keep(std::move(*record), true);
  return {};
}

bool RequestMemory::begin(const RequestKey& key, const RequestPrint& print, std::int64_t now_us,
                          Done& done) {
  std::optional<Result<IngestReply>> told;
  {
    const MutexLock lock(mutex_);
    forget_old(now_us);
    const auto [found, is_new] = entries_.try_emplace(key);
    Entry& entry = found->second;
    if (is_new) {
      entry.print = print;
      entry.time_us = now_us;
      return true;
    }
    if (entry.print != print) {
      told = Result<IngestReply>(std::unexpected(
          Error{.code = ErrorCode::kFailedPrecondition,
                .id = std::string(error_id::kBadRequest),
                .message = "this Idempotency-Key was used for another request",
                .hint = "give each request a key of its own, and repeat it only with the same body",
                .place = {}}));
    } else if (!entry.is_finished) {
      entry.waiting.push_back(std::move(done));
      return false;
    } else {
      IngestReply reply = entry.reply;
      reply.repeated = true;
      told = Result<IngestReply>(std::move(reply));
    }
  }
  done(std::move(*told));
  return false;
}

log::LogEntry RequestMemory::entry(const RequestKey& key, const RequestPrint& print,
                                   std::int64_t arrival_us, const IngestReply& reply,
                                   std::span<const PartitionId> partitions) const {
  Record record{.key = key, .print = print, .time_us = arrival_us, .reply = reply, .end = 0};
  record.reply.position.clear();
  for (const auto partition : partitions) record.reply.position.emplace_back(partition, Offset(0));
  const std::string bytes = encode(record);
  const std::string_view values[] = {bytes};
  log::LogEntry out{.stream = kRequestsStream,
                    .partition = PartitionId(0),
                    .record_count = 1,
                    .batch = {},
                    .base_offset = {},
                    .place = {}};
  wire::encode_record_batch(values, arrival_us, out.batch);
  return out;
}

void RequestMemory::know(const RequestKey& key, const RequestPrint& print, std::int64_t arrival_us,
                         const IngestReply& reply, Offset end) {
  Record record{
      .key = key, .print = print, .time_us = arrival_us, .reply = reply, .end = end.value};
  const MutexLock lock(mutex_);
  known_end_ = end.value;
  unsaved_.push_back(record);
  keep(std::move(record), false);
}

void RequestMemory::finish(const RequestKey& key, const Result<IngestReply>& reply) {
  std::vector<Done> waiting;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    waiting = std::exchange(found->second.waiting, {});
    found->second.is_finished = true;
    // What is not in the log can be sent again.
    if (!reply || !found->second.is_known) entries_.erase(found);
  }
  for (const auto& done : waiting) {
    if (reply) {
      IngestReply again = *reply;
      again.repeated = true;
      done(std::move(again));
    } else {
      done(std::unexpected(reply.error()));
    }
  }
}

void RequestMemory::forget_old(std::int64_t now_us) {
  while (!by_age_.empty() &&
         (by_age_.size() > kEntriesMax || by_age_.front().first < now_us - kKeptUs)) {
    const auto found = entries_.find(by_age_.front().second);
    if (found != entries_.end() && found->second.is_finished &&
        found->second.time_us == by_age_.front().first)
      entries_.erase(found);
    by_age_.pop_front();
  }
}

Status RequestMemory::save() {
  std::vector<Record> taken;
  std::vector<Record> all;
  std::uint64_t end = 0;
  const bool is_whole = live_files_.size() >= kFilesMax;
  {
    const MutexLock lock(mutex_);
    if (unsaved_.empty()) return {};
    end = known_end_;
    taken = std::exchange(unsaved_, {});
    for (const auto& [time, key] : by_age_) {
      if (!is_whole) break;
      const auto found = entries_.find(key);
      if (found == entries_.end() || !found->second.is_known || found->second.time_us != time)
        continue;
      all.push_back({key, found->second.print, time, found->second.reply, 0});
    }
  }
  const std::uint64_t number = next_file_;
  if (auto written = write(number, is_whole, is_whole ? all : taken, end); !written) {
    const MutexLock lock(mutex_);
    unsaved_.insert(unsaved_.begin(), std::make_move_iterator(taken.begin()),
                    std::make_move_iterator(taken.end()));
    return written;
  }
  ++next_file_;
  const auto old_files = is_whole ? std::exchange(live_files_, {}) : std::vector<std::uint64_t>();
  live_files_.push_back(number);
  {
    const MutexLock lock(mutex_);
    saved_end_ = end;
  }
  for (const auto old : old_files) MR_RETURN_IF_ERROR(files_.remove(path_of(old)));
  return {};
}

}  // namespace millrace::ingest
