// For tests: state runs whose files lie in memory, where they can be damaged.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "view/group_parts.h"
#include "view/state_run_writer.h"

namespace millrace::view {

class BytesInMemory final : public RunBytes {
 public:
  explicit BytesInMemory(std::string content) : bytes(std::move(content)) {}
  Status read(std::uint64_t offset, std::span<char> out) const override {
    if (offset > bytes.size() || out.size() > bytes.size() - offset)
      return fail(ErrorCode::kDataLoss, error_id::kChecksum, "the bytes end at {}", bytes.size());
    if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
    return {};
  }
  [[nodiscard]] std::uint64_t size() const override { return bytes.size(); }
  [[nodiscard]] std::string name() const override { return "of a test"; }

  std::string bytes;
};

/// The file that `fill` writes.
inline std::string run_file(std::uint64_t fingerprint, const RunScratch::Fill& fill) {
  std::string out;
  StateRunWriter writer(fingerprint, [&](std::string_view bytes) -> Status {
    out.append(bytes);
    return {};
  });
  const auto filled = fill(writer);
  MR_CHECK(filled.has_value(), "{}", filled.error().message);
  const auto written = writer.finish();
  MR_CHECK(written && written->size_bytes == out.size(), "{} bytes", out.size());
  return out;
}

inline std::string run_file(std::uint64_t fingerprint, const GroupParts& groups,
                            const AggregatePlan& plan) {
  return run_file(fingerprint, [&](StateRunWriter& writer) -> Status {
    MR_TRY(const auto cursor, groups.cursor(plan, false));
    return write_all(*cursor, writer);
  });
}

inline std::string run_file(std::uint64_t fingerprint, const GroupTable& table) {
  return run_file(fingerprint, [&](StateRunWriter& writer) {
    SortedGroups groups(std::make_shared<const GroupTable>(table));
    return write_all(groups, writer);
  });
}

/// Keeps the parts that were put last, of which there may be none. Thread: one at a time.
class FewParts final : public BlockCache {
 public:
  explicit FewParts(std::size_t parts_max) : parts_max_(parts_max) {}
  std::uint64_t take_run_number() override { return ++runs_; }
  Value find(const Key& key) override {
    const auto found = std::ranges::find(parts_, key, [](const auto& part) { return part.first; });
    return found == parts_.end() ? nullptr : found->second;
  }
  [[nodiscard]] bool has(const Key& key) const override {
    return std::ranges::any_of(parts_, [&](const auto& part) { return part.first == key; });
  }
  void put(const Key& key, Value value, std::size_t /*bytes*/) override {
    parts_.emplace_back(key, std::move(value));
    if (parts_.size() > parts_max_) parts_.pop_front();
  }
  void hold(std::uint64_t /*bytes*/) override {}
  void release(std::uint64_t /*bytes*/) override {}

 private:
  const std::size_t parts_max_;
  std::uint64_t runs_ = 0;
  std::deque<std::pair<Key, Value>> parts_;
};

/// Spilled runs, without a cache.
class ScratchInMemory final : public RunScratch {
 public:
  Result<std::shared_ptr<const StateRun>> spill(std::uint64_t fingerprint,
                                                const Fill& fill) override {
    ++spills;
    return StateRun::open(std::make_shared<BytesInMemory>(run_file(fingerprint, fill)), fingerprint,
                          nullptr);
  }
  int spills = 0;
};

}  // namespace millrace::view
