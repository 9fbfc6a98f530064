// Base64 of RFC 4648 section 4: how bytes that are no text travel in JSON (BLOB columns, the raw
// bytes of a quarantined record). Pure functions, any thread; a decoder that is strict, so that one
// text stands for one value only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::format {

/// With padding, without line ends.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// nullopt where a character is not of the alphabet, the padding is missing or wrong, or bits that
/// stand for nothing are not zero (RFC 4648 section 3.5).
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace millrace::format
