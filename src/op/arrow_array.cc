#include "op/arrow_array.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "format/json_text.h"
#include "model/nested_value.h"

namespace millrace::op {

namespace {

constexpr std::size_t kBytesMax = std::numeric_limits<std::int32_t>::max();
/// UUIDs lie in memory with the top bit flipped, so that they order as their text.
constexpr UInt128 kUuidFlip = static_cast<UInt128>(1) << 127;

template <class T>
T load(std::string_view bytes, std::size_t index) {
  T value{};
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class... Args>
std::unexpected<Error> refuse(const ArrowField& field, fmt::format_string<Args...> format,
                              Args&&... args) {
  return fail(ErrorCode::kInvalidArgument, error_id::kArrow, "column {}: {}", field.name,
              fmt::format(format, std::forward<Args>(args)...));
}

std::unexpected<Error> refuse_type(const ArrowField& field, const Type& wanted) {
  const ArrowType best = arrow_type_of(wanted);
  return refuse(field, "the batch has {}, the stream {}; send {}", field.type.text(), wanted.sql(),
                best.text());
}

bool has_bits(std::string_view buffer, std::size_t bits) {
  return buffer.size() >= bits / 8 + (bits % 8 == 0 ? 0 : 1);
}

/// Reads one array; made once its buffers are known to be long enough.
class ArrayReader {
 public:
  static Result<ArrayReader> open(const ArrowField& field, const ArrowType& type,
                                  const ArrayView& array) {
    const std::size_t end = array.offset + array.length;
    if (end < array.offset || end > kRowsMax)
      return refuse(field, "{} rows from row {} are too many", array.length, array.offset);
    if (!array.buffers[0].empty() && !has_bits(array.buffers[0], end))
      return refuse(field, "the validity bits end before row {}", end);
    const std::size_t bits = type.value_bits();
    if (bits != 0) {
      if (array.length != 0 && !has_bits(array.buffers[1], end * bits))
        return refuse(field, "the values end before row {}", end);
    } else if (array.length != 0 && array.buffers[1].size() / (type.bits / 8) < end + 1) {
      return refuse(field, "the offsets end before row {}", end);
    }
    return ArrayReader(field, type, array);
  }

  [[nodiscard]] bool valid(std::size_t row) const {
    const std::string_view bits = array_.buffers[0];
    return bits.empty() || bit(bits, array_.offset + row);
  }
  [[nodiscard]] bool flag(std::size_t row) const {
    return bit(array_.buffers[1], array_.offset + row);
  }
  template <class T>
  [[nodiscard]] T value(std::size_t row) const {
    return load<T>(array_.buffers[1], array_.offset + row);
  }
  Result<std::string_view> text(std::size_t row) const {
    if (type_.kind == ArrowKind::kFixedBinary) {
      const auto width = static_cast<std::size_t>(type_.byte_width);
      return array_.buffers[1].substr((array_.offset + row) * width, width);
    }
    const std::int64_t begin = text_offset(row);
    const std::int64_t end = text_offset(row + 1);
    const auto size = static_cast<std::int64_t>(array_.buffers[2].size());
    if (begin < 0 || end < begin || end > size)
      return refuse(field_, "the string of row {} lies outside of its buffer", row + 1);
    if (static_cast<std::size_t>(end - begin) > kBytesMax)
      return refuse(field_, "the string of row {} is too long", row + 1);
    return array_.buffers[2].substr(static_cast<std::size_t>(begin),
                                    static_cast<std::size_t>(end - begin));
  }
  [[nodiscard]] std::size_t length() const { return array_.length; }

 private:
  static constexpr std::size_t kRowsMax = std::size_t{1}
                                          << 36;  // times the bits of a value: in 64 bits

  ArrayReader(const ArrowField& field, const ArrowType& type, const ArrayView& array)
      : field_(field), type_(type), array_(array) {}
  static bool bit(std::string_view bits, std::size_t index) {
    return ((static_cast<unsigned char>(bits[index / 8]) >> (index % 8)) & 1U) != 0;
  }
  [[nodiscard]] std::int64_t text_offset(std::size_t row) const {
    return type_.bits == 64 ? value<std::int64_t>(row) : value<std::int32_t>(row);
  }

  const ArrowField& field_;
  const ArrowType& type_;
  const ArrayView& array_;
};

/// Calls `each(row)` for every row that is not NULL, and appends NULL for the others.
template <class Each>
Status for_each_value(const ArrayReader& reader, ColumnVector& out, const Each& each) {
  out.reserve(out.rows() + reader.length());
  for (std::size_t row = 0; row < reader.length(); ++row) {
    if (!reader.valid(row)) {
      out.push_null();
      continue;
    }
    MR_RETURN_IF_ERROR(each(row));
  }
  return {};
}

/// For values that need no check.
template <class Value>
Status append_as_they_are(const ArrayReader& reader, ColumnVector& out) {
  return for_each_value(reader, out, [&](std::size_t row) -> Status {
    out.push(reader.value<Value>(row));
    return {};
  });
}

/// Calls `visit` with a value of the type of an Arrow integer.
template <class Visit>
Status visit_integer(const ArrowType& type, const Visit& visit) {
  switch (type.bits) {
    case 8:
      return type.is_signed ? visit(std::int8_t{}) : visit(std::uint8_t{});
    case 16:
      return type.is_signed ? visit(std::int16_t{}) : visit(std::uint16_t{});
    case 32:
      return type.is_signed ? visit(std::int32_t{}) : visit(std::uint32_t{});
    default:
      return type.is_signed ? visit(std::int64_t{}) : visit(std::uint64_t{});
  }
}

template <class To>
Status append_integers(const ArrowField& field, const ArrayReader& reader, ColumnVector& out) {
  return visit_integer(field.type, [&](auto example) -> Status {
    using From = decltype(example);
    return for_each_value(reader, out, [&](std::size_t row) -> Status {
      const From value = reader.value<From>(row);
      if constexpr (!std::is_same_v<From, To> && !std::is_same_v<To, Int128>) {
        if (!std::in_range<To>(value)) {
          return fail(ErrorCode::kInvalidArgument, error_id::kOutOfRange,
                      "column {}: {} in row {} does not fit {}", field.name, value, row + 1,
                      out.type().sql());
        }
      }
      out.push(static_cast<To>(value));
      return {};
    });
  });
}

Int128 power_of_ten(std::uint8_t digits) {
  Int128 power = 1;
  for (std::uint8_t i = 0; i < digits; ++i) power *= 10;
  return power;
}

template <class To>
Status append_decimals(const ArrowField& field, const ArrayReader& reader, ColumnVector& out) {
  const Int128 bound = power_of_ten(out.type().width);
  return for_each_value(reader, out, [&](std::size_t row) -> Status {
    const auto value = reader.value<Int128>(row);
    if (value <= -bound || value >= bound) {
      return fail(ErrorCode::kInvalidArgument, error_id::kOutOfRange,
                  "column {}: the value in row {} does not fit {}", field.name, row + 1,
                  out.type().sql());
    }
    out.push(static_cast<To>(value));
    return {};
  });
}

Status append_strings(const ArrowField& field, const ArrayReader& reader, bool is_text,
                      ColumnVector& out, Arena& arena) {
  return for_each_value(reader, out, [&](std::size_t row) -> Status {
    MR_TRY(const std::string_view text, reader.text(row));
    if (is_text && format::first_bad_utf8(text) != text.size()) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadUtf8,
                  "column {}: the text in row {} is not UTF-8", field.name, row + 1);
    }
    out.push_string(text, arena);
    return {};
  });
}

Int128 uuid_of(std::string_view bytes) {
  UInt128 value = 0;
  for (const char byte : bytes) value = (value << 8) | static_cast<unsigned char>(byte);
  return static_cast<Int128>(value ^ kUuidFlip);
}

std::string uuid_bytes(Int128 value) {
  std::string out(16, '\0');
  UInt128 rest = static_cast<UInt128>(value) ^ kUuidFlip;
  for (std::size_t i = 16; i-- > 0; rest >>= 8) out[i] = static_cast<char>(rest & 0xff);
  return out;
}

Status append_values(const ArrowField& field, const ArrayView& array, ColumnVector& out,
                     Arena& arena) {
  const ArrowType& from = field.type;
  const Type& to = out.type();
  const auto refused = [&]() -> Status { return refuse_type(field, to); };
  if (from.kind == ArrowKind::kOther) return refused();
  MR_TRY(const auto reader, ArrayReader::open(field, from, array));
  const auto integers = [&](auto example) -> Status {
    if (from.kind != ArrowKind::kInteger) return refused();
    return append_integers<decltype(example)>(field, reader, out);
  };
  const auto is = [&](ArrowKind kind, std::uint8_t bits) {
    return from.kind == kind && from.bits == bits;
  };
  switch (to.kind) {
    case TypeKind::kBoolean:
      if (from.kind != ArrowKind::kBool) return refused();
      return for_each_value(reader, out, [&](std::size_t row) -> Status {
        out.push(reader.flag(row));
        return {};
      });
    case TypeKind::kTinyInt:
      return integers(std::int8_t{});
    case TypeKind::kSmallInt:
      return integers(std::int16_t{});
    case TypeKind::kInteger:
      return integers(std::int32_t{});
    case TypeKind::kBigInt:
      return integers(std::int64_t{});
    case TypeKind::kUTinyInt:
      return integers(std::uint8_t{});
    case TypeKind::kUSmallInt:
      return integers(std::uint16_t{});
    case TypeKind::kUInteger:
      return integers(std::uint32_t{});
    case TypeKind::kUBigInt:
      return integers(std::uint64_t{});
    case TypeKind::kHugeInt:
      if (from.kind == ArrowKind::kDecimal && from.scale == 0)
        return append_as_they_are<Int128>(reader, out);
      return integers(Int128{});
    case TypeKind::kFloat:
      if (!is(ArrowKind::kFloat, 32)) return refused();
      return append_as_they_are<float>(reader, out);
    case TypeKind::kDouble:
      if (is(ArrowKind::kFloat, 64)) return append_as_they_are<double>(reader, out);
      if (!is(ArrowKind::kFloat, 32)) return refused();
      return for_each_value(reader, out, [&](std::size_t row) -> Status {
        out.push(static_cast<double>(reader.value<float>(row)));
        return {};
      });
    case TypeKind::kDecimal:
      if (from.kind != ArrowKind::kDecimal || from.scale != to.scale) return refused();
      switch (to.physical()) {
        case PhysicalType::kInt16:
          return append_decimals<std::int16_t>(field, reader, out);
        case PhysicalType::kInt32:
          return append_decimals<std::int32_t>(field, reader, out);
        case PhysicalType::kInt64:
          return append_decimals<std::int64_t>(field, reader, out);
        default:
          return append_decimals<Int128>(field, reader, out);
      }
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      if (from.kind != ArrowKind::kUtf8) return refused();
      return append_strings(field, reader, true, out, arena);
    case TypeKind::kBlob:
      if (from.kind != ArrowKind::kBinary && from.kind != ArrowKind::kFixedBinary) return refused();
      return append_strings(field, reader, false, out, arena);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      if (from.kind != ArrowKind::kTimestamp ||
          from.has_zone != (to.kind == TypeKind::kTimestampTz)) {
        return refused();
      }
      return append_as_they_are<std::int64_t>(reader, out);
    case TypeKind::kDate:
      if (from.kind != ArrowKind::kDate) return refused();
      return append_as_they_are<std::int32_t>(reader, out);
    case TypeKind::kUuid:
      if (from.kind != ArrowKind::kFixedBinary || from.byte_width != 16) return refused();
      return for_each_value(reader, out, [&](std::size_t row) -> Status {
        MR_TRY(const std::string_view bytes, reader.text(row));
        out.push(uuid_of(bytes));
        return {};
      });
    default:
      return refused();
  }
}

Status append_indices(const ArrowField& field, const ArrayView& array, ColumnVector& out,
                      Arena& arena) {
  if (field.index->kind != ArrowKind::kInteger)
    return refuse(field, "the indices of a dictionary are {}", field.index->text());
  if (array.dictionary == nullptr) return refuse(field, "its dictionary has not come");
  MR_TRY(const auto reader, ArrayReader::open(field, *field.index, array));
  // Long strings lie in the arena once: the rows point to them.
  ColumnVector dictionary(out.type());
  MR_RETURN_IF_ERROR(append_values(field, *array.dictionary, dictionary, arena));
  const ColumnView values = dictionary.view();
  const std::size_t width = size_bytes(out.type().physical());
  return visit_integer(*field.index, [&](auto example) -> Status {
    return for_each_value(reader, out, [&](std::size_t row) -> Status {
      const auto index = reader.value<decltype(example)>(row);
      if (!std::in_range<std::size_t>(index) ||
          static_cast<std::size_t>(index) >= dictionary.rows())
        return refuse(field, "row {} has index {} in a dictionary of {}", row + 1, index,
                      dictionary.rows());
      const auto at = static_cast<std::size_t>(index);
      if (!values.valid(at)) {
        out.push_null();
        return {};
      }
      const auto* value = static_cast<const std::byte*>(values.data) + at * width;
      const auto push = [&](auto copy) {
        std::memcpy(&copy, value, sizeof(copy));
        out.push(copy);
      };
      switch (width) {
        case 1:
          push(std::uint8_t{});
          break;
        case 2:
          push(std::uint16_t{});
          break;
        case 4:
          push(std::uint32_t{});
          break;
        case 8:
          push(std::uint64_t{});
          break;
        default:
          push(Int128{});
          break;
      }
      return {};
    });
  });
}

}  // namespace

