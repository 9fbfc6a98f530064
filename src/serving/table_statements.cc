// Reference tables: small, changed by statements. A change computes the whole next content as a
// SELECT, which is checked and runs in a worker process like any other, and stores it as a file of
// its own; then the views that are made of the table are rebuilt beside those that serve
// (view_replacement.cc). Thread and errors: those of statement_runner.h; one change at a time.
#include <unordered_set>

#include "base/ascii_case.h"
#include "model/value_text.h"
#include "runtime/clock.h"
#include "serving/foreign_tables.h"
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"
#include "sink/store_url.h"
#include "sql/table_file.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

std::optional<std::uint32_t> index_of(std::span<const Column> columns, std::string_view name) {
  for (std::uint32_t i = 0; i < columns.size(); ++i) {
    if (same_name(columns[i].name, name)) return i;
  }
  return std::nullopt;
}

Error no_such_column(const catalog::TableRecord& table, std::string_view column) {
  std::vector<std::string_view> names;
  for (const auto& one : table.columns) names.push_back(one.name);
  return {.code = ErrorCode::kInvalidArgument,
          .id = std::string(error_id::kColumnNotFound),
          .message = fmt::format("table {} has no column {}", table.name, column),
          .hint = fmt::format("its columns are {}", fmt::join(names, ", ")),
          .place = {}};
}

std::shared_ptr<ColumnBatch> empty_rows(std::span<const Column> columns) {
  std::vector<Type> types;
  for (const auto& column : columns) types.push_back(column.type);
  return std::make_shared<ColumnBatch>(types);
}

/// The primary keys of rows, encoded, so that equality is equality of bytes for every type.
/// Errors: kInvalidArgument, kAlreadyExists (kPrimaryKey) where a part is NULL or two are the same.
Result<std::unordered_set<std::string>> keys_of(const catalog::TableRecord& table,
                                                const ColumnBatch& rows) {
  std::unordered_set<std::string> keys;
  const auto views = rows.views();
  std::vector<ColumnView> parts;
  for (const auto index : table.primary_key) parts.push_back(views[index]);
  std::string key;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i].valid(row)) {
        return fail(ErrorCode::kInvalidArgument, error_id::kPrimaryKey,
                    "table {}: column {} is of the primary key and would be NULL", table.name,
                    table.columns[table.primary_key[i]].name);
      }
      texts.push_back(value_text(parts[i], row).value_or("NULL"));
    }
    key.clear();
    view::encode_key(parts, row, key);
    if (!keys.insert(key).second) {
      return fail(ErrorCode::kAlreadyExists, error_id::kPrimaryKey,
                  "table {} would have two rows with the primary key ({})", table.name,
                  fmt::join(texts, ", "));
    }
  }
  return keys;
}

/// The rows of `rows` whose primary key is not in `keys`.
std::shared_ptr<ColumnBatch> without(const catalog::TableRecord& table, const ColumnBatch& rows,
                                     const std::unordered_set<std::string>& keys) {
  const auto views = rows.views();
  std::vector<ColumnView> parts;
  for (const auto index : table.primary_key) parts.push_back(views[index]);
  std::vector<std::uint32_t> kept;
  std::string key;
  for (std::uint32_t row = 0; row < rows.rows(); ++row) {
    key.clear();
    view::encode_key(parts, row, key);
    if (!keys.contains(key)) kept.push_back(row);
  }
  auto out = empty_rows(table.columns);
  out->append_rows({views, rows.rows()}, kept);
  return out;
}

/// The first columns of an answer, which must have the types of the table.
Result<std::shared_ptr<ColumnBatch>> rows_of(const catalog::TableRecord& table,
                                             const sql::QueryResult& result) {
  auto out = empty_rows(table.columns);
  for (const auto& batch : result.batches) {
    const auto views = batch->views();
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (views[i].type != table.columns[i].type) {
        return fail(ErrorCode::kInternal, error_id::kInternal, "table {}: column {} came as {}",
                    table.name, table.columns[i].name, views[i].type.sql());
      }
    }
    out->append_all({std::span(views).first(table.columns.size()), batch->rows()});
  }
  return out;
}

/// In parentheses; the line break ends a comment that the text may end with.
std::string nested(std::string_view text) { return fmt::format("({}\n)", text); }

/// TRUE for the rows that a WHERE means.
std::string condition(std::string_view where) {
  return where.empty() ? "TRUE"
                       : fmt::format("coalesce(CAST({} AS BOOLEAN), FALSE)", nested(where));
}

/// Places in a text that was put into a SELECT of ours mean nothing to its author.
Error unplaced(Error error) {
  error.place = {};
  return error;
}

}  // namespace

