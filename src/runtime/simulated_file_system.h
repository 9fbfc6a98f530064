// A disk in memory that behaves as badly as a real one may, by seed: at a power loss it drops,
// reorders and tears what was not synced, in sectors of 512 bytes or 4 KiB, and loses names whose
// folder was not synced; calls fail when told to; after a failed sync the memory shows bytes that
// the device does not have; bits flip. Takes the place of the machine's own files in tests of
// whatever claims to be durable. Owns: all bytes. Thread: any. Invariant: what was synced, and its
// synced name, survives every power loss.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "runtime/file_system.h"

namespace millrace::runtime {

class SimulatedFileSystem final : public FileSystem {
 public:
  enum class Operation {
    kOpen,
    kCreate,
    kRead,
    kWrite,
    kSyncData,
    kTruncate,
    kRename,
    kRemove,
    kList,
    kSyncDirectory,
  };
  struct Call {
    std::uint64_t number = 0;  // of all calls, from 1
    Operation operation = Operation::kOpen;
    std::filesystem::path path;
  };
  enum class Fault { kNone, kIoError, kDiskFull };
  /// Asked at each call, under the disk's lock: it must not call the disk.
  using FaultPlan = std::function<Fault(const Call& call)>;

  explicit SimulatedFileSystem(std::uint64_t seed);
  ~SimulatedFileSystem() override;

  Result<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override;
  Status create_directories(const std::filesystem::path& path) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status remove(const std::filesystem::path& path) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& directory) override;
  Status sync_directory(const std::filesystem::path& directory) override;
  bool exists(const std::filesystem::path& path) override;

  void set_faults(FaultPlan plan);
  /// Writes that make the files larger than this in all give kDiskFull.
  void set_capacity(std::uint64_t bytes);
  /// After so many more calls the power goes: the call under way is done, half done or not done,
  /// and every later one fails until restore_power().
  void cut_power_after(std::uint64_t calls);
  /// Loses what may be lost, as if the power had gone now or at the cut, and starts anew. Files
  /// that were open stay dead.
  void restore_power();
  /// As if the process had been killed now or at the cut: memory survives, files that were open
  /// stay dead.
  void restart_process();
  /// Turns one bit over, on the device and in memory.
  void flip_bit(const std::filesystem::path& path, std::uint64_t bit);
  /// Cuts the file, on the device and in memory.
  void cut_file(const std::filesystem::path& path, std::uint64_t size);
  [[nodiscard]] std::string bytes_of(const std::filesystem::path& path);
  [[nodiscard]] std::uint64_t calls();

 private:
  friend class SimulatedFile;
  struct Write {
    std::uint64_t offset = 0;
    std::string bytes;
  };
  struct Inode {
    std::string memory;           // what reads see
    std::string device;           // what survives for sure
    std::vector<Write> unsynced;  // what may survive
  };
  using InodeRef = std::shared_ptr<Inode>;
  /// A change of names that its folder's sync makes durable: `from` goes, `to` comes; either may be
  /// empty.
  struct NameChange {
    std::filesystem::path from;
    std::filesystem::path to;
    InodeRef inode;
  };
  using Names = std::map<std::filesystem::path, InodeRef>;

  /// The fault of this call, if any.
  Status enter(Operation operation, const std::filesystem::path& path, std::string_view what)
      REQUIRES(mutex_);
  static void put(std::string& bytes, std::uint64_t offset, std::string_view from);
  static void apply(Names& names, const NameChange& change);
  void persist_some(Inode& inode) REQUIRES(mutex_);
  [[nodiscard]] bool chance(double probability) REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t used_bytes() REQUIRES(mutex_);

  Mutex mutex_;
  std::mt19937_64 random_ GUARDED_BY(mutex_);
  Names names_ GUARDED_BY(mutex_);
  Names synced_names_ GUARDED_BY(mutex_);
  std::vector<NameChange> unsynced_names_ GUARDED_BY(mutex_);
  FaultPlan plan_ GUARDED_BY(mutex_);
  std::uint64_t calls_ GUARDED_BY(mutex_) = 0;
  std::optional<std::uint64_t> power_goes_at_ GUARDED_BY(mutex_);
  bool power_ GUARDED_BY(mutex_) = true;
  std::uint64_t life_ GUARDED_BY(mutex_) =
      0;  // power losses so far; a file of an earlier life is dead
  std::uint64_t capacity_ GUARDED_BY(mutex_);
};

}  // namespace millrace::runtime
