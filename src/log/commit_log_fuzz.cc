// Bytes as the first two segments of a log: recovery never crashes, never visits a batch that is
// not whole, and a log that it accepts once it accepts again with the same answer.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "log/commit_log.h"
#include "log/frame.h"
#include "log/recovery.h"
#include "runtime/simulated_file_system.h"
#include "wire/record_batch.h"

namespace millrace::log {
namespace {

constexpr std::size_t kSegmentBytes = 8 << 10;

void scan(std::string_view bytes) {
  const SegmentScanner scanner(bytes, 1);
  Frame frame;
  for (std::size_t offset = 0; scanner.find(offset, frame) != FrameCheck::kNothing;) {
    MR_CHECK(scanner.after(frame) > offset, "the scanner stands still at {}", offset);
    offset = scanner.after(frame);
  }
}

std::optional<std::size_t> visited_batches(runtime::SimulatedFileSystem& disk) {
  std::size_t count = 0;
  const auto opened = CommitLog::open(
      disk, {.folder = "log", .segment_bytes = kSegmentBytes}, {},
      [&](const RecoveredBatch& batch) -> Status {
        const auto header = wire::check_record_batch(batch.batch);
        MR_CHECK(header.has_value() && header->base_offset == batch.base_offset.value,
                 "a batch that is not whole was visited");
        ++count;
        return {};
      });
  return opened ? std::optional(count) : std::nullopt;
}

void place(runtime::SimulatedFileSystem& disk, std::uint64_t number, std::string_view bytes) {
  const auto file = disk.open(segment_path("log", number), runtime::OpenMode::kCreate);
  static_cast<void>((*file)->write_at(0, as_bytes(bytes)));
  static_cast<void>((*file)->sync_data());
}

}  // namespace
}  // namespace millrace::log

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t first = bytes.size() * data[0] / 255;
  log::scan(bytes);
  runtime::SimulatedFileSystem disk(1);
  log::place(disk, 1, bytes.substr(0, first));
  if (first < bytes.size()) log::place(disk, 2, bytes.substr(first));
  static_cast<void>(disk.sync_directory("log"));
  const auto once = log::visited_batches(disk);
  if (once.has_value()) {
    MR_CHECK(log::visited_batches(disk) == once, "the second recovery differs from the first");
  }
  return 0;
}

// Checksums are no riddle for a fuzzer to solve: a quarter of the mutations takes the bytes as
// instructions and makes frames with right checksums of them, in any order; the others mutate
// those.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  using namespace millrace;
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 != 1 || size < 2) return size;
  std::string made(1, static_cast<char>(data[0]));
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  ByteReader reader(rest);
  while (reader.remaining() >= 8) {
    const auto kind = reader.get<std::uint8_t>();
    const auto flags = reader.get<std::uint8_t>();
    const auto commit = reader.get<std::uint8_t>();
    const auto offset = reader.get<std::uint8_t>();
    const auto records = static_cast<std::uint8_t>(reader.get<std::uint8_t>() % 4 + 1);
    const auto partition = reader.get<std::uint8_t>();
    const auto segment = reader.get<std::uint8_t>();
    const std::string_view text = reader.get_bytes(reader.get<std::uint8_t>() % 16);
    const std::vector<std::string_view> values(records, text);
    std::string payload;
    if (kind % 4 == 1) {
      wire::encode_record_batch(values, 0, payload);
      wire::set_base_offset(payload, offset);
    } else {
      payload = log::encode_ends_table({{.stream = 1, .partition = partition, .end = offset}});
    }
    log::append_frame({.kind = static_cast<log::FrameKind>(kind % 4 + 1),
                       .flags = static_cast<std::uint8_t>(kind % 4 == 1 ? flags % 2 : flags & 2),
                       .segment = 1U + segment % 2U,
                       .commit = commit,
                       .base_offset = offset,
                       .stream = 1,
                       .partition = partition,
                       .record_count = records,
                       .payload = payload},
                      made);
    if (made.size() > max_size) break;
  }
  if (made.size() <= max_size && made.size() > 1) {
    made.copy(reinterpret_cast<char*>(data), made.size());
    return made.size();
  }
  return size;
}
