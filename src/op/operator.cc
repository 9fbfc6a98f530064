#include "op/operator.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/ascii_case.h"
#include "format/json_text.h"
#include "op/build_digest.h"
#include "sql/allow_list.h"
#include "sql/syntax.h"
#include "view/state_layout.h"

namespace millrace::op {

namespace {

constexpr std::size_t kReasonBytesMax = 500;
/// Offsets of a batch's strings have 31 bits.
constexpr std::size_t kStateBytesMax = std::size_t{1} << 30;

const std::vector<Column>& state_columns() {
  static const std::vector<Column> kColumns = {{"key", {TypeKind::kBlob}},
                                               {"state", {TypeKind::kBlob}}};
  return kColumns;
}

std::vector<Column> skipped_columns() {
  return {{"stream", {TypeKind::kVarchar}},
          {std::string(kPartitionColumn), {TypeKind::kInteger}},
          {std::string(kOffsetColumn), {TypeKind::kBigInt}},
          {"reason", {TypeKind::kVarchar}},
          {"raw", {TypeKind::kVarchar}}};
}

std::vector<Type> types_of(std::span<const Column> columns) {
  std::vector<Type> out;
  for (const Column& column : columns) out.push_back(column.type);
  return out;
}

Status check_no_nulls(const Column& column, const ColumnVector& values) {
  for (std::size_t row = 0; row < values.rows(); ++row) {
    if (values.valid(row)) continue;
    return fail(ErrorCode::kInvalidArgument, error_id::kArrow, "column {} is NULL in row {}",
                column.name, row + 1);
  }
  return {};
}

/// Batches of (key, state), each given away as soon as it is large enough.
class StatesBuilder {
 public:
  StatesBuilder(std::size_t bytes, const BatchVisitor& visit) : bytes_(bytes), visit_(visit) {}

  Status add(std::string_view key, std::string_view state) {
    if (key.size() > kStateBytesMax || state.size() > kStateBytesMax) {
      return fail(ErrorCode::kResourceExhausted, error_id::kOperatorMemory,
                  "the state of one group has {} bytes, at most {} leave the operator",
                  state.size(), kStateBytesMax);
    }
    const std::size_t filled = keys_.size_bytes() + states_.size_bytes();
    if (keys_.length() != 0 && filled + key.size() + state.size() > bytes_)
      MR_RETURN_IF_ERROR(finish());
    keys_.append(key);
    states_.append(state);
    return {};
  }
  Status finish() {
    if (keys_.length() == 0) return {};
    OwnedBatch batch;
    batch.rows = keys_.length();
    for (const Column& column : state_columns())
      batch.fields.push_back({column.name, {.kind = ArrowKind::kBinary, .bits = 32}});
    batch.arrays.push_back(keys_.finish());
    batch.arrays.push_back(states_.finish());
    return visit_(std::move(batch));
  }

 private:
  std::size_t bytes_;
  const BatchVisitor& visit_;
  BinaryArrayBuilder keys_;
  BinaryArrayBuilder states_;
};

Status visit_rows(std::span<const Column> columns, const ColumnBatch& rows, std::size_t batch_rows,
                  const BatchVisitor& visit) {
  const auto views = rows.views();
  for (std::size_t begin = 0; begin < rows.rows(); begin += batch_rows) {
    const std::size_t end = std::min(begin + batch_rows, rows.rows());
    MR_TRY(auto batch, make_arrays(columns, {views, rows.rows()}, begin, end));
    MR_RETURN_IF_ERROR(visit(std::move(batch)));
  }
  return {};
}

}  // namespace

Operator::Operator(std::shared_ptr<sql::Database> database, view::CompiledView view,
                   std::unique_ptr<view::Finalizer> finalizer, std::uint64_t memory_bytes)
    : database_(std::move(database)),
      view_(std::move(view)),
      finalizer_(std::move(finalizer)),
      memory_bytes_(memory_bytes),
      groups_(view_.plan),
      skipped_columns_(skipped_columns()),
      skipped_(std::make_unique<ColumnBatch>(types_of(skipped_columns_))) {}

Result<std::unique_ptr<Operator>> Operator::open(std::string_view plan_text,
                                                 std::uint64_t memory_bytes) {
  MR_TRY(const auto plan, read_plan(plan_text));
  MR_TRY(auto database, sql::Database::open({.threads = 1}));
  MR_TRY(const auto tree, sql::parse_select(plan.select));
  const auto resolve = [&](std::string_view name) -> std::string {
    for (const auto& stream : plan.streams) {
      if (same_name(stream.name, name)) return stream.name;
    }
    return {};
  };
  MR_RETURN_IF_ERROR(sql::check_select(tree, sql::Use::kView, resolve, plan.select));
  MR_TRY(auto view, view::compile_view(*database, plan.select, tree, plan.streams));
  if (view.join) {
    return fail(ErrorCode::kUnimplemented, error_id::kPlan,
                "plan: the SELECT joins two streams, and the operator takes each event by itself; "
                "the server maintains such views");
  }
  MR_TRY(auto finalizer, view::Finalizer::make(*database, view));
  if (memory_bytes == 0) memory_bytes = kMemoryBytesDefault;
  std::unique_ptr<Operator> out(
      new Operator(database, std::move(view), std::move(finalizer), memory_bytes));
  for (const StreamDefinition& stream : plan.streams) {
    Source source{.stream = stream, .columns = stream.columns, .evaluators = {}};
    std::ranges::copy(hidden_columns(), std::back_inserter(source.columns));
    for (std::size_t i = 0; i < out->view_.inputs.size(); ++i) {
      if (out->view_.inputs[i].stream != stream.id) continue;
      MR_TRY(auto evaluator, view::Evaluator::make(*database, out->view_, i, stream));
      source.evaluators.push_back(std::move(evaluator));
    }
    if (source.evaluators.empty()) {
      return fail(ErrorCode::kInvalidArgument, error_id::kPlan,
                  "plan: the SELECT does not read the stream {}", stream.name);
    }
    out->sources_.push_back(std::move(source));
  }

  boost::json::object hello;
  hello["abi"] = kAbiVersion;
  hello["version"] = MR_VERSION;
  hello["build"] = build_digest();
  hello["plan"] = sha256(plan_text);
  hello["view"] = plan.view;
  hello["fingerprint"] = fmt::format("{:016x}", out->view_.fingerprint);
  hello["state_version"] = view::kStateVersion;
  hello["memory_bytes"] = memory_bytes;
  out->hello_ = boost::json::serialize(hello);
  return out;
}

/// Keeps an error for all later calls.
Status Operator::broken(Status status) {
  if (!status) failure_ = status.error();
  return status;
}

Result<Operator::Source*> Operator::find_source(std::string_view stream) {
  if (stream.empty() && sources_.size() == 1) return &sources_.front();
  for (Source& source : sources_) {
    if (same_name(source.stream.name, stream)) return &source;
  }
  if (stream.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kStreamNotFound,
                "the view reads {} streams: say which one the rows are of", sources_.size());
  }
  return fail(ErrorCode::kInvalidArgument, error_id::kStreamNotFound,
              "the view does not read a stream {}", format::shortened(stream, 100));
}

