// Result<T>: a value or an Error. The thin class over std::expected exists because clang notices a
// dropped
// [[nodiscard]] class even when it was awaited, which it does not for a bare std::expected.
#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace millrace {

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

using Status = Result<void>;

/// return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "stream {} does not exist", name);
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, std::string_view id,
                                          fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{.code = code,
                               .id = std::string(id),
                               .message = fmt::format(format, std::forward<Args>(args)...),
                               .hint = {},
                               .place = {}});
}

}  // namespace millrace

#define MR_CONCAT_INNER(a, b) a##b
#define MR_CONCAT(a, b) MR_CONCAT_INNER(a, b)

/// MR_TRY(const auto header, read_header(file)); returns the error early, else declares the value.
#define MR_TRY(declaration, expression)                                         \
  auto MR_CONCAT(mr_result_, __LINE__) = (expression);                          \
  if (!MR_CONCAT(mr_result_, __LINE__))                                         \
    return std::unexpected(std::move(MR_CONCAT(mr_result_, __LINE__)).error()); \
  declaration = std::move(*MR_CONCAT(mr_result_, __LINE__))

/// MR_RETURN_IF_ERROR(file.sync()); returns the error of a Status early.
#define MR_RETURN_IF_ERROR(expression)                      \
  do {                                                      \
    if (auto mr_status = (expression); !mr_status)          \
      return std::unexpected(std::move(mr_status).error()); \
  } while (false)
