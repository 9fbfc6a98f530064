#include "serving/session_transaction.h"

#include <algorithm>
#include <limits>

#include "runtime/clock.h"
#include "serving/live_query.h"

namespace millrace::serving {

namespace {

/// Rows of a transaction go into the log as one request.
constexpr std::size_t kRowsBytesMax = std::size_t{32} << 20;
constexpr std::size_t kSavepointsMax = 1000;
constexpr std::size_t kCursorsMax = 64;

std::unexpected<Error> wrong(std::string message, std::string hint = {}) {
  return std::unexpected(Error{.code = ErrorCode::kFailedPrecondition,
                               .id = std::string(error_id::kTransaction),
                               .message = std::move(message),
                               .hint = std::move(hint),
                               .place = {}});
}

}  // namespace

void SessionTransaction::begin(bool read_only) {
  state_ = TransactionState::kOpen;
  read_only_ = read_only;
  moment_ = std::make_unique<ReadMoment>();
  touch();
}

void SessionTransaction::drop_reads() {
  moment_.reset();
  std::erase_if(cursors_, [](const auto& entry) { return !entry.second.hold; });
}

void SessionTransaction::fail_with(std::optional<Error> why) {
  state_ = TransactionState::kFailed;
  if (why) why_failed_ = std::move(why);
  // ROLLBACK TO goes on with the same moment, which is dropped where there is no way back.
  if (savepoints_.empty() || why_failed_) {
    drop_reads();
    rows_.reset();
    savepoints_.clear();
  }
}

void SessionTransaction::end() {
  state_ = TransactionState::kNone;
  drop_reads();
  rows_.reset();
  savepoints_.clear();
  permanent_.clear();
  why_failed_.reset();
}

Status SessionTransaction::set_read_only(bool read_only) {
  if (!read_only && read_only_ && state_ == TransactionState::kOpen && moment_->is_taken())
    return wrong("a transaction that has read cannot become READ WRITE");
  read_only_ = read_only;
  return {};
}

ReadMoment* SessionTransaction::moment() {
  return state_ == TransactionState::kOpen ? moment_.get() : nullptr;
}

Status SessionTransaction::add(InsertRows rows) {
  if (rows.rows == 0) return {};
  if (rows_ && rows_->stream != rows.stream) {
    return wrong(
        fmt::format("a transaction puts events into one stream, and this one has some for {} "
                    "already",
                    rows_->stream->definition().name),
        "COMMIT between them: what is put into two streams cannot be stored in one step");
  }
  if (rows_ && rows_->lines.size() + rows.lines.size() > kRowsBytesMax) {
    return std::unexpected(
        Error{.code = ErrorCode::kPayloadTooLarge,
              .id = std::string(error_id::kBodyTooLarge),
              .message = fmt::format("the transaction has more than {} MiB of rows, which is the "
                                     "most that one may put into a stream",
                                     kRowsBytesMax >> 20),
              .hint = "COMMIT more often",
              .place = {}});
  }
  if (!rows_) {
    rows_ = std::move(rows);
    return {};
  }
  rows_->lines += rows.lines;
  rows_->rows += rows.rows;
  return {};
}

std::optional<InsertRows> SessionTransaction::take_rows() { return std::exchange(rows_, {}); }

void SessionTransaction::note_permanent(std::string command) {
  if (std::ranges::find(permanent_, command) == permanent_.end())
    permanent_.push_back(std::move(command));
}

Status SessionTransaction::savepoint(const sql::SavepointStatement& statement) {
  using Action = sql::SavepointStatement::Action;
  if (state_ == TransactionState::kNone)
    return wrong("savepoints are inside of transactions", "BEGIN one");
  if (statement.action == Action::kSet) {
    if (savepoints_.size() == kSavepointsMax)
      return wrong(fmt::format("a transaction has {} savepoints at most", kSavepointsMax));
    savepoints_.push_back(
        {statement.name, rows_ ? rows_->lines.size() : 0, rows_ ? rows_->rows : 0});
    return {};
  }
  const auto found = std::find_if(savepoints_.rbegin(), savepoints_.rend(),
                                  [&](const auto& one) { return one.name == statement.name; });
  if (found == savepoints_.rend())
    return wrong(fmt::format("there is no savepoint {}", statement.name));
  const auto place = found.base() - 1;
  if (statement.action == Action::kRelease) {
    savepoints_.erase(place, savepoints_.end());
    return {};
  }
  if (rows_ && place->rows == 0) {
    rows_.reset();
  } else if (rows_) {
    rows_->lines.resize(place->bytes);
    rows_->rows = place->rows;
  }
  savepoints_.erase(place + 1, savepoints_.end());
  state_ = TransactionState::kOpen;
  return {};
}

Status SessionTransaction::add_cursor(const std::string& name, Cursor cursor,
                                      std::uint64_t bytes_max) {
  if (cursors_.contains(name)) {
    return fail(ErrorCode::kAlreadyExists, error_id::kCursor, "there is a cursor {} already", name);
  }
  std::uint64_t sum = cursor.bytes;
  for (const auto& [other, held] : cursors_) sum += held.bytes;
  if (cursors_.size() == kCursorsMax || sum > bytes_max) {
    return std::unexpected(
        Error{.code = ErrorCode::kResourceExhausted,
              .id = std::string(error_id::kSqlMemory),
              .message = fmt::format("the cursors of a session are {} at most, with {} MiB of rows",
                                     kCursorsMax, bytes_max >> 20),
              .hint = "CLOSE cursors, or let the SELECT give fewer rows",
              .place = {}});
  }
  cursors_[name] = std::move(cursor);
  return {};
}

Result<Cursor*> SessionTransaction::cursor(std::string_view name) {
  const auto found = cursors_.find(name);
  if (found != cursors_.end()) return &found->second;
  return fail(ErrorCode::kNotFound, error_id::kCursor, "there is no cursor {}", name);
}

Status SessionTransaction::close(std::string_view name) {
  if (name.empty()) {
    cursors_.clear();
    return {};
  }
  MR_RETURN_IF_ERROR(cursor(name));
  cursors_.erase(cursors_.find(name));
  return {};
}

void SessionTransaction::touch() { touched_us_ = runtime::monotonic_us(); }

std::uint64_t SessionTransaction::idle_ms() const {
  if (state_ != TransactionState::kOpen) return 0;
  return static_cast<std::uint64_t>((runtime::monotonic_us() - touched_us_) / 1000);
}

const std::vector<Column>& Cursor::columns() const {
  return live == nullptr ? result.columns : live->columns();
}

Result<StatementResult> Cursor::fetch_live(const sql::FetchStatement& statement,
                                           std::uint64_t wait_ms) const {
  using From = sql::FetchStatement::From;
  const bool onward = statement.from == From::kForward ||
                      (statement.from == From::kRelative && statement.count == 1);
  if (!onward || statement.move || statement.count < 0) {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(error_id::kPrepared),
                                 .message = "the cursor of a SUBSCRIBE only goes on",
                                 .hint = "FETCH n FROM it, or FETCH ALL FROM it",
                                 .place = {}});
  }
  StatementResult out;
  out.command = "FETCH";
  out.columns = columns();
  out.live = live;
  out.fetch = std::make_shared<const LiveFetch>(
      LiveFetch{.rows_max = statement.all ? std::numeric_limits<std::uint64_t>::max()
                                          : static_cast<std::uint64_t>(statement.count),
                .to_progress = statement.all,
                .wait_ms = wait_ms});
  return out;
}

