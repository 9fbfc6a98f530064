// Each file has three states: what memory shows, what the device has, and the writes between the
// two. A sync moves all of them over; a power loss or a failed sync moves a part, sector by sector.
#include "runtime/simulated_file_system.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"

namespace millrace::runtime {

namespace fs = std::filesystem;

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedFileSystem& disk, fs::path path, SimulatedFileSystem::InodeRef inode,
                std::uint64_t life, bool writable)
      : disk_(disk),
        path_(std::move(path)),
        inode_(std::move(inode)),
        life_(life),
        writable_(writable) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) override {
    const MutexLock lock(disk_.mutex_);
    MR_RETURN_IF_ERROR(enter(SimulatedFileSystem::Operation::kRead, "read"));
    const std::string& bytes = inode_->memory;
    if (offset >= bytes.size()) return std::size_t{0};
    const std::size_t size = std::min<std::size_t>(out.size(), bytes.size() - offset);
    if (size > 0) std::memcpy(out.data(), bytes.data() + offset, size);
    return size;
  }

  Status write_at(std::uint64_t offset, ByteSpan bytes) override {
    const MutexLock lock(disk_.mutex_);
    MR_CHECK(writable_, "{} is open for reading only", path_.string());
    auto status = enter(SimulatedFileSystem::Operation::kWrite, "write");
    std::string_view text = as_text(bytes);
    if (status) {
      const std::uint64_t end = offset + text.size();
      const std::uint64_t growth = end > inode_->memory.size() ? end - inode_->memory.size() : 0;
      if (growth > 0 && disk_.used_bytes() + growth > disk_.capacity_) {
        status = fail(ErrorCode::kResourceExhausted, error_id::kDiskFull,
                      "cannot write {}: no space left on the simulated disk", path_.string());
      }
    }
    // A write that fails may have been done in part.
    if (!status) text = text.substr(0, disk_.random_() % (text.size() + 1));
    if (life_ == disk_.life_ && !text.empty() && (status || disk_.chance(0.5))) {
      SimulatedFileSystem::put(inode_->memory, offset, text);
      inode_->unsynced.push_back({.offset = offset, .bytes = std::string(text)});
    }
    return status;
  }

  Status sync_data() override {
    const MutexLock lock(disk_.mutex_);
    if (auto status = enter(SimulatedFileSystem::Operation::kSyncData, "sync"); !status) {
      // As Linux does: a part is on the device, the rest is taken for clean and never written.
      if (disk_.power_ && life_ == disk_.life_) {
        disk_.persist_some(*inode_);
        inode_->unsynced.clear();
      }
      return status;
    }
    // Not all of memory: what a failed sync left behind stays behind.
    for (const auto& write : inode_->unsynced) {
      SimulatedFileSystem::put(inode_->device, write.offset, write.bytes);
    }
    inode_->unsynced.clear();
    return {};
  }

  Result<std::uint64_t> size() override {
    const MutexLock lock(disk_.mutex_);
    return inode_->memory.size();
  }

  Status truncate(std::uint64_t size) override {
    const MutexLock lock(disk_.mutex_);
    MR_RETURN_IF_ERROR(enter(SimulatedFileSystem::Operation::kTruncate, "truncate"));
    // Journaled with the file's size: taken as durable at once.
    inode_->memory.resize(size);
    inode_->device.resize(std::min<std::size_t>(inode_->device.size(), size));
    return {};
  }

  Status forget_cached() override {
    const MutexLock lock(disk_.mutex_);
    std::string seen = inode_->device;
    for (const auto& write : inode_->unsynced) {
      SimulatedFileSystem::put(seen, write.offset, write.bytes);
    }
    // A file does not get shorter by this.
    seen.resize(std::max(seen.size(), inode_->memory.size()), '\0');
    inode_->memory = std::move(seen);
    return {};
  }

 private:
  Status enter(SimulatedFileSystem::Operation operation, std::string_view what)
      REQUIRES(disk_.mutex_) {
    if (life_ != disk_.life_) {
      return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                  "cannot {} {}: opened before the power loss", what, path_.string());
    }
    return disk_.enter(operation, path_, what);
  }

  SimulatedFileSystem& disk_;
  const fs::path path_;
  const SimulatedFileSystem::InodeRef inode_;
  const std::uint64_t life_;
  const bool writable_;
};

