#include "op/arrow_ipc.h"

#include <op/arrow_message_generated.h>

#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "base/bytes.h"

namespace millrace::op {

namespace {

constexpr std::uint32_t kContinuation = 0xffffffff;
constexpr std::size_t kAlignment = 8;

template <class... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalidArgument, error_id::kArrow, "Arrow stream: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

std::string_view text_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

ArrowType read_integer(const fb::Int& type) {
  const int bits = type.bit_width();
  if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
    return {.other = fmt::format("int of {} bits", bits)};
  return {.kind = ArrowKind::kInteger,
          .bits = static_cast<std::uint8_t>(bits),
          .is_signed = type.is_signed()};
}

ArrowType read_type(const fb::Field& field) {
  // The verifier takes a union that names a table and has none.
  if (field.type() == nullptr) return {.other = "of no type"};
  switch (field.type_type()) {
    case fb::Type_Bool:
      return {.kind = ArrowKind::kBool};
    case fb::Type_Int:
      return read_integer(*field.type_as_Int());
    case fb::Type_FloatingPoint: {
      const auto precision = field.type_as_FloatingPoint()->precision();
      if (precision == fb::Precision_Single) return {.kind = ArrowKind::kFloat, .bits = 32};
      if (precision == fb::Precision_Double) return {.kind = ArrowKind::kFloat, .bits = 64};
      return {.other = "halffloat"};
    }
    case fb::Type_Decimal: {
      const auto& decimal = *field.type_as_Decimal();
      if (decimal.bit_width() != 128)
        return {.other = fmt::format("decimal{}", decimal.bit_width())};
      return {
          .kind = ArrowKind::kDecimal, .precision = decimal.precision(), .scale = decimal.scale()};
    }
    case fb::Type_Utf8:
      return {.kind = ArrowKind::kUtf8, .bits = 32};
    case fb::Type_LargeUtf8:
      return {.kind = ArrowKind::kUtf8, .bits = 64};
    case fb::Type_Binary:
      return {.kind = ArrowKind::kBinary, .bits = 32};
    case fb::Type_LargeBinary:
      return {.kind = ArrowKind::kBinary, .bits = 64};
    case fb::Type_FixedSizeBinary: {
      const int width = field.type_as_FixedSizeBinary()->byte_width();
      if (width <= 0 || width > kFixedBytesMax)
        return {.other = fmt::format("fixed_size_binary[{}]", width)};
      return {.kind = ArrowKind::kFixedBinary, .byte_width = width};
    }
    case fb::Type_Timestamp: {
      const auto& timestamp = *field.type_as_Timestamp();
      if (timestamp.unit() != fb::TimeUnit_Microsecond)
        return {.other = "timestamp whose unit is not us"};
      return {.kind = ArrowKind::kTimestamp, .has_zone = !text_of(timestamp.timezone()).empty()};
    }
    case fb::Type_Date:
      if (field.type_as_Date()->unit() == fb::DateUnit_Day) return {.kind = ArrowKind::kDate};
      return {.other = "date64"};
    default:
      return {.other = fb::EnumNameType(field.type_type())};
  }
}

/// A message whose metadata has been verified. The metadata is a copy, aligned as it must be.
struct Message {
  std::vector<std::uint64_t> metadata;
  std::string_view body;
  [[nodiscard]] const fb::Message& root() const { return *fb::GetMessage(metadata.data()); }
};

class StreamReader {
 public:
  StreamReader(std::string_view bytes, const ArrayBatchVisitor& visit)
      : rest_(bytes), visit_(visit) {}

  Status run() {
    Message message;
    for (;;) {
      MR_TRY(const bool more, next(message));
      if (!more) {
        if (!has_schema_) return refuse("there is no schema");
        if (!rest_.empty()) return refuse("{} bytes behind its end", rest_.size());
        return {};
      }
      MR_RETURN_IF_ERROR(take(message));
    }
  }