namespace {

/// The rows [begin, end) of a batch, or the other way round.
std::shared_ptr<const ColumnBatch> rows_of(const std::shared_ptr<const ColumnBatch>& batch,
                                           std::int64_t begin, std::int64_t end, bool backward) {
  if (begin == 0 && end == static_cast<std::int64_t>(batch->rows()) && !backward) return batch;
  std::vector<std::uint32_t> chosen;
  for (std::int64_t row = begin; row < end; ++row)
    chosen.push_back(static_cast<std::uint32_t>(row));
  if (backward) std::ranges::reverse(chosen);
  std::vector<Type> types;
  for (std::size_t i = 0; i < batch->column_count(); ++i) types.push_back(batch->column(i).type());
  auto some = std::make_shared<ColumnBatch>(types);
  some->append_rows({batch->views(), batch->rows()}, chosen);
  return some;
}

}  // namespace

Result<StatementResult> Cursor::fetch(const sql::FetchStatement& statement,
                                      std::uint64_t bytes_max) {
  using From = sql::FetchStatement::From;
  const auto rows = static_cast<std::int64_t>(result.rows);
  const auto bounded = [&](std::int64_t place) {
    return std::clamp<std::int64_t>(place, 0, rows + 1);
  };
  // Numbers of clients are larger than any result before anything is added to them.
  const std::int64_t count = std::clamp<std::int64_t>(statement.count, -rows - 1, rows + 1);
  std::int64_t to = at;
  std::int64_t first = 0;  // the rows that are passed, in their order
  std::int64_t last = -1;
  bool backward = false;
  if (statement.from == From::kAbsolute || statement.from == From::kRelative) {
    const std::int64_t origin = statement.from == From::kRelative ? at : count < 0 ? rows + 1 : 0;
    to = bounded(origin + count);
    if (to >= 1 && to <= rows) first = last = to;
  } else {
    const std::int64_t steps = statement.all ? rows + 1 : count;
    backward = (statement.from == From::kBackward) != (steps < 0);
    const std::int64_t far = steps < 0 ? -steps : steps;
    if (far == 0) {
      if (at >= 1 && at <= rows) first = last = at;
    } else if (backward) {
      last = bounded(at - 1);
      to = bounded(at - far);
      first = std::max<std::int64_t>(to, 1);
    } else {
      first = at + 1;
      to = bounded(at + far);
      last = std::min(to, rows);
    }
  }
  StatementResult out;
  const auto passed = static_cast<std::uint64_t>(std::max<std::int64_t>(last - first + 1, 0));
  if (statement.move) {
    at = to;
    out.command = "MOVE";
    out.affected = passed;
    return out;
  }
  out.command = "FETCH";
  out.columns = result.columns;
  out.rows = passed;
  out.sources = result.sources;
  std::int64_t start = 1;
  for (const auto& batch : result.batches) {
    const auto size = static_cast<std::int64_t>(batch->rows());
    const std::int64_t from = std::max(first, start);
    const std::int64_t end = std::min(last + 1, start + size);
    if (from < end) out.batches.push_back(rows_of(batch, from - start, end - start, backward));
    start += size;
  }
  if (last >= start)
    MR_RETURN_IF_ERROR(
        fetch_rest(std::max(first, start) - start, last - start, backward, bytes_max, out));
  if (backward) std::ranges::reverse(out.batches);
  at = to;
  return out;
}

/// Rows of `result.rest`, from `first` to `last`.
Status Cursor::fetch_rest(std::int64_t first, std::int64_t last, bool backward,
                          std::uint64_t bytes_max, StatementResult& out) const {
  auto rest =
      result.rest->part(static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(last) + 1);
  if (!backward) {
    out.rest = std::move(rest);
    return {};
  }
  std::uint64_t read_bytes = 0;
  while (!rest->at_end()) {
    MR_TRY(const auto batch, rest->next());
    read_bytes += batch->size_bytes();
    if (read_bytes > bytes_max) {
      return std::unexpected(Error{
          .code = ErrorCode::kResourceExhausted,
          .id = std::string(error_id::kSqlMemory),
          .message =
              fmt::format("the rows to be fetched backward take more than {} MiB", bytes_max >> 20),
          .hint = "FETCH BACKWARD fewer rows at once",
          .place = {}});
    }
    out.batches.push_back(
        rows_of(batch, 0, static_cast<std::int64_t>(batch->rows()), /*backward=*/true));
  }
  return {};
}

}  // namespace millrace::serving
