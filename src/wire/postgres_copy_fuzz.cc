// Any bytes as the data of a COPY, in each format: read at once and in pieces that the bytes choose
// they are the same rows, whole ones, or refused at the same place.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "wire/postgres_copy.h"

namespace {

using namespace millrace::wire::postgres;

constexpr std::size_t kRowBytesMax = 4096;

struct Outcome {
  CopyValues values;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome read(const CopyOptions& options, const std::vector<std::uint32_t>& types,
             std::string_view bytes, std::size_t piece) {
  CopyReader reader(options, types, kRowBytesMax);
  Outcome out;
  while (!bytes.empty()) {
    const auto size = std::min(piece, bytes.size());
    if (const auto done = reader.read(bytes.substr(0, size), out.values); !done) {
      out.error = done.error().message;
      return out;
    }
    bytes.remove_prefix(size);
  }
  if (const auto done = reader.finish(out.values); !done) out.error = done.error().message;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  CopyOptions options;
  options.format = static_cast<CopyOptions::Format>(data[0] % 3);
  if (options.format == CopyOptions::Format::kCsv) {
    options.delimiter = ',';
    options.null = "";
    options.escape = (data[0] & 64) != 0 ? '\\' : '"';
  }
  options.header = (data[0] & 128) != 0;
  constexpr std::uint32_t kTypes[] = {25, 20, 1114, 17};
  const std::vector<std::uint32_t> types(kTypes, kTypes + 1 + (data[0] / 3 % 4));
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  const auto whole = read(options, types, bytes, bytes.size() + 1);
  MR_CHECK(whole.values.size() % types.size() == 0, "a row that is not whole");
  const auto parts = read(options, types, bytes, 1 + data[1] % 32);
  // A row that is too long is refused as soon as that shows, which is another moment by pieces.
  if (whole.error.empty() || parts.error.empty())
    MR_CHECK(whole == parts, "in pieces it is something else");
  return 0;
}
