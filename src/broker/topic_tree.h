// A tree of topic levels with a value at its nodes: filters with their subscribers, or topics with
// their retained message. An edge is one entry of a hash table (parent, level), so a look-up costs
// one probe a level however many siblings there are, and a node costs some 60 bytes. Wildcards lie
// in the tree as levels of their own and are remembered at their parent. Owns: the nodes. Thread:
// one at a time. Errors: none; levels are bounded by whoever checks topics and filters. Invariant:
// every leaf of the tree has a value, so the tree is as large as what is in it.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/random.h"

namespace millrace::broker {

/// Takes the first level off `rest`. False when it was the last one.
inline bool take_level(std::string_view& rest, std::string_view& level) {
  const auto slash = rest.find('/');
  level = rest.substr(0, slash);
  if (slash == std::string_view::npos) return false;
  rest.remove_prefix(slash + 1);
  return true;
}

[[nodiscard]] inline std::size_t count_levels(std::string_view topic) {
  std::size_t levels = 1;
  for (const char c : topic) levels += c == '/' ? 1 : 0;
  return levels;
}

template <class Value>
class TopicTree {
 public:
  TopicTree() : edges_(0, EdgeHash{this, runtime::random_u64()}, EdgeEqual{this}) {
    nodes_.emplace_back();
  }
  TopicTree(const TopicTree&) = delete;
  TopicTree& operator=(const TopicTree&) = delete;

  /// The value at a path, made where there is none.
  Value& at(std::string_view path) {
    std::uint32_t node = kRoot;
    for (bool more = true; more;) {
      std::string_view level;
      more = take_level(path, level);
      node = child_or_new(node, level);
    }
    if (nodes_[node].value == nullptr) {
      nodes_[node].value = std::make_unique<Value>();
      ++values_;
    }
    return *nodes_[node].value;
  }
  [[nodiscard]] Value* find(std::string_view path) {
    const std::uint32_t node = find_node(path);
    return node == kNone ? nullptr : nodes_[node].value.get();
  }
  void erase(std::string_view path) {
    std::uint32_t node = find_node(path);
    if (node == kNone || nodes_[node].value == nullptr) return;
    nodes_[node].value.reset();
    --values_;
    while (node != kRoot && nodes_[node].value == nullptr && nodes_[node].first_child == kNone) {
      const std::uint32_t parent = nodes_[node].parent;
      unlink(node);
      node = parent;
    }
  }

  /// The tree has filters: visit(value) for each that matches the topic name (MQTT 5, 4.7). Gives
  /// the number of nodes that were looked at: with n filters of many '+' up to some n.
  template <class Visit>
  std::size_t for_each_filter_of(std::string_view topic, Visit&& visit) {
    const bool system = topic.starts_with('$');
    return match_topic(kRoot, topic, true, system, visit);
  }
  /// The tree has topic names: visit(value) for each that the filter matches; stops on false.
  template <class Visit>
  bool for_each_topic_of(std::string_view filter, Visit&& visit) {
    return match_filter(kRoot, filter, true, visit);
  }

  template <class Visit>
  void for_each_value(Visit&& visit) {
    for (Node& node : nodes_) {
      if (node.value != nullptr) visit(*node.value);
    }
  }

  [[nodiscard]] std::size_t size() const { return values_; }
  [[nodiscard]] std::size_t nodes() const { return nodes_.size() - free_.size(); }

 private:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  struct Node {
    std::uint32_t parent = kNone;
    std::uint32_t first_child = kNone;
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t plus = kNone;
    std::uint32_t hash = kNone;
    std::string level;
    std::unique_ptr<Value> value;
  };
  struct Edge {
    std::uint32_t parent;
    std::string_view level;
  };
  struct EdgeHash {
    using is_transparent = void;
    const TopicTree* tree;
    /// Whoever chooses the topics must not choose the collisions.
    std::uint64_t seed;
    std::size_t operator()(const Edge& edge) const {
      return XXH3_64bits_withSeed(edge.level.data(), edge.level.size(),
                                  seed + edge.parent * 0x9e37'79b9'7f4a'7c15U);
    }
    std::size_t operator()(std::uint32_t node) const { return (*this)(tree->edge_of(node)); }
  };
  struct EdgeEqual {
    using is_transparent = void;
    const TopicTree* tree;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(const Edge& a, std::uint32_t b) const {
      const Edge other = tree->edge_of(b);
      return a.parent == other.parent && a.level == other.level;
    }
    bool operator()(std::uint32_t a, const Edge& b) const { return (*this)(b, a); }
  };
  [[nodiscard]] Edge edge_of(std::uint32_t node) const {
    return {nodes_[node].parent, nodes_[node].level};
  }

