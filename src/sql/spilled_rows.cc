#include "sql/spilled_rows.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "model/column_batch_codec.h"

namespace millrace::sql {
namespace {

constexpr std::size_t kHeadBytes = 16;
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
/// A mark per so many bytes of the file: to find a row, at most that much is stepped over.
constexpr std::uint64_t kMarkBytes = std::uint64_t{1} << 20;

struct Head {
  std::uint32_t size = 0;
  std::uint32_t rows = 0;
  std::uint32_t crc = 0;  // of the batch
};

void append_head(const Head& head, std::string& out) {
  const std::size_t begin = out.size();
  ByteWriter writer(out);
  writer.put(head.size);
  writer.put(head.rows);
  writer.put(head.crc);
  writer.put(crc32c(std::string_view(out).substr(begin)));
}

}  // namespace

class SpillFile {
 public:
  SpillFile(std::unique_ptr<runtime::File> file, std::filesystem::path path,
            std::vector<Type> types, std::shared_ptr<SpillCounters> counters)
      : file_(std::move(file)),
        path_(std::move(path)),
        types_(std::move(types)),
        counters_(std::move(counters)) {
    counters_->answers.fetch_add(1, std::memory_order_relaxed);
  }
  ~SpillFile() { counters_->held_bytes.fetch_sub(written_, std::memory_order_relaxed); }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  struct Mark {
    std::uint64_t offset = 0;  // of a batch
    std::uint64_t row = 0;     // its first one
  };

  [[nodiscard]] std::uint64_t rows() const { return rows_; }

  Status write(std::string_view bytes) {
    MR_RETURN_IF_ERROR(file_->write_at(written_, as_bytes(bytes)));
    written_ += bytes.size();
    counters_->bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
    counters_->held_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
    return {};
  }

  /// A batch of so many rows begins at the offset.
  void note(std::uint64_t offset, std::uint64_t rows) {
    if (marks_.empty() || offset - marks_.back().offset >= kMarkBytes)
      marks_.push_back({offset, rows_});
    rows_ += rows;
  }

  /// The last mark at or before the row.
  [[nodiscard]] Mark mark_before(std::uint64_t row) const {
    const auto behind = std::ranges::upper_bound(marks_, row, {}, &Mark::row);
    return behind == marks_.begin() ? Mark{} : *std::prev(behind);
  }

  [[nodiscard]] Result<Head> head_at(std::uint64_t offset) const {
    std::string bytes(kHeadBytes, '\0');
    MR_RETURN_IF_ERROR(read(offset, bytes));
    ByteReader reader(bytes);
    Head head;
    head.size = reader.get<std::uint32_t>();
    head.rows = reader.get<std::uint32_t>();
    head.crc = reader.get<std::uint32_t>();
    const std::string_view checked =
        std::string_view(bytes).substr(0, kHeadBytes - sizeof(head.crc));
    if (crc32c(checked) != reader.get<std::uint32_t>()) return damaged(offset);
    return head;
  }

  [[nodiscard]] Result<ColumnBatch> batch_at(std::uint64_t offset, const Head& head) const {
    std::string bytes(head.size, '\0');
    MR_RETURN_IF_ERROR(read(offset + kHeadBytes, bytes));
    if (crc32c(bytes) != head.crc) return damaged(offset);
    auto batch = decode_column_batch(bytes);
    if (!batch || batch->rows() != head.rows || batch->column_count() != types_.size())
      return damaged(offset);
    for (std::size_t i = 0; i < types_.size(); ++i) {
      if (batch->column(i).type() != types_[i]) return damaged(offset);
    }
    return batch;
  }

 private:
  [[nodiscard]] std::unexpected<Error> damaged(std::uint64_t offset) const {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "rows of the answer that were on disk ({}) are damaged at byte {} of {}",
                path_.string(), offset, written_);
  }

  Status read(std::uint64_t offset, std::string& out) const {
    if (offset + out.size() > written_) return damaged(offset);
    MR_TRY(const std::size_t got, file_->read_at(offset, std::as_writable_bytes(std::span(out))));
    if (got != out.size()) return damaged(offset);
    return {};
  }

  const std::unique_ptr<runtime::File> file_;
  const std::filesystem::path path_;  // that it had
  const std::vector<Type> types_;
  const std::shared_ptr<SpillCounters> counters_;
  std::uint64_t written_ = 0;
  std::uint64_t rows_ = 0;
  std::vector<Mark> marks_;
};

