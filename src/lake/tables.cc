#include "lake/tables.h"

#include <algorithm>
#include <set>

#include "base/crc32c.h"
#include "runtime/clock.h"
#include "sql/table_file.h"

namespace millrace::lake {

Result<std::unique_ptr<Tables>> Tables::open(runtime::FileSystem& files, catalog::Catalog& catalog,
                                             std::shared_ptr<sql::Database> database,
                                             std::filesystem::path folder) {
  MR_RETURN_IF_ERROR(files.create_directories(folder));
  std::unique_ptr<Tables> tables(
      new Tables(files, catalog, std::move(database), std::move(folder)));
  MR_RETURN_IF_ERROR(tables->sweep());
  return tables;
}

Result<catalog::TableContent> Tables::write(TableId table, TableVersion version,
                                            std::span<const Column> columns,
                                            std::shared_ptr<const ColumnBatch> rows) {
  catalog::TableContent content;
  content.version = version;
  content.file.name = fmt::format("table-{}-{}.parquet", table, version);
  const auto path = folder_ / content.file.name;
  // Of a statement that a crash cut short.
  if (files_.exists(path)) MR_RETURN_IF_ERROR(files_.remove(path));
  MR_RETURN_IF_ERROR(sql::write_table_file(*database_, path, columns, *rows));
  {
    MR_TRY(const auto opened, files_.open(path, runtime::OpenMode::kReadWrite));
    MR_RETURN_IF_ERROR(opened->sync_data());
  }
  MR_RETURN_IF_ERROR(files_.sync_directory(folder_));
  MR_TRY(const std::string bytes, runtime::read_file(files_, path));
  content.file.size_bytes = bytes.size();
  content.file.crc32c = crc32c(bytes);
  content.file.rows = rows->rows();
  content.created_us = runtime::wall_us();
  const MutexLock lock(mutex_);
  rows_[content.file.name] = std::move(rows);
  return content;
}

Result<sql::ReferenceTable> Tables::read(const catalog::TableRecord& table, TableVersion version) {
  sql::ReferenceTable out{.name = table.name, .columns = table.columns, .rows = nullptr};
  const auto content = std::ranges::find(table.contents, version, &catalog::TableContent::version);
  if (content == table.contents.end()) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "table {} has no version {}", table.name,
                version);
  }
  {
    const MutexLock lock(mutex_);
    if (const auto found = rows_.find(content->file.name); found != rows_.end()) {
      out.rows = found->second;
      return out;
    }
  }
  const auto path = folder_ / content->file.name;
  auto bytes = runtime::read_file(files_, path);
  if (!bytes) return std::unexpected(std::move(bytes).error().within("table {}", table.name));
  if (bytes->size() != content->file.size_bytes || crc32c(*bytes) != content->file.crc32c) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "table {}: {} has {} bytes with checksum 0x{:08x}, written were {} bytes with "
                "0x{:08x}; restore it from a backup",
                table.name, path.string(), bytes->size(), crc32c(*bytes), content->file.size_bytes,
                content->file.crc32c);
  }
  MR_TRY(out.rows, sql::read_table_file(*database_, path, table.columns));
  const MutexLock lock(mutex_);
  rows_[content->file.name] = out.rows;
  return out;
}

Result<std::vector<sql::ReferenceTable>> Tables::read_all(std::span<const catalog::TableUse> uses) {
  std::vector<sql::ReferenceTable> out;
  for (const auto& use : uses) {
    const auto table = catalog_.table(use.table);
    MR_CHECK(table.has_value(), "a view is made of table {}, which is not there", use.table);
    MR_TRY(auto read, this->read(*table, use.version));
    out.push_back(std::move(read));
  }
  return out;
}

void Tables::remove(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    static_cast<void>(files_.remove(folder_ / name));
    const MutexLock lock(mutex_);
    rows_.erase(name);
  }
}

Status Tables::sweep() {
  std::set<std::string> named;
  for (const auto& table : catalog_.tables()) {
    for (const auto& content : table.contents) named.insert(content.file.name);
  }
  MR_TRY(const auto present, files_.list(folder_));
  for (const auto& name : present) {
    if (!named.contains(name)) MR_RETURN_IF_ERROR(files_.remove(folder_ / name));
  }
  return {};
}

}  // namespace millrace::lake
