// The files of generations and checkpoints: sorted runs of (key, state), written as they come and
// durably, named by view and number, and read block by block through one cache. Beside them lie
// runs that memory had no room for ("scratch-N.run"), which go with their last user. Owns: the
// folder states/. Borrows: FileSystem, which the runs that it gives borrow too. Thread: any.
// Errors: kDataLoss (kChecksum) names the file; those of the file system.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "batch/shared_block_cache.h"
#include "catalog/catalog.h"
#include "runtime/file_system.h"
#include "view/state_run.h"
#include "view/state_run_writer.h"

namespace millrace::batch {

struct StateFileOptions {
  /// Of what is read of all runs, and of their indexes.
  std::uint64_t cache_bytes_max = std::uint64_t{256} << 20;
  /// A file up to this size is checked whole when it is opened, so that damage is found while an
  /// older one can take its place; a larger one's blocks when they are read, and by verify().
  std::uint64_t checked_bytes_max = std::uint64_t{128} << 20;
};

class StateFiles final : public view::RunScratch {
 public:
  static Result<std::unique_ptr<StateFiles>> open(runtime::FileSystem& files,
                                                  std::filesystem::path folder,
                                                  StateFileOptions options = {});

  [[nodiscard]] static std::string generation_name(ViewId view, GenerationNumber number);
  [[nodiscard]] static std::string checkpoint_name(ViewId view, CommitNumber base,
                                                   CommitNumber commit);

  struct Written {
    catalog::FileRecord record;
    std::shared_ptr<const view::StateRun> run;
  };
  /// The run that `fill` writes; durable when it returns.
  Result<Written> write(const std::string& name, std::uint64_t fingerprint, const Fill& fill);
  Result<std::shared_ptr<const view::StateRun>> read(const catalog::FileRecord& record,
                                                     std::uint64_t fingerprint);
  Result<std::shared_ptr<const view::StateRun>> spill(std::uint64_t fingerprint,
                                                      const Fill& fill) override;
  /// A file that cannot be removed stays for the next sweep. Whoever reads it goes on doing so.
  void remove(const std::vector<std::string>& names);
  /// Removes what the catalog does not name. At start, before anything is written.
  Status sweep(const std::set<std::string>& named);

  [[nodiscard]] SharedBlockCache::Statistics cache_statistics() const {
    return cache_->statistics();
  }

 private:
  StateFiles(runtime::FileSystem& files, std::filesystem::path folder, StateFileOptions options)
      : files_(files),
        folder_(std::move(folder)),
        options_(options),
        cache_(std::make_shared<SharedBlockCache>(options.cache_bytes_max)) {}
  Result<view::StateRunWriter::Written> write_file(const std::filesystem::path& path,
                                                   std::uint64_t fingerprint, const Fill& fill,
                                                   bool durable);

  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
  const StateFileOptions options_;
  const std::shared_ptr<SharedBlockCache> cache_;
  std::atomic<std::uint64_t> next_scratch_{1};
};

}  // namespace millrace::batch