// --- writing ------------------------------------------------------------------------------------

SpillWriter::SpillWriter(std::shared_ptr<SpillFile> file) : file_(std::move(file)) {}

SpillWriter::~SpillWriter() = default;

Result<std::unique_ptr<SpillWriter>> SpillWriter::create(runtime::FileSystem& files,
                                                         const std::filesystem::path& path,
                                                         std::vector<Type> types,
                                                         std::shared_ptr<SpillCounters> counters) {
  MR_TRY(auto file, files.open(path, runtime::OpenMode::kCreate));
  MR_RETURN_IF_ERROR(files.remove(path));
  return std::unique_ptr<SpillWriter>(new SpillWriter(
      std::make_shared<SpillFile>(std::move(file), path, std::move(types), std::move(counters))));
}

Status SpillWriter::append(std::string_view batch, std::uint32_t rows) {
  MR_CHECK(rows != 0, "a batch without rows is put on disk");
  file_->note(offset_, rows);
  append_head(
      {.size = static_cast<std::uint32_t>(batch.size()), .rows = rows, .crc = crc32c(batch)},
      buffer_);
  buffer_ += batch;
  offset_ += kHeadBytes + batch.size();
  return buffer_.size() < kBufferBytes ? Status() : flush();
}

Status SpillWriter::flush() {
  MR_RETURN_IF_ERROR(file_->write(buffer_));
  buffer_.clear();
  return {};
}

Result<std::shared_ptr<SpilledRows>> SpillWriter::finish() {
  MR_RETURN_IF_ERROR(flush());
  const std::uint64_t rows = file_->rows();
  return std::shared_ptr<SpilledRows>(new SpilledRows(std::move(file_), 0, rows));
}

// --- reading ------------------------------------------------------------------------------------

SpilledRows::SpilledRows(std::shared_ptr<const SpillFile> file, std::uint64_t begin_row,
                         std::uint64_t end_row)
    : file_(std::move(file)), begin_row_(begin_row), end_row_(end_row), next_row_(begin_row) {
  const auto mark = file_->mark_before(begin_row);
  offset_ = mark.offset;
  batch_row_ = mark.row;
}

SpilledRows::~SpilledRows() = default;

std::shared_ptr<SpilledRows> SpilledRows::part(std::uint64_t begin, std::uint64_t end) const {
  MR_CHECK(file_ != nullptr && begin <= end && end <= rows(), "rows {} to {} of {}", begin, end,
           rows());
  return std::shared_ptr<SpilledRows>(new SpilledRows(file_, begin_row_ + begin, begin_row_ + end));
}

Result<std::shared_ptr<const ColumnBatch>> SpilledRows::next() {
  MR_CHECK(!at_end(), "there are no more rows");
  if (cancelled_.load(std::memory_order_acquire))
    return fail(ErrorCode::kCancelled, error_id::kCancelled, "the statement was cancelled");
  MR_TRY(auto head, file_->head_at(offset_));
  while (batch_row_ + head.rows <= next_row_) {
    batch_row_ += head.rows;
    offset_ += kHeadBytes + head.size;
    MR_TRY(head, file_->head_at(offset_));
  }
  MR_TRY(ColumnBatch read, file_->batch_at(offset_, head));
  auto batch = std::make_shared<ColumnBatch>(std::move(read));
  const std::uint64_t batch_end = batch_row_ + head.rows;
  const std::uint64_t end = std::min(batch_end, end_row_);
  if (next_row_ != batch_row_ || end != batch_end) {
    std::vector<std::uint32_t> wanted;
    for (std::uint64_t row = next_row_; row < end; ++row)
      wanted.push_back(static_cast<std::uint32_t>(row - batch_row_));
    std::vector<Type> types;
    for (std::size_t i = 0; i < batch->column_count(); ++i)
      types.push_back(batch->column(i).type());
    auto some = std::make_shared<ColumnBatch>(types);
    some->append_rows({batch->views(), batch->rows()}, wanted);
    batch = std::move(some);
  }
  next_row_ = end;
  batch_row_ = batch_end;
  offset_ += kHeadBytes + head.size;
  if (at_end()) file_.reset();
  return std::shared_ptr<const ColumnBatch>(std::move(batch));
}

}  // namespace millrace::sql
