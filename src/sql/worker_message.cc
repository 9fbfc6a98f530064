#include "sql/worker_message.h"

#include "base/bytes.h"
#include "model/type_codec.h"

namespace millrace::sql {
namespace {

void put_columns(std::string& out, const std::vector<Column>& columns) {
  ByteWriter writer(out);
  writer.put_varint(columns.size());
  for (const Column& column : columns) {
    writer.put_string(column.name);
    append_type(out, column.type);
  }
}

/// Number of things of which each takes a byte at least: no more than there are bytes.
std::size_t get_count(ByteReader& reader) {
  const std::uint64_t count = reader.get_varint();
  if (count <= reader.remaining()) return count;
  (void)reader.get_bytes(reader.remaining() + 1);  // turns the reader bad
  return 0;
}

std::vector<Column> get_columns(ByteReader& reader) {
  std::vector<Column> columns(get_count(reader));
  for (Column& column : columns) {
    column.name = reader.get_string();
    column.type = read_type(reader);
  }
  return columns;
}

std::unexpected<Error> broken() {
  return fail(ErrorCode::kDataLoss, error_id::kInternal,
              "a message between the server and a query worker is broken");
}

}  // namespace

std::string encode(const WorkerSetup& setup) {
  std::string out;
  ByteWriter writer(out);
  writer.put_string(setup.lake_folder);
  writer.put(setup.memory_bytes_max);
  writer.put(setup.threads);
  writer.put<std::uint8_t>(setup.allow_unsandboxed ? 1 : 0);
  return out;
}

Result<WorkerSetup> decode_setup(std::string_view bytes) {
  ByteReader reader(bytes);
  WorkerSetup setup;
  setup.lake_folder = reader.get_string();
  setup.memory_bytes_max = reader.get<std::uint64_t>();
  setup.threads = reader.get<std::uint32_t>();
  setup.allow_unsandboxed = reader.get<std::uint8_t>() != 0;
  if (!reader.at_end()) return broken();
  return setup;
}

std::string encode(const WorkerQuery& query) {
  std::string out;
  ByteWriter writer(out);
  writer.put_string(query.select);
  writer.put(query.rows_max);
  writer.put(query.result_bytes_max);
  writer.put(query.row_bytes_max);
  writer.put_varint(query.relations.size());
  for (const WorkerRelation& relation : query.relations) {
    writer.put_string(relation.name);
    put_columns(out, relation.columns);
    writer.put<std::uint8_t>(relation.hidden_columns ? 1 : 0);
    writer.put_varint(relation.lake_files.size());
    for (const std::string& file : relation.lake_files) writer.put_string(file);
    writer.put_varint(relation.other_files.size());
    for (const auto& other : relation.other_files) {
      writer.put_string(other.items);
      writer.put_varint(other.files.size());
      for (const std::string& file : other.files) writer.put_string(file);
    }
    writer.put_varint(relation.parts.size());
    for (const WorkerRelation::Part& part : relation.parts) {
      writer.put(part.memory_offset);
      writer.put(part.partition);
      writer.put(part.base_offset);
      writer.put(part.arrival_us);
    }
  }
  writer.put_varint(query.views.size());
  for (const WorkerView& view : query.views) {
    writer.put_string(view.name);
    writer.put_string(view.select);
  }
  writer.put_varint(query.macros.size());
  for (const std::string& macro : query.macros) writer.put_string(macro);
  writer.put<std::uint8_t>(query.prepare_only ? 1 : 0);
  return out;
}

Result<WorkerQuery> decode_query(std::string_view bytes) {
  ByteReader reader(bytes);
  WorkerQuery query;
  query.select = reader.get_string();
  query.rows_max = reader.get<std::uint64_t>();
  query.result_bytes_max = reader.get<std::uint64_t>();
  query.row_bytes_max = reader.get<std::uint64_t>();
  query.relations.resize(get_count(reader));
  for (WorkerRelation& relation : query.relations) {
    relation.name = reader.get_string();
    relation.columns = get_columns(reader);
    relation.hidden_columns = reader.get<std::uint8_t>() != 0;
    relation.lake_files.resize(get_count(reader));
    for (std::string& file : relation.lake_files) file = reader.get_string();
    relation.other_files.resize(get_count(reader));
    for (auto& other : relation.other_files) {
      other.items = reader.get_string();
      other.files.resize(get_count(reader));
      for (std::string& file : other.files) file = reader.get_string();
    }
    relation.parts.resize(get_count(reader));
    for (WorkerRelation::Part& part : relation.parts) {
      part.memory_offset = reader.get<std::uint64_t>();
      part.partition = reader.get<std::uint32_t>();
      part.base_offset = reader.get<std::uint64_t>();
      part.arrival_us = reader.get<std::int64_t>();
    }
  }
  query.views.resize(get_count(reader));
  for (WorkerView& view : query.views) {
    view.name = reader.get_string();
    view.select = reader.get_string();
  }
  query.macros.resize(get_count(reader));
  for (std::string& macro : query.macros) macro = reader.get_string();
  query.prepare_only = reader.get<std::uint8_t>() != 0;
  if (!reader.at_end()) return broken();
  return query;
}

std::string encode(const WorkerDone& done) {
  std::string out;
  ByteWriter writer(out);
  put_columns(out, done.columns);
  writer.put(done.rows);
  writer.put<std::uint8_t>(done.truncated ? 1 : 0);
  writer.put_varint(done.parameters.size());
  for (const auto& type : done.parameters) {
    writer.put<std::uint8_t>(type ? 1 : 0);
    if (type) append_type(out, *type);
  }
  return out;
}

Result<WorkerDone> decode_done(std::string_view bytes) {
  ByteReader reader(bytes);
  WorkerDone done;
  done.columns = get_columns(reader);
  done.rows = reader.get<std::uint64_t>();
  done.truncated = reader.get<std::uint8_t>() != 0;
  done.parameters.resize(get_count(reader));
  for (auto& type : done.parameters) {
    if (reader.get<std::uint8_t>() != 0) type = read_type(reader);
  }
  if (!reader.at_end()) return broken();
  return done;
}

std::string encode(const Error& error) {
  std::string out;
  ByteWriter writer(out);
  writer.put<std::uint8_t>(static_cast<std::uint8_t>(error.code));
  writer.put_string(error.id);
  writer.put_string(error.message);
  writer.put_string(error.hint);
  writer.put(error.place.line);
  writer.put(error.place.column);
  return out;
}

Error decode_error(std::string_view bytes) {
  ByteReader reader(bytes);
  Error error;
  const auto code = reader.get<std::uint8_t>();
  error.id = reader.get_string();
  error.message = reader.get_string();
  error.hint = reader.get_string();
  error.place.line = reader.get<std::uint32_t>();
  error.place.column = reader.get<std::uint32_t>();
  if (!reader.at_end() || code > static_cast<std::uint8_t>(ErrorCode::kInternal)) {
    return std::move(broken()).error();
  }
  error.code = static_cast<ErrorCode>(code);
  return error;
}

}  // namespace millrace::sql