 private:
  /// False at the end mark, or where the bytes end between two messages.
  Result<bool> next(Message& out) {
    if (rest_.empty()) return false;
    ByteReader head(rest_);
    const auto mark = head.get<std::uint32_t>();
    const auto size = head.get<std::uint32_t>();
    if (!head.ok()) return refuse("it ends inside the head of a message");
    if (mark != kContinuation)
      return refuse("a message begins with {:08x} instead of ffffffff", mark);
    rest_.remove_prefix(8);
    if (size == 0) return false;
    if (size > rest_.size()) return refuse("it ends inside of a message");
    out.metadata.assign((size + 7) / 8, 0);
    std::memcpy(out.metadata.data(), rest_.data(), size);
    rest_.remove_prefix(size);
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(out.metadata.data()),
                                   size);
    if (!fb::VerifyMessageBuffer(verifier)) return refuse("the metadata of a message is damaged");
    const auto& message = out.root();
    if (message.header() == nullptr) return refuse("a message without content");
    if (message.version() != fb::MetadataVersion_V5 && message.version() != fb::MetadataVersion_V4)
      return refuse("a message has metadata version {}, this reader knows V4 and V5",
                    static_cast<int>(message.version()) + 1);
    const std::int64_t body = message.body_length();
    if (body < 0 || static_cast<std::uint64_t>(body) > rest_.size())
      return refuse("the body of a message has {} bytes, {} are left", body, rest_.size());
    out.body = rest_.substr(0, static_cast<std::size_t>(body));
    rest_.remove_prefix(out.body.size());
    return true;
  }

  Status take(const Message& message) {
    switch (message.root().header_type()) {
      case fb::MessageHeader_Schema:
        if (has_schema_) return refuse("a second schema");
        return take_schema(*message.root().header_as_Schema());
      case fb::MessageHeader_DictionaryBatch:
        if (!has_schema_) return refuse("a dictionary before the schema");
        return take_dictionary(*message.root().header_as_DictionaryBatch(), message.body);
      case fb::MessageHeader_RecordBatch: {
        if (!has_schema_) return refuse("a batch before the schema");
        const auto& batch = *message.root().header_as_RecordBatch();
        std::vector<ArrayView> arrays;
        MR_RETURN_IF_ERROR(read_arrays(batch, message.body, fields_, true, arrays));
        return visit_({fields_, arrays, static_cast<std::size_t>(batch.length())});
      }
      default:
        return refuse("a message is neither schema nor dictionary nor batch");
    }
  }

  Status take_schema(const fb::Schema& schema) {
    if (schema.endianness() != fb::Endianness_Little) return refuse("its numbers are big endian");
    has_schema_ = true;
    if (schema.fields() == nullptr) return {};
    if (schema.fields()->size() > kArrowColumnsMax)
      return refuse("{} columns are too many", schema.fields()->size());
    for (const fb::Field* field : *schema.fields()) {
      ArrowField out{.name = std::string(text_of(field->name())), .type = read_type(*field)};
      // Where the buffers of such a column end is not known.
      if (out.type.kind == ArrowKind::kOther) {
        return refuse(
            "column {} is {}, which no column of a stream can be; leave it out, or cast it",
            out.name, out.type.other);
      }
      if (const auto* dictionary = field->dictionary()) {
        out.dictionary_id = dictionary->id();
        out.index = dictionary->index_type() == nullptr
                        ? ArrowType{.kind = ArrowKind::kInteger, .bits = 32, .is_signed = true}
                        : read_integer(*dictionary->index_type());
        if (out.index->kind != ArrowKind::kInteger)
          return refuse("column {}: the indices of its dictionary are {}", out.name,
                        out.index->text());
      }
      fields_.push_back(std::move(out));
    }
    return {};
  }

  Status take_dictionary(const fb::DictionaryBatch& dictionary, std::string_view body) {
    if (dictionary.is_delta()) return refuse("deltas of dictionaries are not taken");
    if (dictionary.data() == nullptr) return refuse("a dictionary without data");
    // Columns may share one: then all have its type.
    const ArrowField* owner = nullptr;
    for (const ArrowField& field : fields_) {
      if (!field.index || field.dictionary_id != dictionary.id()) continue;
      if (owner != nullptr && !(owner->type == field.type))
        return refuse("columns {} and {} share a dictionary and differ in type", owner->name,
                      field.name);
      owner = &field;
    }
    if (owner == nullptr) return refuse("no column has dictionary {}", dictionary.id());
    std::vector<ArrayView> arrays;
    MR_RETURN_IF_ERROR(read_arrays(*dictionary.data(), body, std::span(owner, 1), false, arrays));
    dictionaries_[dictionary.id()] = arrays.front();
    return {};
  }

