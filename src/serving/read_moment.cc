#include "serving/read_moment.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "ingest/ingest.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

namespace {

/// Views that a transaction may read later are copied with its first read where their deltas have
/// at most so many bytes, each and together.
constexpr std::size_t kOtherBytesMax = std::size_t{1} << 20;
constexpr std::size_t kOthersBytesMax = std::size_t{16} << 20;

/// A view may be replaced between its look-up by name and the moment.
constexpr int kTries = 5;

/// Those whose deltas are small, as many as fit.
std::vector<ReadMoment::View> small_ones(const std::vector<ReadMoment::View>& views) {
  std::vector<ReadMoment::View> out;
  std::size_t sum = 0;
  for (const auto& view : views) {
    const std::size_t bytes = view->delta_bytes();
    if (bytes > kOtherBytesMax || sum + bytes > kOthersBytesMax) continue;
    sum += bytes;
    out.push_back(view);
  }
  return out;
}

}  // namespace

void ReadMoment::copy(const Wanted& wanted, const lake::Lake& lake, std::size_t next) {
  if (next < wanted.streams.size()) {
    const auto& stream = *wanted.streams[next];
    auto& part = streams_[stream.definition().id];
    const auto inside = [&] {
      part.definition = stream.definition();
      part.lake = lake.snapshot(part.definition.id);
      copy(wanted, lake, next + 1);
    };
    if (!wanted.events) {
      stream.hold([&](const Position& applied) {
        part.applied = applied;
        inside();
      });
      return;
    }
    auto snapshot = stream.snapshot(inside);
    part.applied = std::move(snapshot.applied);
    part.tail = std::move(snapshot.tail);
    return;
  }
  for (const auto& view : wanted.views) {
    auto snapshot = view->snapshot();
    if (!snapshot) {
      failed_ = std::unexpected(std::move(snapshot).error());
      return;
    }
    views_[view.get()] = {view, std::move(*snapshot)};
  }
  for (const auto& view : wanted.others) {
    if (auto snapshot = view->snapshot()) views_[view.get()] = {view, std::move(*snapshot)};
  }
}

Status ReadMoment::take(const Wanted& wanted, const lake::Lake& lake) {
  auto sorted = wanted;
  std::ranges::sort(sorted.streams, {}, [](const auto& stream) { return stream->definition().id; });
  failed_ = {};
  copy(sorted, lake, 0);
  MR_RETURN_IF_ERROR(failed_);
  // A view that was taken out of its streams before the moment lags behind it.
  for (const auto& view : wanted.others) {
    const auto found = views_.find(view.get());
    if (found != views_.end() && !fits(found->second.snapshot.coverage, view->record().streams))
      views_.erase(found);
  }
  for (const auto& view : wanted.views) {
    if (fits(views_.at(view.get()).snapshot.coverage, view->record().streams)) continue;
    for (const auto& stream : wanted.streams) streams_.erase(stream->definition().id);
    for (const auto& other : wanted.views) views_.erase(other.get());
    for (const auto& other : wanted.others) views_.erase(other.get());
    return fail(ErrorCode::kUnavailable, error_id::kBusy, "view {} was just replaced",
                view->record().name);
  }
  return {};
}

bool ReadMoment::fits(const speed::Coverage& coverage, std::span<const StreamId> streams) const {
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto part = streams_.find(streams[i]);
    if (part == streams_.end()) return false;
    const auto& there = part->second.applied;
    const auto& here = coverage.streams[i].delta_end;
    if (!there.covers(here) || !here.covers(there)) return false;
  }
  return true;
}

const speed::ViewSnapshot* ReadMoment::find(const speed::ViewState& view) const {
  const auto found = views_.find(&view);
  return found == views_.end() ? nullptr : &found->second.snapshot;
}

