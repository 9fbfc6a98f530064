#include "ingest/duplicate_filter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/random.h"
#include "sql/scalar_stage.h"

namespace millrace::ingest {

namespace {

/// Rows of the lake that are read back by one statement.
constexpr std::uint64_t kRestoreRows = 1'000'000;
/// A clock that was set back between an arrival and its lake commit, at most.
constexpr std::int64_t kClockStepUs = std::int64_t{3600} * 1'000'000;

/// Bytes that are equal where two values of the column are: integers of any width as 128 bits.
class CanonicalBytes {
 public:
  std::string_view of(const ColumnView& column, std::size_t row) {
    switch (column.type.physical()) {
      case PhysicalType::kBool:
        return integer(column.as<std::uint8_t>()[row] != 0 ? 1 : 0);
      case PhysicalType::kInt8:
        return integer(column.as<std::int8_t>()[row]);
      case PhysicalType::kInt16:
        return integer(column.as<std::int16_t>()[row]);
      case PhysicalType::kInt32:
        return integer(column.as<std::int32_t>()[row]);
      case PhysicalType::kInt64:
        return integer(column.as<std::int64_t>()[row]);
      case PhysicalType::kInt128:
        return integer(column.as<Int128>()[row]);
      case PhysicalType::kUInt8:
        return integer(column.as<std::uint8_t>()[row]);
      case PhysicalType::kUInt16:
        return integer(column.as<std::uint16_t>()[row]);
      case PhysicalType::kUInt32:
        return integer(column.as<std::uint32_t>()[row]);
      case PhysicalType::kUInt64:
        return integer(static_cast<Int128>(column.as<std::uint64_t>()[row]));
      case PhysicalType::kFloat:
        return real(static_cast<double>(column.as<float>()[row]));
      case PhysicalType::kDouble:
        return real(column.as<double>()[row]);
      case PhysicalType::kString:
        return column.as<StringRef>()[row].view();
    }
    return {};
  }