std::optional<std::size_t> ArrayBatchView::find(std::string_view name) const {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return i;
  }
  return std::nullopt;
}

Status append_array(const ArrowField& field, const ArrayView& array, ColumnVector& out,
                    Arena& arena) {
  if (field.index) return append_indices(field, array, out, arena);
  return append_values(field, array, out, arena);
}

Result<std::shared_ptr<ColumnBatch>> read_columns(const ArrayBatchView& batch,
                                                  std::span<const Column> columns) {
  std::vector<Type> types;
  for (const Column& column : columns) types.push_back(column.type);
  auto out = std::make_shared<ColumnBatch>(types);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto found = batch.find(columns[i].name);
    if (!found) {
      std::string names;
      for (const auto& field : batch.fields) names += (names.empty() ? "" : ", ") + field.name;
      return fail(ErrorCode::kInvalidArgument, error_id::kColumnNotFound,
                  "the batch has no column {}; it has: {}", columns[i].name,
                  format::shortened(names, 500));
    }
    if (batch.arrays[*found].length != batch.rows) {
      return fail(ErrorCode::kInvalidArgument, error_id::kArrow,
                  "column {} has {} rows, the batch {}", columns[i].name,
                  batch.arrays[*found].length, batch.rows);
    }
    MR_RETURN_IF_ERROR(
        append_array(batch.fields[*found], batch.arrays[*found], out->column(i), out->arena()));
  }
  return out;
}

