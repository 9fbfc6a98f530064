#include "op/arrow_c.h"

#include <cstring>
#include <memory>

#include "base/check.h"

namespace millrace::op {

ArrowGuard::~ArrowGuard() {
  if (schema_ != nullptr && schema_->release != nullptr) schema_->release(schema_);
  if (array_ != nullptr && array_->release != nullptr) array_->release(array_);
}

namespace {

template <class... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalidArgument, error_id::kArrow, format, std::forward<Args>(args)...);
}

/// Offsets of strings say how long the bytes behind them are.
template <class Offset>
std::size_t last_offset(const void* offsets, std::size_t end) {
  Offset value{};
  std::memcpy(&value, static_cast<const char*>(offsets) + end * sizeof(Offset), sizeof(Offset));
  return value < 0 ? 0 : static_cast<std::size_t>(value);
}

Result<ArrayView> read_array(const ArrowField& field, const ArrowType& type,
                             const ArrowArray& array) {
  if (array.release == nullptr) return refuse("column {}: it has been released", field.name);
  constexpr std::int64_t kRowsMax = std::int64_t{1} << 36;
  if (array.length < 0 || array.offset < 0 || array.length > kRowsMax || array.offset > kRowsMax)
    return refuse("column {}: {} rows from row {}", field.name, array.length, array.offset);
  const std::size_t bits = type.value_bits();
  const std::int64_t wanted = bits != 0 ? 2 : 3;
  ArrayView out;
  out.length = static_cast<std::size_t>(array.length);
  out.offset = static_cast<std::size_t>(array.offset);
  // The reason is given where the column is wanted.
  if (type.kind == ArrowKind::kOther) return out;
  if (array.n_buffers != wanted || array.buffers == nullptr)
    return refuse("column {}: {} buffers instead of {}", field.name, array.n_buffers, wanted);
  const std::size_t end = out.length + out.offset;
  const auto buffer = [&](std::size_t index, std::size_t bytes) {
    const auto* data = static_cast<const char*>(array.buffers[index]);
    return data == nullptr ? std::string_view() : std::string_view(data, bytes);
  };
  if (array.null_count != 0) {
    out.buffers[0] = buffer(0, (end + 7) / 8);
    if (array.null_count > 0 && out.buffers[0].empty())
      return refuse("column {}: NULLs without validity bits", field.name);
  }
  if (bits != 0) {
    out.buffers[1] = buffer(1, (end * bits + 7) / 8);
    return out;
  }
  const std::size_t width = type.bits / 8;
  out.buffers[1] = buffer(1, (end + 1) * width);
  if (out.buffers[1].empty()) return out;
  const void* offsets = array.buffers[1];
  out.buffers[2] = buffer(2, type.bits == 64 ? last_offset<std::int64_t>(offsets, end)
                                             : last_offset<std::int32_t>(offsets, end));
  return out;
}

}  // namespace

Result<ImportedBatch> ImportedBatch::read(const ArrowSchema* schema, const ArrowArray* array) {
  if (schema == nullptr || array == nullptr || schema->release == nullptr ||
      array->release == nullptr) {
    return refuse("there is no schema or no array, or it has been released");
  }
  if (schema->format == nullptr || std::string_view(schema->format) != "+s") {
    return refuse("a batch is a struct array (+s), this is {}",
                  schema->format == nullptr ? "none" : schema->format);
  }
  if (schema->n_children != array->n_children || schema->n_children < 0 ||
      schema->n_children > kArrowColumnsMax) {
    return refuse("the schema has {} columns, the array {}", schema->n_children, array->n_children);
  }
  if (array->offset < 0 || array->length < 0) return refuse("a negative length or offset");
  // A batch is a slice of its columns; NULL rows have no meaning.
  if (array->null_count > 0) return refuse("rows of a batch are not NULL");
  ImportedBatch out;
  out.rows_ = static_cast<std::size_t>(array->length);
  for (std::int64_t i = 0; i < schema->n_children; ++i) {
    const ArrowSchema& child = *schema->children[i];
    const ArrowArray& values = *array->children[i];
    ArrowField field{.name = child.name == nullptr ? "" : child.name,
                     .type = parse_arrow_format(child.format == nullptr ? "" : child.format)};
    ArrayView view;
    if (child.dictionary != nullptr) {
      if (values.dictionary == nullptr) return refuse("column {}: no dictionary", field.name);
      field.index = field.type;
      field.type =
          parse_arrow_format(child.dictionary->format == nullptr ? "" : child.dictionary->format);
      MR_TRY(view, read_array(field, *field.index, values));
      MR_TRY(auto dictionary, read_array(field, field.type, *values.dictionary));
      view.dictionary = &out.dictionaries_.emplace_back(std::move(dictionary));
    } else {
      MR_TRY(view, read_array(field, field.type, values));
    }
    if (view.length < out.rows_ + static_cast<std::size_t>(array->offset))
      return refuse("column {} has {} rows, the batch {}", field.name, view.length, out.rows_);
    view.offset += static_cast<std::size_t>(array->offset);
    view.length = out.rows_;
    out.fields_.push_back(std::move(field));
    out.arrays_.push_back(view);
  }
  return out;
}