SimulatedFileSystem::SimulatedFileSystem(std::uint64_t seed)
    : random_(seed), capacity_(std::numeric_limits<std::uint64_t>::max()) {}
SimulatedFileSystem::~SimulatedFileSystem() = default;

void SimulatedFileSystem::put(std::string& bytes, std::uint64_t offset, std::string_view from) {
  if (bytes.size() < offset + from.size()) bytes.resize(offset + from.size(), '\0');
  from.copy(bytes.data() + offset, from.size());
}

void SimulatedFileSystem::apply(Names& names, const NameChange& change) {
  // Whatever else was lost, a file has one name.
  std::erase_if(names, [&](const auto& entry) { return entry.second == change.inode; });
  if (!change.to.empty()) names[change.to] = change.inode;
}

bool SimulatedFileSystem::chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

std::uint64_t SimulatedFileSystem::used_bytes() {
  std::uint64_t bytes = 0;
  for (const auto& [path, inode] : names_) bytes += inode->memory.size();
  return bytes;
}

Status SimulatedFileSystem::enter(Operation operation, const fs::path& path,
                                  std::string_view what) {
  ++calls_;
  if (power_ && power_goes_at_.has_value() && calls_ > *power_goes_at_) {
    power_ = false;
    // The call during which the power goes may still have its effect.
    if (chance(0.5)) return {};
  }
  if (!power_) {
    return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "cannot {} {}: the power is gone",
                what, path.string());
  }
  const Fault fault =
      plan_ ? plan_({.number = calls_, .operation = operation, .path = path}) : Fault::kNone;
  switch (fault) {
    case Fault::kNone:
      return {};
    case Fault::kIoError:
      return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                  "cannot {} {}: simulated input/output error", what, path.string());
    case Fault::kDiskFull:
      return fail(ErrorCode::kResourceExhausted, error_id::kDiskFull,
                  "cannot {} {}: no space left on the simulated disk", what, path.string());
  }
  return {};
}

Result<std::unique_ptr<File>> SimulatedFileSystem::open(const fs::path& path, OpenMode mode) {
  const MutexLock lock(mutex_);
  const bool create = mode == OpenMode::kCreate;
  MR_RETURN_IF_ERROR(
      enter(create ? Operation::kCreate : Operation::kOpen, path, create ? "create" : "open"));
  const auto found = names_.find(path);
  InodeRef inode;
  if (create) {
    if (found != names_.end()) {
      return fail(ErrorCode::kAlreadyExists, error_id::kDiskFailed, "cannot create {}: it exists",
                  path.string());
    }
    inode = std::make_shared<Inode>();
    names_[path] = inode;
    unsynced_names_.push_back({.from = {}, .to = path, .inode = inode});
  } else {
    if (found == names_.end()) {
      return fail(ErrorCode::kNotFound, error_id::kDiskFailed, "cannot open {}: no such file",
                  path.string());
    }
    inode = found->second;
  }
  return std::make_unique<SimulatedFile>(*this, path, std::move(inode), life_,
                                         mode != OpenMode::kRead);
}

Status SimulatedFileSystem::create_directories(const fs::path&) {
  // Folders are only parts of names here.
  return {};
}

Status SimulatedFileSystem::rename(const fs::path& from, const fs::path& to) {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(enter(Operation::kRename, from, "rename"));
  const auto found = names_.find(from);
  if (found == names_.end()) {
    return fail(ErrorCode::kNotFound, error_id::kDiskFailed, "cannot rename {}: no such file",
                from.string());
  }
  const NameChange change{.from = from, .to = to, .inode = found->second};
  apply(names_, change);
  unsynced_names_.push_back(change);
  return {};
}

Status SimulatedFileSystem::remove(const fs::path& path) {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(enter(Operation::kRemove, path, "remove"));
  const auto found = names_.find(path);
  if (found == names_.end()) {
    return fail(ErrorCode::kNotFound, error_id::kDiskFailed, "cannot remove {}: no such file",
                path.string());
  }
  const NameChange change{.from = path, .to = {}, .inode = found->second};
  apply(names_, change);
  unsynced_names_.push_back(change);
  return {};
}

