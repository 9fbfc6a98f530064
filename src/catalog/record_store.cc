#include "catalog/record_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "runtime/file_system.h"

namespace millrace::catalog {
namespace {

constexpr std::int64_t kSchemaVersion = 1;
constexpr int kBusyTimeoutMs = 5'000;

// The texts stand in the file as they stand here and are compared at open: a flipped bit in a
// schema must not change how rows are read.
constexpr const char* kCreateRecord =
    "CREATE TABLE record (kind TEXT NOT NULL, owner INTEGER NOT NULL, number INTEGER NOT NULL, "
    "content TEXT NOT NULL, crc32c INTEGER NOT NULL, PRIMARY KEY (kind, owner, number)) WITHOUT "
    "ROWID";
constexpr const char* kCreateSeal =
    "CREATE TABLE seal (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, rows INTEGER NOT NULL, "
    "checksum_sum INTEGER NOT NULL, crc32c INTEGER NOT NULL)";

constexpr std::array<std::pair<RecordKind, std::string_view>, 14> kKindNames = {{
    {RecordKind::kCounter, "counter"},
    {RecordKind::kStream, "stream"},
    {RecordKind::kLakeEnd, "lake_end"},
    {RecordKind::kLakeCommit, "lake_commit"},
    {RecordKind::kTable, "table"},
    {RecordKind::kView, "view"},
    {RecordKind::kViewEnd, "view_end"},
    {RecordKind::kGeneration, "generation"},
    {RecordKind::kCheckpoint, "checkpoint"},
    {RecordKind::kSchema, "schema"},
    {RecordKind::kSubject, "subject"},
    {RecordKind::kUser, "user"},
    {RecordKind::kConnection, "connection"},
    {RecordKind::kSink, "sink"},
}};

std::string_view kind_name(RecordKind kind) {
  for (const auto& [value, text] : kKindNames) {
    if (value == kind) return text;
  }
  MR_CHECK(false, "record kind {} has no name", static_cast<int>(kind));
  std::unreachable();
}

std::optional<RecordKind> kind_of(std::string_view text) {
  for (const auto& [value, kind_text] : kKindNames) {
    if (kind_text == text) return value;
  }
  return std::nullopt;
}

std::uint32_t row_checksum(const RecordKey& key, std::string_view content) {
  std::string head;
  ByteWriter writer(head);
  writer.put_string(kind_name(key.kind));
  writer.put(key.owner);
  writer.put(key.number);
  return crc32c(content, crc32c(head));
}

std::uint32_t seal_checksum(std::uint64_t epoch, std::uint64_t rows, std::uint64_t checksum_sum) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.put_string("seal");
  writer.put(epoch);
  writer.put(rows);
  writer.put(checksum_sum);
  return crc32c(bytes);
}

/// A prepared statement for one use.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    code_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  [[nodiscard]] int code() const { return code_; }
  void bind(int at, std::uint64_t value) {
    if (code_ == SQLITE_OK) {
      code_ = sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value));
    }
  }
  void bind(int at, std::string_view text) {
    if (code_ == SQLITE_OK) {
      code_ =
          sqlite3_bind_text64(statement_, at, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
  }
  /// SQLITE_ROW, SQLITE_DONE, or the error.
  int step() {
    if (code_ != SQLITE_OK) return code_;
    return sqlite3_step(statement_);
  }
  void reset() {
    if (code_ == SQLITE_OK) sqlite3_reset(statement_);
  }
  [[nodiscard]] bool is(int column, int type) const {
    return sqlite3_column_type(statement_, column) == type;
  }
  [[nodiscard]] std::uint64_t integer(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
  }
  [[nodiscard]] std::string_view text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_, column);
    if (bytes == nullptr) return {};
    return {reinterpret_cast<const char*>(bytes),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
};

std::string epoch_text(std::uint64_t epoch) {
  const std::string number = fmt::format("{}", epoch);
  return fmt::format("{} {:08x}\n", number, crc32c(number));
}

/// None where there is no such file.
Result<std::optional<std::uint64_t>> read_epoch(const std::filesystem::path& path) {
  auto& files = runtime::system_files();
  if (!files.exists(path)) return std::optional<std::uint64_t>();
  MR_TRY(const std::string text, runtime::read_file(files, path));
  std::uint64_t epoch = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), epoch);
  if (parsed.ec != std::errc() || text != epoch_text(epoch)) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "{}: its text does not match its checksum; restore the file from a backup together "
                "with the "
                "catalog beside it",
                path.string());
  }
  return std::optional(epoch);
}

}  // namespace

