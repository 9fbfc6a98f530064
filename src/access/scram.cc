#include "access/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <charconv>

#include "base/check.h"
#include "format/base64.h"

namespace millrace::access {

namespace {

// RFC 7677 asks for at least 4096.
constexpr std::uint32_t kIterations = 4096;
constexpr std::uint32_t kIterationsMax = 1'000'000;
constexpr std::size_t kSaltBytes = 16;
constexpr std::string_view kScheme = "SCRAM-SHA-256$";

std::unexpected<Error> no_verifier() {
  return fail(ErrorCode::kInvalidArgument, error_id::kNotAuthenticated,
              "the text is not a SCRAM-SHA-256 verifier");
}

Result<std::string> take_base64(std::string_view& text, char until) {
  const auto end = until == '\0' ? text.size() : text.find(until);
  if (end == std::string_view::npos) return no_verifier();
  auto out = format::base64_decode(text.substr(0, end));
  if (!out) return no_verifier();
  text.remove_prefix(until == '\0' ? end : end + 1);
  return *std::move(out);
}

Digest salted_password(std::string_view password, std::string_view salt, std::uint32_t iterations) {
  Digest out;
  const int done = PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                                     reinterpret_cast<const unsigned char*>(salt.data()),
                                     static_cast<int>(salt.size()), static_cast<int>(iterations),
                                     EVP_sha256(), static_cast<int>(out.size()), out.data());
  MR_CHECK(done == 1, "PBKDF2 failed");
  return out;
}

}  // namespace

Result<Verifier> Verifier::parse(std::string_view text) {
  if (!text.starts_with(kScheme)) return no_verifier();
  text.remove_prefix(kScheme.size());
  Verifier out;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out.iterations);
  if (code != std::errc() || end == text.data() + text.size() || *end != ':' ||
      out.iterations == 0 || out.iterations > kIterationsMax) {
    return no_verifier();
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  MR_TRY(out.salt, take_base64(text, '$'));
  MR_TRY(const auto stored, take_base64(text, ':'));
  MR_TRY(const auto server, take_base64(text, '\0'));
  if (stored.size() != out.stored_key.size() || server.size() != out.server_key.size())
    return no_verifier();
  std::copy(stored.begin(), stored.end(), out.stored_key.begin());
  std::copy(server.begin(), server.end(), out.server_key.begin());
  return out;
}

std::string Verifier::text() const {
  return fmt::format("{}{}:{}${}:{}", kScheme, iterations, format::base64_encode(salt),
                     format::base64_encode(bytes_of(stored_key)),
                     format::base64_encode(bytes_of(server_key)));
}

Verifier make_verifier(std::string_view password) {
  Verifier out;
  out.iterations = kIterations;
  out.salt.resize(kSaltBytes);
  const int made = RAND_bytes(reinterpret_cast<unsigned char*>(out.salt.data()),
                              static_cast<int>(out.salt.size()));
  MR_CHECK(made == 1, "no random bytes");
  const auto salted = salted_password(password, out.salt, out.iterations);
  out.stored_key = sha256(bytes_of(hmac_sha256(bytes_of(salted), "Client Key")));
  out.server_key = hmac_sha256(bytes_of(salted), "Server Key");
  return out;
}

bool check_password(const Verifier& verifier, std::string_view password) {
  const auto salted = salted_password(password, verifier.salt, verifier.iterations);
  const auto stored = sha256(bytes_of(hmac_sha256(bytes_of(salted), "Client Key")));
  return equal_in_constant_time(bytes_of(stored), bytes_of(verifier.stored_key));
}

Digest sha256(std::string_view bytes) {
  Digest out;
  unsigned size = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr);
  MR_CHECK(done == 1, "SHA-256 failed");
  return out;
}

Digest hmac_sha256(std::string_view key, std::string_view bytes) {
  Digest out;
  unsigned size = 0;
  const auto* const done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data(), &size);
  MR_CHECK(done != nullptr, "HMAC-SHA-256 failed");
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace millrace::access
