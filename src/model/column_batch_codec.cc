#include "model/column_batch_codec.h"

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "model/nested_value.h"
#include "model/type_codec.h"

namespace millrace {
namespace {

constexpr std::uint32_t kMagic = 0x3142524d;  // "MRB1"
constexpr std::size_t kAlignment = 16;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kColumnHeaderBytes = 16;
/// More than any batch has; keeps all sums of sizes within 64 bits.
constexpr std::uint64_t kRowsMax = std::uint64_t{1} << 32;
constexpr std::uint32_t kBatchColumnsMax = 65'536;

std::size_t words_for(std::size_t rows) { return (rows + 63) / 64; }

void pad(std::string& out) { out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment); }

void zero_nulls(std::string& out, std::size_t begin, const ColumnView& column, std::size_t rows,
                std::size_t width) {
  for (std::size_t row = 0; row < rows; ++row) {
    if (!column.valid(row)) std::memset(out.data() + begin + row * width, 0, width);
  }
}

std::uint64_t heap_bytes(const ColumnView& column, std::size_t rows) {
  if (!column.type.is_string()) return 0;
  std::uint64_t sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    if (column.valid(row)) sum += column.as<StringRef>()[row].size;
  }
  return sum;
}

void encode_strings(const ColumnView& column, std::size_t rows, std::string& out) {
  ByteWriter writer(out);
  for (std::size_t row = 0; row < rows; ++row) {
    writer.put<std::uint32_t>(column.valid(row) ? column.as<StringRef>()[row].size : 0);
  }
  pad(out);
  for (std::size_t row = 0; row < rows; ++row) {
    if (column.valid(row)) writer.put_bytes(column.as<StringRef>()[row].view());
  }
}

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kDataLoss, error_id::kInternal, "an encoded column batch {}", what);
}

/// Takes aligned parts from the front of bytes.
class PartReader {
 public:
  explicit PartReader(std::string_view bytes) : bytes_(bytes) {}

  Result<std::string_view> take(std::uint64_t size) {
    if (size > bytes_.size() - at_) return broken("ends too early");
    const std::string_view part = bytes_.substr(at_, size);
    at_ += size;
    const std::size_t padded = (at_ + kAlignment - 1) / kAlignment * kAlignment;
    if (padded > bytes_.size()) return broken("ends too early");
    at_ = padded;
    return part;
  }
  [[nodiscard]] std::size_t at() const { return at_; }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

struct ColumnHeader {
  Type type;
  bool has_validity = false;
  std::uint64_t heap_bytes = 0;
};

Result<std::vector<ColumnHeader>> read_column_headers(std::string_view types,
                                                      std::string_view heads, std::size_t columns) {
  std::vector<ColumnHeader> out(columns);
  ByteReader type_reader(types);
  ByteReader head_reader(heads);
  for (ColumnHeader& header : out) {
    header.type = read_type(type_reader);
    header.has_validity = head_reader.get<std::uint64_t>() != 0;
    header.heap_bytes = head_reader.get<std::uint64_t>();
    if (!type_reader.ok()) return broken("has a column of no type");
    if (!header.type.is_string() && header.heap_bytes != 0) return broken("has bytes of no string");
  }
  if (!type_reader.at_end()) return broken("has a column of no type");
  return out;
}

Result<std::vector<StringRef>> read_strings(std::string_view sizes, std::string_view heap,
                                            std::size_t rows) {
  std::vector<StringRef> strings;
  strings.reserve(rows);
  std::size_t at = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    std::uint32_t size = 0;
    std::memcpy(&size, sizes.data() + row * sizeof(size), sizeof(size));
    if (size > heap.size() - at) return broken("has a string beyond its end");
    strings.emplace_back(heap.substr(at, size));
    at += size;
  }
  return strings;
}

/// A bool that is neither 0 nor 1 is undefined behaviour for whoever reads it.
bool are_bools(std::string_view values) {
  return std::ranges::all_of(values, [](char value) { return value == 0 || value == 1; });
}

bool are_nested_values(const ColumnView& column, std::span<const StringRef> values) {
  for (std::size_t row = 0; row < values.size(); ++row) {
    if (column.valid(row) && !is_nested_value(column.type, values[row].view())) return false;
  }
  return true;
}

}  // namespace

