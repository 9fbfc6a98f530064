#include "ingest/request_memory.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <ranges>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "wire/record_batch.h"

namespace millrace::ingest {

namespace {

constexpr std::uint32_t kMagic = 0x5152524d;  // "MRRQ"
constexpr std::uint32_t kVersion = 1;
/// More files than this are written into one.
constexpr std::size_t kFilesMax = 16;
/// Of the refused records of a request that its answer names.
constexpr std::size_t kRejectedMax = 100;
constexpr std::size_t kReasonBytes = 500;
/// Of one entry, without its texts: nodes and strings, roughly.
constexpr std::uint64_t kEntryBytes = 300;
constexpr std::size_t kUnsavedMax = 4096;

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
  writer.put_varint(record.reply.rejected_count);
  writer.put_varint(record.reply.rejected.size());
  for (const auto& one : record.reply.rejected) {
    writer.put_varint(one.line);
    writer.put_string(one.id);
    writer.put_string(one.reason);
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
  out.reply.rejected_count = reader.get_varint();
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
                                                           std::filesystem::path folder,
                                                           RequestLimits limits) {
  std::unique_ptr<RequestMemory> out(new RequestMemory(files, std::move(folder), limits));
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

struct RequestMemory::File {
  bool is_whole = false;
  std::uint64_t end = 0;
  std::vector<Record> records;
};

Result<RequestMemory::File> RequestMemory::read(std::uint64_t number) const {
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
  File out;
  out.is_whole = reader.get<std::uint8_t>() != 0;
  out.end = reader.get<std::uint64_t>();
  for (auto count = reader.get<std::uint64_t>(); count != 0 && reader.ok(); --count) {
    MR_TRY(auto record, decode(reader.get_string()));
    out.records.push_back(std::move(record));
  }
  if (!reader.at_end()) return damaged(path);
  return out;
}

// Back from the newest file to the first one that is whole. What is older was left by a crash
// before it was removed, and may have gaps.
Status RequestMemory::load() {
  MR_TRY(const auto names, files_.list(folder_));
  std::vector<std::uint64_t> numbers;
  for (const auto& name : names) {
    std::uint64_t number = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (code == std::errc() && std::string_view(end) == ".requests") numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  std::vector<File> files;
  bool has_start = numbers.empty();
  while (!numbers.empty() && !has_start) {
    const auto number = numbers.back();
    if (!live_files_.empty() && live_files_.front() != number + 1) break;
    numbers.pop_back();
    MR_TRY(auto file, read(number));
    has_start = file.is_whole || number == 1;
    live_files_.insert(live_files_.begin(), number);
    files.push_back(std::move(file));
  }
  if (!has_start) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "the file before {} is missing",
                path_of(live_files_.front()).string());
  }
  for (const auto old : numbers) MR_RETURN_IF_ERROR(files_.remove(path_of(old)));
  const MutexLock lock(mutex_);
  for (auto& file : std::views::reverse(files)) {
    for (auto& record : file.records) keep(std::move(record), true);
    saved_end_ = known_end_ = file.end;
  }
  if (!live_files_.empty()) next_file_ = live_files_.back() + 1;
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
  bytes_ -= entry.bytes;
  entry.print = record.print;
  entry.is_known = true;
  entry.is_finished = finished;
  entry.time_us = record.time_us;
  entry.reply = std::move(record.reply);
  entry.bytes = kEntryBytes + 2 * record.key.key.size() + 16 * entry.reply.position.size();
  for (const auto& rejected : entry.reply.rejected)
    entry.bytes += sizeof(rejected) + rejected.id.size() + rejected.reason.size();
  bytes_ += entry.bytes;
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
                .id = std::string(error_id::kKeyReused),
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
    if (!reply || !found->second.is_known) {
      bytes_ -= found->second.bytes;
      entries_.erase(found);
    }
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
  while (!by_age_.empty() && (by_age_.size() > limits_.entries_max || bytes_ > limits_.bytes_max ||
                              by_age_.front().first < now_us - limits_.kept_us)) {
    const auto found = entries_.find(by_age_.front().second);
    if (found != entries_.end() && found->second.time_us == by_age_.front().first) {
      if (!found->second.is_finished) return;  // it will be in a moment
      bytes_ -= found->second.bytes;
      entries_.erase(found);
    }
    by_age_.pop_front();
  }
}

bool RequestMemory::is_save_due() const {
  const MutexLock lock(mutex_);
  return unsaved_.size() >= kUnsavedMax;
}

void RequestMemory::shorten(IngestReply& reply) {
  if (reply.rejected.size() > kRejectedMax) reply.rejected.resize(kRejectedMax);
  for (auto& record : reply.rejected) {
    if (record.reason.size() <= kReasonBytes) continue;
    std::size_t end = kReasonBytes;
    // Not inside of a character.
    while (end != 0 && (static_cast<unsigned char>(record.reason[end]) & 0xc0) == 0x80) --end;
    record.reason.resize(end);
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
