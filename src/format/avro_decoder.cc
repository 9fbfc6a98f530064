#include "format/avro_decoder.h"

#include <optional>
#include <vector>

#include "base/error.h"
#include "format/avro_container.h"
#include "format/avro_value.h"
#include "format/row_writer.h"

namespace millrace::format {

namespace {

constexpr std::size_t kJsonBytesMax = std::size_t{1} << 20;

/// The records of one schema into rows.
class AvroRecords {
 public:
  AvroRecords(const AvroSchema& schema, const DecodeLimits& limits, const StreamDefinition& stream,
              const ColumnRules& rules, ColumnBatch& columns)
      : schema_(schema), limits_(limits), rows_(stream, rules, columns) {
    for (const auto& field : schema.root().fields) targets_.push_back(rows_.column_of(field.name));
  }

  enum class Step : std::uint8_t { kStored, kRefused, kBad };
  /// Reads the record at the beginning of `bytes`. After kStored and kRefused, size() are its
  /// bytes; kBad: the bytes are no record of this schema. fault() says why.
  Step read(std::string_view bytes) {
    AvroReader reader(schema_, bytes);
    if (!read_fields(reader)) {
      rows_.drop();
      if (!reader.reason().empty()) return bad(reader.reason());
      // Its end is only found by passing over all of it.
      AvroReader again(schema_, bytes);
      if (!again.skip(schema_.root_index())) return bad(again.reason());
      size_ = bytes.size() - again.rest().size();
      return Step::kRefused;
    }
    size_ = bytes.size() - reader.rest().size();
    if (size_ > limits_.record_bytes_max) {
      fault_ = {error_id::kRecordTooLarge, fmt::format("the record has {} bytes, {} are allowed",
                                                       size_, limits_.record_bytes_max)};
    } else if (rows_.finish(fault_)) {
      return Step::kStored;
    }
    rows_.drop();
    return Step::kRefused;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const RecordFault& fault() const { return fault_; }

 private:
  Step bad(const std::string& reason) {
    fault_ = {error_id::kBadPayload, reason};
    return Step::kBad;
  }

  bool read_fields(AvroReader& reader) {
    const auto& fields = schema_.root().fields;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (!targets_[i]) {
        if (!read_unknown(reader, fields[i])) return false;
        continue;
      }
      ColumnVector& column = rows_.column(*targets_[i]);
      FieldFault problem;
      writer_.aim(column, rows_.arena(), problem);
      switch (reader.put(fields[i].type, writer_, column, problem)) {
        case AvroReader::Outcome::kStored:
          break;
        case AvroReader::Outcome::kRefused:
          fault_ = rows_.fault_of(*targets_[i], std::move(problem));
          return false;
        case AvroReader::Outcome::kBad:
          return false;
      }
    }
    return true;
  }

  bool read_unknown(AvroReader& reader, const AvroNode::Field& field) {
    json_.clear();
    if (rows_.keeps_unknown() ? !reader.append_json(field.type, json_, kJsonBytesMax)
                              : !reader.skip(field.type))
      return false;
    return rows_.put_unknown(field.name, json_, fault_);
  }

  const AvroSchema& schema_;
  const DecodeLimits& limits_;
  RowWriter rows_;
  TypedFieldWriter writer_;
  std::vector<std::optional<std::uint32_t>> targets_;
  std::string json_;
  std::size_t size_ = 0;
  RecordFault fault_;
};

std::string standing_alone(const AvroSchema& schema, std::string_view record) {
  if (schema.text().size() + record.size() > kRawBytesMax / 2) return std::string(record);
  return avro_container_of(schema.text(), record);
}

void read_block(AvroRecords& records, const AvroSchema& schema, const AvroBlock& block,
                const DecodeLimits& limits, std::uint64_t& number, Decoded& out) {
  std::string_view rest = block.bytes;
  for (std::uint64_t i = 0; i < block.records; ++i) {
    ++number;
    switch (records.read(rest)) {
      case AvroRecords::Step::kStored:
        break;
      case AvroRecords::Step::kRefused:
        out.refuse(limits, number, records.fault(),
                   standing_alone(schema, rest.substr(0, records.size())));
        break;
      case AvroRecords::Step::kBad:
        out.refuse(limits, number,
                   {error_id::kBadPayload,
                    fmt::format("{}; this and what is behind it in its block is lost",
                                records.fault().reason)},
                   rest);
        number += block.records - i - 1;
        return;
    }
    rest.remove_prefix(records.size());
  }
  if (!rest.empty()) {
    out.refuse(limits, number,
               {error_id::kBadPayload, "there are bytes behind the last record of a block"}, rest);
  }
}

}  // namespace

void AvroDecoder::decode(const PaddedBytes& body, const StreamDefinition& stream,
                         const ColumnRules& rules, Decoded& out) {
  if (!AvroContainer::begins(body.view())) {
    decode_frame(body.view(), stream, rules, out);
    return;
  }
  auto container = AvroContainer::open(body.view());
  if (!container) {
    out.refuse(limits_, 1, {error_id::kBadPayload, container.error().message}, body.view());
    return;
  }
  const AvroSchema& schema = container->schema();
  if (schema.root().kind != AvroNode::Kind::kRecord) {
    out.refuse(limits_, 1, {error_id::kBadPayload, "the schema of events is a record"},
               body.view());
    return;
  }
  AvroRecords records(schema, limits_, stream, rules, *out.columns);
  std::uint64_t number = 0;
  while (!container->at_end()) {
    const auto block = container->next();
    if (!block) {
      // Where the next one begins is not known.
      out.refuse(limits_, number + 1,
                 {block.error().id == error_id::kRecordTooLarge ? error_id::kRecordTooLarge
                                                                : error_id::kBadPayload,
                  block.error().message},
                 {});
      return;
    }
    read_block(records, schema, *block, limits_, number, out);
  }
}

void AvroDecoder::decode_frame(std::string_view body, const StreamDefinition& stream,
                               const ColumnRules& rules, Decoded& out) {
  const auto frame = schema_frame_of(body);
  if (!frame || schemas_ == nullptr) {
    out.refuse(limits_, 1,
               {error_id::kBadPayload,
                "it is neither an Avro container (Obj) nor framed with the id of a schema (0)"},
               body);
    return;
  }
  const auto schema = schemas_->schema(frame->id);
  if (!schema || (*schema)->avro == nullptr) {
    out.refuse(limits_, 1,
               {error_id::kUnknownSchema, fmt::format("there is no Avro schema {}", frame->id)},
               body);
    return;
  }
  const AvroSchema& avro = *(*schema)->avro;
  if (avro.root().kind != AvroNode::Kind::kRecord) {
    out.refuse(limits_, 1, {error_id::kBadPayload, "the schema of events is a record"}, body);
    return;
  }
  AvroRecords records(avro, limits_, stream, rules, *out.columns);
  const auto step = records.read(frame->data);
  if (step != AvroRecords::Step::kStored) {
    out.refuse(limits_, 1, records.fault(), body);
  } else if (records.size() != frame->data.size()) {
    for (std::size_t i = 0; i < out.columns->column_count(); ++i)
      out.columns->column(i).truncate(0);
    out.refuse(limits_, 1, {error_id::kBadPayload, "there are bytes behind the record"}, body);
  }
}

}  // namespace millrace::format
