// The file of the catalog: a set of small JSON texts under (kind, owner, number), changed in
// transactions. The only place that sees SQLite. SQLite keeps no checksum of its pages and drops a
// damaged tail of its write-ahead log without a word, so the store proves its content itself:
//   - every row carries a CRC32C of its kind, key and text;
//   - one row, the seal, carries the number of rows, the sum of their checksums, and an epoch that
//   counts
//     transactions; it changes in the same transaction as the rows;
//   - after each transaction the epoch is also written durably to a file beside it (catalog.epoch),
//   so that a
//     database that went back in time is noticed.
// Thread: one at a time. Errors: kDataLoss (kChecksum) names the file; kFailedPrecondition
// (kFormatVersion,
//   kLocked); kResourceExhausted (kDiskFull); kUnavailable (kDiskFailed).
// Invariant: the epoch in the file beside is never ahead of that of the database.
// Source: docs/internals/catalog_format.md
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

struct sqlite3;

namespace millrace::catalog {

enum class RecordKind : std::uint8_t {
  kCounter,     // the ids that were given; owner and number 0
  kStream,      // owner: its id
  kLakeEnd,     // owner: stream; number of its newest lake commit
  kLakeCommit,  // owner: stream, number: of the commit
  kTable,       // owner: its id
  kView,        // owner: its id
  kViewEnd,     // owner: view; number of its newest generation
  kGeneration,  // owner: view, number: of the generation
  kCheckpoint,  // owner: view, number: of the lake commit
  kSchema,      // owner: its id
  kSubject,     // owner: its id
  kUser,        // owner: its number
  kConnection,  // owner: its number
  kSink,        // owner: its number
};

struct RecordKey {
  RecordKind kind = RecordKind::kCounter;
  std::uint64_t owner = 0;
  std::uint64_t number = 0;
  auto operator<=>(const RecordKey&) const = default;
};

struct RecordChange {
  RecordKey key;
  std::optional<std::string> content;  // none: the record goes
};

class RecordStore {
 public:
  /// Opens or creates the file and gives all its records, each of them checked.
  static Result<std::unique_ptr<RecordStore>> open(const std::filesystem::path& path,
                                                   std::map<RecordKey, std::string>& records);
  /// Moves the write-ahead log into the database, so that a stopped program leaves one whole file.
  ~RecordStore();
  RecordStore(const RecordStore&) = delete;
  RecordStore& operator=(const RecordStore&) = delete;

  /// All changes or none, durable on return. After a failure that leaves open which of the two (a
  /// failed sync) every further write is refused until the program starts again.
  Status write(std::span<const RecordChange> changes);
  /// The error that made the store refuse writes, if one did.
  [[nodiscard]] Status usable() const;

 private:
  struct Seal {
    std::uint64_t epoch = 0;
    std::uint64_t rows = 0;
    std::uint64_t checksum_sum = 0;  // of the rows' CRC32C, modulo 2^64
  };

  RecordStore(sqlite3* database, std::filesystem::path path);
  Status prepare_file(std::optional<std::uint64_t> epoch_beside);
  Status create_schema();
  Status check_schema();
  Status load(std::map<RecordKey, std::string>& records);
  Status check_seal(const Seal& counted, std::optional<std::uint64_t> epoch_beside);
  Status write_rows(std::span<const RecordChange> changes);
  Status write_seal();
  Status execute(const char* sql);
  [[nodiscard]] std::unexpected<Error> database_error(int code) const;
  [[nodiscard]] std::unexpected<Error> damaged(std::string_view what) const;

  sqlite3* database_;
  std::filesystem::path path_;
  std::map<RecordKey, std::uint32_t> checksums_;
  Seal seal_;
  std::optional<Error> refusal_;
};

/// "catalog.db" -> "catalog.epoch"
[[nodiscard]] std::filesystem::path epoch_path(const std::filesystem::path& database);

}  // namespace millrace::catalog