  Status read_arrays(const fb::RecordBatch& batch, std::string_view body,
                     std::span<const ArrowField> fields, bool with_indices,
                     std::vector<ArrayView>& out) {
    if (batch.compression() != nullptr)
      return refuse("its body is compressed; write the stream without compression");
    const auto* nodes = batch.nodes();
    const auto* buffers = batch.buffers();
    if (batch.length() < 0) return refuse("a batch has {} rows", batch.length());
    const std::size_t node_count = nodes == nullptr ? 0 : nodes->size();
    if (node_count != fields.size())
      return refuse("a batch has {} columns, its schema {}", node_count, fields.size());
    std::uint32_t next_buffer = 0;
    for (std::uint32_t i = 0; i < fields.size(); ++i) {
      const ArrowField& field = fields[i];
      const fb::FieldNode& node = *nodes->Get(i);
      const bool is_index = with_indices && field.index.has_value();
      const ArrowType& type = is_index ? *field.index : field.type;
      if (node.length() != batch.length())
        return refuse("column {} has {} rows, the batch {}", field.name, node.length(),
                      batch.length());
      ArrayView array;
      array.length = static_cast<std::size_t>(node.length());
      const std::size_t count = type.value_bits() != 0 ? 2 : 3;
      for (std::size_t b = 0; b < count; ++b, ++next_buffer) {
        if (buffers == nullptr || next_buffer >= buffers->size())
          return refuse("column {} lacks a buffer", field.name);
        const fb::BufferRange& range = *buffers->Get(next_buffer);
        const auto size = static_cast<std::int64_t>(body.size());
        if (range.offset() < 0 || range.length() < 0 || range.offset() > size ||
            range.length() > size - range.offset()) {
          return refuse("a buffer of column {} lies outside of the body", field.name);
        }
        array.buffers[b] = body.substr(static_cast<std::size_t>(range.offset()),
                                       static_cast<std::size_t>(range.length()));
      }
      // A writer may leave bits there that nobody set.
      if (node.null_count() == 0) array.buffers[0] = {};
      if (node.null_count() != 0 && array.length != 0 && array.buffers[0].empty())
        return refuse("column {} has NULLs and no validity bits", field.name);
      if (is_index) {
        const auto found = dictionaries_.find(field.dictionary_id);
        array.dictionary = found == dictionaries_.end() ? nullptr : &found->second;
      }
      out.push_back(array);
    }
    return {};
  }

  std::string_view rest_;
  const ArrayBatchVisitor& visit_;
  bool has_schema_ = false;
  std::vector<ArrowField> fields_;
  std::map<std::int64_t, ArrayView> dictionaries_;
};

// --- writing

using Builder = flatbuffers::FlatBufferBuilder;

std::size_t padding_of(std::size_t size) { return (kAlignment - size % kAlignment) % kAlignment; }

std::pair<fb::Type, flatbuffers::Offset<void>> write_type(Builder& builder, const ArrowType& type) {
  switch (type.kind) {
    case ArrowKind::kBool:
      return {fb::Type_Bool, fb::CreateBool(builder).Union()};
    case ArrowKind::kInteger:
      return {fb::Type_Int, fb::CreateInt(builder, type.bits, type.is_signed).Union()};
    case ArrowKind::kFloat:
      return {fb::Type_FloatingPoint,
              fb::CreateFloatingPoint(builder,
                                      type.bits == 32 ? fb::Precision_Single : fb::Precision_Double)
                  .Union()};
    case ArrowKind::kDecimal:
      return {fb::Type_Decimal,
              fb::CreateDecimal(builder, type.precision, type.scale, 128).Union()};
    case ArrowKind::kUtf8:
      return {fb::Type_Utf8, fb::CreateUtf8(builder).Union()};
    case ArrowKind::kFixedBinary:
      return {fb::Type_FixedSizeBinary,
              fb::CreateFixedSizeBinary(builder, type.byte_width).Union()};
    case ArrowKind::kTimestamp: {
      const auto zone =
          type.has_zone ? builder.CreateString("UTC") : flatbuffers::Offset<flatbuffers::String>();
      return {fb::Type_Timestamp,
              fb::CreateTimestamp(builder, fb::TimeUnit_Microsecond, zone).Union()};
    }
    case ArrowKind::kDate:
      return {fb::Type_Date, fb::CreateDate(builder, fb::DateUnit_Day).Union()};
    case ArrowKind::kTime:
      return {fb::Type_Time, fb::CreateTime(builder, fb::TimeUnit_Microsecond, 64).Union()};
    case ArrowKind::kInterval:
      return {fb::Type_Interval,
              fb::CreateInterval(builder, fb::IntervalUnit_MonthDayNano).Union()};
    case ArrowKind::kList:
      return {fb::Type_List, fb::CreateList(builder).Union()};
    case ArrowKind::kStruct:
      return {fb::Type_Struct, fb::CreateStruct(builder).Union()};
    case ArrowKind::kMap:
      return {fb::Type_Map, fb::CreateMap(builder).Union()};
    case ArrowKind::kBinary:
    case ArrowKind::kOther:  // make_arrays() makes none
      break;
  }
  return {fb::Type_Binary, fb::CreateBinary(builder).Union()};
}

flatbuffers::Offset<fb::Field> write_field(Builder& builder, const ArrowField& field,
                                           bool nullable) {
  std::vector<flatbuffers::Offset<fb::Field>> children;
  // Entries of a map and their keys are never NULL.
  const bool is_map = field.type.kind == ArrowKind::kMap;
  for (std::size_t i = 0; i < field.children.size(); ++i)
    children.push_back(write_field(builder, field.children[i], !is_map && (nullable || i != 0)));
  const auto name = builder.CreateString(field.name);
  const auto [kind, type] = write_type(builder, field.type);
  return fb::CreateField(builder, name, nullable, kind, type, 0, builder.CreateVector(children));
}

/// Nodes and buffers of an array, then those of its children.
struct BodyLayout {
  std::vector<fb::FieldNode> nodes;
  std::vector<fb::BufferRange> ranges;
  std::vector<const std::string*> buffers;
  std::size_t size = 0;