Result<catalog::TableRecord> StatementRunner::table_named(std::string_view name) const {
  if (auto table = catalog_.find_table(name)) return std::move(*table);
  auto error = Error{.code = ErrorCode::kNotFound,
                     .id = std::string(error_id::kTableNotFound),
                     .message = fmt::format("there is no table {}", name),
                     .hint = "SHOW TABLES lists what there is",
                     .place = {}};
  if (catalog_.find_stream(name)) {
    error.hint = fmt::format(
        "{0} is a stream: events are sent to POST /v1/streams/{0}/events, and "
        "stay as they are",
        name);
  } else if (catalog_.find_view(name)) {
    error.hint = fmt::format("{} is a view", name);
  }
  return std::unexpected(std::move(error));
}

Result<sql::QueryResult> StatementRunner::compute(const std::string& select) {
  Assembly assembly;
  MR_RETURN_IF_ERROR(assemble(select, assembly));
  assembly.query.rows_max = ~std::uint64_t{0};
  assembly.query.result_bytes_max = options_.table_bytes_max;
  MR_TRY(auto result, workers_.run(assembly.query));
  if (result.truncated) {
    return fail(ErrorCode::kResourceExhausted, error_id::kTableTooLarge,
                "the rows take more than {} MiB, which is the most that a table may have "
                "(sql.table_bytes_max)",
                options_.table_bytes_max >> 20);
  }
  return result;
}

Status StatementRunner::add_table(const catalog::TableRecord& table, Assembly& assembly) {
  sql::QueryRelation relation{.name = table.name,
                              .columns = table.columns,
                              .hidden_columns = false,
                              .lake_files = {},
                              .tail = {},
                              .rows = {}};
  const auto* const kept = assembly.moment == nullptr ? nullptr : assembly.moment->table(table.id);
  if (kept != nullptr && !assembly.types_only) {
    relation.rows.push_back(*kept);
  } else if (!assembly.types_only) {
    auto content = tables_.read(table, table.newest().version);
    // A change that came between dropped the file: what is newest now is there.
    if (!content) {
      const auto now = catalog_.table(table.id);
      if (!now || now->newest() == table.newest())
        return std::unexpected(std::move(content).error());
      MR_TRY(content, tables_.read(*now, now->newest().version));
    }
    relation.rows.push_back(content->rows);
    if (assembly.moment != nullptr) assembly.moment->keep(table.id, content->rows);
  }
  assembly.query.relations.push_back(std::move(relation));
  return {};
}

Status StatementRunner::put_content(const catalog::TableRecord& table,
                                    std::shared_ptr<const ColumnBatch> rows) {
  if (rows->size_bytes() > options_.table_bytes_max) {
    return fail(ErrorCode::kResourceExhausted, error_id::kTableTooLarge,
                "table {} would take {} MiB, and {} are the most (sql.table_bytes_max)", table.name,
                rows->size_bytes() >> 20, options_.table_bytes_max >> 20);
  }
  const TableVersion version(table.newest().version.value + 1);
  MR_TRY(const auto content, tables_.write(table.id, version, table.columns, std::move(rows)));
  const MutexLock lock(definitions_);
  auto garbage = catalog_.add_table_content(table.id, content);
  if (!garbage) {
    if (catalog_.usable()) tables_.remove({content.file.name});
    return std::unexpected(std::move(garbage).error());
  }
  tables_.remove(*garbage);
  refresh_views_locked();
  return {};
}

Result<std::filesystem::path> StatementRunner::import_path(
    const std::string& file, const std::filesystem::path& base_folder) const {
  const auto start = base_folder.empty() ? options_.import_folder : base_folder;
  std::error_code failed;
  const auto path = std::filesystem::weakly_canonical(start / file, failed);
  if (!failed && !base_folder.empty()) return path;
  // Links are followed before the folders are compared, so that none leads out.
  const auto allowed = std::filesystem::weakly_canonical(options_.import_folder, failed);
  const auto inside = path.lexically_relative(allowed);
  if (failed || options_.import_folder.empty() || inside.empty() || *inside.begin() == "..") {
    auto refused = fail(ErrorCode::kPermissionDenied, error_id::kImportNotAllowed,
                        "the file {} is not in the folder that tables are made from", file);
    refused.error().hint = fmt::format(
        "put it into {}, or name it in the pipeline file of "
        "millrace up",
        options_.import_folder.string());
    return refused;
  }
  return path;
}

