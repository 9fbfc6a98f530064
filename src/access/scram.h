// Passwords as SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), in the text that PostgreSQL uses, so
// that the same record serves a password that is sent and an exchange that does not send it.
// Thread: any. Errors: kInvalidArgument for a text that is no verifier. Cost: check_password()
// takes some milliseconds on purpose.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::access {

using Digest = std::array<unsigned char, 32>;

struct Verifier {
  std::uint32_t iterations = 0;
  std::string salt;
  Digest stored_key{};
  Digest server_key{};

  static Result<Verifier> parse(std::string_view text);
  /// "SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>", salt and keys in base64.
  [[nodiscard]] std::string text() const;
};

/// With a salt of its own.
[[nodiscard]] Verifier make_verifier(std::string_view password);
[[nodiscard]] bool check_password(const Verifier& verifier, std::string_view password);

[[nodiscard]] Digest sha256(std::string_view bytes);
[[nodiscard]] Digest hmac_sha256(std::string_view key, std::string_view bytes);
/// Takes the same time whatever differs.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);
[[nodiscard]] std::string_view bytes_of(const Digest& digest);

}  // namespace millrace::access
