// OpenSSL's way to a socket. Its own raises SIGPIPE where the peer has gone, which would end a
// program that does not expect it. Thread: any. Errors: null where there is no memory.
#pragma once

#include <openssl/bio.h>

namespace millrace::runtime {

/// Reads and writes the socket, which somebody else owns and closes.
[[nodiscard]] BIO* socket_bio(int descriptor);

}  // namespace millrace::runtime
