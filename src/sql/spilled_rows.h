// The rows of an answer that memory has no room for: encoded column batches in a file that has no
// name any more, so that nothing of it outlives its last user, nor a crash. A SpillWriter appends
// them while the query runs; SpilledRows gives them back, in order, as somebody reads on. File: per
// batch a head of four u32, little endian (length, rows, CRC32C of the bytes, CRC32C of the head
// before it), and the bytes of model/column_batch_codec.h. Owns: the file. Thread: one at a time,
// but SpilledRows::cancel(), which is for any. Errors: kDataLoss (kChecksum) where the file does
// not give back what was written, with the place; kCancelled; those of the file system. Invariant:
// a file that is read is not written any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "runtime/file_system.h"

namespace millrace::sql {

/// Of all answers of one server. Thread: any.
struct SpillCounters {
  std::atomic<std::uint64_t> answers{0};
  std::atomic<std::uint64_t> bytes{0};
  /// Of those that somebody still has.
  std::atomic<std::uint64_t> held_bytes{0};
};

/// A file with a part of an answer, and where the parts of the file begin.
class SpillFile;

class SpilledRows {
 public:
  ~SpilledRows();
  SpilledRows(const SpilledRows&) = delete;
  SpilledRows& operator=(const SpilledRows&) = delete;

  [[nodiscard]] std::uint64_t rows() const { return end_row_ - begin_row_; }
  /// All of them were given; the file is let go.
  [[nodiscard]] bool at_end() const { return next_row_ == end_row_; }
  /// The next rows, as many as one batch has; not at the end. After an error the same again.
  Result<std::shared_ptr<const ColumnBatch>> next();
  /// The rows [begin, end) of these, to be read on their own. Not of one that was read from.
  [[nodiscard]] std::shared_ptr<SpilledRows> part(std::uint64_t begin, std::uint64_t end) const;
  /// From now on next() fails.
  void cancel() { cancelled_.store(true, std::memory_order_release); }

 private:
  friend class SpillWriter;
  SpilledRows(std::shared_ptr<const SpillFile> file, std::uint64_t begin_row,
              std::uint64_t end_row);

  std::shared_ptr<const SpillFile> file_;
  const std::uint64_t begin_row_;  // of the file's
  const std::uint64_t end_row_;
  std::uint64_t next_row_;
  // The batch that is read next: where it is, and its first row, which is at or before next_row_.
  std::uint64_t offset_ = 0;
  std::uint64_t batch_row_ = 0;
  std::atomic<bool> cancelled_{false};
};

class SpillWriter {
 public:
  /// `path` names nothing yet, and nothing when it returns. The columns of all batches have
  /// `types`.
  static Result<std::unique_ptr<SpillWriter>> create(runtime::FileSystem& files,
                                                     const std::filesystem::path& path,
                                                     std::vector<Type> types,
                                                     std::shared_ptr<SpillCounters> counters);
  ~SpillWriter();
  SpillWriter(const SpillWriter&) = delete;
  SpillWriter& operator=(const SpillWriter&) = delete;

  /// An encoded batch that was checked, and has so many rows; not 0.
  Status append(std::string_view batch, std::uint32_t rows);
  /// Once, as the last.
  Result<std::shared_ptr<SpilledRows>> finish();

 private:
  explicit SpillWriter(std::shared_ptr<SpillFile> file);
  Status flush();

  std::shared_ptr<SpillFile> file_;
  std::string buffer_;
  std::uint64_t offset_ = 0;  // where the next batch begins
};

}  // namespace millrace::sql
