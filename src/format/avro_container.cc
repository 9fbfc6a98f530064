#include "format/avro_container.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/bytes.h"

namespace millrace::format {

namespace {

constexpr std::size_t kSyncBytes = 16;
constexpr int kZstdWindowLogMax = 23;

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadPayload, "the Avro container: {}", why);
}

std::unexpected<Error> too_large() {
  return fail(ErrorCode::kPayloadTooLarge, error_id::kRecordTooLarge,
              "the blocks unpack to more than {} bytes", AvroContainer::kUnpackedBytesMax);
}

/// ByteReader's varint, zig-zag: a long of Avro.
std::int64_t get_long(ByteReader& reader) {
  const std::uint64_t bits = reader.get_varint();
  return static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
}

std::string_view get_bytes(ByteReader& reader) {
  const std::int64_t size = get_long(reader);
  // What is negative is more than there is.
  return reader.get_bytes(static_cast<std::size_t>(size));
}

void put_long(std::string& out, std::int64_t value) {
  ByteWriter(out).put_varint(static_cast<std::uint64_t>(value) << 1 ^
                             static_cast<std::uint64_t>(value >> 63));
}

Status inflate_raw(std::string_view packed, std::uint64_t bytes_max, std::string& out) {
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK)
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "no memory to decompress");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, &inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::size_t used = 0;
  out.resize(
      std::min<std::uint64_t>(bytes_max + 1, std::max<std::size_t>(packed.size() * 4, 4096)));
  for (;;) {
    if (used == out.size()) {
      if (used > bytes_max) return too_large();
      out.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(bytes_max + 1, std::uint64_t{2} * used)));
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = static_cast<uInt>(out.size() - used);
    const int code = inflate(&stream, Z_NO_FLUSH);
    used = out.size() - stream.avail_out;
    if (used > bytes_max) return too_large();
    if (code == Z_STREAM_END) break;
    if (code != Z_OK && code != Z_BUF_ERROR) return bad("a block is not deflate");
    if (stream.avail_in == 0 && stream.avail_out > 0) return bad("a block ends too early");
  }
  out.resize(used);
  return {};
}

Status unpack_snappy(std::string_view packed, std::uint64_t bytes_max, std::string& out) {
  constexpr std::size_t kChecksumBytes = 4;
  std::size_t size = 0;
  if (packed.size() < kChecksumBytes ||
      !snappy::GetUncompressedLength(packed.data(), packed.size() - kChecksumBytes, &size))
    return bad("a block is not snappy");
  if (size > bytes_max) return too_large();
  out.resize(size);
  if (!snappy::RawUncompress(packed.data(), packed.size() - kChecksumBytes, out.data()))
    return bad("a block is not snappy");
  std::uint32_t wanted = 0;
  for (const char c : packed.substr(packed.size() - kChecksumBytes))
    wanted = wanted << 8 | static_cast<std::uint8_t>(c);
  const auto found = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(out.data()), static_cast<uInt>(out.size())));
  return found == wanted ? Status() : Status(bad("a block does not match its checksum"));
}

Status unpack_zstd(std::string_view packed, std::uint64_t bytes_max, std::string& out) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        &ZSTD_freeDCtx);
  if (context == nullptr)
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "no memory to decompress");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  ZSTD_inBuffer input{.src = packed.data(), .size = packed.size(), .pos = 0};
  std::size_t used = 0;
  out.resize(
      std::min<std::uint64_t>(bytes_max + 1, std::max<std::size_t>(packed.size() * 4, 4096)));
  for (;;) {
    if (used == out.size()) {
      out.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(bytes_max + 1, std::uint64_t{2} * used)));
    }
    ZSTD_outBuffer output{.dst = out.data(), .size = out.size(), .pos = used};
    const std::size_t left = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return bad("a block is not zstandard");
    used = output.pos;
    if (used > bytes_max) return too_large();
    if (left == 0 && input.pos == input.size) break;
    if (input.pos == input.size && output.pos < output.size) return bad("a block ends too early");
  }
  out.resize(used);
  return {};
}

}  // namespace