  [[nodiscard]] std::uint32_t child(std::uint32_t node, std::string_view level) const {
    const auto found = edges_.find(Edge{node, level});
    return found == edges_.end() ? kNone : *found;
  }
  [[nodiscard]] std::uint32_t find_node(std::string_view path) const {
    std::uint32_t node = kRoot;
    for (bool more = true; more && node != kNone;) {
      std::string_view level;
      more = take_level(path, level);
      node = child(node, level);
    }
    return node;
  }
  std::uint32_t child_or_new(std::uint32_t node, std::string_view level) {
    if (const std::uint32_t found = child(node, level); found != kNone) return found;
    std::uint32_t made = 0;
    if (free_.empty()) {
      made = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      made = free_.back();
      free_.pop_back();
    }
    Node& fresh = nodes_[made];
    fresh.parent = node;
    fresh.level = std::string(level);
    fresh.next = nodes_[node].first_child;
    if (fresh.next != kNone) nodes_[fresh.next].previous = made;
    nodes_[node].first_child = made;
    if (level == "+") nodes_[node].plus = made;
    if (level == "#") nodes_[node].hash = made;
    edges_.insert(made);
    return made;
  }
  void unlink(std::uint32_t node) {
    edges_.erase(edges_.find(edge_of(node)));
    Node& gone = nodes_[node];
    Node& parent = nodes_[gone.parent];
    if (gone.previous == kNone) {
      parent.first_child = gone.next;
    } else {
      nodes_[gone.previous].next = gone.next;
    }
    if (gone.next != kNone) nodes_[gone.next].previous = gone.previous;
    if (parent.plus == node) parent.plus = kNone;
    if (parent.hash == node) parent.hash = kNone;
    gone = Node{};
    free_.push_back(node);
  }

  template <class Visit>
  void visit_value(std::uint32_t node, Visit& visit) {
    if (nodes_[node].value != nullptr) visit(*nodes_[node].value);
  }
  template <class Visit>
  std::size_t match_topic(std::uint32_t node, std::string_view rest, bool more, bool system,
                          Visit& visit) {
    // Wildcards do not match a first level that begins with '$' [MQTT-4.7.2-1].
    const bool wild = !(system && node == kRoot);
    // "a/#" matches "a", too (4.7.1.2).
    if (wild && nodes_[node].hash != kNone) visit_value(nodes_[node].hash, visit);
    if (!more) {
      visit_value(node, visit);
      return 1;
    }
    std::size_t looked_at = 1;
    std::string_view level;
    more = take_level(rest, level);
    if (wild && nodes_[node].plus != kNone)
      looked_at += match_topic(nodes_[node].plus, rest, more, system, visit);
    if (const std::uint32_t next = child(node, level); next != kNone)
      looked_at += match_topic(next, rest, more, system, visit);
    return looked_at;
  }
  template <class Visit>
  bool visit_below(std::uint32_t node, bool at_root, Visit& visit) {
    for (std::uint32_t at = nodes_[node].first_child; at != kNone; at = nodes_[at].next) {
      if (at_root && nodes_[at].level.starts_with('$')) continue;
      if (nodes_[at].value != nullptr && !visit(*nodes_[at].value)) return false;
      if (!visit_below(at, false, visit)) return false;
    }
    return true;
  }
  template <class Visit>
  bool match_filter(std::uint32_t node, std::string_view rest, bool more, Visit& visit) {
    if (!more) return nodes_[node].value == nullptr || visit(*nodes_[node].value);
    std::string_view level;
    more = take_level(rest, level);
    if (level == "#") {
      if (node != kRoot && nodes_[node].value != nullptr && !visit(*nodes_[node].value))
        return false;
      return visit_below(node, node == kRoot, visit);
    }
    if (level == "+") {
      for (std::uint32_t at = nodes_[node].first_child; at != kNone; at = nodes_[at].next) {
        if (node == kRoot && nodes_[at].level.starts_with('$')) continue;
        if (!match_filter(at, rest, more, visit)) return false;
      }
      return true;
    }
    const std::uint32_t next = child(node, level);
    return next == kNone || match_filter(next, rest, more, visit);
  }

  std::deque<Node> nodes_;
  std::vector<std::uint32_t> free_;
  boost::unordered_flat_set<std::uint32_t, EdgeHash, EdgeEqual> edges_;
  std::size_t values_ = 0;
};

/// Whether a filter matches a topic name, told without a tree.
[[nodiscard]] inline bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  for (bool more_filter = true, more_topic = true;;) {
    std::string_view want;
    std::string_view level;
    if (!more_filter) return !more_topic;
    more_filter = take_level(filter, want);
    if (want == "#") return true;
    if (!more_topic) return false;
    more_topic = take_level(topic, level);
    if (want != "+" && want != level) return false;
    if (!more_topic && more_filter && filter == "#") return true;
  }
}

}  // namespace millrace::broker