Result<std::vector<std::string>> SimulatedFileSystem::list(const fs::path& directory) {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(enter(Operation::kList, directory, "list"));
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (path.parent_path() == directory) names.push_back(path.filename().string());
  }
  std::ranges::sort(names);
  return names;
}

Status SimulatedFileSystem::sync_directory(const fs::path& directory) {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(enter(Operation::kSyncDirectory, directory, "sync folder"));
  std::vector<NameChange> others;
  for (NameChange& change : unsynced_names_) {
    const fs::path& name = change.to.empty() ? change.from : change.to;
    if (name.parent_path() == directory) {
      apply(synced_names_, change);
    } else {
      others.push_back(std::move(change));
    }
  }
  unsynced_names_ = std::move(others);
  return {};
}

bool SimulatedFileSystem::exists(const fs::path& path) {
  const MutexLock lock(mutex_);
  return names_.contains(path);
}

void SimulatedFileSystem::set_faults(FaultPlan plan) {
  const MutexLock lock(mutex_);
  plan_ = std::move(plan);
}

void SimulatedFileSystem::set_capacity(std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  capacity_ = bytes;
}

void SimulatedFileSystem::cut_power_after(std::uint64_t calls) {
  const MutexLock lock(mutex_);
  power_goes_at_ = calls_ + calls;
}

void SimulatedFileSystem::persist_some(Inode& inode) {
  // How much survives is drawn once: nothing, all, and all kinds of mixtures occur.
  const double kept = std::uniform_real_distribution<double>(-0.3, 1.3)(random_);
  const std::uint64_t sector = chance(0.5) ? 512 : 4096;
  for (const Write& write : inode.unsynced) {
    std::uint64_t done = 0;
    while (done < write.bytes.size()) {
      const std::uint64_t at = write.offset + done;
      const std::uint64_t size =
          std::min<std::uint64_t>(sector - at % sector, write.bytes.size() - done);
      if (chance(kept)) put(inode.device, at, std::string_view(write.bytes).substr(done, size));
      done += size;
    }
  }
}

void SimulatedFileSystem::restore_power() {
  const MutexLock lock(mutex_);
  // A journal keeps the order of names: then a first part of the changes survives. Not all disks
  // have one.
  const bool ordered = chance(0.5);
  const double kept = std::uniform_real_distribution<double>(-0.3, 1.3)(random_);
  for (const NameChange& change : unsynced_names_) {
    if (chance(kept)) {
      apply(synced_names_, change);
    } else if (ordered) {
      break;
    }
  }
  unsynced_names_.clear();
  names_ = synced_names_;
  for (auto& [path, inode] : names_) {
    persist_some(*inode);
    inode->unsynced.clear();
    inode->memory = inode->device;
  }
  power_goes_at_.reset();
  power_ = true;
  ++life_;
}

void SimulatedFileSystem::restart_process() {
  const MutexLock lock(mutex_);
  power_goes_at_.reset();
  power_ = true;
  ++life_;
}

void SimulatedFileSystem::flip_bit(const fs::path& path, std::uint64_t bit) {
  const MutexLock lock(mutex_);
  Inode& inode = *names_.at(path);
  for (std::string* bytes : {&inode.memory, &inode.device}) {
    if (bit / 8 < bytes->size()) {
      (*bytes)[bit / 8] = static_cast<char>((*bytes)[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

void SimulatedFileSystem::cut_file(const fs::path& path, std::uint64_t size) {
  const MutexLock lock(mutex_);
  Inode& inode = *names_.at(path);
  inode.memory.resize(std::min<std::size_t>(inode.memory.size(), size));
  inode.device.resize(std::min<std::size_t>(inode.device.size(), size));
}

std::string SimulatedFileSystem::bytes_of(const fs::path& path) {
  const MutexLock lock(mutex_);
  return names_.at(path)->memory;
}

std::uint64_t SimulatedFileSystem::calls() {
  const MutexLock lock(mutex_);
  return calls_;
}

}  // namespace millrace::runtime
