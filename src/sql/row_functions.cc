#include "sql/row_functions.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "sql/duckdb_types.h"
#include "sql/nested_vector.h"

namespace millrace::sql {

namespace {

/// What a C callback may do that throws: nothing may leave through the frames of DuckDB.
template <class Info, class SetError, class Body>
void guarded(Info info, SetError set_error, const Body& body) {
  try {
    body();
  } catch (const std::exception& thrown) {
    set_error(info, thrown.what());
  } catch (...) {
    set_error(info, "an unknown exception");
  }
}

template <class Object>
void destroy_shared(void* object) {
  delete static_cast<std::shared_ptr<Object>*>(object);
}
template <class Object>
void* copy_shared(void* object) {
  return new std::shared_ptr<Object>(*static_cast<std::shared_ptr<Object>*>(object));
}
template <class Object>
std::shared_ptr<Object>& shared_of(void* object) {
  return *static_cast<std::shared_ptr<Object>*>(object);
}

/// Copies `count` validity bits from `from` + from_begin to `to` + to_begin. All bits of `to` are 1
/// before.
void copy_validity(const std::uint64_t* from, std::size_t from_begin, std::uint64_t* to,
                   std::size_t to_begin, std::size_t count) {
  if (from_begin % 64 == 0 && to_begin % 64 == 0) {
    const std::size_t words = (count + 63) / 64;
    std::memcpy(to + to_begin / 64, from + from_begin / 64, words * 8);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = from_begin + i;
    if (((from[row / 64] >> (row % 64)) & 1) != 0) continue;
    const std::size_t target = to_begin + i;
    to[target / 64] &= ~(std::uint64_t{1} << (target % 64));
  }
}

/// One execution of mr_source: which columns it wants and how far it is.
struct SourceCursor {
  std::vector<idx_t> wanted;
  std::size_t part = 0;
  std::size_t row = 0;
};

void source_bind(duckdb_bind_info info) {
  guarded(info, duckdb_bind_set_error, [&] {
    duckdb_value value = duckdb_bind_get_parameter(info, 0);
    const std::int64_t id = duckdb_get_int64(value);
    duckdb_destroy_value(&value);
    auto source = shared_of<RowFunctions>(duckdb_bind_get_extra_info(info))->find_source(id);
    if (!source) {
      duckdb_bind_set_error(info, "this source of rows does not exist");
      return;
    }
    for (const Column& column : source->columns)
      duckdb_bind_add_result_column(info, column.name.c_str(), to_duckdb(column.type).get());
    if (source->hidden_columns) {
      const auto add = [&](std::string_view name, TypeKind kind) {
        duckdb_bind_add_result_column(info, std::string(name).c_str(), to_duckdb(Type{kind}).get());
      };
      add(kPartitionColumn, TypeKind::kInteger);
      add(kOffsetColumn, TypeKind::kBigInt);
      add(kArrivalColumn, TypeKind::kTimestampTz);
    }
    duckdb_bind_set_bind_data(info, new std::shared_ptr<RowSource>(std::move(source)),
                              destroy_shared<RowSource>);
  });
}

void source_init(duckdb_init_info info) {
  guarded(info, duckdb_init_set_error, [&] {
    auto cursor = std::make_unique<SourceCursor>();
    const idx_t count = duckdb_init_get_column_count(info);
    for (idx_t i = 0; i < count; ++i)
      cursor->wanted.push_back(duckdb_init_get_column_index(info, i));
    duckdb_init_set_max_threads(info, 1);
    duckdb_init_set_init_data(info, cursor.release(),
                              [](void* data) { delete static_cast<SourceCursor*>(data); });
  });
}

void copy_rows(duckdb_vector out, std::size_t out_row, const ColumnView& column, std::size_t row,
               std::size_t count) {
  if (column.type.is_nested()) {
    write_nested(out, out_row, column, row, count);
    return;
  }
  const std::size_t width = size_bytes(column.type.physical());
  std::memcpy(static_cast<std::byte*>(duckdb_vector_get_data(out)) + out_row * width,
              static_cast<const std::byte*>(column.data) + row * width, count * width);
  if (column.validity == nullptr) return;
  duckdb_vector_ensure_validity_writable(out);
  copy_validity(column.validity, row, duckdb_vector_get_validity(out), out_row, count);
}

template <class Value>
Value* values_of(duckdb_vector vector, std::size_t row) {
  return static_cast<Value*>(duckdb_vector_get_data(vector)) + row;
}

void source_rows(duckdb_function_info info, duckdb_data_chunk output) {
  guarded(info, duckdb_function_set_error, [&] {
    const RowSource& source = *shared_of<RowSource>(duckdb_function_get_bind_data(info));
    SourceCursor& cursor = *static_cast<SourceCursor*>(duckdb_function_get_init_data(info));
    const std::size_t capacity = duckdb_vector_size();
    std::size_t filled = 0;
    while (filled < capacity && cursor.part < source.parts.size()) {
      const RowSource::Part& part = source.parts[cursor.part];
      const std::size_t count = std::min(capacity - filled, part.rows - cursor.row);
      for (idx_t i = 0; i < cursor.wanted.size(); ++i) {
        duckdb_vector out = duckdb_data_chunk_get_vector(output, i);
        const idx_t wanted = cursor.wanted[i];
        if (wanted < part.columns.size()) {
          copy_rows(out, filled, part.columns[wanted], cursor.row, count);
          continue;
        }
        if (!source.hidden_columns || wanted >= source.columns.size() + kHiddenColumns) {
          // The row number that DuckDB asks for where it needs no column at all: nobody reads it.
          continue;
        }
        switch (wanted - source.columns.size()) {
          case 0:
            std::fill_n(values_of<std::int32_t>(out, filled), count, part.partition);
            break;
          case 1: {
            auto* offsets = values_of<std::int64_t>(out, filled);
            for (std::size_t row = 0; row < count; ++row)
              offsets[row] = part.base_offset + static_cast<std::int64_t>(cursor.row + row);
            break;
          }
          default:
            std::fill_n(values_of<std::int64_t>(out, filled), count, part.arrival_us);
            break;
        }
      }
      filled += count;
      cursor.row += count;
      if (cursor.row == part.rows) {
        ++cursor.part;
        cursor.row = 0;
      }
    }
    duckdb_data_chunk_set_size(output, filled);
  });
}

std::optional<std::int64_t> constant_of(duckdb_bind_info info, duckdb_expression expression) {
  if (!duckdb_expression_is_foldable(expression)) return std::nullopt;
  duckdb_client_context context = nullptr;
  duckdb_scalar_function_get_client_context(info, &context);
  duckdb_value value = nullptr;
  duckdb_error_data error = duckdb_expression_fold(context, expression, &value);
  const bool failed = duckdb_error_data_has_error(error);
  duckdb_destroy_error_data(&error);
  duckdb_destroy_client_context(&context);
  if (failed) return std::nullopt;
  const std::int64_t out = duckdb_get_int64(value);
  duckdb_destroy_value(&value);
  return out;
}

void sink_bind(duckdb_bind_info info) {
  guarded(info, duckdb_scalar_function_bind_set_error, [&] {
    const idx_t count = duckdb_scalar_function_bind_get_argument_count(info);
    std::optional<std::int64_t> id;
    std::vector<Type> types;
    for (idx_t i = 0; i < count; ++i) {
      duckdb_expression argument = duckdb_scalar_function_bind_get_argument(info, i);
      if (i == 0) {
        id = constant_of(info, argument);
      } else {
        const LogicalType type(duckdb_expression_return_type(argument));
        const auto known = from_duckdb(type.get());
        if (known) types.push_back(*known);
      }
      duckdb_destroy_expression(&argument);
      if (i != 0 && types.size() != i) {
        duckdb_scalar_function_bind_set_error(
            info, fmt::format("item {} has a type that no column can have; cast it to VARCHAR", i)
                      .c_str());
        return;
      }
    }
    auto receiver = id ? shared_of<RowFunctions>(duckdb_scalar_function_bind_get_extra_info(info))
                             ->find_receiver(*id)
                       : nullptr;
    if (!receiver) {
      duckdb_scalar_function_bind_set_error(info, "this sink of rows does not exist");
      return;
    }
    if (receiver->types.empty())
      receiver->types = std::move(types);
    else if (receiver->types != types) {
      duckdb_scalar_function_bind_set_error(info, "the types of the items have changed");
      return;
    }
    duckdb_scalar_function_set_bind_data(
        info, new std::shared_ptr<RowReceiver>(std::move(receiver)), destroy_shared<RowReceiver>);
    duckdb_scalar_function_set_bind_data_copy(info, copy_shared<RowReceiver>);
  });
}

void sink_rows(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  guarded(info, duckdb_scalar_function_set_error, [&] {
    const RowReceiver& receiver =
        *shared_of<RowReceiver>(duckdb_scalar_function_get_bind_data(info));
    const std::size_t rows = duckdb_data_chunk_get_size(input);
    thread_local ChunkColumns shown;
    shown.clear();
    for (std::size_t i = 0; i < receiver.types.size(); ++i)
      shown.add(receiver.types[i], duckdb_data_chunk_get_vector(input, i + 1), rows);
    if (auto status = receiver.receive(BatchView{shown.columns(), rows}); !status) {
      duckdb_scalar_function_set_error(info, status.error().message.c_str());
      return;
    }
    std::memset(duckdb_vector_get_data(output), 1, rows);
  });
}

}  // namespace

std::vector<RowSource::Part> parts_of(std::span<const StreamBatch> batches) {
  std::vector<RowSource::Part> out;
  out.reserve(batches.size());
  for (const StreamBatch& batch : batches) {
    if (batch.columns->rows() == 0) continue;
    out.push_back({.columns = batch.columns->views(),
                   .rows = batch.columns->rows(),
                   .partition = static_cast<std::int32_t>(batch.partition.value),
                   .base_offset = static_cast<std::int64_t>(batch.base_offset.value),
                   .arrival_us = batch.arrival_us});
  }
  return out;
}

Result<std::shared_ptr<RowFunctions>> RowFunctions::install(duckdb_connection connection) {
  auto functions = std::make_shared<RowFunctions>();
  const LogicalType bigint = to_duckdb(Type{TypeKind::kBigInt});

  duckdb_table_function source = duckdb_create_table_function();
  duckdb_table_function_set_name(source, "mr_source");
  duckdb_table_function_add_parameter(source, bigint.get());
  duckdb_table_function_set_extra_info(source, new std::shared_ptr<RowFunctions>(functions),
                                       destroy_shared<RowFunctions>);
  duckdb_table_function_set_bind(source, source_bind);
  duckdb_table_function_set_init(source, source_init);
  duckdb_table_function_set_function(source, source_rows);
  duckdb_table_function_supports_projection_pushdown(source, true);
  const auto source_state = duckdb_register_table_function(connection, source);
  duckdb_destroy_table_function(&source);

  duckdb_scalar_function sink = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(sink, "mr_sink");
  const LogicalType any(duckdb_create_logical_type(DUCKDB_TYPE_ANY));
  duckdb_scalar_function_set_varargs(sink, any.get());
  duckdb_scalar_function_set_special_handling(sink);
  duckdb_scalar_function_set_volatile(sink);
  duckdb_scalar_function_set_return_type(sink, to_duckdb(Type{TypeKind::kUTinyInt}).get());
  duckdb_scalar_function_set_extra_info(sink, new std::shared_ptr<RowFunctions>(functions),
                                        destroy_shared<RowFunctions>);
  duckdb_scalar_function_set_bind(sink, sink_bind);
  duckdb_scalar_function_set_function(sink, sink_rows);
  const auto sink_state = duckdb_register_scalar_function(connection, sink);
  duckdb_destroy_scalar_function(&sink);

  if (source_state != DuckDBSuccess || sink_state != DuckDBSuccess)
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "the SQL engine took neither source nor sink");
  return functions;
}

std::int64_t RowFunctions::add(std::shared_ptr<RowSource> source) {
  const MutexLock lock(mutex_);
  sources_.emplace(next_id_, std::move(source));
  return next_id_++;
}

std::int64_t RowFunctions::add(std::shared_ptr<RowReceiver> receiver) {
  const MutexLock lock(mutex_);
  receivers_.emplace(next_id_, std::move(receiver));
  return next_id_++;
}

void RowFunctions::remove(std::int64_t id) {
  const MutexLock lock(mutex_);
  sources_.erase(id);
  receivers_.erase(id);
}

std::shared_ptr<RowSource> RowFunctions::find_source(std::int64_t id) {
  const MutexLock lock(mutex_);
  const auto found = sources_.find(id);
  return found == sources_.end() ? nullptr : found->second;
}

std::shared_ptr<RowReceiver> RowFunctions::find_receiver(std::int64_t id) {
  const MutexLock lock(mutex_);
  const auto found = receivers_.find(id);
  return found == receivers_.end() ? nullptr : found->second;
}

}  // namespace millrace::sql
