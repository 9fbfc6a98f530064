#include "sql/scalar_stage.h"

#include "base/check.h"
#include "sql/sink_statement.h"

namespace millrace::sql {

struct ScalarStage::Handle {
  std::unique_ptr<Connection> connection;
  std::shared_ptr<RowSource> source = std::make_shared<RowSource>();
  std::shared_ptr<RowReceiver> receiver = std::make_shared<RowReceiver>();
  std::unique_ptr<RowFunctionId> source_id;
  std::unique_ptr<RowFunctionId> receiver_id;
  Prepared statement;
};

ScalarStage::ScalarStage(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
ScalarStage::~ScalarStage() = default;

Result<std::unique_ptr<ScalarStage>> ScalarStage::prepare(Database& database,
                                                          std::string_view stage_sql,
                                                          const StreamDefinition& stream,
                                                          std::span<const ReferenceTable> tables) {
  auto handle = std::make_unique<Handle>();
  MR_TRY(handle->connection, database.connect());
  Connection::Handle& inner = handle->connection->handle();
  handle->source->columns = stream.columns;
  handle->source->hidden_columns = true;
  handle->source_id = std::make_unique<RowFunctionId>(inner.functions, handle->source);
  handle->receiver_id = std::make_unique<RowFunctionId>(inner.functions, handle->receiver);
  MR_RETURN_IF_ERROR(
      name_relation(*handle->connection, stream.name,
                    fmt::format("SELECT * FROM mr_source({})", handle->source_id->id())));
  MR_RETURN_IF_ERROR(make_tables(*handle->connection, tables));
  MR_TRY(handle->statement, prepare_sink(*handle->connection, stage_sql, handle->receiver_id->id(),
                                         SinkResult::kOnes));
  return std::unique_ptr<ScalarStage>(new ScalarStage(std::move(handle)));
}

const std::vector<Type>& ScalarStage::types() const { return handle_->receiver->types; }

Status ScalarStage::run(std::span<const StreamBatch> batches, const RowSink& sink) {
  for (const StreamBatch& batch : batches) {
    const std::size_t extra =
        batch.columns->column_count() - handle_->source->columns.size();  // the hidden ones
    MR_CHECK(extra == 0 || extra == kHiddenColumns, "a batch of {} columns for a stream of {}",
             batch.columns->column_count(), handle_->source->columns.size());
  }
  handle_->source->parts = parts_of(batches);
  std::uint64_t seen = 0;
  handle_->receiver->receive = [&](const BatchView& view) -> Status {
    seen += view.rows;
    sink(view);
    return {};
  };
  QueryRows rows;
  auto status = run_statement(handle_->connection->handle(), handle_->statement.get(), false, rows);
  if (status) status = check_rows(rows, SinkResult::kOnes, seen);
  handle_->source->parts.clear();
  handle_->receiver->receive = nullptr;
  if (!status) return std::unexpected(evaluation_error(std::move(status).error()));
  return {};
}

}  // namespace millrace::sql
