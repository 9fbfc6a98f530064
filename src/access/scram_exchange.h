// The server's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677): the client proves that it
// knows the password and does not send it, and learns that the server has its verifier. With the
// binding of a TLS channel the proof is good for that connection alone (SCRAM-SHA-256-PLUS). Owns:
// what was said so far. Thread: one at a time. Errors: kInvalidArgument (kNotAuthenticated) for a
// message that is none of the exchange; a proof that does not fit is no error but an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "access/scram.h"
#include "base/result.h"

namespace millrace::access {

class ScramExchange {
 public:
  /// What the connection can be bound to, and whether the client chose to be.
  struct Channel {
    /// The "tls-server-end-point" of RFC 5929; empty where there is none.
    std::string binding;
    /// The mechanism with "-PLUS" was chosen.
    bool bound = false;
  };

  static Result<ScramExchange> begin(const Verifier& verifier, Channel channel,
                                     std::string_view client_first);
  [[nodiscard]] const std::string& server_first() const { return server_first_; }
  /// The server's last message, or nothing where the proof does not fit.
  [[nodiscard]] Result<std::optional<std::string>> finish(std::string_view client_final) const;

 private:
  ScramExchange() = default;

  Digest stored_key_{};
  Digest server_key_{};
  std::string binding_;  // what the client's last message must say of the channel, in base64
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
};

}  // namespace millrace::access
