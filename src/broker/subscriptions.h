// Who wants which topics: filters in a tree, so that a message costs its matches and not the number
// of subscribers. A session gets a message once, however many of its filters match, with the
// highest QoS and all identifiers (MQTT 5, 3.3.4). Of a shared subscription one member gets it: the
// next one that is connected, or else the next whose session waits for it. Which filters match a
// topic is remembered where it took long to find out, as long as no filter comes or goes: thousands
// of overlapping filters cost their walk once a topic. Borrows: the sessions, which are removed
// before they go. Thread: one at a time (the broker's mutex).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/session.h"
#include "broker/topic_tree.h"

namespace millrace::broker {

class Subscriptions {
 public:
  /// True where the session did not have this filter.
  bool add(Session& session, const std::string& filter, const SubscriptionOptions& options);
  bool remove(Session& session, const std::string& filter);
  void remove_all(Session& session);

  struct Match {
    Session* session = nullptr;
    wire::mqtt::QoS qos = wire::mqtt::QoS::kAtMostOnce;  // the subscriptions' highest
    bool retain_as_published = false;
    SubscriptionIds ids;
  };
  /// Those who get a message of this topic, but for shared subscriptions. Good until the next call.
  [[nodiscard]] std::vector<Match>& match(std::string_view topic, SessionId publisher);
  /// The members of shared subscriptions whose turn it is.
  [[nodiscard]] std::vector<Published::Chosen> choose(std::string_view topic);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool any_shared() const { return shared_ != 0; }

 private:
  struct Subscriber {
    Session* session = nullptr;
    SubscriptionOptions options;
  };
  struct Group {
    std::string name;
    std::vector<Subscriber> members;
    std::size_t turn = 0;
  };
  struct Leaf {
    std::vector<Subscriber> subscribers;
    std::vector<Group> groups;
    [[nodiscard]] bool empty() const { return subscribers.empty() && groups.empty(); }
  };
  static void put(std::vector<Subscriber>& all, Session& session,
                  const SubscriptionOptions& options);
  static void take_out(std::vector<Subscriber>& all, const Session& session);
  static const Subscriber* next_of(Group& group);
  void remove_from_tree(Session& session, std::string_view filter);
  /// Of the filters that match a topic. Good until the next call.
  std::span<Leaf* const> leaves_of(std::string_view topic);
  void keep_found(std::string_view topic);
  void forget_found();

  struct TopicHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view topic) const {
      return XXH3_64bits_withSeed(topic.data(), topic.size(), seed);
    }
    std::uint64_t seed;
  };

  TopicTree<Leaf> tree_;
  std::vector<Leaf*> found_;
  std::unordered_map<std::string, std::vector<Leaf*>, TopicHash, std::equal_to<>> known_{
      0, TopicHash{runtime::random_u64()}};
  std::size_t known_bytes_ = 0;
  std::vector<Match> matches_;
  std::uint64_t stamp_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t shared_ = 0;
};

}  // namespace millrace::broker