std::filesystem::path epoch_path(const std::filesystem::path& database) {
  auto path = database;
  return path.replace_extension(".epoch");
}

RecordStore::RecordStore(sqlite3* database, std::filesystem::path path)
    : database_(database), path_(std::move(path)) {}

RecordStore::~RecordStore() {
  // Only a database that was found whole is touched: of a damaged one the log is evidence.
  int keep_log = 1;
  if (seal_.epoch != 0 && !refusal_) {
    sqlite3_wal_checkpoint_v2(database_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    keep_log = 0;
  }
  sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_log, nullptr);
  sqlite3_close_v2(database_);
}

Result<std::unique_ptr<RecordStore>> RecordStore::open(const std::filesystem::path& path,
                                                       std::map<RecordKey, std::string>& records) {
  MR_TRY(const auto epoch_beside, read_epoch(epoch_path(path)));
  sqlite3* database = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &database,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (database == nullptr) {
    return fail(ErrorCode::kResourceExhausted, error_id::kInternal,
                "{}: no memory to open the catalog", path.string());
  }
  std::unique_ptr<RecordStore> store(new RecordStore(database, path));
  if (code != SQLITE_OK) return store->database_error(code);
  // Passwords for other brokers lie in it. The files beside it get its mode.
  std::error_code ignored;
  std::filesystem::permissions(
      path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, ignored);
  MR_RETURN_IF_ERROR(store->prepare_file(epoch_beside));
  MR_RETURN_IF_ERROR(store->load(records));
  Seal counted;
  for (const auto& [key, checksum] : store->checksums_) {
    ++counted.rows;
    counted.checksum_sum += checksum;
  }
  MR_RETURN_IF_ERROR(store->check_seal(counted, epoch_beside));
  return store;
}

Status RecordStore::prepare_file(std::optional<std::uint64_t> epoch_beside) {
  sqlite3_extended_result_codes(database_, 1);
  sqlite3_busy_timeout(database_, kBusyTimeoutMs);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  MR_RETURN_IF_ERROR(execute("PRAGMA trusted_schema = OFF"));
  MR_RETURN_IF_ERROR(execute("PRAGMA cell_size_check = ON"));
  MR_RETURN_IF_ERROR(execute("PRAGMA synchronous = FULL"));

  std::int64_t version = 0;
  std::uint64_t tables = 0;
  {
    Statement statement(database_, "PRAGMA user_version");
    if (const int code = statement.step(); code != SQLITE_ROW) return database_error(code);
    version = static_cast<std::int64_t>(statement.integer(0));
  }
  {
    Statement statement(database_, "SELECT count(*) FROM sqlite_schema");
    if (const int code = statement.step(); code != SQLITE_ROW) return database_error(code);
    tables = statement.integer(0);
  }
  if (version == 0 && tables == 0) {
    if (epoch_beside) {
      return damaged(
          fmt::format("the catalog lost transactions: it is empty, but {} says that it had {}",
                      epoch_path(path_).string(), *epoch_beside));
    }
    return create_schema();
  }
  if (version > kSchemaVersion) {
    return fail(
        ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
        "{}: the catalog has format version {}, this program reads up to {}; use the newer program",
        path_.string(), version, kSchemaVersion);
  }
  if (version != kSchemaVersion)
    return damaged(fmt::format("format version {} never existed", version));
  return check_schema();
}

