// The address of a store outside: postgres://user@host:port/database/table and
// redis://user@host:port/0/prefix (rediss:// with TLS). A password never stands in it, so that it
// may be shown. Pure. Errors: kInvalidArgument (kBadOption).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::sink {

enum class StoreKind : std::uint8_t { kPostgres, kRedis };
[[nodiscard]] std::string_view name(StoreKind kind);

struct StoreUrl {
  StoreKind kind = StoreKind::kPostgres;
  bool tls = false;  // of rediss://
  std::string user;
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;
  std::string database;  // of Redis a number
  std::string schema;    // of PostgreSQL; empty: the one that its search_path gives
  std::string object;    // the table, or what the keys begin with

  static Result<StoreUrl> parse(std::string_view text);
  [[nodiscard]] static bool is_one(std::string_view text);
  /// Whether two name the same object of the same store.
  [[nodiscard]] bool same_object(const StoreUrl& other) const;
};

/// How a store wants to be reached, beside its address.
struct StoreAccess {
  std::string password;
  /// Read at each connect; its first line is the password.
  std::string password_file;
  std::string tls;  // as libpq's sslmode; empty: what the address and ca_file say
  std::string ca_file;
};
/// Whether it goes together with the address, and whoever gives a ca_file gets it looked at.
/// Errors: kInvalidArgument (kBadOption).
Status check_access(const StoreUrl& url, const StoreAccess& access);
/// Errors: kFailedPrecondition (kStoreRefused) where the file cannot be read.
Result<std::string> password_of(const StoreAccess& access);

}  // namespace millrace::sink
