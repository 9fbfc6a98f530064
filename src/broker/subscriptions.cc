#include "broker/subscriptions.h"

#include <algorithm>

#include "wire/mqtt_topic.h"

namespace millrace::broker {

using wire::mqtt::shared_filter;

namespace {
/// A walk of fewer nodes is as quick as remembering it.
constexpr std::size_t kLongWalk = 64;
/// Of all topics that are remembered.
constexpr std::size_t kKnownBytesMax = std::size_t{4} << 20;
constexpr std::size_t kKnownTopicBytes = 128;
}  // namespace

void Subscriptions::put(std::vector<Subscriber>& all, Session& session,
                        const SubscriptionOptions& options) {
  const auto found = std::ranges::find(all, &session, &Subscriber::session);
  if (found == all.end()) {
    all.push_back({&session, options});
  } else {
    found->options = options;
  }
}

void Subscriptions::take_out(std::vector<Subscriber>& all, const Session& session) {
  const auto found = std::ranges::find(all, &session, &Subscriber::session);
  if (found != all.end()) all.erase(found);
}

bool Subscriptions::add(Session& session, const std::string& filter,
                        const SubscriptionOptions& options) {
  const auto [place, fresh] = session.subscriptions.insert_or_assign(filter, options);
  const std::size_t filters = tree_.size();
  if (const auto shared = shared_filter(filter)) {
    Leaf& leaf = tree_.at(shared->filter);
    auto group = std::ranges::find(leaf.groups, shared->group, &Group::name);
    if (group == leaf.groups.end()) {
      leaf.groups.push_back({.name = std::string(shared->group), .members = {}});
      group = std::prev(leaf.groups.end());
    }
    put(group->members, session, options);
    if (fresh) ++shared_;
  } else {
    auto& all = tree_.at(filter).subscribers;
    if (fresh) {
      all.push_back({&session, options});
    } else {
      put(all, session, options);
    }
  }
  if (tree_.size() != filters) forget_found();
  if (fresh) ++size_;
  return fresh;
}

bool Subscriptions::remove(Session& session, const std::string& filter) {
  if (session.subscriptions.erase(filter) == 0) return false;
  remove_from_tree(session, filter);
  return true;
}

void Subscriptions::remove_all(Session& session) {
  for (const auto& [filter, options] : session.subscriptions) remove_from_tree(session, filter);
  session.subscriptions.clear();
}

void Subscriptions::remove_from_tree(Session& session, std::string_view filter) {
  --size_;
  const auto shared = shared_filter(filter);
  const std::string_view path = shared ? shared->filter : filter;
  Leaf* leaf = tree_.find(path);
  if (leaf == nullptr) return;
  if (shared) {
    --shared_;
    const auto group = std::ranges::find(leaf->groups, shared->group, &Group::name);
    if (group == leaf->groups.end()) return;
    take_out(group->members, session);
    if (group->members.empty()) leaf->groups.erase(group);
  } else {
    take_out(leaf->subscribers, session);
  }
  if (!leaf->empty()) return;
  forget_found();
  tree_.erase(path);
}

std::span<Subscriptions::Leaf* const> Subscriptions::leaves_of(std::string_view topic) {
  if (!known_.empty()) {
    if (const auto known = known_.find(topic); known != known_.end()) return known->second;
  }
  found_.clear();
  const std::size_t looked_at =
      tree_.for_each_filter_of(topic, [&](Leaf& leaf) { found_.push_back(&leaf); });
  if (looked_at >= kLongWalk) keep_found(topic);
  return found_;
}

void Subscriptions::keep_found(std::string_view topic) {
  const std::size_t bytes = kKnownTopicBytes + topic.size() + found_.size() * sizeof(Leaf*);
  if (bytes > kKnownBytesMax) return;
  if (known_bytes_ + bytes > kKnownBytesMax) forget_found();
  known_.emplace(topic, found_);
  known_bytes_ += bytes;
}

void Subscriptions::forget_found() {
  known_.clear();
  known_bytes_ = 0;
}

std::vector<Subscriptions::Match>& Subscriptions::match(std::string_view topic,
                                                        SessionId publisher) {
  matches_.clear();
  ++stamp_;
  for (const Leaf* leaf : leaves_of(topic)) {
    for (const Subscriber& subscriber : leaf->subscribers) {
      Session& session = *subscriber.session;
      if (subscriber.options.no_local && session.id() == publisher) continue;
      if (session.match_stamp != stamp_) {
        session.match_stamp = stamp_;
        session.match_index = matches_.size();
        matches_.push_back({.session = &session, .ids = {}});
      }
      Match& match = matches_[session.match_index];
      match.qos = std::max(match.qos, subscriber.options.qos);
      match.retain_as_published |= subscriber.options.retain_as_published;
      match.ids.add(subscriber.options.id);
    }
  }
  return matches_;
}

const Subscriptions::Subscriber* Subscriptions::next_of(Group& group) {
  const std::size_t count = group.members.size();
  const Subscriber* waiting = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const Subscriber& member = group.members[(group.turn + i) % count];
    if (member.session->connected()) {
      group.turn = (group.turn + i + 1) % count;
      return &member;
    }
    if (waiting == nullptr && member.session->durable()) waiting = &member;
  }
  group.turn = (group.turn + 1) % std::max<std::size_t>(count, 1);
  return waiting;
}

std::vector<Published::Chosen> Subscriptions::choose(std::string_view topic) {
  std::vector<Published::Chosen> out;
  if (shared_ == 0) return out;
  for (Leaf* leaf : leaves_of(topic)) {
    for (Group& group : leaf->groups) {
      if (const Subscriber* member = next_of(group))
        out.push_back({member->session->id(), member->options});
    }
  }
  return out;
}

}  // namespace millrace::broker
