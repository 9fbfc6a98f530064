// Errors as PostgreSQL's clients know them: the SQLSTATE of each, and the place as a position in
// the query. Our own id goes along as the "where" of the report. Pure functions: any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace::endpoint {

/// Five characters (docs/reference/postgres.md has the table).
/// `in_failed`: of a statement in a transaction that had failed.
[[nodiscard]] std::string_view sqlstate(const Error& error, bool in_failed = false);

/// What a client sent that the protocol does not allow.
inline constexpr std::string_view kProtocolViolation = "08P01";

/// The place in `query` of the error, counted in characters from 1; 0 where it is not known. The
/// error's own place counts in `statement`, which is a part of `query`.
[[nodiscard]] std::uint32_t error_position(const Error& error, std::string_view query,
                                           std::string_view statement);

enum class Severity : std::uint8_t { kNotice, kWarning, kError, kFatal };

/// Appends an ErrorResponse, or a NoticeResponse.
void append_report(const Error& error, Severity severity, std::uint32_t position, std::string& out,
                   bool in_failed = false);
/// Of an error of the protocol itself, which has no id.
void append_report(std::string_view state, std::string_view message, Severity severity,
                   std::string& out);

}  // namespace millrace::endpoint
