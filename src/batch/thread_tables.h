// The groups that the threads of one scan make, each its own, in a share of the memory of all.
// Thread: sinks on any; take() after the scan.
#pragma once

#include <algorithm>
#include <list>
#include <thread>

#include "base/mutex.h"
#include "batch/batch_job.h"
#include "sql/scalar_stage.h"
#include "view/group_parts.h"

namespace millrace::batch {

/// Of a batch job, on one thread.
[[nodiscard]] inline view::SpillingGroups groups_of(const BatchInput& input,
                                                    std::uint64_t bytes_max) {
  return {input.view->plan, input.view->fingerprint, input.scratch, bytes_max};
}

class ThreadTables {
 public:
  explicit ThreadTables(const BatchInput& input) : input_(input) {}

  /// Of rows that begin with the plan's keys and arguments.
  sql::RowSink sink() {
    auto& groups = add();
    const auto& plan = input_.view->plan;
    const std::size_t columns = plan.keys.size() + plan.arguments.size();
    return [this, &groups, columns](const BatchView& chunk) {
      groups.table().update({chunk.columns.subspan(0, columns), chunk.rows});
      if (auto spilled = groups.spill_if_large(); !spilled) note(std::move(spilled));
    };
  }

  /// After the scan. Errors: those of the runs that were written.
  Result<view::GroupParts> take() {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(status_);
    view::GroupParts out;
    for (auto& groups : groups_) out.add(groups.take());
    return out;
  }

 private:
  /// A list, so that addresses stay.
  view::SpillingGroups& add() {
    const std::uint64_t threads = std::max(1U, std::thread::hardware_concurrency());
    const MutexLock lock(mutex_);
    return groups_.emplace_back(groups_of(input_, input_.table_bytes_max / threads));
  }
  void note(Status failed) {
    const MutexLock lock(mutex_);
    if (status_) status_ = std::move(failed);
  }

  const BatchInput& input_;
  Mutex mutex_;
  Status status_ GUARDED_BY(mutex_);
  std::list<view::SpillingGroups> groups_ GUARDED_BY(mutex_);
};

}  // namespace millrace::batch
