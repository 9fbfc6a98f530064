// Messages of PostgreSQL's frontend/backend protocol 3.0, without I/O: what clients send is taken
// apart into structs of views, what the server sends is appended to a buffer. Source: PostgreSQL
// 15, "Message Formats" (chapter 55.7). Pure functions: any thread, no state, no allocation but for
// lists and by appending to the caller's buffer. What a client sent wrong is a Violation: the
// connection ends with it, since the boundary of its next message is not to be trusted. Invariant:
// a decoded message has been read to its last byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::wire::postgres {

inline constexpr std::uint32_t kProtocolVersion3 = 3U << 16;

/// Whether values are text or in the binary form of their type.
enum class Format : std::int16_t { kText = 0, kBinary = 1 };

/// SQLSTATE 08P01, with what is wrong.
struct Violation {
  std::string_view what;
};

// --- framing ------------------------------------------------------------------------------------

/// The first message of a connection has no type byte.
enum class Framing : std::uint8_t { kStartup, kTyped };

struct Frame {
  enum class State : std::uint8_t { kNeedMore, kComplete, kTooLong, kMalformed };
  State state = State::kNeedMore;
  char type = 0;  // 0 for the first message
  std::string_view body;
  std::size_t size = 0;  // of the whole message
};

/// The message at the beginning of `bytes`. kTooLong as soon as its length says so.
[[nodiscard]] Frame try_frame(std::string_view bytes, Framing framing, std::size_t bytes_max);

// --- what clients send --------------------------------------------------------------------------

struct Startup {
  std::uint16_t major = 3;
  std::uint16_t minor = 0;
  /// In the order of the message; protocol options ("_pq_.…") among them.
  std::vector<std::pair<std::string_view, std::string_view>> parameters;
  [[nodiscard]] std::string_view parameter(std::string_view name) const;
};
struct SslRequest {};
struct GssEncRequest {};
struct CancelRequest {
  std::uint32_t process = 0;
  std::string_view key;
};
using First = std::variant<Startup, SslRequest, GssEncRequest, CancelRequest>;

[[nodiscard]] std::expected<First, Violation> decode_first(std::string_view body);

/// A prepared statement or a portal.
enum class Target : char { kStatement = 'S', kPortal = 'P' };

struct Query {
  std::string_view text;
};
struct Parse {
  std::string_view statement;
  std::string_view text;
  std::vector<std::uint32_t> parameter_types;  // 0: not given
};
struct Bind {
  std::string_view portal;
  std::string_view statement;
  std::vector<Format> parameter_formats;  // none: all text; one: of all
  std::vector<std::optional<std::string_view>> parameters;
  std::vector<Format> result_formats;  // as parameter_formats

  [[nodiscard]] Format parameter_format(std::size_t parameter) const;
  [[nodiscard]] Format result_format(std::size_t column) const;
};
struct Describe {
  Target target = Target::kStatement;
  std::string_view name;
};
struct Execute {
  std::string_view portal;
  std::uint32_t rows_max = 0;  // 0: all
};
struct Close {
  Target target = Target::kStatement;
  std::string_view name;
};
struct Flush {};
struct Sync {};
struct Terminate {};
/// PasswordMessage, SASLInitialResponse or SASLResponse: only the state of the authentication says
/// which.
struct Password {
  std::string_view body;
};
struct CopyData {
  std::string_view bytes;
};
struct CopyDone {};
struct CopyFail {
  std::string_view reason;
};
/// The obsolete call of a function by its number: known, so that it can be refused by name.
struct FunctionCall {};
using Message = std::variant<Query, Parse, Bind, Describe, Execute, Close, Flush, Sync, Terminate,
                             Password, CopyData, CopyDone, CopyFail, FunctionCall>;

[[nodiscard]] std::expected<Message, Violation> decode(char type, std::string_view body);

struct SaslInitialResponse {
  std::string_view mechanism;
  std::optional<std::string_view> response;
};
[[nodiscard]] std::expected<SaslInitialResponse, Violation> decode_sasl_initial(
    std::string_view body);

// --- what the server sends ----------------------------------------------------------------------

enum class TransactionState : char { kIdle = 'I', kInTransaction = 'T', kFailed = 'E' };

/// A column of a result.
struct Field {
  std::string_view name;
  std::uint32_t type = 0;  // OID
  std::int16_t type_bytes = -1;
  std::int32_t type_modifier = -1;
  Format format = Format::kText;
};

/// ErrorResponse and NoticeResponse. What is empty or 0 is left out.
struct Report {
  std::string_view severity;  // "ERROR", "FATAL", "WARNING", "NOTICE"
  std::string_view sqlstate;  // five characters
  std::string_view message;
  std::string_view detail;
  std::string_view hint;
  std::uint32_t position = 0;  // of a character in the query, from 1
  std::string_view where;
};

void append_authentication_ok(std::string& out);
/// Asks for the password itself.
void append_authentication_password(std::string& out);
void append_authentication_sasl(std::span<const std::string_view> mechanisms, std::string& out);
void append_authentication_sasl_continue(std::string_view data, std::string& out);
void append_authentication_sasl_final(std::string_view data, std::string& out);
/// Sent where the client asked for a later minor version or for options that are not known.
void append_negotiate_version(std::uint32_t newest_minor,
                              std::span<const std::string_view> unknown_options, std::string& out);
void append_parameter_status(std::string_view name, std::string_view value, std::string& out);
void append_backend_key(std::uint32_t process, std::uint32_t key, std::string& out);
void append_ready(TransactionState state, std::string& out);
void append_row_description(std::span<const Field> fields, std::string& out);
void append_parameter_description(std::span<const std::uint32_t> types, std::string& out);
/// `tag` is for example "SELECT 3".
void append_command_complete(std::string_view tag, std::string& out);
void append_error(const Report& report, std::string& out);
void append_notice(const Report& report, std::string& out);
/// The columns of a COPY; all of one format.
void append_copy_in(Format format, std::uint16_t columns, std::string& out);
void append_copy_out(Format format, std::uint16_t columns, std::string& out);
void append_copy_data(std::string_view bytes, std::string& out);

/// Messages without a body.
enum class Bare : char {
  kParseComplete = '1',
  kBindComplete = '2',
  kCloseComplete = '3',
  kNoData = 'n',
  kEmptyQuery = 'I',
  kPortalSuspended = 's',
  kCopyDone = 'c',
};
void append(Bare message, std::string& out);

/// One DataRow, value by value. The row is whole when finish() has been called.
class RowWriter {
 public:
  RowWriter(std::uint16_t columns, std::string& out);
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  void null();
  void value(std::string_view bytes);
  /// For a value whose bytes are appended to the buffer: begin(), append, end().
  void begin();
  void end();
  void finish();

 private:
  std::string& out_;
  std::size_t start_;
  std::size_t value_ = 0;
};

}  // namespace millrace::wire::postgres
