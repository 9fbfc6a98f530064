#include "serving/sinks.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/ascii_case.h"
#include "runtime/clock.h"
#include "runtime/random.h"

namespace millrace::serving {

namespace {

/// A thread and a connection each.
constexpr std::size_t kSinksMax = 64;

std::unexpected<Error> not_there(std::string_view name) {
  return fail(ErrorCode::kNotFound, error_id::kSinkNotFound, "there is no sink {}", name);
}

Status check_options(const catalog::SinkRecord& record, const sink::StoreUrl& url) {
  if (url.kind == sink::StoreKind::kPostgres && !record.format.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "format is an option of sinks into Redis: a table has columns");
  }
  return sink::check_access(url, {.password = record.password,
                                  .password_file = record.password_file,
                                  .tls = record.tls,
                                  .ca_file = record.ca_file});
}

}  // namespace

void Sinks::start() {
  const MutexLock lock(mutex_);
  running_ = true;
  for (const auto& record : catalog_.sinks()) run(record);
}

void Sinks::stop() {
  const MutexLock lock(mutex_);
  running_ = false;
  for (const auto& worker : workers_) worker->stop();
  workers_.clear();
}

void Sinks::run(const catalog::SinkRecord& record) {
  auto url = sink::StoreUrl::parse(record.url);
  if (!url) {
    spdlog::error("sink {}: {}", record.name, url.error().text());
    return;
  }
  workers_.push_back(
      std::make_unique<SinkWorker>(record, std::move(*url), feed_, speed_, database_));
  if (!record.paused && running_) workers_.back()->start();
}

Sinks::Workers::iterator Sinks::find(std::string_view name) {
  return std::ranges::find_if(
      workers_, [&](const auto& worker) { return same_name(worker->record().name, name); });
}

Status Sinks::create(catalog::SinkRecord record) {
  MR_TRY(const auto url, sink::StoreUrl::parse(record.url));
  MR_RETURN_IF_ERROR(check_options(record, url));
  MR_TRY(const std::string named, relation_of_sink(record.select));
  const auto view = speed_.find_view(named);
  if (view == nullptr) {
    auto failure = fail(ErrorCode::kNotFound, error_id::kViewNotFound,
                        "there is no materialized view {}", named);
    failure.error().hint = "a sink reads one materialized view: nothing else says what changed";
    return failure;
  }
  record.view = view->record().name;
  MR_TRY(const auto select, SinkSelect::compile(database_, *view, record.select, url.kind));
  const MutexLock lock(mutex_);
  if (find(record.name) != workers_.end()) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "sink {} exists already",
                record.name);
  }
  for (const auto& other : workers_) {
    if (!other->url().same_object(url)) continue;
    return fail(ErrorCode::kAlreadyExists, error_id::kInUse, "sink {} writes there already",
                other->record().name);
  }
  if (workers_.size() >= kSinksMax) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse,
                "there are {} sinks already, the most there can be", workers_.size());
  }
  record.uid = fmt::format("{:016x}{:016x}", runtime::random_u64(), runtime::random_u64());
  record.created_us = runtime::wall_us();
  MR_RETURN_IF_ERROR(catalog_.put_sink(record));
  for (const auto& stored : catalog_.sinks()) {
    if (same_name(stored.name, record.name)) run(stored);
  }
  return {};
}

Status Sinks::drop(std::string_view name) {
  const MutexLock lock(mutex_);
  const auto found = find(name);
  if (found == workers_.end()) return not_there(name);
  MR_RETURN_IF_ERROR(catalog_.drop_sink((*found)->record().number));
  (*found)->stop();
  workers_.erase(found);
  return {};
}

Status Sinks::pause(std::string_view name, bool paused) {
  const MutexLock lock(mutex_);
  const auto found = find(name);
  if (found == workers_.end()) return not_there(name);
  auto record = (*found)->record();
  if (paused && record.paused) return {};
  record.paused = paused;
  MR_RETURN_IF_ERROR(catalog_.put_sink(record));
  (*found)->stop();
  workers_.erase(found);
  run(record);
  return {};
}

std::vector<SinkInfo> Sinks::infos() const {
  const MutexLock lock(mutex_);
  std::vector<SinkInfo> out;
  for (const auto& worker : workers_) out.push_back(worker->info());
  return out;
}

std::vector<std::string> Sinks::readers_of(std::string_view view) const {
  std::vector<std::string> out;
  for (const auto& sink : catalog_.sinks()) {
    if (same_name(sink.view, view)) out.push_back("sink " + sink.name);
  }
  return out;
}

}  // namespace millrace::serving
