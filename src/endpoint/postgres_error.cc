#include "endpoint/postgres_error.h"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/postgres.h"

namespace millrace::endpoint {
namespace {

struct StateOfId {
  std::string_view id;
  std::string_view state;
};

/// Where the id says more than its code.
constexpr std::array kStates = {
    StateOfId{error_id::kSyntax, "42601"},
    StateOfId{error_id::kUnsupportedStatement, "0A000"},
    StateOfId{error_id::kBadName, "42602"},
    StateOfId{error_id::kBadType, "42704"},
    StateOfId{error_id::kBadOption, "22023"},
    StateOfId{error_id::kStreamNotFound, "42P01"},
    StateOfId{error_id::kViewNotFound, "42P01"},
    StateOfId{error_id::kColumnNotFound, "42703"},
    StateOfId{error_id::kAlreadyExists, "42P07"},
    StateOfId{error_id::kInUse, "2BP01"},
    StateOfId{error_id::kTableNotFound, "42P01"},
    StateOfId{error_id::kPrimaryKey, "23505"},
    StateOfId{error_id::kTableTooLarge, "54000"},
    StateOfId{error_id::kImportNotAllowed, "42501"},
    StateOfId{error_id::kReadOnly, "25006"},
    StateOfId{error_id::kFunctionNotAllowed, "0A000"},
    StateOfId{error_id::kNotMergeable, "0A000"},
    StateOfId{error_id::kViewBuilding, "55000"},
    StateOfId{error_id::kTransaction, "25000"},
    StateOfId{error_id::kIdleTransaction, "25P03"},
    StateOfId{error_id::kSetting, "22023"},
    StateOfId{error_id::kPrepared, "26000"},
    StateOfId{error_id::kCursor, "34000"},
    StateOfId{error_id::kBadPayload, "22P04"},
    StateOfId{error_id::kSqlDeadline, "57014"},
    StateOfId{error_id::kSqlMemory, "53200"},
    StateOfId{error_id::kMissingColumn, "23502"},
    StateOfId{error_id::kBadValue, "22P02"},
    StateOfId{error_id::kOutOfRange, "22003"},
    StateOfId{error_id::kDuplicateKey, "23505"},
    StateOfId{error_id::kTooDeep, "54001"},
    StateOfId{error_id::kBadUtf8, "22021"},
    StateOfId{error_id::kRecordTooLarge, "54000"},
    StateOfId{error_id::kUnknownField, "42703"},
    StateOfId{error_id::kNotAuthenticated, "28P01"},
    StateOfId{error_id::kNotAllowed, "42501"},
    StateOfId{error_id::kTooManyAttempts, "28000"},
    StateOfId{error_id::kDiskFailed, "58030"},
    StateOfId{error_id::kDiskFull, "53100"},
    StateOfId{error_id::kChecksum, "XX001"},
    StateOfId{error_id::kLocked, "55006"},
    StateOfId{error_id::kStarting, "57P03"},
    StateOfId{error_id::kStopping, "57P01"},
    StateOfId{error_id::kBadConfig, "F0000"},
    StateOfId{error_id::kFormatVersion, "XX001"},
};

/// What DuckDB says is only in the words at the beginning of its message.
constexpr std::array kStatesOfWords = {
    StateOfId{"Parser Error", "42601"},
    StateOfId{"Catalog Error: Table", "42P01"},
    StateOfId{"Catalog Error: Scalar Function", "42883"},
    StateOfId{"Catalog Error: Aggregate Function", "42883"},
    StateOfId{"Catalog Error: Table Function", "42883"},
    StateOfId{"Catalog Error: Type", "42704"},
    StateOfId{"Binder Error: No function matches", "42883"},
    StateOfId{"Binder Error: Referenced column", "42703"},
    StateOfId{"Binder Error: Referenced table", "42P01"},
    StateOfId{"Binder Error: Ambiguous", "42702"},
    StateOfId{"Binder Error: column", "42803"},
    StateOfId{"Binder Error: Cannot mix values", "42804"},
    StateOfId{"Binder Error", "42000"},
    StateOfId{"Catalog Error", "42704"},
    StateOfId{"Conversion Error", "22P02"},
    StateOfId{"Out of Range Error", "22003"},
    StateOfId{"Invalid Input Error", "22023"},
    StateOfId{"Not implemented Error", "0A000"},
};

std::string_view state_of_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "22000";
    case ErrorCode::kNotFound:
      return "42704";
    case ErrorCode::kAlreadyExists:
      return "42710";
    case ErrorCode::kFailedPrecondition:
      return "55000";
    case ErrorCode::kUnauthenticated:
      return "28000";
    case ErrorCode::kPermissionDenied:
      return "42501";
    case ErrorCode::kResourceExhausted:
      return "53000";
    case ErrorCode::kPayloadTooLarge:
      return "54000";
    case ErrorCode::kUnsupportedMediaType:
      return "0A000";
    case ErrorCode::kUnimplemented:
      return "0A000";
    case ErrorCode::kCancelled:
      return "57014";
    case ErrorCode::kDeadlineExceeded:
      return "57014";
    case ErrorCode::kUnavailable:
      return "57P03";
    case ErrorCode::kDataLoss:
      return "XX001";
    case ErrorCode::kInternal:
      return "XX000";
  }
  return "XX000";
}

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::kNotice:
      return "NOTICE";
    case Severity::kWarning:
      return "WARNING";
    case Severity::kError:
      return "ERROR";
    case Severity::kFatal:
      return "FATAL";
  }
  return "ERROR";
}