 private:
  std::string_view integer(Int128 value) {
    std::memcpy(bytes_, &value, sizeof(value));
    return {bytes_, sizeof(value)};
  }
  std::string_view real(double value) {
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
    if (value == 0) value = 0;  // -0.0 is 0.0
    std::memcpy(bytes_, &value, sizeof(value));
    return {bytes_, sizeof(value)};
  }
  char bytes_[sizeof(Int128)];
};

/// The event time, but not later than the arrival: a wrong time in the future must not end the
/// memory of everything else. Without a time column the arrival.
std::int64_t time_of(const StreamDefinition& stream, const ColumnBatch& columns, std::size_t row,
                     std::int64_t arrival_us) {
  if (!stream.time_column) return arrival_us;
  const auto& column = columns.column(*stream.time_column);
  if (!column.valid(row)) return arrival_us;
  switch (column.type().kind) {
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      return std::min(column.data<std::int64_t>()[row], arrival_us);
    case TypeKind::kDate:
      return std::min(std::int64_t{column.data<std::int32_t>()[row]} * 86'400'000'000, arrival_us);
    default:
      return arrival_us;
  }
}

}  // namespace

bool DuplicateFilter::Claim::repeats_are_stored() const {
  return std::ranges::all_of(waits_for,
                             [](const auto& claim) { return claim->state == State::kStored; });
}

DuplicateFilter::DuplicateFilter(const StreamDefinition& stream)
    : key_{runtime::random_u64(), runtime::random_u64()}, seen_(stream.dedup_within_us) {}

std::vector<std::optional<SeenValue>> DuplicateFilter::values_of(const StreamDefinition& stream,
                                                                 const ColumnBatch& columns,
                                                                 std::int64_t arrival_us) const {
  const auto& column = columns.column(*stream.dedup_column);
  const ColumnView view = column.view();
  CanonicalBytes bytes;
  std::vector<std::optional<SeenValue>> out(columns.rows());
  for (std::size_t row = 0; row < columns.rows(); ++row) {
    if (!column.valid(row)) continue;
    out[row] = SeenValue{sip_hash_128(key_, bytes.of(view, row)),
                         time_of(stream, columns, row, arrival_us)};
  }
  return out;
}

Status DuplicateFilter::pass(const StreamDefinition& stream, const ColumnBatch& columns,
                             std::int64_t arrival_us,
                             const std::function<Status(const Passed&)>& append) {
  const auto values = values_of(stream, columns, arrival_us);
  std::vector<std::uint32_t> rows;
  rows.reserve(values.size());
  Passed passed;
  passed.claim = std::make_shared<Claim>();
  Claim& claim = *passed.claim;

  const MutexLock lock(mutex_);
  const auto is_repeat = [&](const SeenValue& value) REQUIRES(mutex_) {
    if (seen_.contains(value.hash, value.time_us)) return true;
    const auto [begin, end] = claimed_.equal_range(value.hash);
    for (auto place = begin; place != end; ++place) {
      if (place->second.time_us < seen_.horizon_us(value.time_us)) continue;
      const auto& other = place->second.claim;
      if (other != passed.claim &&
          std::ranges::find(claim.waits_for, other) == claim.waits_for.end())
        claim.waits_for.push_back(other);
      return true;
    }
    return false;
  };
  for (std::uint32_t row = 0; row < values.size(); ++row) {
    const auto& value = values[row];
    if (value && is_repeat(*value)) {
      ++passed.duplicates;
      continue;
    }
    rows.push_back(row);
    if (!value) continue;
    claim.values.push_back(*value);
    claimed_.emplace(value->hash, ClaimedValue{value->time_us, passed.claim});
  }
  passed.rows = rows;
  auto appended = append(passed);
  if (!appended) {
    claim.state = Claim::State::kFailed;
    take_back(claim);
  }
  return appended;
}

void DuplicateFilter::take_back(const Claim& claim) {
  for (const auto& value : claim.values) {
    auto [place, end] = claimed_.equal_range(value.hash);
    while (place != end) {
      place = place->second.claim.get() == &claim ? claimed_.erase(place) : std::next(place);
    }
  }
}

void DuplicateFilter::settle(Claim& claim, bool stored) {
  claim.state = stored ? Claim::State::kStored : Claim::State::kFailed;
  const MutexLock lock(mutex_);
  if (stored) {
    for (const auto& value : claim.values) seen_.insert(value);
  }
  take_back(claim);
  claim.values = {};
}

void DuplicateFilter::remember(const StreamDefinition& stream, const StreamBatch& batch) {
  const auto values = values_of(stream, *batch.columns, batch.arrival_us);
  const MutexLock lock(mutex_);
  for (const auto& value : values) {
    if (value) seen_.insert(*value);
  }
}

std::int64_t DuplicateFilter::horizon_us() const {
  const MutexLock lock(mutex_);
  return seen_.horizon_us(std::numeric_limits<std::int64_t>::min());
}

std::uint64_t DuplicateFilter::values() const {
  const MutexLock lock(mutex_);
  return seen_.size();
}

std::uint64_t DuplicateFilter::size_bytes() const {
  const MutexLock lock(mutex_);
  return seen_.size_bytes();
}

std::shared_ptr<DuplicateFilter> DuplicateFilters::of(const StreamDefinition& stream) {
  if (!stream.dedup_column) return nullptr;
  const MutexLock lock(mutex_);
  auto& filter = filters_[stream.id];
  if (filter == nullptr) {
    filter = std::make_shared<DuplicateFilter>(stream);
    auto made = filter;
    std::erase_if(filters_, [&](const auto& entry) {
      return entry.first != stream.id && speed_.stream(entry.first) == nullptr;
    });
    return made;
  }
  return filter;
}

Status DuplicateFilters::restore(sql::Database& database, lake::Lake& lake,
                                 const StreamDefinition& stream,
                                 const std::function<void(const ColumnBatch&)>& visit) {
  const auto filter = of(stream);
  if (filter == nullptr) return {};
  // Only the columns that matter are read.
  StreamDefinition part = stream;
  for (std::uint32_t i = 0; i < part.columns.size(); ++i) part.columns[i].id = stream.field_id(i);
  const std::vector<Column> all = std::move(part.columns);
  part.columns = {all[*stream.dedup_column]};
  part.dedup_column = 0;
  part.key_column.reset();
  if (stream.time_column) {
    part.columns.push_back(all[*stream.time_column]);
    part.time_column = 1;
    if (*stream.time_column == *stream.dedup_column) {
      part.columns.pop_back();
      part.time_column = 0;
    }
  }
  const auto snapshot = lake.snapshot(stream.id);
  // From the newest commit backwards, until all that is left arrived before the horizon: the time
  // of a record is never after its arrival, nor the arrival after the commit.
  auto commit = snapshot->commits.rbegin();
  while (commit != snapshot->commits.rend()) {
    std::vector<sql::LakeFile> files;
    std::uint64_t rows = 0;
    for (; commit != snapshot->commits.rend() && rows < kRestoreRows; ++commit) {
      const std::int64_t horizon = filter->horizon_us();
      if (horizon > std::numeric_limits<std::int64_t>::min() &&
          commit->committed_us + kClockStepUs < horizon) {
        commit = snapshot->commits.rend();
        break;
      }
      for (const auto& file : commit->files) {
        MR_RETURN_IF_ERROR(lake.verify_once(stream.id, file));
        files.push_back({lake.path(stream.id, file), commit->schema_version});
        rows += file.rows;
      }
    }
    MR_RETURN_IF_ERROR(
        sql::read_lake_files(database, files, part, [&](const StreamBatch& batch) -> Status {
          filter->remember(part, batch);
          if (visit) visit(*batch.columns);
          return {};
        }));
  }
  return {};
}

std::uint64_t DuplicateFilters::size_bytes() const {
  const MutexLock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [id, filter] : filters_) sum += filter->size_bytes();
  return sum;
}

}  // namespace millrace::ingest
