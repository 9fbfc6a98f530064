// The tables that the threads of one scan fill, each its own. Thread: add() on any.
#pragma once

#include <list>

#include "base/mutex.h"
#include "sql/scalar_stage.h"
#include "view/group_table.h"

namespace millrace::batch {

/// A list, so that addresses stay.
class ThreadTables {
 public:
  explicit ThreadTables(const view::AggregatePlan& plan) : plan_(plan) {}
  /// After the scan: all of them in one.
  view::GroupTable merged() {
    const MutexLock lock(mutex_);
    if (tables_.empty()) return view::GroupTable(plan_);
    auto largest = tables_.begin();
    for (auto table = tables_.begin(); table != tables_.end(); ++table) {
      if (table->groups() > largest->groups()) largest = table;
    }
    view::GroupTable out = std::move(*largest);
    tables_.erase(largest);
    for (const auto& table : tables_) out.merge(table);
    return out;
  }

  /// Of rows that begin with the plan's keys and arguments.
  sql::RowSink sink() {
    auto& table = add();
    const std::size_t columns = plan_.keys.size() + plan_.arguments.size();
    return [&table, columns](const BatchView& chunk) {
      table.update({chunk.columns.subspan(0, columns), chunk.rows});
    };
  }

 private:
  view::GroupTable& add() {
    const MutexLock lock(mutex_);
    return tables_.emplace_back(plan_);
  }

  const view::AggregatePlan& plan_;
  Mutex mutex_;
  std::list<view::GroupTable> tables_ GUARDED_BY(mutex_);
};

}  // namespace millrace::batch
