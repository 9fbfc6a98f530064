#include "format/protobuf_decoder.h"

#include <google/protobuf/descriptor.h>

#include <bit>
#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "format/json_text.h"
#include "format/protobuf_schema.h"
#include "format/protobuf_wire.h"
#include "format/row_writer.h"
#include "format/typed_field.h"

namespace millrace::format {

namespace pb = google::protobuf;

namespace {

constexpr std::size_t kDepthMax = 64;
constexpr std::size_t kJsonBytesMax = std::size_t{1} << 20;
constexpr std::string_view kTimestamp = "google.protobuf.Timestamp";

std::uint8_t wire_type_of(const pb::FieldDescriptor& field) {
  switch (field.type()) {
    case pb::FieldDescriptor::TYPE_DOUBLE:
    case pb::FieldDescriptor::TYPE_FIXED64:
    case pb::FieldDescriptor::TYPE_SFIXED64:
      return 1;
    case pb::FieldDescriptor::TYPE_FLOAT:
    case pb::FieldDescriptor::TYPE_FIXED32:
    case pb::FieldDescriptor::TYPE_SFIXED32:
      return 5;
    case pb::FieldDescriptor::TYPE_STRING:
    case pb::FieldDescriptor::TYPE_BYTES:
    case pb::FieldDescriptor::TYPE_MESSAGE:
      return 2;
    default:
      return 0;
  }
}

bool is_wrapper(const pb::Descriptor& message) {
  return message.file()->name() == "google/protobuf/wrappers.proto";
}

/// What one message has given a field: the last value counts, of a repeated one all do.
using Values = std::vector<ProtobufField>;

/// Values of fields into columns and into JSON.
class ValueReader {
 public:
  /// After false: no bytes of the message, where reason() is not empty; else the FieldFault.
  bool put(const pb::FieldDescriptor& field, const Values& values, TypedFieldWriter& writer,
           FieldFault& fault) {
    if (field.is_repeated()) {
      std::string json;
      return append_repeated(field, values, json) &&
             writer.json(json, field.is_map() ? "a map" : "a repeated field");
    }
    return put_single(field, values.back(), writer, fault);
  }
  bool append_json(const pb::FieldDescriptor& field, const Values& values, std::string& out) {
    return field.is_repeated() ? append_repeated(field, values, out)
                               : append_single(field, values.back(), out);
  }
  /// The value of a field that is not there, where it has one without being there: proto3 does not
  /// send zeros.
  static std::optional<ProtobufField> implied(const pb::FieldDescriptor& field) {
    if (field.is_repeated() || field.has_presence()) return std::nullopt;
    ProtobufField out;
    out.number = static_cast<std::uint32_t>(field.number());
    out.wire_type = wire_type_of(field);
    return out;
  }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  bool bad(std::string_view reason) {
    if (reason_.empty()) reason_ = reason;
    return false;
  }

  /// Sorts the fields of a message. False: the bytes are no message.
  bool values_of(std::string_view bytes, std::map<std::uint32_t, Values>& out) {
    ProtobufFields fields(bytes);
    ProtobufField field;
    while (fields.next(field)) out[field.number].push_back(field);
    return !fields.bad() || bad("an inner message ends too early, or is none");
  }

