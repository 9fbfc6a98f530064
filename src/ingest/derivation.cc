#include "ingest/derivation.h"

#include <algorithm>

#include "format/base64.h"
#include "view/evaluator.h"

namespace millrace::ingest {

namespace {

/// As the JSON decoder reads the type: what append_json() writes, but for BLOBs.
void append_member(std::string& out, const ColumnView& column, std::size_t row) {
  if (column.type.kind == TypeKind::kBlob && column.valid(row)) {
    append_json_string(out, format::base64_encode(column.as<StringRef>()[row].view()));
  } else {
    append_json(out, column, row);
  }
}

}  // namespace

Derivation::Derivation(sql::Database& database, StreamDefinition source, StreamDefinition derived,
                       std::string select)
    : database_(database),
      source_(std::move(source)),
      derived_(std::move(derived)),
      select_(std::move(select)) {
  for (const auto& column : derived_.columns) {
    std::string name(1, names_.empty() ? '{' : ',');
    append_json_string(name, column.name);
    names_.push_back(name + ":");
  }
}

Result<std::shared_ptr<Derivation>> Derivation::make(sql::Database& database,
                                                     const StreamDefinition& source,
                                                     const StreamDefinition& derived,
                                                     std::string select) {
  std::shared_ptr<Derivation> out(new Derivation(database, source, derived, std::move(select)));
  MR_TRY(auto stage, out->take_stage());
  if (stage->types() != derived.types()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "stream {}: its SELECT gives other types than its columns have", derived.name);
  }
  const MutexLock lock(out->mutex_);
  out->free_.push_back(std::move(stage));
  return out;
}

Result<std::unique_ptr<sql::ScalarStage>> Derivation::take_stage() {
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      auto stage = std::move(free_.back());
      free_.pop_back();
      return stage;
    }
  }
  return sql::ScalarStage::prepare(database_, select_, source_);
}

Result<Derivation::Output> Derivation::run(const std::shared_ptr<const ColumnBatch>& events,
                                           std::int64_t arrival_us) {
  Output out;
  if (events->rows() == 0) return out;
  MR_TRY(auto stage, take_stage());
  const StreamBatch batch{.stream = source_.id,
                          .partition = {},
                          .base_offset = {},
                          .arrival_us = arrival_us,
                          .columns = events};
  MR_RETURN_IF_ERROR(run_rows(*stage, batch, 0, out));
  const MutexLock lock(mutex_);
  free_.push_back(std::move(stage));
  return out;
}

/// All rows at once; where one fails, by halves until it is found.
Status Derivation::run_rows(sql::ScalarStage& stage, const StreamBatch& batch,
                            std::uint32_t first_row, Output& out) const {
  const std::size_t before = out.lines.size();
  auto ran = stage.run(std::span(&batch, 1), [&](const BatchView& rows) {
    for (std::size_t row = 0; row < rows.rows; ++row) {
      for (std::size_t c = 0; c < names_.size(); ++c) {
        out.lines += names_[c];
        append_member(out.lines, rows.columns[c], row);
      }
      out.lines += "}\n";
    }
  });
  if (ran || ran.error().id != error_id::kEvaluation) return ran;
  out.lines.resize(before);
  const auto rows = static_cast<std::uint32_t>(batch.columns->rows());
  if (rows == 1) {
    out.failed.push_back({first_row, std::move(ran).error().message});
    return {};
  }
  MR_RETURN_IF_ERROR(run_rows(stage, view::slice(batch, 0, rows / 2), first_row, out));
  return run_rows(stage, view::slice(batch, rows / 2, rows), first_row + rows / 2, out);
}

void Derivations::add(StreamId source, std::shared_ptr<Derivation> derivation) {
  const MutexLock lock(mutex_);
  by_source_[source].push_back(std::move(derivation));
}

void Derivations::remove(StreamId derived) {
  const MutexLock lock(mutex_);
  for (auto& [source, derivations] : by_source_) {
    std::erase_if(derivations, [&](const auto& one) { return one->derived() == derived; });
  }
}

std::vector<std::shared_ptr<Derivation>> Derivations::of(StreamId source) const {
  const MutexLock lock(mutex_);
  const auto found = by_source_.find(source);
  return found == by_source_.end() ? std::vector<std::shared_ptr<Derivation>>() : found->second;
}

}  // namespace millrace::ingest
