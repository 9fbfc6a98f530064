#include "endpoint/content_encoding.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "endpoint/http_message.h"

namespace millrace::endpoint {
namespace {

constexpr std::size_t kFirstOutputBytes = 64 * 1024;
// zlib: 15 bits of window, plus 16 to read and write gzip's frame.
constexpr int kGzipWindowBits = 15 + 16;
// A frame that wants more memory than this to be decoded is refused: 8 MiB of window is what RFC
// 8878 recommends decoders to support.
constexpr int kZstdWindowLogMax = 23;
// zlib counts in 32 bits.
constexpr std::uint64_t kZlibBytesMax = std::numeric_limits<uInt>::max();

std::unexpected<Error> too_large(std::uint64_t content_bytes_max) {
  return fail(ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
              "the decompressed body has more than {} bytes", content_bytes_max);
}

std::unexpected<Error> broken(std::string_view encoding, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, error_id::kEncoding,
              "the body is not well-formed {}: {}", encoding, why);
}

// Makes room behind `used` bytes of output, up to one byte more than allowed, so that an overflow
// shows.
void grow(PaddedBytes& content, std::size_t used, std::uint64_t content_bytes_max) {
  const std::uint64_t wanted =
      std::max<std::uint64_t>(kFirstOutputBytes, static_cast<std::uint64_t>(used) * 2);
  content.resize(static_cast<std::size_t>(std::min(wanted, content_bytes_max + 1)));
}

Result<PaddedBytes> decode_gzip(std::string_view bytes, std::uint64_t content_bytes_max) {
  content_bytes_max = std::min(content_bytes_max, kZlibBytesMax - 1);
  if (bytes.size() > content_bytes_max) return too_large(content_bytes_max);
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "no memory to decompress");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, &inflateEnd);
  PaddedBytes content;
  std::size_t used = 0;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  for (;;) {
    if (used == content.size()) grow(content, used, content_bytes_max);
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + used);
    stream.avail_out = static_cast<uInt>(content.size() - used);
    const int code = inflate(&stream, Z_NO_FLUSH);
    used = content.size() - stream.avail_out;
    if (used > content_bytes_max) return too_large(content_bytes_max);
    if (code == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      // RFC 1952 section 2.2: a file may have several members, one behind the other.
      if (inflateReset(&stream) != Z_OK) return broken("gzip", "a second member cannot begin");
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return broken("gzip", stream.msg != nullptr ? stream.msg : "a bad block");
    } else if (stream.avail_in == 0 && stream.avail_out > 0) {
      return broken("gzip", "it ends too early");
    }
  }
  content.resize(used);
  return content;
}

Result<PaddedBytes> decode_zstd(std::string_view bytes, std::uint64_t content_bytes_max) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        &ZSTD_freeDCtx);
  if (context == nullptr) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "no memory to decompress");
  }
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  PaddedBytes content;
  std::size_t used = 0;
  ZSTD_inBuffer input{.src = bytes.data(), .size = bytes.size(), .pos = 0};
  for (;;) {
    if (used == content.size()) grow(content, used, content_bytes_max);
    ZSTD_outBuffer output{.dst = content.data(), .size = content.size(), .pos = used};
    const std::size_t left = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return broken("zstd", ZSTD_getErrorName(left));
    used = output.pos;
    if (used > content_bytes_max) return too_large(content_bytes_max);
    if (left == 0 && input.pos == input.size) break;
    if (left != 0 && input.pos == input.size && output.pos < output.size) {
      return broken("zstd", "it ends too early");
    }
  }
  content.resize(used);
  return content;
}

}  // namespace

Result<ContentEncoding> parse_content_encoding(std::string_view header) {
  if (header.empty() || equal_ignoring_case(header, "identity")) return ContentEncoding::kIdentity;
  if (equal_ignoring_case(header, "gzip") || equal_ignoring_case(header, "x-gzip")) {
    return ContentEncoding::kGzip;
  }
  if (equal_ignoring_case(header, "zstd")) return ContentEncoding::kZstd;
  auto error = fail(ErrorCode::kUnsupportedMediaType, error_id::kEncoding,
                    "the content encoding \"{}\" is not known here", header);
  return std::unexpected(std::move(error.error()).with_hint("send gzip, zstd or plain bytes"));
}

Result<PaddedBytes> decode_content(ContentEncoding encoding, std::string_view bytes,
                                   std::uint64_t content_bytes_max) {
  switch (encoding) {
    case ContentEncoding::kIdentity:
      if (bytes.size() > content_bytes_max) return too_large(content_bytes_max);
      return PaddedBytes::copy_of(bytes);
    case ContentEncoding::kGzip:
      return decode_gzip(bytes, content_bytes_max);
    case ContentEncoding::kZstd:
      return decode_zstd(bytes, content_bytes_max);
  }
  return PaddedBytes();
}

ContentEncoding accepted_encoding(std::string_view header) {
  if (lists_token(header, "zstd")) return ContentEncoding::kZstd;
  return lists_token(header, "gzip") ? ContentEncoding::kGzip : ContentEncoding::kIdentity;
}

Result<std::string> zstd(std::string_view content) {
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  const std::size_t size =
      ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), 1);
  if (ZSTD_isError(size) != 0) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "zstd did not come to its end: {}",
                ZSTD_getErrorName(size));
  }
  packed.resize(size);
  return packed;
}

Result<std::string> gzip(std::string_view content) {
  if (content.size() > kZlibBytesMax / 2) {
    return fail(ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
                "{} bytes are too many to compress in one piece", content.size());
  }
  z_stream stream{};
  constexpr int kMemoryLevel = 8;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy, "no memory to compress");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, &deflateEnd);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "deflate did not come to its end");
  }
  packed.resize(packed.size() - stream.avail_out);
  return packed;
}

}  // namespace millrace::endpoint
