#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace millrace::cli {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

// Nobody reads standard error any more: there is no place left to say so.
void say(std::string_view text) { static_cast<void>(write_all(STDERR_FILENO, text)); }

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
};

/// The first code point; a byte that is not UTF-8 counts as one of its own.
CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = lead < 0x80    ? 1
                            : lead >= 0xf0 ? 4
                            : lead >= 0xe0 ? 3
                            : lead >= 0xc2 ? 2
                                           : 1;
  if (bytes == 1 || text.size() < bytes) return {lead, 1};
  char32_t value = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {lead, 1};
    value = (value << 6) | (next & 0x3f);
  }
  return {value, bytes};
}

// Blocks of Unicode 15 that terminals draw two columns wide, and those they draw over the character
// before.
constexpr std::array<std::pair<char32_t, char32_t>, 8> kWide = {{{0x1100, 0x115f},
                                                                 {0x2e80, 0xa4cf},
                                                                 {0xac00, 0xd7a3},
                                                                 {0xf900, 0xfaff},
                                                                 {0xfe30, 0xfe6f},
                                                                 {0xff00, 0xff60},
                                                                 {0x1f300, 0x1faff},
                                                                 {0x20000, 0x3fffd}}};
constexpr std::array<std::pair<char32_t, char32_t>, 5> kNoWidth = {
    {{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}}};

template <std::size_t N>
bool within(const std::array<std::pair<char32_t, char32_t>, N>& ranges, char32_t point) {
  for (const auto& [first, last] : ranges) {
    if (point >= first && point <= last) return true;
  }
  return false;
}

std::string styled(bool color, std::string_view code, std::string_view text) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace

Terminal Terminal::of_process(bool quiet, bool no_color) {
  const char* asked = std::getenv("NO_COLOR");
  const bool refused = no_color || (asked != nullptr && *asked != '\0');
  const bool interactive = ::isatty(STDERR_FILENO) == 1;
  return {.interactive = interactive, .color = interactive && !refused, .quiet = quiet};
}

std::string Terminal::bold(std::string_view text) const { return styled(color, "1", text); }
std::string Terminal::dim(std::string_view text) const { return styled(color, "2", text); }
std::string Terminal::green(std::string_view text) const { return styled(color, "1;32", text); }
std::string Terminal::red(std::string_view text) const { return styled(color, "1;31", text); }

void Terminal::note(std::string_view text) const {
  if (!quiet) say(fmt::format("{}\n", text));
}

void Terminal::progress(std::string_view text) const {
  if (!interactive || quiet) return;
  // A line that wraps could not be replaced by the next one.
  struct winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
  std::size_t width = known ? size.ws_col - 1U : 79U;
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const auto point = first_code_point(text.substr(bytes));
    const std::size_t columns = display_width(text.substr(bytes, point.bytes));
    if (columns > width) break;
    width -= columns;
    bytes += point.bytes;
  }
  say(fmt::format("\r{}\x1b[K", text.substr(0, bytes)));
}

void Terminal::end_progress() const {
  if (interactive && !quiet) say("\r\x1b[K");
}

void Terminal::error(const Error& error) const {
  std::string text = red(error.id.empty() ? "error" : fmt::format("error[{}]", error.id));
  text += fmt::format(": {}", printable(error.message));
  if (error.place.line != 0) {
    text += fmt::format(" (line {}, column {})", error.place.line, error.place.column);
  }
  text += '\n';
  if (!error.hint.empty()) text += fmt::format("hint: {}\n", printable(error.hint));
  say(text);
}

bool print(std::string_view text) { return write_all(STDOUT_FILENO, text); }

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  while (!utf8.empty()) {
    const auto point = first_code_point(utf8);
    utf8.remove_prefix(point.bytes);
    if (within(kNoWidth, point.value)) continue;
    width += within(kWide, point.value) ? 2 : 1;
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto point = first_code_point(text);
    const auto raw = text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
    if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (point.value < 0x20 || (point.value >= 0x7f && point.value < 0xa0) ||
               (point.bytes == 1 && point.value >= 0x80)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(point.value));
    } else if (within(std::array<std::pair<char32_t, char32_t>, 2>{{{0x202a, 0x202e},
                                                                    {0x2066, 0x2069}}},
                      point.value)) {
      // Bidirectional overrides would show a row in another order than it has.
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(point.value));
    } else {
      out += raw;
    }
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace millrace::cli