namespace {

template <class Value>
void append_value(std::string& out, Value value) {
  char raw[sizeof(Value)];
  std::memcpy(raw, &value, sizeof(Value));
  out.append(raw, sizeof(Value));
}

/// One array that grows by values. The buffers are those of its type; a NULL has zeros as value.
class ArrayBuilder {
 public:
  explicit ArrayBuilder(const Type& type) : type_(type) {
    if (has_offsets()) append_offset();
    if (type.kind == TypeKind::kMap) {
      children_.emplace_back(Type::structure(type.fields()));
      return;
    }
    for (const auto& field : type.fields()) children_.emplace_back(field.type);
  }

  /// `type` of the column is the builder's.
  Status append(const ColumnView& column, std::size_t row) {
    if (!column.valid(row)) {
      append_null();
      return {};
    }
    if (!type_.is_nested()) return append_scalar(column, row);
    NestedReader reader(column.as<StringRef>()[row].view());
    return append_nested(reader);
  }
  void append_null() {
    begin_value(false);
    if (type_.kind == TypeKind::kStruct) {
      for (ArrayBuilder& child : children_) child.append_null();
    } else if (has_offsets()) {
      append_offset();
    } else if (type_.kind == TypeKind::kBoolean) {
      append_bit(values_, length_ - 1, false);
    } else {
      values_.append(arrow_type_of(type_).value_bits() / 8, '\0');
    }
  }
  OwnedArray finish() {
    OwnedArray out{.length = length_, .null_count = null_count_, .buffers = {}, .children = {}};
    out.buffers.push_back(null_count_ == 0 ? std::string() : std::move(validity_));
    if (type_.kind != TypeKind::kStruct) out.buffers.push_back(std::move(values_));
    if (type_.is_string() && !type_.is_nested()) out.buffers.push_back(std::move(text_));
    for (ArrayBuilder& child : children_) out.children.push_back(child.finish());
    return out;
  }

