// What went wrong, for a program (ErrorCode, id) and for a person (message, hint, place).
// Travels up through every module inside Result<T>; each endpoint maps ErrorCode to its protocol.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// The canonical codes, trimmed: a new one only where a caller reacts differently.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,
  kUnauthenticated,
  kPermissionDenied,
  kResourceExhausted,
  kPayloadTooLarge,
  kUnsupportedMediaType,
  kUnimplemented,
  kCancelled,
  kDeadlineExceeded,
  kUnavailable,
  kDataLoss,
  kInternal,
};

[[nodiscard]] std::string_view name(ErrorCode code);

/// Whether the same request may succeed when it is sent again later.
[[nodiscard]] bool retryable(ErrorCode code);

/// A place in the user's text, counted from 1; 0 means "not known".
struct TextPlace {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool operator==(const TextPlace&) const = default;
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  /// Stable, for programs and documentation: "MR1203". See docs/reference/errors.md.
  std::string id;
  std::string message;
  std::string hint;
  TextPlace place;

  /// Puts the context of one level in front: "log segment 7: ...".
  template <class... Args>
  [[nodiscard]] Error within(fmt::format_string<Args...> format, Args&&... args) && {
    message = fmt::format(format, std::forward<Args>(args)...) + ": " + message;
    return std::move(*this);
  }
  [[nodiscard]] Error with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  [[nodiscard]] Error at(TextPlace where) && {
    place = where;
    return std::move(*this);
  }
  /// "error[MR1203]: column ... (line 1, column 8); hint: ..."
  [[nodiscard]] std::string text() const;
};

/// The stable ids. One line each in docs/reference/errors.md (a test compares).
namespace error_id {
inline constexpr std::string_view kSyntax = "MR1001";
inline constexpr std::string_view kUnsupportedStatement = "MR1002";
inline constexpr std::string_view kBadName = "MR1003";
inline constexpr std::string_view kBadType = "MR1004";
inline constexpr std::string_view kBadOption = "MR1005";
inline constexpr std::string_view kStreamNotFound = "MR1201";
inline constexpr std::string_view kViewNotFound = "MR1202";
inline constexpr std::string_view kColumnNotFound = "MR1203";
inline constexpr std::string_view kAlreadyExists = "MR1204";
inline constexpr std::string_view kInUse = "MR1205";
inline constexpr std::string_view kTableNotFound = "MR1206";
inline constexpr std::string_view kPrimaryKey = "MR1207";
inline constexpr std::string_view kTableTooLarge = "MR1208";
inline constexpr std::string_view kImportNotAllowed = "MR1209";
inline constexpr std::string_view kSubjectNotFound = "MR1210";
inline constexpr std::string_view kVersionNotFound = "MR1211";
inline constexpr std::string_view kSchemaNotFound = "MR1212";
inline constexpr std::string_view kBadSchema = "MR1213";
inline constexpr std::string_view kIncompatible = "MR1214";
inline constexpr std::string_view kReadOnly = "MR1215";
inline constexpr std::string_view kUserNotFound = "MR1220";
inline constexpr std::string_view kConnectionNotFound = "MR1221";
inline constexpr std::string_view kFunctionNotAllowed = "MR1301";
inline constexpr std::string_view kNotMergeable = "MR1302";
inline constexpr std::string_view kViewBuilding = "MR1303";
inline constexpr std::string_view kSqlFailed = "MR1304";
inline constexpr std::string_view kSqlDeadline = "MR1305";
inline constexpr std::string_view kSqlMemory = "MR1306";
inline constexpr std::string_view kCancelled = "MR1307";
inline constexpr std::string_view kTransaction = "MR1308";
inline constexpr std::string_view kSetting = "MR1309";
inline constexpr std::string_view kPrepared = "MR1310";
inline constexpr std::string_view kIdleTransaction = "MR1311";
inline constexpr std::string_view kCursor = "MR1312";
inline constexpr std::string_view kSinkNotFound = "MR1401";
inline constexpr std::string_view kNotSinkable = "MR1402";
inline constexpr std::string_view kStoreRefused = "MR1403";
inline constexpr std::string_view kStoreLost = "MR1404";
inline constexpr std::string_view kForeignTable = "MR1405";
inline constexpr std::string_view kBadJson = "MR2001";
inline constexpr std::string_view kMissingColumn = "MR2002";
inline constexpr std::string_view kBadValue = "MR2003";
inline constexpr std::string_view kOutOfRange = "MR2004";
inline constexpr std::string_view kDuplicateKey = "MR2005";
inline constexpr std::string_view kTooDeep = "MR2006";
inline constexpr std::string_view kBadUtf8 = "MR2007";
inline constexpr std::string_view kRecordTooLarge = "MR2008";
inline constexpr std::string_view kEvaluation = "MR2009";
inline constexpr std::string_view kUnknownField = "MR2010";
inline constexpr std::string_view kBadPayload = "MR2011";
inline constexpr std::string_view kUnknownSchema = "MR2012";
inline constexpr std::string_view kTooManyRejected = "MR2013";
inline constexpr std::string_view kBodyTooLarge = "MR3001";
inline constexpr std::string_view kMediaType = "MR3002";
inline constexpr std::string_view kEncoding = "MR3003";
inline constexpr std::string_view kBusy = "MR3004";
inline constexpr std::string_view kNoSuchRoute = "MR3005";
inline constexpr std::string_view kMethod = "MR3006";
inline constexpr std::string_view kBadRequest = "MR3007";
inline constexpr std::string_view kNotVisibleYet = "MR3010";
inline constexpr std::string_view kKeyReused = "MR3011";
inline constexpr std::string_view kNotAuthenticated = "MR3101";
inline constexpr std::string_view kNotAllowed = "MR3102";
inline constexpr std::string_view kTooManyAttempts = "MR3103";
inline constexpr std::string_view kDiskFailed = "MR4001";
inline constexpr std::string_view kDiskFull = "MR4002";
inline constexpr std::string_view kChecksum = "MR4003";
inline constexpr std::string_view kLocked = "MR4004";
inline constexpr std::string_view kStarting = "MR4005";
inline constexpr std::string_view kStopping = "MR4006";
inline constexpr std::string_view kBadConfig = "MR4007";
inline constexpr std::string_view kFormatVersion = "MR4008";
inline constexpr std::string_view kArrow = "MR5001";
inline constexpr std::string_view kFrame = "MR5002";
inline constexpr std::string_view kPlan = "MR5003";
inline constexpr std::string_view kOperatorMemory = "MR5004";
inline constexpr std::string_view kInternal = "MR9001";
}  // namespace error_id

}  // namespace millrace
