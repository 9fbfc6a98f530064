// The server's side: a pool of worker processes. One thread, the keeper, starts them, for the
// kernel ends a process with the thread that started it (PR_SET_PDEATHSIG), and that one lives as
// long as the pool. A caller of run() takes an idle worker, talks to it alone, and gives it back or
// ends it.
#include "sql/query_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "model/column_batch_codec.h"
#include "runtime/clock.h"
#include "sql/worker_channel.h"
#include "sql/worker_message.h"

namespace millrace::sql {
namespace {

/// A worker is replaced after so many queries, so that what leaks in it does not add up.
constexpr std::uint32_t kQueriesPerWorker = 200;
/// From the interrupt at the deadline to the kill.
constexpr std::int64_t kGraceUs = 200'000;
/// Of frames that are no rows: more than any error or list of columns has.
constexpr std::uint64_t kMessageBytesMax = std::uint64_t{8} << 20;

/// A process that has been started and not yet waited for.
class WorkerProcess {
 public:
  WorkerProcess(pid_t pid, FileDescriptor socket) : pid_(pid), channel_(std::move(socket)) {}
  ~WorkerProcess() {
    if (pid_ > 0) (void)end();
  }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  static Result<std::unique_ptr<WorkerProcess>> start(const QueryWorkerOptions& options);

  [[nodiscard]] WorkerChannel& channel() { return channel_; }
  [[nodiscard]] const WorkerChannel& channel() const { return channel_; }
  [[nodiscard]] bool used_up() const { return queries_ >= kQueriesPerWorker; }
  void count_query() { ++queries_; }

