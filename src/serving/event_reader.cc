#include "serving/event_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "ingest/ingest.h"
#include "model/value_text.h"
#include "serving/position_text.h"
#include "view/evaluator.h"

namespace millrace::serving {

namespace {

/// The tail may lose events to the lake between two looks.
constexpr int kTries = 5;

std::optional<Position> parse_position(std::string_view text) {
  if (text.starts_with('{')) {
    auto position = Position::parse(text);
    return position ? std::optional(std::move(*position)) : std::nullopt;
  }
  auto position = take_position(text);
  return text.empty() ? position : std::nullopt;
}

void add(const StreamBatch& batch, EventPage& page) {
  page.end.set_end(batch.partition, batch.end_offset());
  page.batches.push_back(batch);
}

std::uint64_t rows_of(const EventPage& page) {
  std::uint64_t rows = 0;
  for (const auto& batch : page.batches) rows += batch.columns->rows();
  return rows;
}

}  // namespace

/// What lake and tail have between them at one moment.
struct EventReader::Moment {
  StreamDefinition stream;
  std::shared_ptr<const lake::LakeSnapshot> lake;
  speed::StreamState::Snapshot tail;
};

EventReader::Moment EventReader::moment_of(const speed::StreamState& stream) {
  Moment moment;
  moment.tail = stream.snapshot([&] {
    moment.stream = stream.definition();
    moment.lake = lake_.snapshot(moment.stream.id);
  });
  return moment;
}

Result<std::vector<sql::LakeFile>> EventReader::files_of(const StreamDefinition& stream,
                                                         const catalog::LakeCommit& commit) {
  std::vector<sql::LakeFile> files;
  for (const auto& file : commit.files) {
    MR_RETURN_IF_ERROR(lake_.verify_once(stream.id, file));
    files.push_back({lake_.path(stream.id, file), commit.schema_version});
  }
  return files;
}

Result<EventPage> EventReader::read(const speed::StreamState& stream, const Position& from,
                                    std::uint64_t rows_max) {
  for (int attempt = 1;; ++attempt) {
    const auto moment = moment_of(stream);
    EventPage page{.stream = moment.stream, .batches = {}, .end = from, .at_end = false};
    for (std::uint32_t p = 0; p < moment.stream.partitions; ++p)
      page.end.set_end(PartitionId(p), from.end(PartitionId(p)));
    MR_RETURN_IF_ERROR(read_lake(moment, rows_max, page));
    auto status = read_tail(moment, rows_max, page);
    if (!status && status.error().code == ErrorCode::kNotFound && attempt < kTries) continue;
    MR_RETURN_IF_ERROR(status);
    page.at_end = page.end.covers(moment.tail.applied);
    return page;
  }
}

Status EventReader::read_lake(const Moment& moment, std::uint64_t rows_max, EventPage& page) {
  for (const auto& commit : moment.lake->commits) {
    if (page.end.covers(commit.end)) continue;
    const std::uint64_t room = rows_max - rows_of(page);
    if (room == 0) return {};
    MR_TRY(const auto files, files_of(moment.stream, commit));
    std::uint64_t rows = 0;
    MR_RETURN_IF_ERROR(sql::read_lake_page(lake_database_, files, moment.stream, page.end, room,
                                           [&](const StreamBatch& batch) -> Status {
                                             rows += batch.columns->rows();
                                             add(batch, page);
                                             return {};
                                           }));
    if (rows == room) return {};
  }
  return {};
}

Status EventReader::read_tail(const Moment& moment, std::uint64_t rows_max, EventPage& page) {
  if (!page.end.covers(moment.lake->end)) return {};  // the page is full
  std::uint64_t rows = rows_of(page);
  for (const auto& entry : moment.tail.tail) {
    if (rows == rows_max) return {};
    const Offset begin = page.end.end(entry.batch.partition);
    if (entry.end_offset() <= begin) continue;
    MR_TRY(auto batch, ingest::load_tail_entry(log_, moment.stream, entry));
    const std::size_t first = begin.value - batch.base_offset.value;
    const std::size_t last =
        std::min<std::uint64_t>(batch.columns->rows(), first + rows_max - rows);
    if (first != 0 || last != batch.columns->rows()) batch = view::slice(batch, first, last);
    rows += last - first;
    add(batch, page);
  }
  return {};
}

Result<Position> EventReader::place(const speed::StreamState& stream, std::string_view text) {
  const std::uint32_t partitions = stream.definition().partitions;
  if (text.empty() || text == "earliest") return Position(partitions);
  if (text == "latest") return stream.applied();
  if (auto position = parse_position(text)) {
    if (position->partitions() <= partitions && stream.applied().covers(*position))
      return std::move(*position);
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "from={}: the stream {} has events up to {} only", text, stream.definition().name,
                position_text(stream.applied()));
  }
  const auto time_us = parse_timestamp(text);
  if (!time_us) {
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kBadValue),
              .message = fmt::format("from={} is no place in a stream", text.substr(0, 64)),
              .hint = "earliest, latest, a position such as 17-4, or a time such as "
                      "2026-01-01T00:00:00Z",
              .place = {}});
  }
  const auto moment = moment_of(stream);
  Position place = moment.tail.applied;
  const auto first = [&](PartitionId partition, Offset offset) {
    if (offset < place.end(partition)) place.set_end(partition, offset);
  };
  for (const auto& commit : moment.lake->commits) {
    if (commit.committed_us <= *time_us) continue;  // all of it arrived before
    MR_TRY(const auto files, files_of(moment.stream, commit));
    MR_RETURN_IF_ERROR(sql::first_arrivals(lake_database_, files, moment.stream, *time_us, first));
  }
  for (const auto& entry : moment.tail.tail) {
    if (entry.batch.arrival_us > *time_us) first(entry.batch.partition, entry.batch.base_offset);
  }
  return place;
}

}  // namespace millrace::serving