Status RecordStore::create_schema() {
  MR_RETURN_IF_ERROR(execute("PRAGMA journal_mode = WAL"));
  MR_RETURN_IF_ERROR(execute("BEGIN IMMEDIATE"));
  MR_RETURN_IF_ERROR(execute(kCreateRecord));
  MR_RETURN_IF_ERROR(execute(kCreateSeal));
  seal_.epoch = 1;
  MR_RETURN_IF_ERROR(write_seal());
  MR_RETURN_IF_ERROR(execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str()));
  MR_RETURN_IF_ERROR(execute("COMMIT"));
  return runtime::write_file_durably(runtime::system_files(), epoch_path(path_),
                                     epoch_text(seal_.epoch));
}

Status RecordStore::check_schema() {
  {
    Statement statement(database_, "PRAGMA quick_check");
    const int code = statement.step();
    if (code != SQLITE_ROW) return database_error(code);
    if (statement.text(0) != "ok") return damaged(statement.text(0));
  }
  Statement statement(database_, "SELECT sql FROM sqlite_schema ORDER BY name");
  for (const std::string_view expected : {kCreateRecord, kCreateSeal}) {
    const int code = statement.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) return database_error(code);
    if (code != SQLITE_ROW || statement.text(0) != expected)
      return damaged("its tables are not ours");
  }
  if (statement.step() != SQLITE_DONE) return damaged("it has tables that are not ours");
  return {};
}

Status RecordStore::load(std::map<RecordKey, std::string>& records) {
  Statement statement(database_, "SELECT kind, owner, number, content, crc32c FROM record");
  int code = statement.step();
  for (; code == SQLITE_ROW; code = statement.step()) {
    const bool typed = statement.is(0, SQLITE_TEXT) && statement.is(1, SQLITE_INTEGER) &&
                       statement.is(2, SQLITE_INTEGER) && statement.is(3, SQLITE_TEXT) &&
                       statement.is(4, SQLITE_INTEGER);
    const auto kind = kind_of(statement.text(0));
    if (!typed || !kind) return damaged("a row is not of a kind that we write");
    const RecordKey key{*kind, statement.integer(1), statement.integer(2)};
    std::string content(statement.text(3));
    const std::uint32_t checksum = row_checksum(key, content);
    if (statement.integer(4) != checksum) {
      return damaged(fmt::format("{} {}/{}: checksum is 0x{:08x}, its content gives 0x{:08x}",
                                 kind_name(key.kind), key.owner, key.number, statement.integer(4),
                                 checksum));
    }
    if (!records.emplace(key, std::move(content)).second) return damaged("a row is there twice");
    checksums_.emplace(key, checksum);
  }
  if (code != SQLITE_DONE) return database_error(code);
  return {};
}

Status RecordStore::check_seal(const Seal& counted, std::optional<std::uint64_t> epoch_beside) {
  Statement statement(database_, "SELECT epoch, rows, checksum_sum, crc32c FROM seal WHERE id = 0");
  const int code = statement.step();
  if (code == SQLITE_DONE) return damaged("its seal is gone");
  if (code != SQLITE_ROW) return database_error(code);
  const Seal read{statement.integer(0), statement.integer(1), statement.integer(2)};
  if (read.epoch == 0 ||
      statement.integer(3) != seal_checksum(read.epoch, read.rows, read.checksum_sum)) {
    return damaged("its seal does not match its checksum");
  }
  if (read.rows != counted.rows || read.checksum_sum != counted.checksum_sum) {
    return damaged(fmt::format("rows are lost or of another time: {} are there, the seal counts {}",
                               counted.rows, read.rows));
  }
  const auto beside = epoch_path(path_);
  if (epoch_beside && read.epoch < *epoch_beside) {
    return damaged(fmt::format("the catalog lost transactions: it ends at {}, {} says {}",
                               read.epoch, beside.string(), *epoch_beside));
  }
  if (!epoch_beside && read.epoch > 1) {
    return damaged(
        fmt::format("{} is missing, so lost transactions could not be noticed", beside.string()));
  }
  seal_ = read;
  return {};
}

Status RecordStore::usable() const {
  if (refusal_) return std::unexpected(*refusal_);
  return {};
}

