#include "cli/exit_code.h"

namespace millrace::cli {

ExitCode exit_code(const Error& error) {
  // A missing column is a bad request over HTTP, and a missing thing to a script.
  if (error.id == error_id::kColumnNotFound) return ExitCode::kNotFound;
  switch (error.code) {
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
      return ExitCode::kConflict;
    case ErrorCode::kUnauthenticated:
      return ExitCode::kNotAuthenticated;
    case ErrorCode::kDeadlineExceeded:
      return ExitCode::kTimeout;
    case ErrorCode::kUnavailable:
      return error.id.empty() ? ExitCode::kNoConnection : ExitCode::kFailure;
    case ErrorCode::kCancelled:
      return error.id.empty() ? ExitCode::kInterrupted : ExitCode::kFailure;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kPayloadTooLarge:
    case ErrorCode::kUnsupportedMediaType:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal:
      return ExitCode::kFailure;
  }
  return ExitCode::kFailure;
}

}  // namespace millrace::cli
