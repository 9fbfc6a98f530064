#include "runtime/worker_pool.h"

#include <algorithm>

#include "runtime/thread_priority.h"

namespace millrace::runtime {

WorkerPool::WorkerPool(const char* name, std::size_t threads, std::size_t queue_max)
    : name_(name),
      queue_max_(queue_max),
      owner_queue_max_(std::max<std::size_t>(1, queue_max - queue_max / 4)),
      owner_threads_max_(std::max<std::size_t>(2, threads) - 1),
      client_threads_max_(std::max<std::size_t>(1, threads / 2)) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
}

WorkerPool::~WorkerPool() { close(); }

bool WorkerPool::post(WorkShare share, std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (closed_ || waiting_ >= queue_max_) return false;
  const auto known = owners_.find(share.owner);
  if (known != owners_.end() && known->second.waiting >= owner_queue_max_) {
    // Clients of it that ask for little have half of what is left, other owners the rest.
    const auto client = known->second.clients.find(share.client);
    const bool has_waiting =
        client != known->second.clients.end() && !client->second.waiting.empty();
    if (has_waiting || known->second.waiting >= (owner_queue_max_ + queue_max_) / 2) return false;
  }
  Owner& owner = owners_[share.owner];
  Client& client = owner.clients[share.client];
  if (owner.waiting++ == 0) turns_.push_back(share.owner);
  if (client.waiting.empty())
    (client.running == 0 ? owner.fresh : owner.turns).push_back(share.client);
  client.waiting.push_back(std::move(task));
  ++waiting_;
  changed_.notify_one();
  return true;
}

void WorkerPool::close() {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

std::optional<std::uint64_t> WorkerPool::next_client(Owner& owner) const {
  for (auto* const clients : {&owner.fresh, &owner.turns}) {
    const auto next = std::ranges::find_if(*clients, [&](std::uint64_t id) {
      return owner.clients[id].running < client_threads_max_;
    });
    if (next == clients->end()) continue;
    const std::uint64_t id = *next;
    clients->erase(next);
    return id;
  }
  return std::nullopt;
}

// Those who are passed over have work that runs, and there are not more of them than threads.
WorkerPool::Taken WorkerPool::take() {
  for (auto owner_id = turns_.begin(); owner_id != turns_.end(); ++owner_id) {
    Owner& owner = owners_[*owner_id];
    if (owner.running >= owner_threads_max_) continue;
    const auto client_id = next_client(owner);
    if (!client_id) continue;
    Taken taken{.share = {.owner = *owner_id, .client = *client_id}, .task = {}};
    Client& client = owner.clients[*client_id];
    taken.task = std::move(client.waiting.front());
    client.waiting.pop_front();
    ++client.running;
    ++owner.running;
    --waiting_;
    if (!client.waiting.empty()) owner.turns.push_back(taken.share.client);
    turns_.erase(owner_id);
    if (--owner.waiting != 0) turns_.push_back(taken.share.owner);
    return taken;
  }
  return {};
}

void WorkerPool::done(WorkShare share) {
  const auto owner = owners_.find(share.owner);
  const auto client = owner->second.clients.find(share.client);
  --owner->second.running;
  if (--client->second.running == 0 && client->second.waiting.empty())
    owner->second.clients.erase(client);
  if (owner->second.clients.empty()) owners_.erase(owner);
}

void WorkerPool::loop() {
  name_thread(name_);
  for (;;) {
    Taken taken;
    {
      const MutexLock lock(mutex_);
      taken = take();
      while (taken.task == nullptr) {
        // What waits then has work that runs: its threads come back for it.
        if (closed_) return;
        changed_.wait(mutex_);
        taken = take();
      }
    }
    taken.task();
    taken.task = nullptr;  // what it holds goes before its turn ends
    const MutexLock lock(mutex_);
    done(taken.share);
  }
}

}  // namespace millrace::runtime
