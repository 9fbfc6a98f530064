// A state run in a file: its bytes as they are asked for, and a buffer before a file that is being
// written. Thread: RunFile any; RunFileBuffer one at a time. Errors: those of the file; kDataLoss
// where it ends before what is asked for.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "runtime/file_system.h"
#include "view/run_bytes.h"

namespace millrace::batch {

class RunFile final : public view::RunBytes {
 public:
  /// `scratch`: the file goes with this object.
  static Result<std::shared_ptr<const RunFile>> open(runtime::FileSystem& files,
                                                     std::filesystem::path path, bool scratch);
  ~RunFile() override;
  Status read(std::uint64_t offset, std::span<char> out) const override;
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] std::string name() const override { return path_.string(); }

 private:
  RunFile(runtime::FileSystem& files, std::filesystem::path path, bool scratch)
      : files_(files), path_(std::move(path)), scratch_(scratch) {}

  runtime::FileSystem& files_;
  const std::filesystem::path path_;
  const bool scratch_;
  std::unique_ptr<runtime::File> file_;
  std::uint64_t size_ = 0;
};

/// Bytes that are appended, in few system calls.
class RunFileBuffer {
 public:
  /// `sync`: what was written goes to the disk every now and then, so that the end has little left
  /// and no other sync waits long behind it.
  RunFileBuffer(runtime::File& file, bool sync) : file_(file), sync_(sync) {}
  Status append(std::string_view bytes);
  Status flush();

 private:
  runtime::File& file_;
  const bool sync_;
  std::string waiting_;
  std::uint64_t written_ = 0;
  std::uint64_t synced_ = 0;
};

}  // namespace millrace::batch