namespace {

/// What an exported schema or array lives on. The children are exported each by itself, so that
/// the receiver may move one out.
struct SchemaMemory {
  std::string name;
  std::string format;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

struct ArrayMemory {
  OwnedArray array;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
};

template <class Struct, class Memory>
void release(Struct* object) {
  auto* memory = static_cast<Memory*>(object->private_data);
  for (Struct& child : memory->children) {
    if (child.release != nullptr) child.release(&child);
  }
  delete memory;
  object->release = nullptr;
}

void export_schema(std::unique_ptr<SchemaMemory> memory, std::int64_t flags, ArrowSchema& out) {
  for (ArrowSchema& child : memory->children) memory->pointers.push_back(&child);
  out = {};
  out.format = memory->format.c_str();
  out.name = memory->name.c_str();
  out.flags = flags;
  out.n_children = static_cast<std::int64_t>(memory->children.size());
  out.children = memory->pointers.data();
  out.release = release<ArrowSchema, SchemaMemory>;
  out.private_data = memory.release();
}

void export_array(std::unique_ptr<ArrayMemory> memory, ArrowArray& out) {
  for (ArrowArray& child : memory->children) memory->pointers.push_back(&child);
  const auto& buffers = memory->array.buffers;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    // No validity bits are no buffer; an empty buffer of values is one.
    memory->buffers.push_back(i == 0 && buffers[i].empty() ? nullptr : buffers[i].data());
  }
  out = {};
  out.length = static_cast<std::int64_t>(memory->array.length);
  out.null_count = static_cast<std::int64_t>(memory->array.null_count);
  out.n_buffers = static_cast<std::int64_t>(memory->buffers.size());
  out.n_children = static_cast<std::int64_t>(memory->children.size());
  out.buffers = memory->buffers.data();
  out.children = memory->pointers.data();
  out.release = release<ArrowArray, ArrayMemory>;
  out.private_data = memory.release();
}

void export_field(const ArrowField& field, std::int64_t flags, ArrowSchema& out) {
  auto memory = std::make_unique<SchemaMemory>();
  memory->name = field.name;
  memory->format = field.type.format();
  memory->children.resize(field.children.size());
  for (std::size_t i = 0; i < field.children.size(); ++i) {
    // Entries of a map and their keys are never NULL.
    const bool is_entry = field.type.kind == ArrowKind::kMap;
    const std::int64_t child_flags = is_entry ? 0 : ARROW_FLAG_NULLABLE;
    export_field(field.children[i], child_flags, memory->children[i]);
    if (is_entry) memory->children[i].children[0]->flags = 0;
  }
  export_schema(std::move(memory), flags, out);
}

void export_owned(OwnedArray array, ArrowArray& out) {
  auto memory = std::make_unique<ArrayMemory>();
  memory->array = std::move(array);
  memory->children.resize(memory->array.children.size());
  for (std::size_t i = 0; i < memory->children.size(); ++i)
    export_owned(std::move(memory->array.children[i]), memory->children[i]);
  export_array(std::move(memory), out);
}

}  // namespace

void export_batch(OwnedBatch batch, ArrowSchema& schema, ArrowArray& array) {
  const ArrowField rows{
      .name = "", .type = {.kind = ArrowKind::kStruct}, .children = std::move(batch.fields)};
  export_field(rows, 0, schema);
  OwnedArray all{.length = batch.rows,
                 .null_count = 0,
                 .buffers = {std::string()},
                 .children = std::move(batch.arrays)};
  export_owned(std::move(all), array);
}

}  // namespace millrace::op