const ReadMoment::StreamPart* ReadMoment::find(StreamId stream) const {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

bool ReadMoment::keep_if_unchanged(const View& view) {
  auto snapshot = view->snapshot();
  if (!snapshot || !fits(snapshot->coverage, view->record().streams)) return false;
  views_[view.get()] = {view, std::move(*snapshot)};
  return true;
}

std::optional<std::vector<Position>> ReadMoment::positions(const speed::ViewState& view) const {
  std::vector<Position> out;
  for (const auto id : view.record().streams) {
    const auto* part = find(id);
    if (part == nullptr) return std::nullopt;
    out.push_back(part->applied);
  }
  return out;
}

Status StatementRunner::take_moment(const std::set<std::string>& relations,
                                    std::optional<ReadMoment>& own, Assembly& assembly) {
  if (assembly.types_only) return {};
  for (int attempt = 1;; ++attempt) {
    ReadMoment::Wanted wanted;
    std::map<StreamId, int> readers;
    const auto want = [&](StreamId id) {
      ++readers[id];
      if (assembly.moment != nullptr && assembly.moment->find(id) != nullptr) return;
      auto stream = speed_.stream(id);
      if (stream != nullptr && std::ranges::find(wanted.streams, stream) == wanted.streams.end())
        wanted.streams.push_back(std::move(stream));
    };
    std::set<std::string> names = relations;
    for (const auto& name : relations) {
      const auto plain = catalog_.find_view(name);
      if (!plain || plain->materialized) continue;
      for (auto& inner : everything_read_by(plain->select)) names.insert(std::move(inner));
    }
    for (const auto& name : names) {
      if (const auto stream = catalog_.find_stream(name)) {
        want(stream->id);
        wanted.events = true;
      } else if (auto view = find_built(name, assembly.started_us)) {
        for (const auto id : view->record().streams) want(id);
        wanted.views.push_back(std::move(view));
      }
    }
    const bool shared = std::ranges::any_of(readers, [](const auto& r) { return r.second > 1; });
    if (assembly.moment == nullptr && !shared) return {};
    if (assembly.moment == nullptr) assembly.moment = &own.emplace();
    auto& moment = *assembly.moment;
    if (wanted.streams.empty()) return {};
    if (!own) {
      // A transaction: with its first read of a stream, all that may be read together with it.
      wanted.events = true;
      for (const auto& set : speed_.connected_streams()) {
        const bool touched = std::ranges::any_of(set, [&](const auto& stream) {
          return std::ranges::find(wanted.streams, stream) != wanted.streams.end();
        });
        if (!touched) continue;
        for (const auto& stream : set) {
          if (moment.find(stream->definition().id) == nullptr &&
              std::ranges::find(wanted.streams, stream) == wanted.streams.end())
            wanted.streams.push_back(stream);
        }
      }
      const auto is_wanted = [&](const auto& view) {
        return std::ranges::find(wanted.views, view) != wanted.views.end();
      };
      std::vector<ReadMoment::View> others;
      for (auto& view : speed_.named_views()) {
        const bool over = std::ranges::any_of(speed_.streams_of(*view), [&](const auto& stream) {
          return std::ranges::find(wanted.streams, stream) != wanted.streams.end();
        });
        if (over && !is_wanted(view)) others.push_back(std::move(view));
      }
      wanted.others = small_ones(others);
    }
    // Views over streams that are there already were read, or are read as they were then.
    std::erase_if(wanted.views, [&](const auto& view) {
      return std::ranges::any_of(view->record().streams,
                                 [&](StreamId id) { return moment.find(id) != nullptr; });
    });
    const auto taken = moment.take(wanted, lake_);
    if (taken || taken.error().code != ErrorCode::kUnavailable ||
        taken.error().id != error_id::kBusy || attempt == kTries)
      return taken;
    if (own) assembly.moment = nullptr;
  }
}

Result<ScannedRows> StatementRunner::read_in(const std::shared_ptr<speed::ViewState>& view,
                                             ViewScan& scan, Assembly& assembly) {
  if (assembly.moment == nullptr) return scan_view(*view, scan);
  auto& moment = *assembly.moment;
  const auto points = moment.positions(*view);
  // A view may have come by this name since the moment was taken.
  if (!points) return scan_view(*view, scan);
  if (moment.find(*view) == nullptr && !moment.keep_if_unchanged(view)) {
    MR_TRY(const auto streams, streams_of(catalog_, view->record()));
    std::vector<Events> events;
    for (const auto& stream : streams) {
      MR_TRY(auto found, events_of(stream));
      events.push_back(std::move(found));
    }
    scan = whole_scan(view->compiled());
    MR_TRY(auto rows, read_at(*view, streams, events, *points));
    return ScannedRows{
        .batches = {std::move(rows.rows)}, .coverage = std::move(rows.coverage), .counts = {}};
  }
  return scan_view(*view, *moment.find(*view), scan);
}

Result<StatementRunner::Events> StatementRunner::events_in(const StreamDefinition& stream,
                                                           Assembly& assembly) {
  const auto* part = assembly.moment == nullptr ? nullptr : assembly.moment->find(stream.id);
  if (part == nullptr) return events_of(stream);
  Events out{.stream = part->definition, .lake = part->lake, .tail = {}, .applied = part->applied};
  for (const auto& entry : part->tail) {
    // The lake may be one commit ahead of the tail: those events are read from the lake.
    if (entry.batch.base_offset < part->lake->end.end(entry.batch.partition)) continue;
    auto batch = ingest::load_tail_entry(log_, part->definition, entry);
    if (!batch && batch.error().code == ErrorCode::kNotFound) {
      return std::unexpected(
          Error{.code = ErrorCode::kFailedPrecondition,
                .id = std::string(error_id::kTransaction),
                .message = fmt::format("the events of stream {} at the moment of this transaction "
                                       "are not kept any more",
                                       stream.name),
                .hint = "begin the transaction again, and read the stream first",
                .place = {}});
    }
    if (!batch) return std::unexpected(std::move(batch).error());
    out.tail.push_back(std::move(*batch));
  }
  return out;
}

}  // namespace millrace::serving