  bool put_single(const pb::FieldDescriptor& field, const ProtobufField& value,
                  TypedFieldWriter& writer, FieldFault& fault) {
    if (value.wire_type != wire_type_of(field))
      return bad(fmt::format("field {} has another type on the wire", field.number()));
    const std::uint64_t bits = value.value;
    switch (field.type()) {
      case pb::FieldDescriptor::TYPE_DOUBLE:
        return writer.floating(std::bit_cast<double>(bits));
      case pb::FieldDescriptor::TYPE_FLOAT:
        return writer.single(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
      case pb::FieldDescriptor::TYPE_INT64:
      case pb::FieldDescriptor::TYPE_SFIXED64:
        return writer.integer(static_cast<std::int64_t>(bits));
      case pb::FieldDescriptor::TYPE_UINT64:
      case pb::FieldDescriptor::TYPE_FIXED64:
        return writer.unsigned_integer(bits);
      case pb::FieldDescriptor::TYPE_INT32:
      case pb::FieldDescriptor::TYPE_SFIXED32:
        return writer.integer(static_cast<std::int32_t>(bits));
      case pb::FieldDescriptor::TYPE_UINT32:
      case pb::FieldDescriptor::TYPE_FIXED32:
        return writer.integer(static_cast<std::uint32_t>(bits));
      case pb::FieldDescriptor::TYPE_SINT32: {
        const auto low = static_cast<std::uint32_t>(bits);
        return writer.integer(static_cast<std::int32_t>(low >> 1 ^ -(low & 1)));
      }
      case pb::FieldDescriptor::TYPE_SINT64:
        return writer.integer(static_cast<std::int64_t>(bits >> 1 ^ -(bits & 1)));
      case pb::FieldDescriptor::TYPE_BOOL:
        return writer.boolean(bits != 0);
      case pb::FieldDescriptor::TYPE_ENUM: {
        const auto number = static_cast<std::int32_t>(bits);
        const auto* name = field.enum_type()->FindValueByNumber(number);
        return name != nullptr ? writer.text(name->name()) : writer.integer(number);
      }
      case pb::FieldDescriptor::TYPE_STRING:
        return writer.text(value.bytes);
      case pb::FieldDescriptor::TYPE_BYTES:
        return writer.bytes(value.bytes);
      case pb::FieldDescriptor::TYPE_MESSAGE:
        return put_message(*field.message_type(), value.bytes, writer, fault);
      case pb::FieldDescriptor::TYPE_GROUP:
        break;
    }
    return bad("a group is no value of a column");
  }

  bool put_message(const pb::Descriptor& message, std::string_view bytes, TypedFieldWriter& writer,
                   FieldFault& fault) {
    if (message.full_name() == kTimestamp) return put_timestamp(bytes, writer, fault);
    if (is_wrapper(message)) {
      std::map<std::uint32_t, Values> fields;
      if (!values_of(bytes, fields)) return false;
      const auto& inner = *message.field(0);
      const auto found = fields.find(1);
      return put_single(inner, found != fields.end() ? found->second.back() : *implied(inner),
                        writer, fault);
    }
    std::string json;
    return append_message(message, bytes, json) && writer.json(json, "a message");
  }

  bool put_timestamp(std::string_view bytes, TypedFieldWriter& writer, FieldFault& fault) {
    std::int64_t seconds = 0;
    std::int64_t nanos = 0;
    ProtobufFields fields(bytes);
    ProtobufField field;
    while (fields.next(field)) {
      if (field.number == 1) seconds = static_cast<std::int64_t>(field.value);
      if (field.number == 2) nanos = static_cast<std::int32_t>(field.value);
    }
    if (fields.bad()) return bad("a Timestamp ends too early, or is none");
    constexpr std::int64_t kSecondsMax = 400'000'000'000;
    if (seconds < -kSecondsMax || seconds > kSecondsMax || nanos < 0 || nanos > 999'999'999 ||
        nanos % 1000 != 0) {
      fault = {error_id::kOutOfRange,
               fmt::format("the Timestamp of {} s and {} ns is out of range, or would have to be "
                           "rounded",
                           seconds, nanos)};
      return false;
    }
    return writer.timestamp(seconds * 1'000'000 + nanos / 1000);
  }

  bool append_single(const pb::FieldDescriptor& field, const ProtobufField& value,
                     std::string& out) {
    if (out.size() > kJsonBytesMax) return bad("a value is too large as JSON");
    if (field.type() == pb::FieldDescriptor::TYPE_MESSAGE && value.wire_type == 2 &&
        field.message_type()->full_name() != kTimestamp && !is_wrapper(*field.message_type()))
      return append_message(*field.message_type(), value.bytes, out);
    // By way of a JSON column, so that a value is written the same wherever it stands.
    ColumnVector column(millrace::Type{TypeKind::kJson});
    Arena arena;
    FieldFault fault;
    TypedFieldWriter writer;
    writer.aim(column, arena, fault);
    if (!put_single(field, value, writer, fault)) return bad(fault.text);
    out += column.data<StringRef>()[0].view();
    return true;
  }

  bool append_message(const pb::Descriptor& message, std::string_view bytes, std::string& out) {
    if (depth_ >= kDepthMax) return bad("messages are nested too deep");
    if (out.size() > kJsonBytesMax) return bad("a value is too large as JSON");
    std::map<std::uint32_t, Values> values;
    if (!values_of(bytes, values)) return false;
    ++depth_;
    out += '{';
    bool first = true;
    for (int i = 0; i < message.field_count(); ++i) {
      const auto& field = *message.field(i);
      const auto found = values.find(static_cast<std::uint32_t>(field.number()));
      const auto zero = found == values.end() ? implied(field) : std::nullopt;
      if (found == values.end() && !zero) continue;
      if (!first) out += ',';
      first = false;
      append_json_string(out, field.name());
      out += ':';
      if (zero ? !append_single(field, *zero, out) : !append_json(field, found->second, out))
        return false;
    }
    out += '}';
    --depth_;
    return true;
  }

  bool append_repeated(const pb::FieldDescriptor& field, const Values& values, std::string& out) {
    if (field.is_map()) return append_map(field, values, out);
    const std::uint8_t wire_type = wire_type_of(field);
    out += '[';
    bool first = true;
    const auto append = [&](const ProtobufField& value) {
      if (!first) out += ',';
      first = false;
      return append_single(field, value, out);
    };
    for (const ProtobufField& value : values) {
      if (value.wire_type != 2 || wire_type == 2) {
        if (!append(value)) return false;
        continue;
      }
      ProtobufFields packed(value.bytes);
      ProtobufField element{
          .number = value.number, .wire_type = wire_type, .value = 0, .bytes = {}};
      while (packed.next_packed(wire_type, element.value)) {
        if (!append(element)) return false;
      }
      if (packed.bad()) return bad("a packed field ends too early");
    }
    out += ']';
    return true;
  }

  bool append_map(const pb::FieldDescriptor& field, const Values& values, std::string& out) {
    const auto& entry = *field.message_type();
    out += '{';
    bool first = true;
    for (const ProtobufField& value : values) {
      if (value.wire_type != 2) return bad("a map has another type on the wire");
      std::map<std::uint32_t, Values> pair;
      if (!values_of(value.bytes, pair)) return false;
      if (!first) out += ',';
      first = false;
      std::string key;
      const auto part = [&](const pb::FieldDescriptor& of, std::string& to) {
        const auto found = pair.find(static_cast<std::uint32_t>(of.number()));
        if (found != pair.end()) return append_single(of, found->second.back(), to);
        if (of.type() == pb::FieldDescriptor::TYPE_MESSAGE)
          return append_message(*of.message_type(), {}, to);
        ProtobufField zero;
        zero.wire_type = wire_type_of(of);
        return append_single(of, zero, to);
      };
      if (!part(*entry.map_key(), key)) return false;
      if (key.front() == '"') {
        out += key;
      } else {
        out += '"' + key + '"';
      }
      out += ':';
      if (!part(*entry.map_value(), out)) return false;
    }
    out += '}';
    return true;
  }

  std::string reason_;
  std::size_t depth_ = 0;
};

/// Messages of one type into rows.
class ProtobufRecords {
 public:
  ProtobufRecords(const pb::Descriptor& message, const StreamDefinition& stream,
                  const ColumnRules& rules, ColumnBatch& columns)
      : message_(message), rows_(stream, rules, columns) {
    for (int i = 0; i < message.field_count(); ++i)
      fields_.push_back({.descriptor = message.field(i),
                         .column = rows_.column_of(message.field(i)->name()),
                         .values = {}});
  }

