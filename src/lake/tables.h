// The contents of reference tables: one Parquet file each, written once, read whole and kept in
// memory as long as anybody uses it. Owns: the folder tables/. Borrows: Catalog, FileSystem,
// sql::Database. Thread: any. Errors: kDataLoss (kChecksum) names the file whose bytes are not
// those that were written. Invariant: a file is synced, and its folder too, before the catalog
// names it; what the catalog does not name is garbage.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "runtime/file_system.h"
#include "sql/database.h"
#include "sql/reference_table.h"

namespace millrace::lake {

class Tables {
 public:
  /// The database may write to the folder.
  static Result<std::unique_ptr<Tables>> open(runtime::FileSystem& files, catalog::Catalog& catalog,
                                              std::shared_ptr<sql::Database> database,
                                              std::filesystem::path folder);

  /// Durable when it returns; the caller tells the catalog.
  Result<catalog::TableContent> write(TableId table, TableVersion version,
                                      std::span<const Column> columns,
                                      std::shared_ptr<const ColumnBatch> rows);
  Result<sql::ReferenceTable> read(const catalog::TableRecord& table, TableVersion version);
  /// The tables that a view is made of, each in its version.
  Result<std::vector<sql::ReferenceTable>> read_all(std::span<const catalog::TableUse> uses);
  /// A file that cannot be removed stays for the next sweep.
  void remove(const std::vector<std::string>& names);
  /// Removes what the catalog does not name. At start, before anything is written.
  Status sweep();

 private:
  Tables(runtime::FileSystem& files, catalog::Catalog& catalog,
         std::shared_ptr<sql::Database> database, std::filesystem::path folder)
      : files_(files),
        catalog_(catalog),
        database_(std::move(database)),
        folder_(std::move(folder)) {}

  runtime::FileSystem& files_;
  catalog::Catalog& catalog_;
  const std::shared_ptr<sql::Database> database_;
  const std::filesystem::path folder_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const ColumnBatch>> rows_ GUARDED_BY(mutex_);  // by file
};

}  // namespace millrace::lake
