// millrace-op: the operator of a view as a process that speaks frames on standard input and output
// (docs/reference/operator.md). An engine starts one per task and keeps the states itself.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "op/build_digest.h"
#include "op/plan.h"
#include "op/worker.h"

namespace {

constexpr std::string_view kHelp =
    "usage: millrace-op [--plan FILE] [--memory BYTES]\n"
    "\n"
    "Computes one materialized view of Millrace for another engine: reads frames from\n"
    "standard input, answers on standard output, ends with its input.\n"
    "\n"
    "  --plan FILE      what `millrace plan VIEW` printed; without it, the first frame\n"
    "                   is a HELLO that has the plan\n"
    "  --memory BYTES   size of the table at which states leave it; K, M or G may\n"
    "                   follow the number (256M)\n"
    "  --version        version and digest of this program\n";

constexpr int kUsage = 2;

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number == 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (shift < 0 || number > (std::uint64_t{1} << 40) >> shift) return std::nullopt;
  return number << shift;
}

int wrong_usage(std::string_view text) {
  fmt::print(stderr, "millrace-op: {}\n\n{}", text, kHelp);
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  std::string plan;
  std::uint64_t memory_bytes = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      fmt::print("{}", kHelp);
      return 0;
    }
    if (argument == "--version") {
      fmt::print("millrace-op {} {}\n", MR_VERSION, millrace::op::build_digest());
      return 0;
    }
    if (i + 1 == argc || (argument != "--plan" && argument != "--memory"))
      return wrong_usage(fmt::format("{} is not understood", argument));
    const char* value = argv[++i];
    if (argument == "--memory") {
      const auto bytes = parse_bytes(value);
      if (!bytes) return wrong_usage(fmt::format("--memory {} is no number of bytes", value));
      memory_bytes = *bytes;
      continue;
    }
    std::ifstream file(value, std::ios::binary);
    plan.assign(std::istreambuf_iterator<char>(file), {});
    if (!file || plan.empty()) return wrong_usage(fmt::format("{} cannot be read", value));
    if (const auto read = millrace::op::read_plan(plan); !read) {
      fmt::print(stderr, "millrace-op: {}: {}\n", value, read.error().text());
      return kUsage;
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  return millrace::op::serve_worker(STDIN_FILENO, STDOUT_FILENO, std::move(plan), memory_bytes);
}
