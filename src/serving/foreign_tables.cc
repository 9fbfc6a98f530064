#include "serving/foreign_tables.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "runtime/clock.h"
#include "serving/statement_runner.h"
#include "serving/value_parser.h"
#include "sink/postgres_table.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

constexpr std::chrono::milliseconds kTick{250};
/// Rows between two looks at how large it is.
constexpr std::size_t kLookRows = 1024;

std::vector<std::string> sorted_rows(const ColumnBatch& batch) {
  const auto views = batch.views();
  std::vector<std::string> out(batch.rows());
  for (std::size_t row = 0; row < out.size(); ++row) view::encode_key(views, row, out[row]);
  std::ranges::sort(out);
  return out;
}

Status push_row(sink::ForeignRow row, std::span<const Column> columns, ColumnBatch& out) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (!row[c]) {
      out.column(c).push_null();
      continue;
    }
    auto pushed = push_parsed(*row[c], out.column(c), out.arena());
    if (!pushed) return std::unexpected(std::move(pushed).error().within("{}", columns[c].name));
  }
  return {};
}

}  // namespace

bool same_rows(const ColumnBatch& a, const ColumnBatch& b) {
  return a.rows() == b.rows() && a.column_count() == b.column_count() &&
         sorted_rows(a) == sorted_rows(b);
}

Result<ForeignRows> read_foreign_table(const sql::CreateTable& statement,
                                       std::vector<Column> columns, std::uint64_t bytes_max,
                                       const std::atomic<bool>& stopping) {
  MR_TRY(const auto url, sink::StoreUrl::parse(statement.file));
  if (url.kind != sink::StoreKind::kPostgres) {
    return fail(ErrorCode::kInvalidArgument, error_id::kForeignTable,
                "a table is read from postgres://, not from {}", sink::name(url.kind));
  }
  const sink::StoreAccess access{.password = {},
                                 .password_file = statement.password_file,
                                 .tls = statement.tls,
                                 .ca_file = statement.ca_file};
  MR_RETURN_IF_ERROR(sink::check_access(url, access));
  MR_TRY(const auto link, sink::PostgresLink::connect(url, access, stopping));
  ForeignRows out{.columns = std::move(columns), .rows = nullptr};
  if (out.columns.empty()) {
    MR_TRY(out.columns, sink::foreign_columns(*link, url));
  }
  std::vector<Type> types;
  for (const auto& column : out.columns) types.push_back(column.type);
  out.rows = std::make_shared<ColumnBatch>(types);
  std::size_t count = 0;
  MR_RETURN_IF_ERROR(
      sink::read_foreign_rows(*link, url, out.columns, [&](sink::ForeignRow row) -> Status {
        MR_RETURN_IF_ERROR(push_row(row, out.columns, *out.rows));
        if (++count % kLookRows != 0 || out.rows->size_bytes() <= bytes_max) return {};
        return fail(ErrorCode::kResourceExhausted, error_id::kTableTooLarge,
                    "the table {} takes more than {} MiB, which is the most that a table may have "
                    "(sql.table_bytes_max)",
                    url.object, bytes_max >> 20);
      }));
  return out;
}

void ForeignTables::start() {
  thread_ = std::thread([this] { loop(); });
}

void ForeignTables::stop() {
  stopping_ = true;
  {
    const MutexLock lock(mutex_);
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void ForeignTables::loop() {
  while (!stopping_.load()) {
    look_at_catalog();
    for (auto& [table, plan] : plans_) {
      if (plan && plan->due_us <= runtime::monotonic_us() && !stopping_.load())
        refresh(table, *plan);
    }
    const MutexLock lock(mutex_);
    if (!stopping_.load()) changed_.wait_for(mutex_, kTick);
  }
}

void ForeignTables::look_at_catalog() {
  std::set<TableId> there;
  for (const auto& table : catalog_.tables()) {
    there.insert(table.id);
    if (plans_.contains(table.id)) continue;
    auto& plan = plans_[table.id];
    auto parsed = sql::parse_statement(table.sql);
    auto* const made = parsed ? std::get_if<sql::CreateTable>(&*parsed) : nullptr;
    if (made == nullptr || !made->refresh_us || !sink::StoreUrl::is_one(made->file)) continue;
    plan = Plan{.statement = std::move(*made), .due_us = 0, .failed = false};
    plan->due_us = runtime::monotonic_us() + *plan->statement.refresh_us;
  }
  std::erase_if(plans_, [&](const auto& entry) { return !there.contains(entry.first); });
}

void ForeignTables::refresh(TableId table, Plan& plan) {
  ++counters_.refreshes;
  const auto changed = statements_.refresh_table(table, plan.statement, stopping_);
  plan.due_us = runtime::monotonic_us() + *plan.statement.refresh_us;
  if (stopping_.load()) return;
  if (changed) {
    if (*changed) ++counters_.changes;
    plan.failed = false;
    return;
  }
  ++counters_.errors;
  // Once for each trouble, and not for each time that it is met.
  if (!std::exchange(plan.failed, true)) {
    spdlog::warn("table {} stays as it is: {}", plan.statement.name, changed.error().text());
  }
}

}  // namespace millrace::serving
