#include "speed/moment.h"

#include <algorithm>

namespace millrace::speed {

namespace {

/// A stream whose lock is held.
struct Held {
  StreamId stream;
  catalog::Cut edge;
  StreamState::Views* views = nullptr;
};

/// Each stream's lock is held by a call of at_edge() around the next one's.
void hold(Streams ordered, std::vector<Held>& held, const std::function<void()>& during) {
  if (ordered.empty()) {
    during();
    return;
  }
  ordered.front()->at_edge([&](const catalog::Cut& edge, StreamState::Views& views) {
    held.push_back({ordered.front()->definition().id, edge, &views});
    hold(ordered.subspan(1), held, during);
  });
}

void hold_all(Streams streams, const std::function<void(std::span<const Held>)>& during) {
  std::vector<std::shared_ptr<StreamState>> ordered(streams.begin(), streams.end());
  const auto id = [](const auto& stream) { return stream->definition().id; };
  std::ranges::sort(ordered, {}, id);
  const auto repeated = std::ranges::unique(ordered, {}, id);
  ordered.erase(repeated.begin(), repeated.end());
  std::vector<Held> held;
  held.reserve(ordered.size());
  hold(ordered, held, [&] { during(held); });
}

}  // namespace

void add_view(Streams streams, const std::shared_ptr<ViewState>& view,
              const std::function<void(std::span<const catalog::Cut>)>& prepare) {
  hold_all(streams, [&](std::span<const Held> held) {
    std::vector<catalog::Cut> edges;
    for (const auto& stream : streams) {
      const auto one = std::ranges::find(held, stream->definition().id, &Held::stream);
      edges.push_back(one->edge);
    }
    prepare(edges);
    for (const auto& one : held) one.views->push_back(view);
  });
}

std::vector<catalog::Cut> Rolled::cuts_of(const ViewState& view) const {
  std::vector<catalog::Cut> cuts;
  for (const auto stream : view.record().streams) cuts.push_back(edges.at(stream));
  return cuts;
}

Rolled cut_and_roll(Streams streams, bool all) {
  Rolled rolled;
  hold_all(streams, [&](std::span<const Held> held) {
    for (const auto& one : held) rolled.edges.emplace(one.stream, one.edge);
    for (const auto& one : held) {
      for (const auto& view : *one.views) {
        const auto& reads = view->record().streams;
        // Each view once, with the first of its streams.
        const auto first = std::ranges::find_if(held, [&](const Held& other) {
          return std::ranges::find(reads, other.stream) != reads.end();
        });
        if (first->stream != one.stream) continue;
        const bool whole = std::ranges::all_of(
            reads, [&](StreamId stream) { return rolled.edges.contains(stream); });
        if (!whole || !(all || view->is_due())) continue;
        if (!view->may_roll()) {
          rolled.wait = true;
          continue;
        }
        view->roll(rolled.cuts_of(*view));
        rolled.views.push_back(view);
      }
    }
  });
  return rolled;
}

void switch_view(Streams streams, ViewId removed, const std::function<void()>& switch_names) {
  hold_all(streams, [&](std::span<const Held> held) {
    switch_names();
    for (const auto& one : held) {
      std::erase_if(*one.views, [&](const auto& view) { return view->record().id == removed; });
    }
  });
}

}  // namespace millrace::speed
