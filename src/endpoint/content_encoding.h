// Content-Encoding of request and answer bodies: gzip (RFC 1952) and zstd (RFC 8878). What comes
// out of a decoder is bounded, so that a small body cannot unfold into gigabytes. Thread: any.
// Errors: kUnsupportedMediaType for an encoding not known here, kPayloadTooLarge where the content
// is larger than allowed, kInvalidArgument where the bytes are broken or end too early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/padded_bytes.h"
#include "base/result.h"

namespace millrace::endpoint {

enum class ContentEncoding : std::uint8_t { kIdentity, kGzip, kZstd };

/// Of a Content-Encoding header; an empty one is identity.
[[nodiscard]] Result<ContentEncoding> parse_content_encoding(std::string_view header);

[[nodiscard]] Result<PaddedBytes> decode_content(ContentEncoding encoding, std::string_view bytes,
                                                 std::uint64_t content_bytes_max);

/// The best one that an Accept-Encoding header takes.
[[nodiscard]] ContentEncoding accepted_encoding(std::string_view header);
/// At the fastest level: an answer is compressed to save the network's time, not its own.
[[nodiscard]] Result<std::string> gzip(std::string_view content);
[[nodiscard]] Result<std::string> zstd(std::string_view content);

}  // namespace millrace::endpoint
