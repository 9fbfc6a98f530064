// MR_CHECK: we are wrong, not the world. Prints the place, the condition and the values, and stops
// the program; on in release. Never on bytes that came from outside: those get an Error.
#pragma once

#include <fmt/format.h>

#include <string>

namespace millrace {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
}

#define MR_CHECK(condition, ...)                                                          \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::millrace::check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (false)

#ifdef NDEBUG
#define MR_DCHECK(condition, ...) \
  do {                            \
  } while (false)
#else
#define MR_DCHECK(condition, ...) MR_CHECK(condition, __VA_ARGS__)
#endif
