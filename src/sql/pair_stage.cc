#include "sql/pair_stage.h"

#include "base/check.h"
#include "sql/sink_statement.h"

namespace millrace::sql {

std::vector<Column> hidden_columns() {
  return {{.name = std::string(kPartitionColumn), .type = {TypeKind::kInteger}},
          {.name = std::string(kOffsetColumn), .type = {TypeKind::kBigInt}},
          {.name = std::string(kArrivalColumn), .type = {TypeKind::kTimestampTz}}};
}

struct PairStage::Handle {
  std::unique_ptr<Connection> connection;
  std::array<std::shared_ptr<RowSource>, 2> sources;
  std::shared_ptr<RowReceiver> receiver = std::make_shared<RowReceiver>();
  std::array<std::unique_ptr<RowFunctionId>, 2> source_ids;
  std::unique_ptr<RowFunctionId> receiver_id;
  Prepared statement;
};

PairStage::PairStage(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
PairStage::~PairStage() = default;

Result<std::unique_ptr<PairStage>> PairStage::prepare(Database& database,
                                                      std::string_view stage_sql,
                                                      const std::array<Relation, 2>& relations,
                                                      std::span<const ReferenceTable> tables) {
  auto handle = std::make_unique<Handle>();
  MR_TRY(handle->connection, database.connect());
  Connection::Handle& inner = handle->connection->handle();
  for (std::size_t side = 0; side < 2; ++side) {
    auto source = std::make_shared<RowSource>();
    source->columns = relations[side].columns;
    handle->source_ids[side] = std::make_unique<RowFunctionId>(inner.functions, source);
    MR_RETURN_IF_ERROR(
        name_relation(*handle->connection, relations[side].name,
                      fmt::format("SELECT * FROM mr_source({})", handle->source_ids[side]->id())));
    handle->sources[side] = std::move(source);
  }
  MR_RETURN_IF_ERROR(make_tables(*handle->connection, tables));
  handle->receiver_id = std::make_unique<RowFunctionId>(inner.functions, handle->receiver);
  MR_TRY(handle->statement, prepare_sink(*handle->connection, stage_sql, handle->receiver_id->id(),
                                         SinkResult::kOnes));
  return std::unique_ptr<PairStage>(new PairStage(std::move(handle)));
}

const std::vector<Type>& PairStage::types() const { return handle_->receiver->types; }

Status PairStage::run(std::array<BatchView, 2> rows, const RowSink& sink) {
  MR_CHECK(rows[0].rows == rows[1].rows, "{} rows to take with {}", rows[0].rows, rows[1].rows);
  for (std::size_t side = 0; side < 2; ++side) {
    auto& source = *handle_->sources[side];
    MR_CHECK(rows[side].columns.size() == source.columns.size(),
             "rows of {} columns for a relation of {}", rows[side].columns.size(),
             source.columns.size());
    source.parts.clear();
    source.parts.push_back({.columns = {rows[side].columns.begin(), rows[side].columns.end()},
                            .rows = rows[side].rows});
  }
  std::uint64_t seen = 0;
  handle_->receiver->receive = [&](const BatchView& view) -> Status {
    seen += view.rows;
    sink(view);
    return {};
  };
  QueryRows result;
  auto status =
      run_statement(handle_->connection->handle(), handle_->statement.get(), false, result);
  if (status) status = check_rows(result, SinkResult::kOnes, seen);
  for (const auto& source : handle_->sources) source->parts.clear();
  handle_->receiver->receive = nullptr;
  if (!status) return std::unexpected(evaluation_error(std::move(status).error()));
  return {};
}

}  // namespace millrace::sql
