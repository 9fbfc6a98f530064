// What the frames between the server and a query worker hold. Both sides are the same build, so
// there is no version; the bounds are checked on both sides, since a worker may have been taken
// over by its query. Thread: any, values only. Errors: kDataLoss for bytes that are no such
// message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"

namespace millrace::sql {

/// Of a frame of rows: a batch with more is cut into parts, down to rows that are larger.
inline constexpr std::size_t kRowsFrameBytes = std::size_t{4} << 20;

struct WorkerSetup {
  std::string lake_folder;
  std::uint64_t memory_bytes_max = 0;
  std::uint32_t threads = 1;
  bool allow_unsandboxed = false;
};

struct WorkerRelation {
  /// An encoded column batch in the shared memory.
  struct Part {
    std::uint64_t memory_offset = 0;
    std::uint32_t partition = 0;
    std::uint64_t base_offset = 0;
    std::int64_t arrival_us = 0;
  };
  std::string name;
  std::vector<Column> columns;
  bool hidden_columns = false;
  std::vector<std::string> lake_files;
  struct OtherFiles {
    std::string items;
    std::vector<std::string> files;
  };
  std::vector<OtherFiles> other_files;
  std::vector<Part> parts;
};

struct WorkerView {
  std::string name;
  std::string select;
};

struct WorkerQuery {
  std::string select;
  std::uint64_t rows_max = 0;
  std::uint64_t result_bytes_max = 0;
  std::uint64_t row_bytes_max = 0;
  std::vector<WorkerRelation> relations;
  std::vector<WorkerView> views;
  std::vector<std::string> macros;
  /// Nothing runs: columns and the types of parameters are the answer.
  bool prepare_only = false;
};

struct WorkerDone {
  std::vector<Column> columns;
  std::uint64_t rows = 0;
  bool truncated = false;  // there was more than may be, of rows, of bytes, or of one row
  std::vector<std::optional<Type>> parameters;  // of $1, $2, …; with prepare_only
};

[[nodiscard]] std::string encode(const WorkerSetup& setup);
[[nodiscard]] std::string encode(const WorkerQuery& query);
[[nodiscard]] std::string encode(const WorkerDone& done);
[[nodiscard]] std::string encode(const Error& error);
Result<WorkerSetup> decode_setup(std::string_view bytes);
Result<WorkerQuery> decode_query(std::string_view bytes);
Result<WorkerDone> decode_done(std::string_view bytes);
/// The error that the bytes hold, or one that says that they hold none.
[[nodiscard]] Error decode_error(std::string_view bytes);

}  // namespace millrace::sql
