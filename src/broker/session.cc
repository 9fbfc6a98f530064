#include "broker/session.h"

namespace millrace::broker {

using wire::mqtt::QoS;

std::shared_ptr<ClientLink> Session::attach(std::shared_ptr<ClientLink> link) {
  const MutexLock lock(mutex_);
  // All that has no last acknowledgement is sent again [MQTT-4.4.0-1], and a PUBREC that is not in
  // the log yet comes again.
  next_ = first_;
  in_flight_ = 0;
  rows_.clear();
  for (Delivery& delivery : queue_) {
    if (delivery.state == Delivery::State::kPubRec) delivery.state = Delivery::State::kSent;
  }
  passing_.clear();
  return std::exchange(link_, std::move(link));
}

bool Session::detach(const ClientLink* link) {
  std::shared_ptr<ClientLink> gone;
  const MutexLock lock(mutex_);
  if (link_.get() != link) return false;
  gone = std::move(link_);
  link_ = nullptr;
  for (const Delivery& delivery : passing_) bytes_ -= delivery.message->size_bytes();
  passing_.clear();
  return true;
}

std::shared_ptr<ClientLink> Session::link() const {
  const MutexLock lock(mutex_);
  return link_;
}

bool Session::connected() const {
  const MutexLock lock(mutex_);
  return link_ != nullptr;
}

bool Session::has_room(const Room& limit, std::size_t message_bytes) const {
  const MutexLock lock(mutex_);
  return waiting_ + passing_.size() < limit.messages &&
         (bytes_ == 0 || bytes_ + message_bytes <= limit.bytes);
}

void Session::offer(Delivery delivery) {
  const MutexLock lock(mutex_);
  bytes_ += delivery.message->size_bytes();
  if (delivery.qos == QoS::kAtMostOnce) {
    passing_.push_back(std::move(delivery));
  } else {
    queue_.push_back(std::move(delivery));
    ++waiting_;
  }
  if (link_ != nullptr) link_->wake();
}

void Session::restore(std::uint64_t sequence, Delivery delivery) {
  const MutexLock lock(mutex_);
  if (queue_.empty()) first_ = next_ = sequence;
  while (first_ + queue_.size() < sequence) {
    queue_.emplace_back().state = Delivery::State::kDone;
  }
  bytes_ += delivery.message->size_bytes();
  ++waiting_;
  queue_.push_back(std::move(delivery));
}

Delivery* Session::find(std::uint16_t packet_id, std::uint64_t& sequence) {
  if (packet_id == 0 || packet_id > kPacketIds) return nullptr;
  const std::uint64_t front_id = first_ % kPacketIds;
  const std::uint64_t ahead = (packet_id - 1 + kPacketIds - front_id) % kPacketIds;
  sequence = first_ + ahead;
  // What was not sent has no packet id yet.
  if (sequence >= next_ || ahead >= queue_.size()) return nullptr;
  return &queue_[ahead];
}

void Session::finish(Delivery& delivery) {
  bytes_ -= delivery.message->size_bytes();
  --waiting_;
  delivery.state = Delivery::State::kDone;
  delivery.message.reset();
  delivery.ids = {};
}

void Session::pop_done() {
  while (!queue_.empty() && queue_.front().state == Delivery::State::kDone) {
    queue_.pop_front();
    ++first_;
  }
  next_ = std::max(next_, first_);
}

bool Session::puback(std::uint16_t packet_id) {
  const MutexLock lock(mutex_);
  if (packet_id > kPacketIds) {
    if (rows_.erase(packet_id) == 0) return false;
    --in_flight_;
    return true;
  }
  std::uint64_t sequence = 0;
  Delivery* delivery = find(packet_id, sequence);
  if (delivery == nullptr || delivery->qos != QoS::kAtLeastOnce ||
      delivery->state != Delivery::State::kSent)
    return false;
  finish(*delivery);
  --in_flight_;
  if (durable_) acked_.push_back(sequence);
  pop_done();
  return true;
}

std::uint16_t Session::begin_row(std::uint16_t receive_maximum) {
  const MutexLock lock(mutex_);
  if (in_flight_ >= receive_maximum || rows_.size() >= kRowIds) return 0;
  std::uint16_t id = 0;
  do {
    id = static_cast<std::uint16_t>(kPacketIds + 1 + next_row_++ % kRowIds);
  } while (!rows_.insert(id).second);
  ++in_flight_;
  return id;
}

Session::PubRec Session::pubrec(std::uint16_t packet_id, bool refused, std::uint64_t& sequence) {
  const MutexLock lock(mutex_);
  Delivery* delivery = find(packet_id, sequence);
  if (delivery == nullptr || delivery->qos != QoS::kExactlyOnce) return PubRec::kUnknown;
  switch (delivery->state) {
    case Delivery::State::kSent:
      break;
    case Delivery::State::kReceived:
      return PubRec::kRepeated;
    default:
      return PubRec::kUnknown;
  }
  if (refused) {
    // The client has no use for it [MQTT 5, 4.3.3]: no PUBREL follows.
    finish(*delivery);
    --in_flight_;
    if (durable_) acked_.push_back(sequence);
    pop_done();
    return PubRec::kUnknown;
  }
  delivery->state = durable_ ? Delivery::State::kPubRec : Delivery::State::kReceived;
  return PubRec::kNew;
}

bool Session::pubcomp(std::uint16_t packet_id) {
  const MutexLock lock(mutex_);
  std::uint64_t sequence = 0;
  Delivery* delivery = find(packet_id, sequence);
  if (delivery == nullptr || delivery->state != Delivery::State::kReceived) return false;
  finish(*delivery);
  --in_flight_;
  if (durable_) acked_.push_back(sequence);
  pop_done();
  return true;
}

std::vector<std::uint64_t> Session::take_acked() {
  const MutexLock lock(mutex_);
  return std::exchange(acked_, {});
}

void Session::acked(std::span<const std::uint64_t> sequences) {
  const MutexLock lock(mutex_);
  for (const std::uint64_t sequence : sequences) {
    if (sequence < first_ || sequence - first_ >= queue_.size()) continue;
    Delivery& delivery = queue_[sequence - first_];
    if (delivery.state != Delivery::State::kDone) finish(delivery);
  }
  pop_done();
}

void Session::pubrec_stored(std::span<const std::uint64_t> sequences) {
  const MutexLock lock(mutex_);
  for (const std::uint64_t sequence : sequences) {
    if (sequence < first_ || sequence - first_ >= queue_.size()) continue;
    Delivery& delivery = queue_[sequence - first_];
    if (delivery.state != Delivery::State::kDone) delivery.state = Delivery::State::kReceived;
  }
}

Session::Inbound Session::receive(std::uint16_t packet_id) {
  const MutexLock lock(mutex_);
  const auto [place, fresh] = received_.emplace(packet_id, false);
  if (fresh) return Inbound::kNew;
  return place->second ? Inbound::kStored : Inbound::kPending;
}

void Session::receive_stored(std::uint16_t packet_id) {
  const MutexLock lock(mutex_);
  received_[packet_id] = true;
}

bool Session::release(std::uint16_t packet_id) {
  const MutexLock lock(mutex_);
  return received_.erase(packet_id) != 0;
}

bool Session::holds(std::uint16_t packet_id) const {
  const MutexLock lock(mutex_);
  const auto found = received_.find(packet_id);
  return found != received_.end() && found->second;
}

std::vector<std::uint16_t> Session::received() const {
  const MutexLock lock(mutex_);
  std::vector<std::uint16_t> out;
  for (const auto& [packet_id, stored] : received_) {
    if (stored) out.push_back(packet_id);
  }
  return out;
}

std::uint64_t Session::queued() const {
  const MutexLock lock(mutex_);
  return waiting_;
}

std::uint64_t Session::next_sequence() const {
  const MutexLock lock(mutex_);
  return first_ + queue_.size();
}

void Session::set_next_sequence(std::uint64_t sequence) {
  const MutexLock lock(mutex_);
  if (queue_.empty()) {
    first_ = next_ = sequence;
    return;
  }
  while (first_ + queue_.size() < sequence) {
    queue_.emplace_back().state = Delivery::State::kDone;
  }
}

}  // namespace millrace::broker
