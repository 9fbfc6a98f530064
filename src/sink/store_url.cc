#include "sink/store_url.h"

#include <charconv>
#include <fstream>
#include <optional>
#include <tuple>
#include <vector>

namespace millrace::sink {

namespace {

constexpr std::string_view kForms =
    "postgres://user@host:5432/database/table, redis://host:6379/0/prefix or rediss://...";
/// PostgreSQL cuts longer names off.
constexpr std::size_t kNameBytesMax = 63;
constexpr std::size_t kPrefixBytesMax = 256;
constexpr std::size_t kPasswordBytesMax = 4096;

std::unexpected<Error> bad(std::string message, std::string hint = {}) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kBadOption),
                               .message = std::move(message),
                               .hint = hint.empty() ? fmt::format("it is {}", kForms) : hint,
                               .place = {}});
}

/// The whole text is a number.
bool is_number(std::string_view text, auto& value, int base = 10) {
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, base);
  return !text.empty() && read.ec == std::errc() && read.ptr == end;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    if (!is_number(text.substr(i + 1, 2), value, 16) || value == 0) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

Status take_host(std::string_view text, StoreUrl& url) {
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return bad("the address of a store lacks a ']'");
    url.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') return bad("a port comes behind ']' and ':'");
    if (!text.empty()) port = text.substr(1);
  } else {
    const auto colon = text.find(':');
    url.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
  }
  const bool plain = url.host.find_first_of("/\\@ ,?#") == std::string::npos;
  if (url.host.empty() || url.host.size() > 255 || !plain)
    return bad("the address of a store needs the name of a host");
  if (port.empty()) return {};
  if (!is_number(port, url.port) || url.port == 0)
    return bad("the port of a store is a number from 1 to 65535");
  return {};
}

Status take_table(std::string_view text, StoreUrl& url) {
  std::string_view table = text;
  if (const auto dot = text.find('.'); dot != std::string_view::npos) {
    const auto schema = decoded(text.substr(0, dot));
    if (!schema || schema->empty() || schema->size() > kNameBytesMax)
      return bad("the schema in the address is no name");
    url.schema = *schema;
    table = text.substr(dot + 1);
  }
  const auto name = decoded(table);
  if (!name || name->empty() || name->size() > kNameBytesMax ||
      table.find_first_of("./") != std::string_view::npos) {
    return bad("the address needs a table behind the database, as table or schema.table",
               "a '.' in a name is written %2E");
  }
  url.object = *name;
  return {};
}

Status take_prefix(std::string_view text, StoreUrl& url) {
  unsigned number = 0;
  if (!is_number(url.database, number) || number > 65'535) {
    return bad("the address of a Redis has the number of a database behind the host");
  }
  const auto prefix = decoded(text);
  if (!prefix || prefix->empty() || prefix->size() > kPrefixBytesMax) {
    return bad("the address of a Redis needs what its keys begin with behind the database",
               "redis://host:6379/0/stations gives keys such as stations:oslo");
  }
  url.object = *prefix;
  return {};
}

}  // namespace

std::string_view name(StoreKind kind) {
  return kind == StoreKind::kPostgres ? "postgres" : "redis";
}

bool StoreUrl::is_one(std::string_view text) {
  // What looks like an address is none of a file, whose name an error repeats.
  return text.find("://") != std::string_view::npos;
}

Result<StoreUrl> StoreUrl::parse(std::string_view text) {
  const auto scheme = text.substr(0, text.find("://"));
  StoreUrl url;
  if (scheme == "postgres" || scheme == "postgresql") {
    url.port = 5432;
  } else if (scheme == "redis" || scheme == "rediss") {
    url.kind = StoreKind::kRedis;
    url.tls = scheme == "rediss";
    url.port = 6379;
  } else {
    return bad("the address of a store begins with postgres://, redis:// or rediss://");
  }
  text.remove_prefix(std::min(text.size(), scheme.size() + 3));
  const auto slash = text.find('/');
  auto host = text.substr(0, slash);
  if (const auto at = host.rfind('@'); at != std::string_view::npos) {
    const auto user = host.substr(0, at);
    if (user.find(':') != std::string_view::npos) {
      // Not with the text: a password may stand in it.
      return bad("the address of a store has no password in it",
                 "write WITH (password_file = '/path') or WITH (password = '...')");
    }
    const auto plain = decoded(user);
    if (!plain || plain->empty()) return bad("the user in the address of a store is no name");
    url.user = *plain;
    host.remove_prefix(at + 1);
  }
  if (text.find_first_of("?#") != std::string_view::npos) {
    // Taken for a part of the table's name a password would be shown, and sslmode pass unheard.
    return bad("the address of a store has no parameters behind '?' or '#'",
               "write WITH (tls = 'verify-full', ca_file = '/path', password_file = '/path'); in a "
               "name they are %3F and %23");
  }
  MR_RETURN_IF_ERROR(take_host(host, url));
  if (slash == std::string_view::npos) return bad("the address of a store ends too early");
  text.remove_prefix(slash + 1);
  const auto second = text.find('/');
  if (second == std::string_view::npos) return bad("the address of a store ends too early");
  const auto database = decoded(text.substr(0, second));
  if (!database || database->empty()) return bad("the address of a store names no database");
  url.database = *database;
  text.remove_prefix(second + 1);
  if (url.kind == StoreKind::kPostgres && url.user.empty())
    return bad("the address of a PostgreSQL needs a user: postgres://user@host/database/table");
  MR_RETURN_IF_ERROR(url.kind == StoreKind::kPostgres ? take_table(text, url)
                                                      : take_prefix(text, url));
  return url;
}

bool StoreUrl::same_object(const StoreUrl& other) const {
  const auto all = [](const StoreUrl& url) {
    const auto schema = url.schema == "public" ? std::string() : url.schema;
    return std::tuple(url.kind, url.host, url.port, url.database, schema, url.object);
  };
  return all(*this) == all(other);
}

Status check_access(const StoreUrl& url, const StoreAccess& access) {
  if (!access.password.empty() && !access.password_file.empty())
    return bad("a store has a password or a password_file, and not both", "leave one out");
  if (url.kind == StoreKind::kRedis) {
    if (!access.tls.empty())
      return bad("tls is an option of PostgreSQL: a Redis with TLS is rediss://", "leave it out");
    if (!url.tls && !access.ca_file.empty())
      return bad("ca_file is of no use without TLS", "a Redis with TLS is rediss://");
    return {};
  }
  const bool may_pass = access.tls == "disable" || access.tls == "allow" || access.tls == "prefer";
  if (may_pass && !access.ca_file.empty()) {
    return bad(fmt::format("with tls = '{}' nothing need be signed by ca_file", access.tls),
               "write tls = 'verify-full', which is what ca_file alone means");
  }
  return {};
}

Result<std::string> password_of(const StoreAccess& access) {
  if (access.password_file.empty()) return access.password;
  std::ifstream file(access.password_file);
  std::string line;
  if (!std::getline(file, line) || line.empty() || line.size() > kPasswordBytesMax) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
                "no password can be read from the first line of {}", access.password_file);
  }
  if (line.back() == '\r') line.pop_back();
  return line;
}

}  // namespace millrace::sink