 private:
  [[nodiscard]] bool has_offsets() const {
    return type_.is_string() && type_.kind != TypeKind::kStruct;
  }
  static void append_bit(std::string& bits, std::size_t index, bool value) {
    if (index % 8 == 0) bits.push_back('\0');
    bits.back() = static_cast<char>(bits.back() | (static_cast<int>(value) << (index % 8)));
  }
  /// Where the next value begins: in the text, or in the one child.
  void append_offset() {
    const std::size_t end = type_.is_nested() ? children_size() : text_.size();
    append_value(values_, static_cast<std::int32_t>(end));
  }
  [[nodiscard]] std::size_t children_size() const {
    return children_.empty() ? 0 : children_.front().length_;
  }
  void begin_value(bool valid) {
    append_bit(validity_, length_, valid);
    ++length_;
    if (!valid) ++null_count_;
  }
  Status check_size(std::size_t size) const {
    if (size <= kBytesMax) return {};
    return fail(ErrorCode::kResourceExhausted, error_id::kOperatorMemory,
                "one batch has more than 2 GiB of {}", type_.sql());
  }

  Status append_element(NestedReader& reader) {
    if (reader.is_null()) {
      append_null();
      return {};
    }
    if (type_.is_nested()) return append_nested(reader);
    const ScalarValue value = reader.read_scalar(type_);
    return append_scalar(value.column(), 0);
  }
  Status append_nested(NestedReader& reader) {
    begin_value(true);
    if (type_.kind == TypeKind::kStruct) {
      for (ArrayBuilder& child : children_) MR_RETURN_IF_ERROR(child.append_element(reader));
      return {};
    }
    ArrayBuilder& child = children_.front();
    const std::size_t count = reader.read_count();
    MR_RETURN_IF_ERROR(child.check_size(child.length_ + count));
    for (std::size_t i = 0; i < count; ++i) {
      if (type_.kind != TypeKind::kMap) {
        MR_RETURN_IF_ERROR(child.append_element(reader));
        continue;
      }
      child.begin_value(true);
      for (ArrayBuilder& part : child.children_) MR_RETURN_IF_ERROR(part.append_element(reader));
    }
    append_offset();
    return {};
  }
  Status append_scalar(const ColumnView& column, std::size_t row) {
    begin_value(true);
    switch (type_.kind) {
      case TypeKind::kBoolean:
        append_bit(values_, length_ - 1, column.as<bool>()[row]);
        return {};
      case TypeKind::kVarchar:
      case TypeKind::kJson:
      case TypeKind::kBlob:
        text_ += column.as<StringRef>()[row].view();
        MR_RETURN_IF_ERROR(check_size(text_.size()));
        append_offset();
        return {};
      case TypeKind::kDecimal:
        append_value(values_, decimal_of(column, row));
        return {};
      case TypeKind::kUuid:
        values_ += uuid_bytes(column.as<Int128>()[row]);
        return {};
      case TypeKind::kInterval: {
        const auto& interval = column.as<Interval>()[row];
        std::int64_t nanos = 0;
        if (__builtin_mul_overflow(interval.micros, std::int64_t{1000}, &nanos)) {
          return fail(ErrorCode::kInvalidArgument, error_id::kOutOfRange,
                      "an interval of {} microseconds has too many nanoseconds", interval.micros);
        }
        append_value(values_, interval.months);
        append_value(values_, interval.days);
        append_value(values_, nanos);
        return {};
      }
      default: {
        const std::size_t width = size_bytes(type_.physical());
        values_.append(static_cast<const char*>(column.data) + row * width, width);
        return {};
      }
    }
  }
  static Int128 decimal_of(const ColumnView& column, std::size_t row) {
    switch (column.type.physical()) {
      case PhysicalType::kInt16:
        return column.as<std::int16_t>()[row];
      case PhysicalType::kInt32:
        return column.as<std::int32_t>()[row];
      case PhysicalType::kInt64:
        return column.as<std::int64_t>()[row];
      default:
        return column.as<Int128>()[row];
    }
  }

  Type type_;
  std::size_t length_ = 0;
  std::size_t null_count_ = 0;
  std::string validity_;
  std::string values_;  // or offsets
  std::string text_;
  std::vector<ArrayBuilder> children_;
};

}  // namespace

Result<OwnedBatch> make_arrays(std::span<const Column> columns, const BatchView& rows,
                               std::size_t begin, std::size_t end) {
  OwnedBatch out;
  out.rows = end - begin;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    ArrayBuilder builder(columns[i].type);
    for (std::size_t row = begin; row < end; ++row) {
      if (auto status = builder.append(rows.columns[i], row); !status)
        return std::unexpected(std::move(status).error().within("column {}", columns[i].name));
    }
    out.fields.push_back(arrow_field_of(columns[i].name, columns[i].type));
    out.arrays.push_back(builder.finish());
  }
  return out;
}

void BinaryArrayBuilder::append_offset() {
  append_value(offsets_, static_cast<std::int32_t>(data_.size()));
}

OwnedArray BinaryArrayBuilder::finish() {
  OwnedArray out;
  out.length = length_;
  out.buffers = {std::string(), std::move(offsets_), std::move(data_)};
  *this = BinaryArrayBuilder();
  return out;
}

}  // namespace millrace::op