Status Operator::partial(std::string_view stream, const ArrayBatchView& batch) {
  if (failure_) return std::unexpected(*failure_);
  MR_TRY(Source* const source, find_source(stream));
  MR_TRY(auto columns, read_columns(batch, source->columns));
  const std::size_t hidden = source->stream.columns.size();
  for (std::size_t c = hidden; c < source->columns.size(); ++c)
    MR_RETURN_IF_ERROR(check_no_nulls(source->columns[c], columns->column(c)));
  if (columns->rows() == 0) return {};
  StreamBatch rows;
  rows.stream = source->stream.id;
  rows.columns = std::move(columns);
  const auto skip = [&](const view::FailedRow& row) {
    Arena& arena = skipped_->arena();
    skipped_->column(0).push_string(source->stream.name, arena);
    skipped_->column(1).push(static_cast<std::int32_t>(row.partition.value));
    skipped_->column(2).push(static_cast<std::int64_t>(row.offset.value));
    skipped_->column(3).push_string(format::shortened(row.reason, kReasonBytesMax), arena);
    // It may have been cut inside of a character.
    const std::string_view raw = row.raw;
    skipped_->column(4).push_string(raw.substr(0, format::first_bad_utf8(raw)), arena);
  };
  std::uint64_t count = 0;
  for (const auto& evaluator : source->evaluators)
    MR_RETURN_IF_ERROR(broken(evaluator->run(std::span(&rows, 1), groups_, count, skip)));
  return {};
}

Status Operator::merge(const ArrayBatchView& batch) {
  if (failure_) return std::unexpected(*failure_);
  MR_TRY(const auto columns, read_columns(batch, state_columns()));
  for (std::size_t c = 0; c < state_columns().size(); ++c)
    MR_RETURN_IF_ERROR(check_no_nulls(state_columns()[c], columns->column(c)));
  const auto* keys = columns->column(0).data<StringRef>();
  const auto* states = columns->column(1).data<StringRef>();
  for (std::size_t row = 0; row < columns->rows(); ++row)
    MR_RETURN_IF_ERROR(broken(groups_.merge_state(keys[row].view(), states[row].view())));
  if (!is_full()) return {};
  return broken(std::unexpected(
      Error{.code = ErrorCode::kResourceExhausted,
            .id = std::string(error_id::kOperatorMemory),
            .message = fmt::format("merged states of {} groups take {} bytes, {} were given",
                                   groups_.groups(), groups_.size_bytes(), memory_bytes_),
            .hint = "merge fewer keys between two drains, or give more memory",
            .place = {}}));
}

Status Operator::drain_states(const BatchVisitor& visit) {
  if (failure_) return std::unexpected(*failure_);
  StatesBuilder builder(kStatesBytes, visit);
  Status status;
  groups_.for_each_sorted([&](std::string_view key, std::string_view state) {
    if (status) status = builder.add(key, state);
  });
  if (status) status = builder.finish();
  MR_RETURN_IF_ERROR(broken(std::move(status)));
  groups_ = view::GroupTable(view_.plan);
  return {};
}

Status Operator::drain_skipped(const BatchVisitor& visit) {
  if (failure_) return std::unexpected(*failure_);
  const auto rows = std::move(skipped_);
  skipped_ = std::make_unique<ColumnBatch>(types_of(skipped_columns_));
  return broken(visit_rows(skipped_columns_, *rows, kRowsPerBatch, visit));
}

Status Operator::finalize(bool whole, const BatchVisitor& visit) {
  if (failure_) return std::unexpected(*failure_);
  std::vector<Column> columns;
  for (const auto& output : view_.outputs) columns.push_back({output.name, output.type});
  auto rows = finalizer_->rows(groups_, whole);
  if (!rows) return broken(std::unexpected(std::move(rows).error()));
  groups_ = view::GroupTable(view_.plan);
  return broken(visit_rows(columns, **rows, kRowsPerBatch, visit));
}

}  // namespace millrace::op