  bool read(std::string_view bytes) {
    for (Field& field : fields_) field.values.clear();
    values_ = ValueReader();
    fault_ = {};
    ProtobufFields fields(bytes);
    ProtobufField value;
    while (fields.next(value)) {
      // What the schema does not name is of a newer one, and not looked at.
      const auto* descriptor = message_.FindFieldByNumber(static_cast<int>(value.number));
      if (descriptor != nullptr)
        fields_[static_cast<std::size_t>(descriptor->index())].values.push_back(value);
    }
    bool good = !fields.bad();
    if (!good) fault_ = {error_id::kBadPayload, "the message ends too early, or is none"};
    for (std::size_t i = 0; good && i < fields_.size(); ++i) good = put(fields_[i]);
    if (good && rows_.finish(fault_)) return true;
    rows_.drop();
    if (fault_.id.empty()) fault_ = {error_id::kBadPayload, values_.reason()};
    return false;
  }
  [[nodiscard]] const RecordFault& fault() const { return fault_; }

 private:
  struct Field {
    const pb::FieldDescriptor* descriptor;
    std::optional<std::uint32_t> column;
    Values values;
  };

  bool put(Field& field) {
    if (field.values.empty()) {
      const auto zero = ValueReader::implied(*field.descriptor);
      if (!zero) return true;
      field.values.push_back(*zero);
      // It is not known whether it was sent.
      if (!field.column) return true;
    }
    if (!field.column) return put_unknown(field);
    FieldFault problem;
    writer_.aim(rows_.column(*field.column), rows_.arena(), problem);
    if (values_.put(*field.descriptor, field.values, writer_, problem)) return true;
    if (values_.reason().empty()) fault_ = rows_.fault_of(*field.column, std::move(problem));
    return false;
  }

