// The C functions of millrace_op.h over Operator. Here every exception ends, and every array that a
// caller hands over is released.
#include <deque>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "op/arrow_c.h"
#include "op/millrace_op.h"
#include "op/operator.h"

using millrace::Error;
using millrace::ErrorCode;
using millrace::Status;
using millrace::op::ArrowGuard;
using millrace::op::ImportedBatch;
using millrace::op::Operator;
using millrace::op::OwnedBatch;

static_assert(MILLRACE_OP_ABI == millrace::op::kAbiVersion);

// The name is that of the C header.
struct millrace_op {  // NOLINT(readability-identifier-naming)
  std::unique_ptr<Operator> inner;
  std::string error;
  std::deque<OwnedBatch> states;
  std::deque<OwnedBatch> skipped;
  std::deque<OwnedBatch> rows;
  bool is_finalizing = false;
};

namespace {

thread_local std::string open_error;

int code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kDataLoss:
      return MILLRACE_OP_BAD_STATE;
    case ErrorCode::kResourceExhausted:
      return MILLRACE_OP_NO_MEMORY;
    case ErrorCode::kUnimplemented:
      return MILLRACE_OP_NOT_SUPPORTED;
    case ErrorCode::kInternal:
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return MILLRACE_OP_FAULT;
    default:
      return MILLRACE_OP_BAD_ARGUMENT;
  }
}

/// Runs the body of a call, which gives a code or an error; leaves the error's text in `text`.
template <class Body>
int guarded(std::string& text, const Body& body) {
  try {
    text.clear();
    const millrace::Result<int> done = body();
    if (done) return *done;
    text = done.error().text();
    return code_of(done.error());
  } catch (const std::bad_alloc&) {
    text = "there is no more memory";
    return MILLRACE_OP_NO_MEMORY;
  } catch (const std::exception& thrown) {
    text = thrown.what();
    return MILLRACE_OP_FAULT;
  } catch (...) {
    text = "an unknown exception";
    return MILLRACE_OP_FAULT;
  }
}

std::unexpected<Error> refuse(std::string_view text) {
  return millrace::fail(ErrorCode::kInvalidArgument, millrace::error_id::kArrow, "{}", text);
}

/// Gives the first batch that waits away.
millrace::Result<int> give(std::deque<OwnedBatch>& queue, ArrowSchema* schema, ArrowArray* array) {
  if (queue.empty()) return MILLRACE_OP_END;
  millrace::op::export_batch(std::move(queue.front()), *schema, *array);
  queue.pop_front();
  return MILLRACE_OP_OK;
}

auto collector(std::deque<OwnedBatch>& queue) {
  return [&queue](OwnedBatch batch) -> Status {
    queue.push_back(std::move(batch));
    return {};
  };
}

}  // namespace

extern "C" {

int millrace_op_abi() { return MILLRACE_OP_ABI; }

int millrace_op_open(const char* plan, size_t plan_bytes, uint64_t memory_bytes, millrace_op** op) {
  return guarded(open_error, [&]() -> millrace::Result<int> {
    if (op == nullptr || plan == nullptr) return refuse("plan or op is NULL");
    *op = nullptr;
    auto made = std::make_unique<millrace_op>();
    MR_TRY(made->inner, Operator::open({plan, plan_bytes}, memory_bytes));
    *op = made.release();
    return MILLRACE_OP_OK;
  });
}

const char* millrace_op_hello(millrace_op* op) { return op->inner->hello().c_str(); }

int millrace_op_partial(millrace_op* op, const char* stream, ArrowSchema* schema,
                        ArrowArray* batch) {
  const ArrowGuard guard(schema, batch);
  return guarded(op->error, [&]() -> millrace::Result<int> {
    MR_TRY(const auto rows, ImportedBatch::read(schema, batch));
    MR_RETURN_IF_ERROR(op->inner->partial(stream == nullptr ? "" : stream, rows.view()));
    return op->inner->is_full() ? MILLRACE_OP_FULL : MILLRACE_OP_OK;
  });
}

int millrace_op_merge(millrace_op* op, ArrowSchema* schema, ArrowArray* states) {
  const ArrowGuard guard(schema, states);
  return guarded(op->error, [&]() -> millrace::Result<int> {
    MR_TRY(const auto rows, ImportedBatch::read(schema, states));
    MR_RETURN_IF_ERROR(op->inner->merge(rows.view()));
    return MILLRACE_OP_OK;
  });
}

int millrace_op_drain_states(millrace_op* op, ArrowSchema* schema, ArrowArray* states) {
  return guarded(op->error, [&]() -> millrace::Result<int> {
    if (schema == nullptr || states == nullptr) return refuse("schema or states is NULL");
    if (op->states.empty()) MR_RETURN_IF_ERROR(op->inner->drain_states(collector(op->states)));
    return give(op->states, schema, states);
  });
}

int millrace_op_drain_skipped(millrace_op* op, ArrowSchema* schema, ArrowArray* skipped) {
  return guarded(op->error, [&]() -> millrace::Result<int> {
    if (schema == nullptr || skipped == nullptr) return refuse("schema or skipped is NULL");
    if (op->skipped.empty()) MR_RETURN_IF_ERROR(op->inner->drain_skipped(collector(op->skipped)));
    return give(op->skipped, schema, skipped);
  });
}

int millrace_op_finalize(millrace_op* op, int whole, ArrowSchema* schema, ArrowArray* rows) {
  return guarded(op->error, [&]() -> millrace::Result<int> {
    if (schema == nullptr || rows == nullptr) return refuse("schema or rows is NULL");
    // An empty table can have rows: the last call must not begin anew.
    if (!op->is_finalizing) {
      MR_RETURN_IF_ERROR(op->inner->finalize(whole != 0, collector(op->rows)));
      op->is_finalizing = true;
    }
    MR_TRY(const int code, give(op->rows, schema, rows));
    if (code == MILLRACE_OP_END) op->is_finalizing = false;
    return code;
  });
}

const char* millrace_op_error(const millrace_op* op) {
  return op == nullptr ? open_error.c_str() : op->error.c_str();
}

void millrace_op_close(millrace_op* op) { delete op; }

}  // extern "C"