void encode_column_batch(const BatchView& batch, std::string& out) {
  std::string types;
  for (const ColumnView& column : batch.columns) append_type(types, column.type);
  pad(out);
  ByteWriter writer(out);
  writer.put<std::uint32_t>(kMagic);
  writer.put<std::uint32_t>(static_cast<std::uint32_t>(batch.columns.size()));
  writer.put<std::uint64_t>(batch.rows);
  writer.put<std::uint64_t>(types.size());
  pad(out);
  writer.put_bytes(types);
  pad(out);
  for (const ColumnView& column : batch.columns) {
    writer.put<std::uint64_t>(column.validity != nullptr ? 1 : 0);
    writer.put<std::uint64_t>(heap_bytes(column, batch.rows));
  }
  for (const ColumnView& column : batch.columns) {
    if (column.validity != nullptr) {
      writer.put_bytes({reinterpret_cast<const char*>(column.validity), words_for(batch.rows) * 8});
      pad(out);
    }
    if (column.type.is_string()) {
      encode_strings(column, batch.rows, out);
    } else {
      const std::size_t width = size_bytes(column.type.physical());
      const std::size_t begin = out.size();
      writer.put_bytes({static_cast<const char*>(column.data), batch.rows * width});
      if (column.validity != nullptr) zero_nulls(out, begin, column, batch.rows, width);
    }
    pad(out);
  }
}

Result<EncodedBatch> EncodedBatch::read(std::string_view bytes) {
  MR_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment == 0,
           "an encoded batch is read where no batch can lie");
  PartReader parts(bytes);
  MR_TRY(const std::string_view head, parts.take(kHeaderBytes));
  ByteReader reader(head);
  if (reader.get<std::uint32_t>() != kMagic) return broken("does not start as one");
  const auto columns = reader.get<std::uint32_t>();
  const auto rows = reader.get<std::uint64_t>();
  const auto type_bytes = reader.get<std::uint64_t>();
  if (columns > kBatchColumnsMax || rows > kRowsMax) return broken("is too large");
  MR_TRY(const std::string_view types, parts.take(type_bytes));
  MR_TRY(const std::string_view heads, parts.take(std::uint64_t{columns} * kColumnHeaderBytes));
  MR_TRY(const auto headers, read_column_headers(types, heads, columns));

  EncodedBatch batch;
  batch.rows_ = rows;
  for (const ColumnHeader& header : headers) {
    ColumnView view{.type = header.type, .data = nullptr, .validity = nullptr};
    if (header.has_validity) {
      MR_TRY(const std::string_view words, parts.take(words_for(rows) * 8));
      view.validity = reinterpret_cast<const std::uint64_t*>(words.data());
    }
    if (header.type.is_string()) {
      MR_TRY(const std::string_view sizes, parts.take(rows * sizeof(std::uint32_t)));
      MR_TRY(const std::string_view heap, parts.take(header.heap_bytes));
      MR_TRY(auto strings, read_strings(sizes, heap, rows));
      if (header.type.is_nested() && !are_nested_values(view, strings)) {
        return broken("has a value of another type than its column");
      }
      batch.strings_.push_back(std::move(strings));
      view.data = batch.strings_.back().data();
    } else {
      MR_TRY(const std::string_view values,
             parts.take(rows * millrace::size_bytes(header.type.physical())));
      if (header.type.kind == TypeKind::kBoolean && !are_bools(values)) {
        return broken("has a boolean that is none");
      }
      view.data = values.data();
    }
    batch.columns_.push_back(view);
  }
  batch.size_ = parts.at();
  return batch;
}

Result<ColumnBatch> decode_column_batch(std::string_view bytes) {
  struct alignas(kAlignment) Block {
    char bytes[kAlignment];
  };
  std::vector<Block> aligned;
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment != 0) {
    aligned.resize((bytes.size() + kAlignment - 1) / kAlignment);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    bytes = {reinterpret_cast<const char*>(aligned.data()), bytes.size()};
  }
  MR_TRY(const EncodedBatch encoded, EncodedBatch::read(bytes));
  if (encoded.size_bytes() != bytes.size()) return broken("has bytes behind its end");
  std::vector<Type> types;
  for (const ColumnView& column : encoded.columns()) types.push_back(column.type);
  ColumnBatch batch{types};
  batch.append_all(encoded.view());
  return batch;
}

}  // namespace millrace
