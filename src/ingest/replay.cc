#include "ingest/replay.h"

#include <atomic>
#include <map>
#include <thread>

#include "ingest/record_codec.h"
#include "runtime/clock.h"

namespace millrace::ingest {

namespace {
constexpr std::uint64_t kRoundBytes = std::uint64_t{16} << 20;
}

Status Replay::add(const log::RecoveredBatch& batch) {
  auto stream = speed_.stream(batch.stream);
  if (stream == nullptr) return {};
  gathered_.push_back({std::move(stream), batch, std::string(batch.batch)});
  gathered_bytes_ += batch.batch.size();
  return gathered_bytes_ < kRoundBytes ? Status() : decode_round();
}

Status Replay::finish() {
  MR_RETURN_IF_ERROR(decode_round());
  join_round();
  return {};
}

void Replay::join_round() {
  if (!applying_.valid()) return;
  auto failed = applying_.get();
  failures_.insert(failures_.end(), std::make_move_iterator(failed.begin()),
                   std::make_move_iterator(failed.end()));
}

Status Replay::decode_round() {
  std::vector<Result<DecodedRecords>> decoded(gathered_.size(), DecodedRecords{});
  std::atomic<std::size_t> next{0};
  const auto decode_some = [&] {
    for (std::size_t i = next++; i < gathered_.size(); i = next++) {
      decoded[i] = decode_record_batch(gathered_[i].bytes, gathered_[i].stream->definition());
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::uint32_t t = 1; t < threads_ && t < gathered_.size(); ++t)
      helpers.emplace_back(decode_some);
    decode_some();
  }
  const std::int64_t now = runtime::monotonic_us();
  Rounds rounds;
  const auto remember = [&](speed::StreamState& stream, const StreamBatch& batch) {
    const auto& definition = stream.definition();
    if (const auto filter = filters_.of(definition)) filter->remember(definition, batch);
    if (speed_.is_quarantine(definition.id))
      stream.add_quarantined(quarantined_by(batch.columns->column(*definition.dedup_column)));
  };
  for (std::size_t i = 0; i < gathered_.size(); ++i) {
    const auto& batch = gathered_[i].batch;
    if (!decoded[i]) return std::unexpected(std::move(decoded[i]).error());
    records_ += batch.record_count;
    rounds[gathered_[i].stream].push_back({.batch = {.stream = batch.stream,
                                                     .partition = batch.partition,
                                                     .base_offset = batch.base_offset,
                                                     .arrival_us = decoded[i]->arrival_us,
                                                     .columns = std::move(decoded[i]->columns)},
                                           .place = batch.place,
                                           .rows = batch.record_count,
                                           .applied_us = now});
    remember(*gathered_[i].stream, rounds[gathered_[i].stream].back().batch);
  }
  join_round();
  applying_ = std::async(std::launch::async, [rounds = std::move(rounds)]() mutable {
    Failures failures;
    for (auto& [stream, entries] : rounds) {
      auto failed = stream->apply(std::move(entries));
      if (!failed.empty()) failures.emplace_back(stream, std::move(failed));
    }
    return failures;
  });
  gathered_.clear();
  gathered_bytes_ = 0;
  return {};
}

}  // namespace millrace::ingest
