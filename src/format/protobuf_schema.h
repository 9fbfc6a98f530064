// A Protobuf schema (.proto, proto2 or proto3) that came as text: its message types, for the
// decoder, and whether another version of it reads the same data. The only code beside
// protobuf_decoder.cc that sees libprotobuf, and only for descriptors: bytes of events are read by
// our own code. Thread: any, never changed after parse. Errors: kInvalidArgument (kBadSchema) with
// line and column. Imports: google/protobuf/*.proto alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace google::protobuf {
class Descriptor;
class FileDescriptor;
}  // namespace google::protobuf

namespace millrace::format {

class ProtobufSchema {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{1} << 20;

  static Result<std::shared_ptr<const ProtobufSchema>> parse(std::string_view text);
  ~ProtobufSchema();
  ProtobufSchema(const ProtobufSchema&) = delete;
  ProtobufSchema& operator=(const ProtobufSchema&) = delete;

  /// By the place in the file, as Confluent's frame has it: {1, 0} is the first message inside of
  /// the second. nullptr where there is none.
  [[nodiscard]] const google::protobuf::Descriptor* message(
      std::span<const std::uint32_t> indexes) const;
  /// By its name with or without the package; nullptr where there is none.
  [[nodiscard]] const google::protobuf::Descriptor* message(std::string_view name) const;
  [[nodiscard]] const google::protobuf::FileDescriptor& file() const { return *file_; }

 private:
  struct Pool;
  ProtobufSchema();

  std::unique_ptr<Pool> pool_;
  const google::protobuf::FileDescriptor* file_ = nullptr;
};

/// Why data of `writer` cannot be read with `reader`, as far as field numbers tell: a field's type
/// on the wire changed, a message is gone, a required field need not be there.
[[nodiscard]] std::vector<std::string> protobuf_read_faults(const ProtobufSchema& reader,
                                                            const ProtobufSchema& writer);

}  // namespace millrace::format
