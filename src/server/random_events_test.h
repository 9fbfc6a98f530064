// Random events of a test, from a seed that can be given again: MILLRACE_TEST_SEED.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace millrace::server {

/// Prints its seed, so that a failure can be repeated.
inline std::mt19937_64 seeded_random() {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

/// Lines of the columns ts, k, n, d, each but ts missing at times. Doubles are multiples of 1/64,
/// so that DuckDB's sums of them are exact too.
inline std::string random_lines(std::mt19937_64& random, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += fmt::format(R"({{"ts":"2001-01-0{}T{:02}:00:00Z")", 1 + random() % 3, random() % 24);
    if (random() % 10 != 0) out += fmt::format(R"(,"k":"{}")", random() % 7);
    if (random() % 10 != 0)
      out += fmt::format(R"(,"n":{})", static_cast<int>(random() % 200) - 100);
    if (random() % 10 != 0)
      out += fmt::format(R"(,"d":{})", (static_cast<double>(random() % 20'000) - 10'000) / 64);
    out += "}\n";
  }
  return out;
}

}  // namespace millrace::server
