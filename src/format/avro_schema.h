// An Avro schema (specification 1.11) as a table of nodes: what the decoder follows and what
// compatibility is decided on. Names may refer to each other, so nodes may form cycles; who walks
// them counts his depth. Thread: any, never changed after parse. Errors: kInvalidArgument
// (kBadPayload) with the path of what is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::format {

struct AvroNode {
  enum class Kind : std::uint8_t {
    kNull,
    kBoolean,
    kInt,
    kLong,
    kFloat,
    kDouble,
    kBytes,
    kString,
    kRecord,
    kEnum,
    kArray,  // children[0]
    kMap,    // children[0], of its values
    kUnion,  // children
    kFixed,
  };
  enum class Logical : std::uint8_t {
    kNone,
    kDecimal,
    kUuid,
    kDate,
    kTimeMillis,
    kTimeMicros,
    kTimestampMillis,
    kTimestampMicros,
    kTimestampNanos,
  };
  struct Field {
    std::string name;
    std::vector<std::string> aliases;
    std::uint32_t type = 0;
    bool has_default = false;
  };

  Kind kind = Kind::kNull;
  Logical logical = Logical::kNone;
  std::uint8_t scale = 0;               // of a decimal
  std::uint32_t size = 0;               // of a fixed
  std::string name;                     // full name of a record, enum or fixed
  std::vector<std::string> aliases;     // full names
  std::vector<std::string> symbols;     // of an enum
  std::optional<std::string> fallback;  // the default symbol of an enum
  std::vector<Field> fields;            // of a record
  std::vector<std::uint32_t> children;
};

[[nodiscard]] std::string_view name_of(AvroNode::Kind kind);

class AvroSchema {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  static constexpr std::size_t kNodesMax = 20'000;
  static constexpr std::size_t kDepthMax = 64;

  static Result<AvroSchema> parse(std::string_view text);

  [[nodiscard]] const AvroNode& root() const { return nodes_[root_]; }
  [[nodiscard]] std::uint32_t root_index() const { return root_; }
  [[nodiscard]] const AvroNode& node(std::uint32_t index) const { return nodes_[index]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  /// As it was given.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  friend class AvroSchemaParser;
  std::vector<AvroNode> nodes_;
  std::uint32_t root_ = 0;
  std::string text_;
};

/// Why data of `writer` cannot be read with `reader` (the specification's "Schema Resolution"), a
/// line for each place; none where it can.
[[nodiscard]] std::vector<std::string> avro_read_faults(const AvroSchema& reader,
                                                        const AvroSchema& writer);

}  // namespace millrace::format
