// Walks over (key, state) in the order of the keys: of a run, of several parts whose states of one
// key are merged. What GroupTable gives in order is group_table.h's SortedGroups. Thread: one at a
// time. Errors: those of the run; kDataLoss for bytes that are no state. After an error a cursor is
// not used again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/aggregate_plan.h"
#include "view/state_run.h"
#include "view/state_run_writer.h"

namespace millrace::view {

class StateCursor {
 public:
  virtual ~StateCursor() = default;
  [[nodiscard]] virtual bool at_end() const = 0;
  /// Good until the next step.
  [[nodiscard]] virtual std::string_view key() const = 0;
  [[nodiscard]] virtual std::string_view state() const = 0;
  [[nodiscard]] virtual Status next() = 0;
};

/// Of a run. At its end until it is placed.
class RunCursor final : public StateCursor {
 public:
  /// `keep`: the blocks that it reads stay in the cache; a walk over all of a run passes by.
  RunCursor(std::shared_ptr<const StateRun> run, bool keep) : run_(std::move(run)), keep_(keep) {}
  /// To the first entry whose key is not less.
  [[nodiscard]] Status seek(std::string_view key);
  /// To the last entry whose key is less; to the last of all where `key` is empty.
  [[nodiscard]] Status seek_before(std::string_view key);
  /// From the first entry to the end.
  [[nodiscard]] Status prev();

  [[nodiscard]] bool at_end() const override { return block_ == nullptr; }
  [[nodiscard]] std::string_view key() const override { return entry_.key; }
  [[nodiscard]] std::string_view state() const override { return entry_.state; }
  [[nodiscard]] Status next() override;

 private:
  Status enter(std::size_t number, std::size_t index);

  std::shared_ptr<const StateRun> run_;
  const bool keep_;
  StateRun::Block block_;
  std::size_t number_ = 0;
  std::size_t index_ = 0;
  RunBlock::Entry entry_;
};

/// Of all its parts, which stand where they are to begin: each key once, its states merged.
class MergedCursor final : public StateCursor {
 public:
  MergedCursor(const AggregatePlan& plan, std::vector<std::unique_ptr<StateCursor>> parts);
  ~MergedCursor() override;
  /// Must be called once, before anything else.
  [[nodiscard]] Status start();

  [[nodiscard]] bool at_end() const override;
  [[nodiscard]] std::string_view key() const override;
  [[nodiscard]] std::string_view state() const override;
  [[nodiscard]] Status next() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All that is left of a cursor.
[[nodiscard]] Status write_all(StateCursor& from, StateRunWriter& to);

}  // namespace millrace::view