  void add(const OwnedArray& array) {
    nodes.emplace_back(static_cast<std::int64_t>(array.length),
                       static_cast<std::int64_t>(array.null_count));
    for (const std::string& buffer : array.buffers) {
      ranges.emplace_back(static_cast<std::int64_t>(size),
                          static_cast<std::int64_t>(buffer.size()));
      buffers.push_back(&buffer);
      size += buffer.size() + padding_of(buffer.size());
    }
    for (const OwnedArray& child : array.children) add(child);
  }
};

void append_message(std::string& out, Builder& builder, fb::MessageHeader kind,
                    flatbuffers::Offset<void> header, std::int64_t body_bytes) {
  builder.Finish(fb::CreateMessage(builder, fb::MetadataVersion_V5, kind, header, body_bytes));
  const std::size_t size = builder.GetSize();
  const std::size_t padded = (size + kAlignment - 1) / kAlignment * kAlignment;
  ByteWriter writer(out);
  writer.put(kContinuation);
  writer.put(static_cast<std::uint32_t>(padded));
  writer.put_bytes({reinterpret_cast<const char*>(builder.GetBufferPointer()), size});
  out.append(padded - size, '\0');
}

}  // namespace

Status read_arrow_stream(std::string_view bytes, const ArrayBatchVisitor& visit) {
  return StreamReader(bytes, visit).run();
}

void append_arrow_schema(std::span<const ArrowField> fields, std::string& out) {
  Builder builder;
  std::vector<flatbuffers::Offset<fb::Field>> written;
  for (const ArrowField& field : fields) written.push_back(write_field(builder, field, true));
  const auto schema =
      fb::CreateSchema(builder, fb::Endianness_Little, builder.CreateVector(written));
  append_message(out, builder, fb::MessageHeader_Schema, schema.Union(), 0);
}

void append_arrow_batch(const OwnedBatch& batch, std::string& out) {
  BodyLayout body;
  for (const OwnedArray& array : batch.arrays) body.add(array);
  Builder builder;
  const auto nodes = builder.CreateVectorOfStructs(body.nodes);
  const auto ranges = builder.CreateVectorOfStructs(body.ranges);
  const auto record =
      fb::CreateRecordBatch(builder, static_cast<std::int64_t>(batch.rows), nodes, ranges);
  append_message(out, builder, fb::MessageHeader_RecordBatch, record.Union(),
                 static_cast<std::int64_t>(body.size));
  for (const std::string* buffer : body.buffers) {
    out += *buffer;
    out.append(padding_of(buffer->size()), '\0');
  }
}

void append_arrow_end(std::string& out) {
  ByteWriter writer(out);
  writer.put(kContinuation);
  writer.put(std::uint32_t{0});
}

void append_arrow_stream(const OwnedBatch& batch, std::string& out) {
  append_arrow_schema(batch.fields, out);
  append_arrow_batch(batch, out);
  append_arrow_end(out);
}

}  // namespace millrace::op
