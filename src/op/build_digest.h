// Which build this is: the SHA-256 of the file that this code was loaded from, a program or a
// library, so that a test can tell that an engine ran this very file. Thread: any.
#pragma once

#include <string>
#include <string_view>

namespace millrace::op {

/// In hexadecimal.
[[nodiscard]] std::string sha256(std::string_view bytes);
/// Read once; empty where the file cannot be read.
[[nodiscard]] const std::string& build_digest();

}  // namespace millrace::op
