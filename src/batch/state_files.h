// The files of generations and checkpoints: sorted runs of (key, state), written durably, named by
// view and number, read back whole and checked. Owns: the folder states/. Borrows: FileSystem.
// Thread: any. Errors: kDataLoss (kChecksum) names the file.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "runtime/file_system.h"
#include "view/state_run.h"

namespace millrace::batch {

class StateFiles {
 public:
  static Result<std::unique_ptr<StateFiles>> open(runtime::FileSystem& files,
                                                  std::filesystem::path folder);

  [[nodiscard]] static std::string generation_name(ViewId view, GenerationNumber number);
  [[nodiscard]] static std::string checkpoint_name(ViewId view, CommitNumber base,
                                                   CommitNumber commit);

  /// `run` is StateRunWriter::finish()'s. Durable when it returns.
  Result<catalog::FileRecord> write(const std::string& name, std::string_view run,
                                    std::uint64_t entries);
  Result<std::shared_ptr<const view::StateRun>> read(const catalog::FileRecord& record,
                                                     std::uint64_t fingerprint);
  /// A file that cannot be removed stays for the next sweep.
  void remove(const std::vector<std::string>& names);
  /// Removes what the catalog does not name. At start, before anything is written.
  Status sweep(const std::set<std::string>& named);

 private:
  StateFiles(runtime::FileSystem& files, std::filesystem::path folder)
      : files_(files), folder_(std::move(folder)) {}
  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
};

}  // namespace millrace::batch
