#include "access/scram_exchange.h"

#include <openssl/rand.h>

#include "base/check.h"
#include "format/base64.h"

namespace millrace::access {

namespace {

constexpr std::size_t kNonceBytes = 18;
constexpr std::size_t kNonceTextMax = 512;
constexpr std::string_view kBindingName = "p=tls-server-end-point";

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, error_id::kNotAuthenticated,
              "the SCRAM message is malformed: {}", what);
}

/// The attribute "k=value" in front, which goes to the next comma or to the end.
std::optional<std::string_view> take_attribute(std::string_view& text, char key) {
  if (text.size() < 2 || text[0] != key || text[1] != '=') return std::nullopt;
  const auto end = std::min(text.find(','), text.size());
  const auto value = text.substr(2, end - 2);
  text.remove_prefix(std::min(end + 1, text.size()));
  return value;
}

bool is_nonce(std::string_view text) {
  if (text.empty() || text.size() > kNonceTextMax) return false;
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

std::string random_nonce() {
  std::string bytes(kNonceBytes, '\0');
  const int made =
      RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  MR_CHECK(made == 1, "no random bytes");
  return format::base64_encode(bytes);
}

}  // namespace

Result<ScramExchange> ScramExchange::begin(const Verifier& verifier, Channel channel,
                                           std::string_view client_first) {
  const auto flag_end = client_first.find(',');
  const auto header_end =
      flag_end == std::string_view::npos ? flag_end : client_first.find(',', flag_end + 1);
  if (header_end == std::string_view::npos) return malformed("it has no header");
  const auto flag = client_first.substr(0, flag_end);
  if (header_end != flag_end + 1) return malformed("another identity is asked for");
  if (channel.bound) {
    if (flag != kBindingName) return malformed("the channel binding is not tls-server-end-point");
  } else if (flag == "y") {
    // The client could, and believes that the server cannot: somebody between them took it away.
    if (!channel.binding.empty()) return malformed("the offer of channel binding was lost");
  } else if (flag != "n") {
    return malformed("a channel binding without its mechanism");
  }
  auto rest = client_first.substr(header_end + 1);
  ScramExchange out;
  out.client_first_bare_ = rest;
  if (!take_attribute(rest, 'n')) return malformed("it has no user");
  const auto nonce = take_attribute(rest, 'r');
  if (!nonce || !is_nonce(*nonce)) return malformed("it has no nonce");
  out.stored_key_ = verifier.stored_key;
  out.server_key_ = verifier.server_key;
  out.binding_ = format::base64_encode(fmt::format("{}{}", client_first.substr(0, header_end + 1),
                                                   channel.bound ? channel.binding : ""));
  out.nonce_ = std::string(*nonce) + random_nonce();
  out.server_first_ = fmt::format("r={},s={},i={}", out.nonce_,
                                  format::base64_encode(verifier.salt), verifier.iterations);
  return out;
}

Result<std::optional<std::string>> ScramExchange::finish(std::string_view client_final) const {
  const auto proof_at = client_final.rfind(",p=");
  if (proof_at == std::string_view::npos) return malformed("it has no proof");
  const auto without_proof = client_final.substr(0, proof_at);
  auto rest = without_proof;
  const auto binding = take_attribute(rest, 'c');
  if (!binding || *binding != binding_) return malformed("the channel is another one");
  const auto nonce = take_attribute(rest, 'r');
  if (!nonce || *nonce != nonce_) return malformed("the nonce is another one");
  const auto proof = format::base64_decode(client_final.substr(proof_at + 3));
  if (!proof || proof->size() != stored_key_.size()) return malformed("the proof is none");

  const std::string said =
      fmt::format("{},{},{}", client_first_bare_, server_first_, without_proof);
  const Digest signature = hmac_sha256(bytes_of(stored_key_), said);
  std::string client_key(*proof);
  for (std::size_t i = 0; i < client_key.size(); ++i)
    client_key[i] = static_cast<char>(static_cast<unsigned char>(client_key[i]) ^ signature[i]);
  if (!equal_in_constant_time(bytes_of(sha256(client_key)), bytes_of(stored_key_)))
    return std::optional<std::string>();
  return std::optional<std::string>(
      "v=" + format::base64_encode(bytes_of(hmac_sha256(bytes_of(server_key_), said))));
}

}  // namespace millrace::access
