// Random numbers from getrandom(2). No state, any thread; a system without random numbers is a bug
// of ours to run on, so it stops the program.
#include "runtime/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace millrace::runtime {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  ssize_t got = 0;
  do {
    got = ::getrandom(&value, sizeof(value), 0);
  } while (got < 0 && errno == EINTR);
  MR_CHECK(got == sizeof(value), "getrandom gave {} bytes", got);
  return value;
}

}  // namespace millrace::runtime
