#include "format/protobuf_schema.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>

namespace millrace::format {

namespace pb = google::protobuf;

namespace {

constexpr const char* kFileName = "schema.proto";

/// Keeps the first thing that is wrong.
class FirstFault : public pb::io::ErrorCollector, public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(int line, pb::io::ColumnNumber column, const std::string& message) override {
    // Counted from 0; -1 where no place is known.
    keep(line < 0 ? message : fmt::format("line {}, column {}: {}", line + 1, column + 1, message));
  }
  void AddError(const std::string&, const std::string& element, const pb::Message*, ErrorLocation,
                const std::string& message) override {
    keep(fmt::format("{}: {}", element, message));
  }
  [[nodiscard]] std::unexpected<Error> error() const {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema, "the Protobuf schema: {}",
                text_.empty() ? "it cannot be read" : text_);
  }
  [[nodiscard]] bool any() const { return !text_.empty(); }

 private:
  void keep(std::string text) {
    if (text_.empty()) text_ = std::move(text);
  }
  std::string text_;
};

/// The parser follows each bracket with a call of its own.
bool is_shallow(std::string_view text) {
  constexpr int kDepthMax = 100;
  int depth = 0;
  for (const char c : text) {
    if (c == '{' && ++depth > kDepthMax) return false;
    if (c == '}' && depth != 0) --depth;
  }
  return true;
}

/// The files of google/protobuf/ that may be imported are there once they are referred to.
void load_known_files() {
  for (const auto* known :
       {pb::Timestamp::descriptor(), pb::Duration::descriptor(), pb::Struct::descriptor(),
        pb::StringValue::descriptor(), pb::Any::descriptor(), pb::Empty::descriptor(),
        pb::FieldMask::descriptor()})
    static_cast<void>(known);
}

}  // namespace

struct ProtobufSchema::Pool {
  pb::DescriptorPool pool{pb::DescriptorPool::generated_pool()};
};

ProtobufSchema::ProtobufSchema() : pool_(std::make_unique<Pool>()) {}
ProtobufSchema::~ProtobufSchema() = default;

Result<std::shared_ptr<const ProtobufSchema>> ProtobufSchema::parse(std::string_view text) {
  FirstFault fault;
  if (text.size() > kBytesMax || !is_shallow(text)) return fault.error();
  load_known_files();
  // Its warnings would go to the server's own output.
  const pb::LogSilencer silencer;
  pb::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  pb::io::Tokenizer tokens(&input, &fault);
  pb::compiler::Parser parser;
  parser.RecordErrorsTo(&fault);
  pb::FileDescriptorProto file;
  if (!parser.Parse(&tokens, &file) || fault.any()) return fault.error();
  file.set_name(kFileName);
  if (file.syntax().empty()) file.set_syntax("proto2");
  std::shared_ptr<ProtobufSchema> out(new ProtobufSchema());
  out->file_ = out->pool_->pool.BuildFileCollectingErrors(file, &fault);
  if (out->file_ == nullptr) return fault.error();
  if (out->file_->message_type_count() == 0) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadSchema,
                "the Protobuf schema: it has no message");
  }
  return out;
}

const pb::Descriptor* ProtobufSchema::message(std::span<const std::uint32_t> indexes) const {
  const pb::Descriptor* out = nullptr;
  for (const auto index : indexes) {
    const int count = out == nullptr ? file_->message_type_count() : out->nested_type_count();
    if (index >= static_cast<std::uint32_t>(count)) return nullptr;
    out = out == nullptr ? file_->message_type(static_cast<int>(index))
                         : out->nested_type(static_cast<int>(index));
  }
  return out;
}

const pb::Descriptor* ProtobufSchema::message(std::string_view name) const {
  const std::string text(name);
  const auto* out = pool_->pool.FindMessageTypeByName(text);
  if (out == nullptr && !file_->package().empty())
    out = pool_->pool.FindMessageTypeByName(file_->package() + "." + text);
  return out != nullptr && out->file() == file_ ? out : nullptr;
}