  bool put_unknown(const Field& field) {
    std::string json;
    if (rows_.keeps_unknown() && !values_.append_json(*field.descriptor, field.values, json))
      return false;
    return rows_.put_unknown(field.descriptor->name(), json, fault_);
  }

  const pb::Descriptor& message_;
  RowWriter rows_;
  TypedFieldWriter writer_;
  ValueReader values_;
  std::vector<Field> fields_;
  RecordFault fault_;
};

/// Confluent's array of message indexes: a count and so many indexes, zig-zag; a 0 alone is {0}.
std::optional<std::vector<std::uint32_t>> read_indexes(ProtobufFields& bytes) {
  constexpr std::uint64_t kIndexesMax = 32;
  const auto read = [&](std::uint64_t& value) {
    std::uint64_t bits = 0;
    if (!bytes.read_varint(bits)) return false;
    value = bits >> 1;
    return (bits & 1) == 0 && value <= 0xffffffff;
  };
  std::uint64_t count = 0;
  if (!read(count) || count > kIndexesMax) return std::nullopt;
  std::vector<std::uint32_t> out;
  for (; count != 0; --count) {
    std::uint64_t index = 0;
    if (!read(index)) return std::nullopt;
    out.push_back(static_cast<std::uint32_t>(index));
  }
  if (out.empty()) out.push_back(0);
  return out;
}

}  // namespace

void ProtobufDecoder::decode(const PaddedBytes& body, const PayloadType& type,
                             const StreamDefinition& stream, const ColumnRules& rules,
                             Decoded& out) {
  std::string_view data = body.view();
  // A message cannot begin with a 0: no field has the number 0.
  const auto frame = schema_frame_of(data);
  const std::uint32_t id = frame ? frame->id : type.schema_id;
  if (id == 0) {
    out.refuse(
        limits_, 1,
        {error_id::kBadPayload,
         "the body is not framed with the id of a schema (0), and the Content-Type names none "
         "(schema=7)"},
        data);
    return;
  }
  const auto found = schemas_ != nullptr ? schemas_->schema(id)
                                         : Result<std::shared_ptr<const WriterSchema>>(nullptr);
  if (!found || *found == nullptr || (*found)->protobuf == nullptr) {
    out.refuse(limits_, 1,
               {error_id::kUnknownSchema, fmt::format("there is no Protobuf schema {}", id)}, data);
    return;
  }
  const ProtobufSchema& schema = *(*found)->protobuf;
  const pb::Descriptor* message = nullptr;
  if (frame) {
    ProtobufFields bytes(frame->data);
    const auto indexes = read_indexes(bytes);
    if (indexes) message = schema.message(*indexes);
    data = bytes.rest();
  } else if (!type.message.empty()) {
    message = schema.message(type.message);
  } else {
    const std::uint32_t first[] = {0};
    message = schema.message(first);
  }
  if (message == nullptr) {
    out.refuse(limits_, 1,
               {error_id::kUnknownSchema, fmt::format("schema {} has no such message", id)},
               body.view());
    return;
  }
  ProtobufRecords records(*message, stream, rules, *out.columns);
  const auto read = [&](std::uint64_t number, std::string_view bytes, std::string_view raw) {
    if (bytes.size() > limits_.record_bytes_max) {
      out.refuse(limits_, number,
                 {error_id::kRecordTooLarge, fmt::format("the record has {} bytes, {} are allowed",
                                                         bytes.size(), limits_.record_bytes_max)},
                 raw);
    } else if (!records.read(bytes)) {
      out.refuse(limits_, number, records.fault(), raw);
    }
  };
  if (!type.delimited || frame) {
    read(1, data, body.view());
    return;
  }
  ProtobufFields all(data);
  for (std::uint64_t number = 1; !all.rest().empty(); ++number) {
    const std::string_view before = all.rest();
    std::string_view bytes;
    if (!all.read_bytes(bytes)) {
      out.refuse(limits_, number,
                 {error_id::kBadPayload, "a message ends too early; what is behind it is lost"},
                 before);
      return;
    }
    read(number, bytes, before.substr(0, before.size() - all.rest().size()));
  }
}

}  // namespace millrace::format