Result<StatementResult> StatementRunner::create_table(const sql::CreateTable& statement,
                                                      const std::filesystem::path& base_folder) {
  StatementResult done;
  done.command = "CREATE TABLE";
  const MutexLock change(table_changes_);
  const auto existing = catalog_.find_table(statement.name);
  if (existing && statement.if_not_exists) return done;
  if (!existing || !statement.or_replace) MR_RETURN_IF_ERROR(check_name_is_free(statement.name));

  catalog::TableRecord table;
  table.name = statement.name;
  table.columns = statement.columns;
  table.primary_key = statement.primary_key;
  if (existing) {
    const bool same =
        (statement.columns.empty() && statement.primary_key.empty()) ||
        (statement.columns == existing->columns && statement.primary_key == existing->primary_key);
    if (!same) {
      return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                  "table {} has other columns, and keeps them: DROP TABLE it first",
                  existing->name);
    }
    table = *existing;
  }
  std::shared_ptr<ColumnBatch> rows;
  if (sink::StoreUrl::is_one(statement.file)) {
    if (existing) {
      return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                  "table {} exists, and its rows come from where they come from: DROP TABLE it "
                  "first",
                  existing->name);
    }
    MR_TRY(auto read,
           read_foreign_table(statement, table.columns, options_.table_bytes_max, stopping_));
    table.columns = std::move(read.columns);
    rows = std::move(read.rows);
  } else if (!statement.file.empty()) {
    if (statement.refresh_us) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                  "refresh is an option of tables that are read from postgres://");
    }
    MR_TRY(const auto path, import_path(statement.file, base_folder));
    MR_TRY(auto read, sql::read_user_file(path, table.columns, options_.table_bytes_max));
    if (table.columns.empty()) table.columns = std::move(read.columns);
    rows = std::move(read.rows);
  } else if (!statement.select.empty()) {
    std::string select = statement.select;
    if (existing) {
      std::string items;
      for (const auto& column : table.columns) {
        items += fmt::format("{}CAST({} AS {}) AS {}", items.empty() ? "" : ", ",
                             quote_identifier(column.name), column.type.sql(),
                             quote_identifier(column.name));
      }
      select = fmt::format("SELECT {} FROM {} AS mr_new", items, nested(select));
    }
    auto result = compute(select);
    if (!result) return std::unexpected(unplaced(std::move(result).error()));
    if (!existing) table.columns = result->columns;
    MR_TRY(rows, rows_of(table, *result));
  } else {
    rows = empty_rows(table.columns);
  }
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    MR_RETURN_IF_ERROR(check_column_name(table.columns[i].name));
    if (*index_of(table.columns, table.columns[i].name) != i) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadName, "the column '{}' is there twice",
                  table.columns[i].name);
    }
  }
  if (!table.primary_key.empty()) {
    if (const auto keys = keys_of(table, *rows); !keys) return std::unexpected(keys.error());
  }
  if (existing) {
    MR_RETURN_IF_ERROR(put_content(table, std::move(rows)));
    return done;
  }
  table.sql = statement.sql;
  table.created_us = runtime::wall_us();
  MR_TRY(auto content,
         tables_.write(catalog_.next_table_id(), TableVersion(1), table.columns, std::move(rows)));
  const std::string file = content.file.name;
  table.contents.push_back(std::move(content));
  const MutexLock lock(definitions_);
  if (auto created = catalog_.create_table(std::move(table)); !created) {
    if (catalog_.usable()) tables_.remove({file});
    return std::unexpected(std::move(created).error());
  }
  return done;
}

Result<bool> StatementRunner::refresh_table(TableId id, const sql::CreateTable& statement,
                                            const std::atomic<bool>& stopping) {
  const auto before = catalog_.table(id);
  if (!before) return false;
  // Without the lock: another database may let us wait.
  MR_TRY(auto read,
         read_foreign_table(statement, before->columns, options_.table_bytes_max, stopping));
  const MutexLock change(table_changes_);
  const auto table = catalog_.table(id);
  if (!table) return false;
  MR_TRY(const auto now, tables_.read(*table, table->newest().version));
  if (same_rows(*now.rows, *read.rows)) return false;
  if (!table->primary_key.empty()) {
    if (const auto keys = keys_of(*table, *read.rows); !keys) return std::unexpected(keys.error());
  }
  MR_RETURN_IF_ERROR(put_content(*table, std::move(read.rows)));
  return true;
}