Status RecordStore::write(std::span<const RecordChange> changes) {
  MR_RETURN_IF_ERROR(usable());
  MR_RETURN_IF_ERROR(execute("BEGIN IMMEDIATE"));
  const Seal seal_before = seal_;
  if (auto written = write_rows(changes); !written) {
    seal_ = seal_before;
    if (auto undone = execute("ROLLBACK"); !undone && sqlite3_get_autocommit(database_) == 0) {
      refusal_ = undone.error();
    }
    return written;
  }
  auto committed = execute("COMMIT");
  if (committed) {
    for (const auto& [key, content] : changes) {
      if (content) {
        checksums_.insert_or_assign(key, row_checksum(key, *content));
      } else {
        checksums_.erase(key);
      }
    }
    committed = runtime::write_file_durably(runtime::system_files(), epoch_path(path_),
                                            epoch_text(seal_.epoch));
  }
  if (!committed) {
    // Whether the transaction will be there after a restart is not known: nothing may be built on
    // either.
    refusal_ =
        Error{.code = ErrorCode::kUnavailable,
              .id = std::string(error_id::kDiskFailed),
              .message = fmt::format("the catalog takes no changes since a write failed ({}); "
                                     "restart the program",
                                     committed.error().message),
              .hint = {},
              .place = {}};
    return usable();
  }
  return {};
}

Status RecordStore::write_rows(std::span<const RecordChange> changes) {
  Statement put(database_, "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)");
  Statement remove(database_, "DELETE FROM record WHERE kind = ? AND owner = ? AND number = ?");
  for (const auto& [key, content] : changes) {
    if (const auto old = checksums_.find(key); old != checksums_.end()) {
      --seal_.rows;
      seal_.checksum_sum -= old->second;
    } else {
      MR_CHECK(content, "record {} {}/{} is removed, but does not exist", kind_name(key.kind),
               key.owner, key.number);
    }
    Statement& statement = content ? put : remove;
    statement.bind(1, kind_name(key.kind));
    statement.bind(2, key.owner);
    statement.bind(3, key.number);
    if (content) {
      const std::uint32_t checksum = row_checksum(key, *content);
      statement.bind(4, std::string_view(*content));
      statement.bind(5, std::uint64_t{checksum});
      ++seal_.rows;
      seal_.checksum_sum += checksum;
    }
    if (const int code = statement.step(); code != SQLITE_DONE) return database_error(code);
    statement.reset();
  }
  ++seal_.epoch;
  return write_seal();
}

Status RecordStore::write_seal() {
  Statement statement(database_, "INSERT OR REPLACE INTO seal VALUES (0, ?, ?, ?, ?)");
  statement.bind(1, seal_.epoch);
  statement.bind(2, seal_.rows);
  statement.bind(3, seal_.checksum_sum);
  statement.bind(4, std::uint64_t{seal_checksum(seal_.epoch, seal_.rows, seal_.checksum_sum)});
  if (const int code = statement.step(); code != SQLITE_DONE) return database_error(code);
  return {};
}

Status RecordStore::execute(const char* sql) {
  const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return database_error(code);
  return {};
}

std::unexpected<Error> RecordStore::damaged(std::string_view what) const {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum,
              "{}: {}; the catalog is damaged: restore it from a backup, together with {}",
              path_.string(), what, epoch_path(path_).filename().string());
}

std::unexpected<Error> RecordStore::database_error(int code) const {
  const char* text = sqlite3_errmsg(database_);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorCode::kFailedPrecondition, error_id::kLocked,
                  "{}: another program holds the catalog ({})", path_.string(), text);
    case SQLITE_FULL:
      return fail(ErrorCode::kResourceExhausted, error_id::kDiskFull, "{}: {}", path_.string(),
                  text);
    case SQLITE_NOMEM:
      return fail(ErrorCode::kResourceExhausted, error_id::kInternal, "{}: {}", path_.string(),
                  text);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{}: {}", path_.string(), text);
    default:
      // Our statements are constant: where SQLite does not understand one, the file's schema is not
      // ours.
      return damaged(text);
  }
}

}  // namespace millrace::catalog
