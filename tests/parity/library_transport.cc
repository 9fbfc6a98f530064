// The shared library, as a C program uses it. Its functions are found by name in the very file.
#include <dlfcn.h>

#include "op/arrow_c.h"
#include "op/arrow_ipc.h"
#include "op/millrace_op.h"
#include "transport.h"

namespace millrace::parity {

namespace {

std::unexpected<Error> failed(std::string_view what, const char* text) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {}", what, text);
}

class LibraryTransport : public Transport {
 public:
  static Result<std::unique_ptr<Transport>> open(const std::string& path, const std::string& plan,
                                                 std::uint64_t memory_bytes) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return failed("dlopen", dlerror());
    auto out = std::make_unique<LibraryTransport>();
    const auto find = [&](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    if (!find(out->open_, "millrace_op_open") || !find(out->hello_, "millrace_op_hello") ||
        !find(out->partial_, "millrace_op_partial") || !find(out->merge_, "millrace_op_merge") ||
        !find(out->drain_states_, "millrace_op_drain_states") ||
        !find(out->drain_skipped_, "millrace_op_drain_skipped") ||
        !find(out->finalize_, "millrace_op_finalize") || !find(out->error_, "millrace_op_error") ||
        !find(out->close_, "millrace_op_close")) {
      return failed("dlsym", dlerror());
    }
    if (out->open_(plan.data(), plan.size(), memory_bytes, &out->op_) != MILLRACE_OP_OK)
      return failed("open", out->error_(nullptr));
    return std::unique_ptr<Transport>(std::move(out));
  }
  ~LibraryTransport() override {
    if (op_ != nullptr) close_(op_);
  }

  Result<std::string> hello() override { return std::string(hello_(op_)); }

  Result<Emitted> partial(const op::OwnedBatch& rows) override {
    ArrowSchema schema;
    ArrowArray array;
    op::export_batch(rows, schema, array);
    const int code = partial_(op_, "e", &schema, &array);
    if (code < 0) return failed("partial", error_(op_));
    Emitted out;
    if (code == MILLRACE_OP_FULL) {
      MR_TRY(out.states, flush());
    }
    MR_RETURN_IF_ERROR(drain(drain_skipped_, [&](std::string_view stream) -> Status {
      MR_TRY(auto skipped, read_skipped(stream));
      out.skipped.insert(out.skipped.end(), skipped.begin(), skipped.end());
      return {};
    }));
    return out;
  }
  Status merge(std::span<const State> states) override {
    for (const auto& stream : write_states(states, states.size() + 1)) {
      Status status;
      MR_RETURN_IF_ERROR(
          op::read_arrow_stream(stream, [&](const op::ArrayBatchView& batch) -> Status {
            const std::vector<Column> columns = {{"key", {TypeKind::kBlob}},
                                                 {"state", {TypeKind::kBlob}}};
            MR_TRY(const auto rows, op::read_columns(batch, columns));
            const auto views = rows->views();
            MR_TRY(auto arrays, op::make_arrays(columns, {views, batch.rows}, 0, batch.rows));
            ArrowSchema schema;
            ArrowArray array;
            op::export_batch(std::move(arrays), schema, array);
            if (merge_(op_, &schema, &array) < 0) return failed("merge", error_(op_));
            return {};
          }));
    }
    return {};
  }
  Result<std::vector<State>> flush() override {
    std::vector<State> out;
    MR_RETURN_IF_ERROR(drain(drain_states_, [&](std::string_view stream) -> Status {
      MR_TRY(auto states, read_states(stream));
      out.insert(out.end(), states.begin(), states.end());
      return {};
    }));
    return out;
  }
  Result<std::string> finalize() override {
    std::string out;
    const auto next = [&](millrace_op* op, ArrowSchema* schema, ArrowArray* array) {
      return finalize_(op, 1, schema, array);
    };
    MR_RETURN_IF_ERROR(drain(next, [&](std::string_view stream) -> Status {
      out += stream;
      return {};
    }));
    return out;
  }
  Result<bool> kill_and_restart() override { return false; }

 private:
  static op::OwnedArray copy_array(const ArrowSchema& schema, const ArrowArray& array,
                                   const op::ArrowField& field) {
    op::OwnedArray out;
    out.length = static_cast<std::size_t>(array.length);
    out.null_count = static_cast<std::size_t>(array.null_count);
    const std::size_t bits = field.type.value_bits();
    const auto add = [&](std::int64_t index, std::size_t bytes) {
      const auto* data = static_cast<const char*>(array.buffers[index]);
      out.buffers.emplace_back(data == nullptr ? "" : data, data == nullptr ? 0 : bytes);
    };
    add(0, (out.length + 7) / 8);
    if (bits != 0) {
      add(1, (out.length * bits + 7) / 8);
    } else if (array.n_buffers > 1) {
      add(1, (out.length + 1) * sizeof(std::int32_t));
      const auto* ends = static_cast<const std::int32_t*>(array.buffers[1]);
      if (array.n_buffers > 2) add(2, static_cast<std::size_t>(ends[out.length]));
    }
    for (std::int64_t i = 0; i < array.n_children; ++i)
      out.children.push_back(copy_array(*schema.children[i], *array.children[i],
                                        field.children[static_cast<std::size_t>(i)]));
    return out;
  }
  /// The format of a nested type is of no use to parse_arrow_format(), which reads what comes in.
  static op::ArrowField field_of(const ArrowSchema& schema) {
    op::ArrowField out{.name = schema.name, .type = op::parse_arrow_format(schema.format)};
    const std::string_view format = schema.format;
    if (format == "+l") out.type = {.kind = op::ArrowKind::kList};
    if (format == "+s") out.type = {.kind = op::ArrowKind::kStruct};
    if (format == "+m") out.type = {.kind = op::ArrowKind::kMap};
    for (std::int64_t i = 0; i < schema.n_children; ++i)
      out.children.push_back(field_of(*schema.children[i]));
    return out;
  }
  /// Calls `next` until its end; gives each batch as an Arrow stream, and releases it.
  template <class Next, class Visit>
  Status drain(const Next& next, const Visit& visit) {
    for (;;) {
      ArrowSchema schema;
      ArrowArray array;
      const int code = next(op_, &schema, &array);
      if (code == MILLRACE_OP_END) return {};
      if (code < 0) return failed("drain", error_(op_));
      const op::ArrowGuard guard(&schema, &array);
      const op::ArrowField all = field_of(schema);
      op::OwnedBatch batch;
      batch.rows = static_cast<std::size_t>(array.length);
      batch.fields = all.children;
      batch.arrays = copy_array(schema, array, all).children;
      std::string stream;
      op::append_arrow_stream(batch, stream);
      MR_RETURN_IF_ERROR(visit(stream));
    }
  }

  decltype(&millrace_op_open) open_ = nullptr;
  decltype(&millrace_op_hello) hello_ = nullptr;
  decltype(&millrace_op_partial) partial_ = nullptr;
  decltype(&millrace_op_merge) merge_ = nullptr;
  decltype(&millrace_op_drain_states) drain_states_ = nullptr;
  decltype(&millrace_op_drain_skipped) drain_skipped_ = nullptr;
  decltype(&millrace_op_finalize) finalize_ = nullptr;
  decltype(&millrace_op_error) error_ = nullptr;
  decltype(&millrace_op_close) close_ = nullptr;
  millrace_op* op_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Transport>> open_library(const std::string& path, const std::string& plan,
                                                std::uint64_t memory_bytes) {
  return LibraryTransport::open(path, plan, memory_bytes);
}

}  // namespace millrace::parity