Result<StatementResult> StatementRunner::insert(const sql::Insert& statement) {
  const MutexLock change(table_changes_);
  MR_TRY(const auto table, table_named(statement.table));
  if (statement.or_replace && table.primary_key.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kPrimaryKey,
                "table {} has no primary key, which OR REPLACE goes by", table.name);
  }
  std::vector<std::optional<std::size_t>> source(table.columns.size());
  for (std::size_t i = 0; i < statement.columns.size(); ++i) {
    const auto index = index_of(table.columns, statement.columns[i]);
    if (!index) return std::unexpected(no_such_column(table, statement.columns[i]));
    source[*index] = i;
  }
  if (statement.columns.empty()) {
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = i;
  }
  const std::size_t wanted =
      statement.columns.empty() ? table.columns.size() : statement.columns.size();
  const auto given = columns_of_select(statement.select);
  if (!given) return std::unexpected(unplaced(given.error()));
  if (given->size() != wanted) {
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                "the rows have {} columns, and {} are to be set in table {}", given->size(), wanted,
                table.name);
  }
  std::string items;
  std::string names;
  for (std::size_t i = 0; i < wanted; ++i) names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  for (std::size_t i = 0; i < source.size(); ++i) {
    items += fmt::format("{}CAST({} AS {})", i == 0 ? "" : ", ",
                         source[i] ? fmt::format("c{}", *source[i]) : "NULL",
                         table.columns[i].type.sql());
  }
  const auto result = compute(
      fmt::format("SELECT {} FROM {} AS mr_new({})", items, nested(statement.select), names));
  if (!result) return std::unexpected(unplaced(result.error()));
  MR_TRY(const auto added, rows_of(table, *result));
  MR_TRY(const auto before, tables_.read(table, table.newest().version));
  auto rows = empty_rows(table.columns);
  if (statement.or_replace) {
    MR_TRY(const auto keys, keys_of(table, *added));
    rows = without(table, *before.rows, keys);
  } else {
    rows->append_all({before.rows->views(), before.rows->rows()});
  }
  rows->append_all({added->views(), added->rows()});
  if (!table.primary_key.empty()) {
    if (const auto keys = keys_of(table, *rows); !keys) return std::unexpected(keys.error());
  }
  const std::size_t count = added->rows();
  if (count != 0) MR_RETURN_IF_ERROR(put_content(table, std::move(rows)));
  return changed("INSERT", count);
}

Result<StatementResult> StatementRunner::update(const sql::Update& statement) {
  const MutexLock change(table_changes_);
  MR_TRY(const auto table, table_named(statement.table));
  std::vector<const std::string*> expressions(table.columns.size(), nullptr);
  for (const auto& assignment : statement.assignments) {
    const auto index = index_of(table.columns, assignment.column);
    if (!index) return std::unexpected(no_such_column(table, assignment.column));
    expressions[*index] = &assignment.expression;
  }
  const std::string meant = condition(statement.where);
  std::string items;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    const std::string name = quote_identifier(table.columns[i].name);
    items += expressions[i] == nullptr
                 ? name + ", "
                 : fmt::format("CASE WHEN {} THEN CAST({} AS {}) ELSE {} END, ", meant,
                               nested(*expressions[i]), table.columns[i].type.sql(), name);
  }
  const auto result =
      compute(fmt::format("SELECT {}{} FROM {}", items, meant, quote_identifier(table.name)));
  if (!result) return std::unexpected(unplaced(result.error()));
  std::uint64_t count = 0;
  for (const auto& batch : result->batches) {
    const auto views = batch->views();
    for (std::size_t row = 0; row < batch->rows(); ++row)
      count += views.back().as<std::uint8_t>()[row] != 0 ? 1 : 0;
  }
  MR_TRY(auto rows, rows_of(table, *result));
  if (!table.primary_key.empty()) {
    if (const auto keys = keys_of(table, *rows); !keys) return std::unexpected(keys.error());
  }
  if (count != 0) MR_RETURN_IF_ERROR(put_content(table, std::move(rows)));
  return changed("UPDATE", count);
}

Result<StatementResult> StatementRunner::remove(const sql::Delete& statement) {
  const MutexLock change(table_changes_);
  MR_TRY(const auto table, table_named(statement.table));
  const auto result = compute(fmt::format(
      "SELECT * FROM {} WHERE NOT {}", quote_identifier(table.name), condition(statement.where)));
  if (!result) return std::unexpected(unplaced(result.error()));
  MR_TRY(auto rows, rows_of(table, *result));
  const std::uint64_t count = table.newest().file.rows - rows->rows();
  if (count != 0) MR_RETURN_IF_ERROR(put_content(table, std::move(rows)));
  return changed("DELETE", count);
}

Result<StatementResult> StatementRunner::drop_table(const sql::Drop& statement) {
  StatementResult done;
  done.command = "DROP TABLE";
  if (statement.if_exists && resolve(statement.name).empty()) return done;
  MR_TRY(const auto table, table_named(statement.name));
  if (const auto readers = readers_of(table.name); !readers.empty()) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                "{} is read by {}: drop that first", table.name, fmt::join(readers, ", "));
  }
  MR_TRY(const auto garbage, catalog_.drop_table(table.id));
  tables_.remove(garbage);
  return done;
}

void StatementRunner::drop_old_table_contents() {
  // What cannot be dropped now is dropped with the next change.
  if (const auto garbage = catalog_.drop_old_table_contents()) tables_.remove(*garbage);
}

}  // namespace millrace::serving