  /// Kills it if it still runs; gives what waitpid() says.
  int end() {
    kill(pid_, SIGKILL);
    return wait_for_end(0).value_or(0);
  }
  /// How it ended by itself, or nullopt where it still runs after a while and had to be killed.
  std::optional<int> ended_by_itself() {
    // The socket closes a moment before the process can be waited for.
    constexpr int kTries = 200;
    for (int i = 0; i < kTries; ++i) {
      if (auto status = wait_for_end(WNOHANG)) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    (void)end();
    return std::nullopt;
  }

 private:
  std::optional<int> wait_for_end(int flags) {
    int status = 0;
    pid_t got = 0;
    do {
      got = waitpid(pid_, &status, flags);
    } while (got < 0 && errno == EINTR);
    if (got == 0) return std::nullopt;
    pid_ = -1;
    return status;
  }

  pid_t pid_;
  WorkerChannel channel_;
  std::uint32_t queries_ = 0;
};

/// Nothing of the server's environment, which may hold secrets, but what the program needs to
/// start.
std::vector<std::string> worker_environment() {
  std::vector<std::string> out;
  for (const char* name : {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(const QueryWorkerOptions& options) {
  MR_TRY(auto sockets, WorkerChannel::make_sockets());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, sockets.second.get(), STDERR_FILENO + 1);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string executable = options.executable.string();
  std::string command = "sql-worker";
  std::array<char*, 3> arguments = {executable.data(), command.data(), nullptr};
  std::vector<std::string> environment = worker_environment();
  std::vector<char*> variables;
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);

  pid_t pid = -1;
  const int failed = posix_spawn(&pid, executable.c_str(), &actions, &attributes, arguments.data(),
                                 variables.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    return fail(ErrorCode::kUnavailable, error_id::kBusy,
                "a query worker cannot be started: {}: {}", executable, std::strerror(failed));
  }
  auto worker = std::make_unique<WorkerProcess>(pid, std::move(sockets.first));
  const std::string setup = encode(WorkerSetup{.lake_folder = options.lake_folder.string(),
                                               .memory_bytes_max = options.memory_bytes_max,
                                               .threads = options.threads,
                                               .allow_unsandboxed = options.allow_unsandboxed});
  MR_RETURN_IF_ERROR(worker->channel().send(FrameKind::kSetup, setup, -1, WorkerChannel::kNever));
  return worker;
}

/// Encoded batches, written into memory that no file stands for and that cannot change any more.
class SharedMemoryWriter {
 public:
  /// Where the batch lies.
  Result<std::uint64_t> add(const ColumnBatch& batch) {
    constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
    const std::uint64_t offset = written_ + buffer_.size();  // a multiple of 16, as each batch is
    const auto views = batch.views();
    encode_column_batch({views, batch.rows()}, buffer_);
    if (buffer_.size() >= kBufferBytes) MR_RETURN_IF_ERROR(flush());
    return offset;
  }

  Result<FileDescriptor> finish() {
    if (written_ + buffer_.size() == 0) return FileDescriptor();
    MR_RETURN_IF_ERROR(flush());
    if (fcntl(memory_.get(), F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
      return no_memory();
    }
    return std::move(memory_);
  }

 private:
  static std::unexpected<Error> no_memory() {
    return fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory,
                "the rows for a query find no memory: {}", std::strerror(errno));
  }

  Status flush() {
    if (!memory_.is_open()) {
      memory_ = FileDescriptor(memfd_create("millrace-rows", MFD_CLOEXEC | MFD_ALLOW_SEALING));
      if (!memory_.is_open()) return no_memory();
    }
    for (std::string_view rest = buffer_; !rest.empty();) {
      const ssize_t count = write(memory_.get(), rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return no_memory();
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    written_ += buffer_.size();
    buffer_.clear();
    return {};
  }

  FileDescriptor memory_;
  std::string buffer_;
  std::uint64_t written_ = 0;
};

struct Request {
  std::string message;
  FileDescriptor memory;
};

Result<Request> make_request(const Query& query) {
  SharedMemoryWriter memory;
  const bool whole = query.spill_bytes_max != 0;
  WorkerQuery out{.select = query.select,
                  .rows_max = whole ? std::numeric_limits<std::uint64_t>::max() : query.rows_max,
                  .result_bytes_max = whole ? query.spill_bytes_max : query.result_bytes_max,
                  .row_bytes_max = query.result_bytes_max,
                  .relations = {},
                  .views = {},
                  .macros = query.macros,
                  .prepare_only = query.prepare_only};
  for (const QueryRelation& relation : query.relations) {
    WorkerRelation& to = out.relations.emplace_back();
    to.name = relation.name;
    to.columns = relation.columns;
    to.hidden_columns = relation.hidden_columns;
    for (const auto& file : relation.lake_files) {
      std::error_code ignored;
      to.lake_files.push_back(std::filesystem::weakly_canonical(file, ignored).string());
    }
    for (const auto& other : relation.other_files) {
      auto& files = to.other_files.emplace_back(other.items, std::vector<std::string>());
      for (const auto& file : other.files) {
        std::error_code ignored;
        files.files.push_back(std::filesystem::weakly_canonical(file, ignored).string());
      }
    }
    for (const StreamBatch& batch : relation.tail) {
      if (batch.columns->rows() == 0) continue;
      MR_TRY(const std::uint64_t offset, memory.add(*batch.columns));
      to.parts.push_back({.memory_offset = offset,
                          .partition = batch.partition.value,
                          .base_offset = batch.base_offset.value,
                          .arrival_us = batch.arrival_us});
    }
    for (const auto& rows : relation.rows) {
      if (rows->rows() == 0) continue;
      MR_TRY(const std::uint64_t offset, memory.add(*rows));
      to.parts.push_back({.memory_offset = offset});
    }
  }
  for (const QueryView& view : query.views) out.views.push_back({view.name, view.select});
  Request request{.message = encode(out), .memory = {}};
  MR_TRY(request.memory, memory.finish());
  return request;
}

Error deadline_error(const Query& query) {
  return Error{
      .code = ErrorCode::kDeadlineExceeded,
      .id = std::string(error_id::kSqlDeadline),
      .message = fmt::format("the query took longer than {} ms and was stopped", query.deadline_ms),
      .hint = "narrow it by WHERE, or make a materialized view of it",
      .place = {}};
}

bool is_cancelled(const CancelFlag& flag) {
  return flag != nullptr && flag->load(std::memory_order_acquire);
}

std::unexpected<Error> cancelled() {
  return fail(ErrorCode::kCancelled, error_id::kCancelled, "the statement was cancelled");
}

/// Why a worker is gone that nobody here has killed.
Error death_error(std::optional<int> status) {
  if (status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL) {
    return Error{
        .code = ErrorCode::kResourceExhausted,
        .id = std::string(error_id::kSqlMemory),
        .message = "the worker process of the query was killed, as happens when memory ends",
        .hint = "narrow the query by WHERE, or aggregate before joining",
        .place = {}};
  }
  std::string how = "it went silent";
  if (status && WIFSIGNALED(*status)) how = fmt::format("signal {}", WTERMSIG(*status));
  if (status && WIFEXITED(*status)) how = fmt::format("exit code {}", WEXITSTATUS(*status));
  return Error{.code = ErrorCode::kInternal,
               .id = std::string(error_id::kInternal),
               .message = fmt::format("the query ended its worker process: {}", how),
               .hint = {},
               .place = {}};
}

/// Makes the files of answers that memory has no room for.
class Spills {
 public:
  explicit Spills(const QueryWorkerOptions& options)
      : files_(*options.files), folder_(options.spill_folder), after_(options.spill_after_bytes) {}

  [[nodiscard]] std::uint64_t after_bytes() const { return after_; }
  Result<std::unique_ptr<SpillWriter>> open(std::vector<Type> types) {
    MR_CHECK(!folder_.empty(), "a whole answer is wanted, and there is no folder for it");
    // A crash between making the file and taking its name away leaves an empty one, which whoever
    // has the folder removes at the next start.
    const auto path = folder_ / fmt::format("scratch-{}.rows", next_.fetch_add(1));
    return SpillWriter::create(files_, path, std::move(types), counters_);
  }
  [[nodiscard]] const SpillCounters& counters() const { return *counters_; }

 private:
  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
  const std::uint64_t after_;
  /// Answers may be read when the workers are gone.
  const std::shared_ptr<SpillCounters> counters_ = std::make_shared<SpillCounters>();
  std::atomic<std::uint64_t> next_{1};
};

/// One query on one worker.
class Conversation {
 public:
  Conversation(WorkerProcess& worker, const Query& query, Spills& spills, std::int64_t deadline_us)
      : worker_(worker),
        query_(query),
        spills_(spills),
        bytes_max_(query.spill_bytes_max == 0 ? query.result_bytes_max : query.spill_bytes_max),
        deadline_us_(deadline_us) {}

  /// The process is gone and had not begun with the query: it died while it was idle.
  [[nodiscard]] bool was_dead() const { return was_dead_; }
  /// It gave a whole answer and waits for the next query.
  [[nodiscard]] bool reusable() const { return reusable_; }

  Result<QueryResult> run(const Request& request) {
    const Status sent = worker_.channel().send(FrameKind::kQuery, request.message,
                                               request.memory.get(), deadline_us_);
    if (!sent && sent.error().code == ErrorCode::kDeadlineExceeded) {
      (void)worker_.end();
      return std::unexpected(deadline_error(query_));
    }
    // Where sending failed, the reason may still lie in the socket.
    QueryResult result;
    while (true) {
      auto frame = next_frame();
      if (!frame) return std::unexpected(std::move(frame).error());
      switch (frame->kind) {
        case FrameKind::kRows: {
          if (auto added = add_rows(*frame, result); !added) {
            (void)worker_.end();
            return std::unexpected(std::move(added).error());
          }
          break;
        }
        case FrameKind::kDone:
          return finish(*frame, std::move(result));
        case FrameKind::kError:
          return std::unexpected(error_of(*frame));
        case FrameKind::kSetup:
        case FrameKind::kQuery:
        case FrameKind::kInterrupt:
        case FrameKind::kBegun:
          return misbehaved("it sent a frame of the server");
      }
    }
  }

 private:
  [[nodiscard]] std::unexpected<Error> misbehaved(std::string_view how) {
    (void)worker_.end();
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "the worker process of the query misbehaved and was ended: {}", how);
  }

  /// Waits until the deadline, then interrupts and waits for the time of grace, then kills.
  Result<Frame> next_frame() {
    while (true) {
      const std::uint64_t bytes_max = query_.result_bytes_max + kMessageBytesMax;
      auto frame = worker_.channel().receive(bytes_max, deadline_us_);
      if (frame && frame->kind == FrameKind::kBegun) {
        begun_ = true;
        continue;
      }
      if (frame) return frame;
      switch (frame.error().code) {
        case ErrorCode::kDeadlineExceeded:
          if (!interrupted_) {
            interrupted_ = true;
            deadline_us_ = runtime::monotonic_us() + kGraceUs;
            (void)worker_.channel().send(FrameKind::kInterrupt, {}, -1, deadline_us_);
            continue;
          }
          (void)worker_.end();
          return std::unexpected(deadline_error(query_));
        case ErrorCode::kUnavailable: {
          const std::optional<int> status = worker_.ended_by_itself();
          was_dead_ = !begun_ && !interrupted_ && !is_cancelled(query_.cancelled);
          if (is_cancelled(query_.cancelled)) return cancelled();
          if (interrupted_) return std::unexpected(deadline_error(query_));
          return std::unexpected(death_error(status));
        }
        default:
          return misbehaved(frame.error().message);
      }
    }
  }

  Status add_rows(const Frame& frame, QueryResult& result) {
    bytes_ += frame.payload.size();
    if (bytes_ > bytes_max_) return misbehaved("it sent more bytes than were asked for");
    MR_TRY(ColumnBatch batch, decode_column_batch(frame.payload));
    if (query_.spill_bytes_max == 0 && result.rows + batch.rows() > query_.rows_max) {
      return misbehaved("it sent more rows than were asked for");
    }
    if (batch.rows() == 0) return misbehaved("it sent a batch without rows");
    const bool spills =
        query_.spill_bytes_max != 0 && !result.batches.empty() && bytes_ > spills_.after_bytes();
    result.rows += batch.rows();
    if (spills) return spill(frame.payload, batch, *result.batches.front());
    result.batches.push_back(std::make_shared<const ColumnBatch>(std::move(batch)));
    return {};
  }

  Status spill(std::string_view payload, const ColumnBatch& batch, const ColumnBatch& first) {
    if (batch.column_count() != first.column_count()) return changed_columns();
    std::vector<Type> types;
    for (std::size_t i = 0; i < batch.column_count(); ++i) {
      if (batch.column(i).type() != first.column(i).type()) return changed_columns();
      types.push_back(batch.column(i).type());
    }
    if (rest_ == nullptr) {
      MR_TRY(rest_, spills_.open(std::move(types)));
    }
    return rest_->append(payload, static_cast<std::uint32_t>(batch.rows()));
  }

  [[nodiscard]] std::unexpected<Error> changed_columns() {
    return misbehaved("its rows have other columns than it says");
  }

  Result<QueryResult> finish(const Frame& frame, QueryResult result) {
    if (frame.payload.size() > kMessageBytesMax) return misbehaved("its answer is too long");
    auto done = decode_done(frame.payload);
    if (!done) return misbehaved(done.error().message);
    for (const auto& batch : result.batches) {
      bool same = batch->column_count() == done->columns.size();
      for (std::size_t i = 0; same && i < done->columns.size(); ++i) {
        same = batch->column(i).type() == done->columns[i].type;
      }
      if (!same) return changed_columns();
    }
    reusable_ = true;
    if (interrupted_) return std::unexpected(deadline_error(query_));
    if (rest_ != nullptr) {
      MR_TRY(result.rest, rest_->finish());
    }
    result.columns = std::move(done->columns);
    result.truncated = done->truncated;
    result.parameters = std::move(done->parameters);
    return result;
  }

  Error error_of(const Frame& frame) {
    if (frame.payload.size() > kMessageBytesMax) return misbehaved("its error is too long").error();
    reusable_ = true;
    Error error = decode_error(frame.payload);
    if (interrupted_) return deadline_error(query_);
    return error;
  }

  WorkerProcess& worker_;
  const Query& query_;
  Spills& spills_;
  const std::uint64_t bytes_max_;
  std::unique_ptr<SpillWriter> rest_;
  std::int64_t deadline_us_;
  std::uint64_t bytes_ = 0;
  bool begun_ = false;
  bool interrupted_ = false;
  bool was_dead_ = false;
  bool reusable_ = false;
};

}  // namespace

struct QueryWorkers::Pool {
  explicit Pool(QueryWorkerOptions wanted) : options(std::move(wanted)), spills(options) {}

  /// An idle worker, or a new one, or kBusy at the deadline.
  Result<std::unique_ptr<WorkerProcess>> take(std::int64_t deadline_us, const CancelFlag& flag) {
    const MutexLock lock(mutex);
    ++waiting;
    auto taken = take_one(deadline_us, flag);
    --waiting;
    if (taken) busy.push_back({taken->get(), flag});
    return taken;
  }

  Result<std::unique_ptr<WorkerProcess>> take_one(std::int64_t deadline_us, const CancelFlag& flag)
      REQUIRES(mutex) {
    bool asked = false;
    while (true) {
      if (is_cancelled(flag)) return cancelled();
      if (stopping)
        return fail(ErrorCode::kUnavailable, error_id::kStopping, "the server is stopping");
      while (!idle.empty()) {
        auto worker = std::move(idle.back());
        idle.pop_back();
        if (!worker->channel().is_closed()) return worker;
        --alive;  // died while it was idle; its destructor waits for it
      }
      if (asked && start_error) return std::unexpected(*start_error);
      if (starts_wanted + being_started < waiting && alive + starts_wanted < options.workers_max) {
        ask_for_start();
        asked = true;
      }
      const std::int64_t left_us = deadline_us - runtime::monotonic_us();
      if (left_us <= 0) {
        return std::unexpected(Error{
            .code = ErrorCode::kResourceExhausted,
            .id = std::string(error_id::kBusy),
            .message = fmt::format("all {} workers for queries were busy", options.workers_max),
            .hint = "try again, or allow more workers",
            .place = {}});
      }
      (void)changed.wait_for(mutex, std::chrono::microseconds(left_us));
    }
  }

  void give_back(std::unique_ptr<WorkerProcess> worker) {
    const MutexLock lock(mutex);
    std::erase_if(busy, [&](const Busy& one) { return one.worker == worker.get(); });
    idle.push_back(std::move(worker));
    changed.notify_one();
  }

  /// The process has ended or will with the argument; one is kept warm for the next query.
  void replace(std::unique_ptr<WorkerProcess> worker) {
    {
      const MutexLock lock(mutex);
      std::erase_if(busy, [&](const Busy& one) { return one.worker == worker.get(); });
    }
    worker.reset();
    const MutexLock lock(mutex);
    --alive;
    if (alive + starts_wanted == 0) ask_for_start();
    changed.notify_all();  // who waits may ask for a new one
  }

  bool is_stopping() {
    const MutexLock lock(mutex);
    return stopping;
  }

  void stop() {
    const MutexLock lock(mutex);
    stopping = true;
    for (const auto& one : busy) one.worker->channel().hang_up();
    keeper_wanted.notify_all();
    changed.notify_all();
  }

  void wake() {
    const MutexLock lock(mutex);
    for (const auto& one : busy) {
      if (is_cancelled(one.cancelled)) one.worker->channel().hang_up();
    }
    changed.notify_all();
  }

  void ask_for_start() REQUIRES(mutex) {
    ++starts_wanted;
    start_error.reset();
    keeper_wanted.notify_one();
  }

  void keep() {
    while (true) {
      {
        const MutexLock lock(mutex);
        while (!stopping && starts_wanted == 0) keeper_wanted.wait(mutex);
        if (stopping) break;
        --starts_wanted;
        ++being_started;
        ++alive;
      }
      auto worker = WorkerProcess::start(options);
      const MutexLock lock(mutex);
      --being_started;
      if (worker) {
        idle.push_back(std::move(*worker));
      } else {
        --alive;
        start_error = std::move(worker).error();
      }
      changed.notify_all();
    }
  }

  const QueryWorkerOptions options;
  Spills spills;
  Mutex mutex;
  CondVar changed;
  CondVar keeper_wanted;
  std::vector<std::unique_ptr<WorkerProcess>> idle GUARDED_BY(mutex);
  struct Busy {
    const WorkerProcess* worker;  // owned by who runs a query
    CancelFlag cancelled;
  };
  std::vector<Busy> busy GUARDED_BY(mutex);
  std::uint32_t alive GUARDED_BY(mutex) = 0;  // idle, busy, or being started
  std::uint32_t starts_wanted GUARDED_BY(mutex) = 0;
  std::uint32_t being_started GUARDED_BY(mutex) = 0;
  std::uint32_t waiting GUARDED_BY(mutex) = 0;  // callers in take()
  std::optional<Error> start_error GUARDED_BY(mutex);
  bool stopping GUARDED_BY(mutex) = false;
  std::thread keeper;
};

QueryWorkers::QueryWorkers(std::unique_ptr<Pool> pool) : pool_(std::move(pool)) {}

Result<std::unique_ptr<QueryWorkers>> QueryWorkers::start(QueryWorkerOptions options) {
  options.workers_max = std::max<std::uint32_t>(options.workers_max, 1);
  if (!options.lake_folder.empty()) {
    // The rule of Landlock names what a path leads to, so that must be there, and be the same for
    // DuckDB.
    std::error_code failed;
    std::filesystem::create_directories(options.lake_folder, failed);
    options.lake_folder = std::filesystem::canonical(options.lake_folder, failed);
    if (failed) {
      return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "the lake folder: {}",
                  failed.message());
    }
  }
  auto pool = std::make_unique<Pool>(std::move(options));
  {
    const MutexLock lock(pool->mutex);
    pool->ask_for_start();
  }
  pool->keeper = std::thread(&Pool::keep, pool.get());
  return std::unique_ptr<QueryWorkers>(new QueryWorkers(std::move(pool)));
}

QueryWorkers::~QueryWorkers() {
  pool_->stop();
  pool_->keeper.join();
}

void QueryWorkers::stop() { pool_->stop(); }

void QueryWorkers::wake() { pool_->wake(); }

const SpillCounters& QueryWorkers::spilled() const { return pool_->spills.counters(); }

Result<QueryResult> QueryWorkers::run(const Query& query) {
  const std::int64_t deadline_us =
      runtime::monotonic_us() +
      static_cast<std::int64_t>(std::min<std::uint64_t>(query.deadline_ms, 86'400'000)) * 1000;
  MR_TRY(const Request request, make_request(query));
  constexpr int kTries = 3;  // workers that died while they were idle
  for (int i = 1;; ++i) {
    MR_TRY(auto worker, pool_->take(deadline_us, query.cancelled));
    worker->count_query();
    Conversation conversation(*worker, query, pool_->spills, deadline_us);
    auto result = conversation.run(request);
    if (!result && is_cancelled(query.cancelled)) result = cancelled();
    if (!result && pool_->is_stopping())
      result = fail(ErrorCode::kUnavailable, error_id::kStopping, "the server is stopping");
    const bool keep = conversation.reusable() && !worker->used_up();
    const bool again = conversation.was_dead();
    if (keep) {
      pool_->give_back(std::move(worker));
    } else {
      pool_->replace(std::move(worker));
    }
    if (!again || i == kTries) return result;
  }
}

}  // namespace millrace::sql