void append(const wire::postgres::Report& report, Severity severity, std::string& out) {
  if (severity == Severity::kNotice || severity == Severity::kWarning) {
    wire::postgres::append_notice(report, out);
  } else {
    wire::postgres::append_error(report, out);
  }
}

bool begins_a_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

}  // namespace

std::string_view sqlstate(const Error& error, bool in_failed) {
  if (in_failed && error.id == error_id::kTransaction) return "25P02";
  if (error.id == error_id::kSetting && error.code == ErrorCode::kNotFound) return "42704";
  if (error.id == error_id::kPrepared && error.code == ErrorCode::kFailedPrecondition)
    return "0A000";
  if (error.id == error_id::kPrepared && error.code == ErrorCode::kAlreadyExists) return "42P05";
  if (error.id == error_id::kCursor && error.code == ErrorCode::kAlreadyExists) return "42P03";
  // Whatever was cancelled is, wherever it was.
  if (error.code == ErrorCode::kCancelled) return state_of_code(error.code);
  const auto* const known = std::ranges::find(kStates, error.id, &StateOfId::id);
  if (known != kStates.end()) return known->state;
  if (error.id == error_id::kSqlFailed) {
    for (const auto& words : kStatesOfWords) {
      if (error.message.starts_with(words.id)) return words.state;
    }
  }
  return state_of_code(error.code);
}

std::uint32_t error_position(const Error& error, std::string_view query,
                             std::string_view statement) {
  if (error.place.line == 0) return 0;
  TextPlace at{.line = 1, .column = 1};
  std::uint32_t position = 1;
  const auto walk = [&](std::string_view text, bool to_place) {
    for (const char byte : text) {
      if (!begins_a_character(byte)) continue;
      if (to_place && (at.line > error.place.line || at == error.place)) return;
      ++position;
      ++at.column;
      if (byte == '\n') at = {.line = at.line + 1, .column = 1};
    }
  };
  const auto offset = static_cast<std::size_t>(statement.data() - query.data());
  walk(query.substr(0, offset), /*to_place=*/false);
  at = {.line = 1, .column = 1};
  walk(statement, /*to_place=*/true);
  return position;
}

void append_report(const Error& error, Severity severity, std::uint32_t position, std::string& out,
                   bool in_failed) {
  wire::postgres::Report report;
  report.severity = name(severity);
  report.sqlstate = sqlstate(error, in_failed);
  report.message = error.message;
  report.hint = error.hint;
  report.position = position;
  report.where = error.id;
  append(report, severity, out);
}

void append_report(std::string_view state, std::string_view message, Severity severity,
                   std::string& out) {
  wire::postgres::Report report;
  report.severity = name(severity);
  report.sqlstate = state;
  report.message = message;
  append(report, severity, out);
}

}  // namespace millrace::endpoint
