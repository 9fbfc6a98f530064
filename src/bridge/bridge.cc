#include "bridge/bridge.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "wire/mqtt_topic.h"

namespace millrace::bridge {

namespace {

/// A thread each.
constexpr std::size_t kConnectionsMax = 64;

std::unexpected<Error> not_there(std::string_view name) {
  return fail(ErrorCode::kNotFound, error_id::kConnectionNotFound, "there is no connection {}",
              name);
}

Status check(const catalog::ConnectionRecord& record, const broker::Broker& broker) {
  MR_RETURN_IF_ERROR(BrokerUrl::parse(record.url));
  const auto bad = [](std::string message) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption, "{}", message);
  };
  if (record.topic.starts_with("$share/"))
    return bad("topic: the group of a shared subscription is given as share = 'group'");
  if (const auto wrong = wire::mqtt::check_topic_filter(record.topic, wire::mqtt::Version::k5))
    return bad(fmt::format("topic '{}': {}", record.topic, wrong->what));
  if (record.share.find_first_of("/+#") != std::string::npos)
    return bad("share: the name of a group has no '/', '+' and '#'");
  if (!record.password.empty() && record.user.empty()) return bad("a password needs a user");
  if (record.stream.empty()) return {};
  const auto stream = broker.speed().find_stream(record.stream);
  if (stream == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "stream {} does not exist",
                record.stream);
  }
  if (!stream->definition().quarantine || stream->definition().source)
    return bad(fmt::format("{} takes no events: it is made of another stream's", record.stream));
  return {};
}

}  // namespace

void Bridge::start() {
  const MutexLock lock(mutex_);
  running_ = true;
  for (const auto& record : catalog_.connections()) run(record);
}

void Bridge::stop() {
  const MutexLock lock(mutex_);
  running_ = false;
  for (const auto& source : sources_) source->stop();
  sources_.clear();
}

void Bridge::run(const catalog::ConnectionRecord& record) {
  // Checked when it was made.
  const auto url = BrokerUrl::parse(record.url);
  if (!url) return;
  sources_.push_back(std::make_unique<RemoteSource>(record, *url, broker_));
  if (!record.paused && running_) sources_.back()->start();
}

std::vector<std::unique_ptr<RemoteSource>>::iterator Bridge::find(std::string_view name) {
  return std::ranges::find_if(
      sources_, [&](const auto& source) { return same_name(source->record().name, name); });
}

Status Bridge::create(catalog::ConnectionRecord record) {
  MR_RETURN_IF_ERROR(check(record, broker_));
  const MutexLock lock(mutex_);
  if (find(record.name) != sources_.end()) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "connection {} exists already",
                record.name);
  }
  if (sources_.size() >= kConnectionsMax) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                "there are {} connections already, the most there can be", sources_.size());
  }
  if (record.client_id.empty())
    record.client_id = fmt::format("millrace-{}-{:08x}", lower_name(record.name),
                                   static_cast<std::uint32_t>(runtime::random_u64()));
  record.created_us = runtime::wall_us();
  MR_RETURN_IF_ERROR(catalog_.put_connection(record));
  for (const auto& stored : catalog_.connections()) {
    if (same_name(stored.name, record.name)) run(stored);
  }
  return {};
}

Status Bridge::drop(std::string_view name) {
  const MutexLock lock(mutex_);
  const auto found = find(name);
  if (found == sources_.end()) return not_there(name);
  MR_RETURN_IF_ERROR(catalog_.drop_connection((*found)->record().number));
  (*found)->stop();
  sources_.erase(found);
  return {};
}

Status Bridge::pause(std::string_view name, bool paused) {
  const MutexLock lock(mutex_);
  const auto found = find(name);
  if (found == sources_.end()) return not_there(name);
  auto record = (*found)->record();
  if (record.paused == paused) return {};
  record.paused = paused;
  MR_RETURN_IF_ERROR(catalog_.put_connection(record));
  (*found)->stop();
  sources_.erase(found);
  run(record);
  return {};
}

std::vector<ConnectionInfo> Bridge::connections() const {
  const MutexLock lock(mutex_);
  std::vector<ConnectionInfo> out;
  for (const auto& source : sources_) {
    const auto& counters = source->counters();
    out.push_back({.record = source->record(),
                   .status = source->status(),
                   .messages = counters.messages.load(),
                   .redelivered = counters.redelivered.load(),
                   .quarantined = source->quarantined(),
                   .unmatched = counters.unmatched.load(),
                   .connects = counters.connects.load(),
                   .waiting = counters.waiting.load()});
    out.back().record.password.clear();
  }
  return out;
}

}  // namespace millrace::bridge
