#include "speed/speed_layer.h"

#include <algorithm>

#include "base/ascii_case.h"

namespace millrace::speed {

std::shared_ptr<StreamState> SpeedLayer::add_stream(const StreamDefinition& definition,
                                                    CommitNumber last_commit,
                                                    const Position& lake_end) {
  auto state =
      std::make_shared<StreamState>(definition, options_, tail_bytes_, last_commit, lake_end);
  const MutexLock lock(mutex_);
  streams_[definition.id] = state;
  stream_names_[lower_name(definition.name)] = definition.id;
  stream_altered();
  return state;
}

void SpeedLayer::remove_stream(StreamId stream) {
  const MutexLock lock(mutex_);
  streams_.erase(stream);
  stream_altered();
  std::erase_if(stream_names_, [&](const auto& entry) { return entry.second == stream; });
}

void SpeedLayer::add_view(std::shared_ptr<ViewState> view) {
  {
    const MutexLock lock(mutex_);
    view_names_[lower_name(view->record().name)] = view->record().id;
    views_[view->record().id] = std::move(view);
  }
  if (on_names_changed_) on_names_changed_();
}

void SpeedLayer::add_replacement(std::shared_ptr<ViewState> view, ViewId replaced) {
  const MutexLock lock(mutex_);
  replacements_[replaced] = view->record().id;
  views_[view->record().id] = std::move(view);
}

void SpeedLayer::switch_view(ViewId replaced, ViewId replacement) {
  {
    const MutexLock lock(mutex_);
    for (auto& [name, id] : view_names_) {
      if (id == replaced) id = replacement;
    }
    replacements_.erase(replaced);
    views_.erase(replaced);
  }
  if (on_names_changed_) on_names_changed_();
}

void SpeedLayer::remove_view(ViewId view) {
  {
    const MutexLock lock(mutex_);
    views_.erase(view);
    std::erase_if(replacements_, [&](const auto& entry) { return entry.second == view; });
    std::erase_if(view_names_, [&](const auto& entry) { return entry.second == view; });
  }
  if (on_names_changed_) on_names_changed_();
}

std::shared_ptr<StreamState> SpeedLayer::stream(StreamId id) const {
  const MutexLock lock(mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

bool SpeedLayer::is_quarantine(StreamId id) const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(
      streams_, [&](const auto& entry) { return entry.second->definition().quarantine == id; });
}

std::shared_ptr<StreamState> SpeedLayer::find_stream(std::string_view name) const {
  const std::string key = lower_name(name);
  const MutexLock lock(mutex_);
  const auto found = stream_names_.find(key);
  return found == stream_names_.end() ? nullptr : streams_.at(found->second);
}

std::shared_ptr<ViewState> SpeedLayer::find_view(std::string_view name) const {
  const std::string key = lower_name(name);
  const MutexLock lock(mutex_);
  const auto found = view_names_.find(key);
  return found == view_names_.end() ? nullptr : views_.at(found->second);
}

std::shared_ptr<ViewState> SpeedLayer::replacement_of(ViewId replaced) const {
  const MutexLock lock(mutex_);
  const auto found = replacements_.find(replaced);
  return found == replacements_.end() ? nullptr : views_.at(found->second);
}

std::vector<std::shared_ptr<ViewState>> SpeedLayer::named_views() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<ViewState>> out;
  for (const auto& [name, id] : view_names_) out.push_back(views_.at(id));
  return out;
}

std::vector<std::shared_ptr<StreamState>> SpeedLayer::streams() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<StreamState>> out;
  for (const auto& [id, state] : streams_) out.push_back(state);
  return out;
}

std::vector<std::vector<std::shared_ptr<StreamState>>> SpeedLayer::connected_streams() const {
  const MutexLock lock(mutex_);
  // By each stream, the smallest id of its set.
  std::map<StreamId, StreamId> set_of;
  for (const auto& [id, state] : streams_) set_of[id] = id;
  for (const auto& [id, view] : views_) {
    const auto& reads = view->record().streams;
    for (std::size_t i = 1; i < reads.size(); ++i) {
      const StreamId one = set_of[reads[i - 1]];
      const StreamId other = set_of[reads[i]];
      for (auto& [stream, set] : set_of) {
        if (set == std::max(one, other)) set = std::min(one, other);
      }
    }
  }
  std::map<StreamId, std::vector<std::shared_ptr<StreamState>>> sets;
  for (const auto& [id, state] : streams_) sets[set_of[id]].push_back(state);
  std::vector<std::vector<std::shared_ptr<StreamState>>> out;
  for (auto& [id, set] : sets) out.push_back(std::move(set));
  return out;
}

std::vector<std::shared_ptr<StreamState>> SpeedLayer::streams_of(const ViewState& view) const {
  std::vector<std::shared_ptr<StreamState>> out;
  for (const auto id : view.record().streams) {
    if (auto state = stream(id)) out.push_back(std::move(state));
  }
  return out;
}

std::vector<std::shared_ptr<ViewState>> SpeedLayer::views() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<ViewState>> out;
  for (const auto& [id, state] : views_) out.push_back(state);
  return out;
}

std::uint64_t SpeedLayer::delta_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& view : views()) sum += view->delta_bytes();
  return sum;
}

}  // namespace millrace::speed
