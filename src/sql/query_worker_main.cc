// The worker process: shuts itself in, opens DuckDB, and answers one query after the other. The
// main thread runs queries; a second one reads the socket, so that an interrupt or the server's end
// is noticed in mid-query. Errors: of a query go back as a frame; of the process end it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <exception>
#include <numeric>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "model/column_batch_codec.h"
#include "sql/database.h"
#include "sql/duckdb_handles.h"
#include "sql/lake_select.h"
#include "sql/query_worker.h"
#include "sql/worker_channel.h"
#include "sql/worker_message.h"
#include "sql/worker_sandbox.h"

namespace millrace::sql {
namespace {

constexpr int kSocket = 3;
constexpr std::uint64_t kRequestBytesMax = std::uint64_t{1} << 30;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MR_SHADOW_MEMORY 1
#endif
#endif
/// Threads, code and the rows that are mapped come on top of what DuckDB counts. The sanitizers
/// reserve terabytes of addresses and cannot be limited in this way.
std::uint64_t address_bytes_max([[maybe_unused]] std::uint64_t memory_bytes_max) {
#ifdef MR_SHADOW_MEMORY
  return 0;
#else
  return memory_bytes_max * 4 + (std::uint64_t{2} << 30);
#endif
}

/// The rows that came with a query, mapped read-only.
class SharedRows {
 public:
  static Result<SharedRows> map(const FileDescriptor& descriptor) {
    SharedRows rows;
    if (!descriptor.is_open()) return rows;
    struct stat status{};
    if (fstat(descriptor.get(), &status) != 0 || status.st_size <= 0) return rows;
    const auto size = static_cast<std::size_t>(status.st_size);
    void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor.get(), 0);
    if (address == MAP_FAILED) {
      return fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory,
                  "the rows of the query do not fit into the memory of its worker");
    }
    rows.bytes_ = {static_cast<const char*>(address), size};
    return rows;
  }
  SharedRows() = default;
  SharedRows(SharedRows&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SharedRows& operator=(SharedRows&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  SharedRows(const SharedRows&) = delete;
  SharedRows& operator=(const SharedRows&) = delete;
  ~SharedRows() {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  [[nodiscard]] std::string_view from(std::uint64_t offset) const {
    return offset <= bytes_.size() ? bytes_.substr(offset) : std::string_view();
  }

 private:
  std::string_view bytes_;
};

/// What one query needs while it runs; goes with it.
class QueryRun {
 public:
  QueryRun(Connection& connection, const WorkerQuery& query, const SharedRows& memory,
           WorkerChannel& channel)
      : connection_(connection), query_(query), memory_(memory), channel_(channel) {}

  Result<WorkerDone> run() {
    for (const WorkerRelation& relation : query_.relations) {
      if (auto made = make_relation(relation); !made) {
        return std::unexpected(std::move(made).error().within("relation {}", relation.name));
      }
    }
    for (const WorkerView& view : query_.views) {
      if (auto made = make_view(view.name, view.select); !made) {
        return std::unexpected(std::move(made).error().within("view {}", view.name));
      }
    }
    for (const std::string& macro : query_.macros) {
      if (auto made = connection_.execute(macro); !made)
        return std::unexpected(std::move(made).error().within("a function of the catalogue"));
    }
    WorkerDone done;
    if (query_.prepare_only) {
      MR_TRY(auto shape, connection_.shape(query_.select));
      done.columns = std::move(shape.columns);
      done.parameters = std::move(shape.parameters);
      return done;
    }
    auto columns = connection_.query(
        query_.select, [&](const BatchView& batch) -> Status { return send_rows(batch, done); });
    if (columns) {
      done.columns = std::move(*columns);
      return done;
    }
    if (!done.truncated) return std::unexpected(std::move(columns).error());
    MR_TRY(done.columns, connection_.describe(query_.select));
    return done;
  }

 private:
  Status make_view(const std::string& name, const std::string& select) {
    return connection_.execute("CREATE TEMP VIEW " + quote_identifier(name) + " AS " + select);
  }

  Status make_relation(const WorkerRelation& relation) {
    std::string select;
    if (!relation.lake_files.empty()) {
      const std::vector<std::filesystem::path> files(relation.lake_files.begin(),
                                                     relation.lake_files.end());
      select = lake_select(files, relation.columns, relation.hidden_columns);
    }
    for (const auto& other : relation.other_files) {
      const std::vector<std::filesystem::path> files(other.files.begin(), other.files.end());
      if (!select.empty()) select += " UNION ALL ";
      select += select_from_files(other.items, files);
    }
    if (select.empty() || !relation.parts.empty()) {
      MR_TRY(auto source, make_source(relation));
      sources_.push_back(
          std::make_unique<RowFunctionId>(connection_.handle().functions, std::move(source)));
      if (!select.empty()) select += " UNION ALL ";
      select += fmt::format("SELECT * FROM mr_source({})", sources_.back()->id());
    }
    return make_view(relation.name, select);
  }

  Result<std::shared_ptr<RowSource>> make_source(const WorkerRelation& relation) {
    auto source = std::make_shared<RowSource>();
    source->columns = relation.columns;
    source->hidden_columns = relation.hidden_columns;
    for (const WorkerRelation::Part& part : relation.parts) {
      MR_TRY(EncodedBatch batch, EncodedBatch::read(memory_.from(part.memory_offset)));
      if (batch.rows() == 0) continue;
      bool same = batch.columns().size() == relation.columns.size();
      for (std::size_t i = 0; same && i < relation.columns.size(); ++i) {
        same = batch.columns()[i].type == relation.columns[i].type;
      }
      if (!same) {
        return fail(ErrorCode::kInternal, error_id::kInternal, "its rows have other columns");
      }
      batches_.push_back(std::move(batch));
      source->parts.push_back({.columns = batches_.back().columns(),
                               .rows = batches_.back().rows(),
                               .partition = static_cast<std::int32_t>(part.partition),
                               .base_offset = static_cast<std::int64_t>(part.base_offset),
                               .arrival_us = part.arrival_us});
    }
    return source;
  }

  Status send_rows(const BatchView& batch, WorkerDone& done) {
    BatchView some = batch;
    some.rows = std::min<std::uint64_t>(batch.rows, query_.rows_max - done.rows);
    if (some.rows > 0) MR_RETURN_IF_ERROR(send_frames(some, done));
    if (some.rows < batch.rows) done.truncated = true;
    if (!done.truncated) return {};
    return fail(ErrorCode::kCancelled, error_id::kSqlFailed, "there are rows enough");
  }

  /// In frames that the server can hold one by one.
  Status send_frames(const BatchView& batch, WorkerDone& done) {
    std::string bytes;
    encode_column_batch(batch, bytes);
    if (bytes.size() > kRowsFrameBytes && batch.rows > 1) {
      const std::size_t middle = batch.rows / 2;
      MR_RETURN_IF_ERROR(send_part(batch, 0, middle, done));
      return done.truncated ? Status() : send_part(batch, middle, batch.rows, done);
    }
    if ((batch.rows == 1 && bytes.size() > query_.row_bytes_max) ||
        bytes_sent_ + bytes.size() > query_.result_bytes_max) {
      done.truncated = true;
      return {};
    }
    MR_RETURN_IF_ERROR(channel_.send(FrameKind::kRows, bytes, -1, WorkerChannel::kNever));
    bytes_sent_ += bytes.size();
    done.rows += batch.rows;
    return {};
  }

  Status send_part(const BatchView& batch, std::size_t begin, std::size_t end, WorkerDone& done) {
    std::vector<Type> types;
    for (const ColumnView& column : batch.columns) types.push_back(column.type);
    std::vector<std::uint32_t> rows(end - begin);
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(begin));
    ColumnBatch part(types);
    part.append_rows(batch, rows);
    const auto views = part.views();
    return send_frames({views, part.rows()}, done);
  }

  Connection& connection_;
  const WorkerQuery& query_;
  const SharedRows& memory_;
  WorkerChannel& channel_;
  std::deque<EncodedBatch> batches_;
  std::vector<std::unique_ptr<RowFunctionId>> sources_;
  std::uint64_t bytes_sent_ = 0;
};

class Worker {
 public:
  explicit Worker(WorkerChannel& channel) : channel_(channel) {}

  /// Returns when the process has nothing more to do.
  Status run() {
    MR_TRY(const Frame first, channel_.receive(kRequestBytesMax, WorkerChannel::kNever));
    MR_TRY(const WorkerSetup setup, decode_setup(first.payload));
    // DuckDB asks for the memory limit of the cgroup while it starts, and does not start without an
    // answer.
    SandboxOptions sandbox{.readable = {"/proc/self/cgroup", "/sys/fs/cgroup"},
                           .address_bytes_max = address_bytes_max(setup.memory_bytes_max),
                           .allow_without_landlock = setup.allow_unsandboxed};
    if (!setup.lake_folder.empty()) sandbox.readable.emplace_back(setup.lake_folder);
    MR_RETURN_IF_ERROR(enter_sandbox(sandbox));
    DatabaseOptions options;
    options.threads = setup.threads;
    options.memory_bytes_max = setup.memory_bytes_max;
    if (!setup.lake_folder.empty()) options.folders = {setup.lake_folder};
    MR_TRY(database_, Database::open(options));
    MR_TRY(next_, database_->connect());
    std::thread(&Worker::read_frames, this).detach();  // ends with the process
    while (true) MR_RETURN_IF_ERROR(answer(next_frame()));
  }

 private:
  /// The reading thread: hands queries over, interrupts the running one, ends the process with its
  /// server.
  void read_frames() {
    while (true) {
      auto frame = channel_.receive(kRequestBytesMax, WorkerChannel::kNever);
      if (!frame) _exit(0);
      const MutexLock lock(mutex_);
      if (frame->kind == FrameKind::kInterrupt) {
        if (running_ != nullptr) running_->interrupt();
        continue;
      }
      frame_ = std::move(*frame);
      frame_came_.notify_one();
    }
  }

  Frame next_frame() {
    const MutexLock lock(mutex_);
    while (!frame_) frame_came_.wait(mutex_);
    Frame frame = std::move(*frame_);
    frame_.reset();
    return frame;
  }

  void set_running(Connection* connection) {
    const MutexLock lock(mutex_);
    running_ = connection;
  }

  Status answer(const Frame& frame) {
    // Its own connection for each query: what one leaves behind, another never sees. The next one
    // is made after the answer, when nobody waits.
    const std::unique_ptr<Connection> connection = std::move(next_);
    MR_RETURN_IF_ERROR(channel_.send(FrameKind::kBegun, {}, -1, WorkerChannel::kNever));
    set_running(connection.get());
    auto done = run_query(*connection, frame);
    set_running(nullptr);
    MR_RETURN_IF_ERROR(
        done ? channel_.send(FrameKind::kDone, encode(*done), -1, WorkerChannel::kNever)
             : channel_.send(FrameKind::kError, encode(done.error()), -1, WorkerChannel::kNever));
    MR_TRY(next_, database_->connect());
    return {};
  }

  Result<WorkerDone> run_query(Connection& connection, const Frame& frame) {
    try {
      MR_TRY(const WorkerQuery query, decode_query(frame.payload));
      MR_TRY(const SharedRows memory, SharedRows::map(frame.descriptor));
      return QueryRun(connection, query, memory, channel_).run();
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory,
                  "the query needs more memory than it may have");
    } catch (const std::exception& thrown) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "{}", thrown.what());
    }
  }

  WorkerChannel& channel_;
  std::shared_ptr<Database> database_;
  std::unique_ptr<Connection> next_;
  Mutex mutex_;
  CondVar frame_came_;
  std::optional<Frame> frame_ GUARDED_BY(mutex_);
  Connection* running_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

int query_worker_main(int /*argc*/, char** /*argv*/) {
  struct stat status{};
  if (fstat(kSocket, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    fmt::print(stderr, "sql-worker is started by the server, not by hand\n");
    return 2;
  }
  fcntl(kSocket, F_SETFD, FD_CLOEXEC);
  WorkerChannel channel{FileDescriptor(kSocket)};
  const Status ended = Worker(channel).run();
  // The reason of a start that failed; when the server is gone, nobody reads it.
  (void)channel.send(FrameKind::kError, encode(ended.error()), -1, WorkerChannel::kNever);
  // No destructors: other threads still use what they would destroy.
  _exit(1);
}

}  // namespace millrace::sql
