// The Arrow C Data Interface: a struct array of another library as views, and our arrays as struct
// arrays that their receiver releases. The interface has no buffer lengths: they follow from the
// array's length, and the caller of the library answers for them. Thread: any; release callbacks
// run on whatever thread the receiver likes. Errors: kInvalidArgument (kArrow).
#pragma once

#include <deque>
#include <vector>

#include "base/result.h"
#include "op/arrow_array.h"
#include "op/millrace_op.h"

namespace millrace::op {

/// Releases what a caller handed over, unless it has been released.
class ArrowGuard {
 public:
  ArrowGuard(ArrowSchema* schema, ArrowArray* array) : schema_(schema), array_(array) {}
  ~ArrowGuard();
  ArrowGuard(const ArrowGuard&) = delete;
  ArrowGuard& operator=(const ArrowGuard&) = delete;

 private:
  ArrowSchema* schema_;
  ArrowArray* array_;
};

/// A struct array of another library, as long as that is not released.
class ImportedBatch {
 public:
  static Result<ImportedBatch> read(const ArrowSchema* schema, const ArrowArray* array);
  [[nodiscard]] ArrayBatchView view() const { return {fields_, arrays_, rows_}; }

 private:
  std::vector<ArrowField> fields_;
  std::vector<ArrayView> arrays_;
  std::deque<ArrayView> dictionaries_;
  std::size_t rows_ = 0;
};

/// Fills both; their receiver releases them.
void export_batch(OwnedBatch batch, ArrowSchema& schema, ArrowArray& array);

}  // namespace millrace::op