Result<AvroContainer> AvroContainer::open(std::string_view bytes) {
  ByteReader reader(bytes);
  reader.get_bytes(4);
  std::map<std::string_view, std::string_view> metadata;
  for (;;) {
    std::int64_t count = get_long(reader);
    if (!reader.ok() || count == 0) break;
    if (count < 0) {
      if (count == std::numeric_limits<std::int64_t>::min()) return bad("its header is damaged");
      count = -count;
      get_long(reader);
    }
    for (; count != 0 && reader.ok(); --count) {
      const auto key = get_bytes(reader);
      metadata[key] = get_bytes(reader);
    }
  }
  AvroContainer out;
  out.sync_ = std::string(reader.get_bytes(kSyncBytes));
  if (!reader.ok()) return bad("its header is damaged, or ends too early");
  const auto codec = metadata["avro.codec"];
  if (codec == "deflate") {
    out.codec_ = Codec::kDeflate;
  } else if (codec == "snappy") {
    out.codec_ = Codec::kSnappy;
  } else if (codec == "zstandard") {
    out.codec_ = Codec::kZstandard;
  } else if (!codec.empty() && codec != "null") {
    return bad(fmt::format("the codec {} is none of null, deflate, snappy, zstandard",
                           codec.substr(0, 40)));
  }
  MR_TRY(auto schema, AvroSchema::parse(metadata["avro.schema"]));
  out.schema_ = std::make_shared<const AvroSchema>(std::move(schema));
  out.rest_ = bytes.substr(bytes.size() - reader.remaining());
  return out;
}

Result<AvroBlock> AvroContainer::next() {
  ByteReader reader(rest_);
  const std::int64_t count = get_long(reader);
  const std::string_view packed = get_bytes(reader);
  const std::string_view sync = reader.get_bytes(kSyncBytes);
  if (!reader.ok() || count < 0) return bad("a block ends too early");
  if (sync != sync_) return bad("a block does not end with the marker of the file");
  rest_.remove_prefix(rest_.size() - reader.remaining());
  AvroBlock block;
  block.records = static_cast<std::uint64_t>(count);
  if (codec_ == Codec::kNull) {
    block.bytes = packed;
  } else {
    MR_RETURN_IF_ERROR(unpack(packed));
    block.bytes = unpacked_;
  }
  // A record may take no byte at all: without this a few bytes could stand for ever so many.
  if (block.records > block.bytes.size()) return bad("a block has more records than bytes");
  return block;
}

Status AvroContainer::unpack(std::string_view packed) {
  Status unpacked;
  switch (codec_) {
    case Codec::kNull:
      break;
    case Codec::kDeflate:
      unpacked = inflate_raw(packed, left_, unpacked_);
      break;
    case Codec::kSnappy:
      unpacked = unpack_snappy(packed, left_, unpacked_);
      break;
    case Codec::kZstandard:
      unpacked = unpack_zstd(packed, left_, unpacked_);
      break;
  }
  if (unpacked) left_ -= unpacked_.size();
  return unpacked;
}

std::string avro_container_of(std::string_view schema, std::string_view record) {
  constexpr std::string_view kSync = "millrace-record.";
  static_assert(kSync.size() == kSyncBytes);
  const auto put_bytes = [](std::string& out, std::string_view bytes) {
    put_long(out, static_cast<std::int64_t>(bytes.size()));
    out += bytes;
  };
  std::string out("Obj\x01");
  put_long(out, 1);
  put_bytes(out, "avro.schema");
  put_bytes(out, schema);
  put_long(out, 0);
  out += kSync;
  put_long(out, 1);
  put_bytes(out, record);
  out += kSync;
  return out;
}

}  // namespace millrace::format