namespace {

using Type = pb::FieldDescriptor::Type;

/// Types of one group have the same bytes for the values that both have.
int wire_group(const pb::FieldDescriptor& field) {
  switch (field.type()) {
    case pb::FieldDescriptor::TYPE_INT32:
    case pb::FieldDescriptor::TYPE_INT64:
    case pb::FieldDescriptor::TYPE_UINT32:
    case pb::FieldDescriptor::TYPE_UINT64:
    case pb::FieldDescriptor::TYPE_BOOL:
    case pb::FieldDescriptor::TYPE_ENUM:
      return pb::FieldDescriptor::TYPE_INT64;
    case pb::FieldDescriptor::TYPE_SINT32:
    case pb::FieldDescriptor::TYPE_SINT64:
      return pb::FieldDescriptor::TYPE_SINT64;
    case pb::FieldDescriptor::TYPE_STRING:
    case pb::FieldDescriptor::TYPE_BYTES:
      return pb::FieldDescriptor::TYPE_BYTES;
    case pb::FieldDescriptor::TYPE_FIXED32:
    case pb::FieldDescriptor::TYPE_SFIXED32:
      return pb::FieldDescriptor::TYPE_FIXED32;
    case pb::FieldDescriptor::TYPE_FIXED64:
    case pb::FieldDescriptor::TYPE_SFIXED64:
      return pb::FieldDescriptor::TYPE_FIXED64;
    default:
      return field.type();
  }
}

void compare(const pb::Descriptor& reader, const pb::Descriptor& writer,
             std::vector<std::string>& faults) {
  for (int i = 0; i < writer.field_count(); ++i) {
    const auto& written = *writer.field(i);
    const auto* read = reader.FindFieldByNumber(written.number());
    if (read == nullptr) continue;
    if (wire_group(*read) != wire_group(written)) {
      faults.push_back(fmt::format("{} is {}, data has {}", read->full_name(), read->type_name(),
                                   written.type_name()));
    } else if (read->type() == pb::FieldDescriptor::TYPE_MESSAGE &&
               read->message_type()->full_name() != written.message_type()->full_name()) {
      faults.push_back(fmt::format("{} is a {}, data has a {}", read->full_name(),
                                   read->message_type()->full_name(),
                                   written.message_type()->full_name()));
    }
  }
  for (int i = 0; i < reader.field_count(); ++i) {
    const auto& field = *reader.field(i);
    const auto* written = writer.FindFieldByNumber(field.number());
    if (field.is_required() && (written == nullptr || !written->is_required()))
      faults.push_back(fmt::format("{} is required, data need not have it", field.full_name()));
  }
  for (int i = 0; i < writer.nested_type_count(); ++i) {
    const auto& inner = *writer.nested_type(i);
    const auto* same = reader.FindNestedTypeByName(inner.name());
    if (same != nullptr) {
      compare(*same, inner, faults);
    } else {
      faults.push_back(fmt::format("the message {} is gone", inner.full_name()));
    }
  }
}

}  // namespace

std::vector<std::string> protobuf_read_faults(const ProtobufSchema& reader,
                                              const ProtobufSchema& writer) {
  std::vector<std::string> faults;
  if (reader.file().package() != writer.file().package()) {
    faults.push_back(fmt::format("the package is {}, that of the data is {}",
                                 reader.file().package(), writer.file().package()));
    return faults;
  }
  for (int i = 0; i < writer.file().message_type_count(); ++i) {
    const auto& written = *writer.file().message_type(i);
    const auto* read = reader.file().FindMessageTypeByName(written.name());
    if (read != nullptr) {
      compare(*read, written, faults);
    } else {
      faults.push_back(fmt::format("the message {} is gone", written.full_name()));
    }
  }
  return faults;
}

}  // namespace millrace::format
