#include "cli/shell_output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace millrace::cli {
namespace {

/// Lines, and whether one of them is wider than the screen.
bool fits(std::string_view text, const ScreenSize& screen) {
  std::size_t lines = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    // Colours count as characters here, which errs on the side of the pager.
    if (++lines >= screen.rows) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

/// A signal that means nothing while it lives.
class Ignored {
 public:
  explicit Ignored(int signal) : signal_(signal) {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(signal_, &ignore, &before_);
  }
  ~Ignored() { ::sigaction(signal_, &before_, nullptr); }
  Ignored(const Ignored&) = delete;
  Ignored& operator=(const Ignored&) = delete;

 private:
  const int signal_;
  struct sigaction before_{};
};

/// PAGER, or less where there is one; empty for none.
std::string pager_of_environment() {
  if (const char* pager = std::getenv("PAGER"); pager != nullptr) return pager;
  for (const char* path : {"/usr/bin/less", "/bin/less"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

}  // namespace

ScreenSize screen_size() {
  struct winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return {};
  return {size.ws_col, size.ws_row};
}

TableLayout ShellOutput::layout() const {
  TableLayout out;
  out.null = settings.null;
  if (file_ != nullptr) return out;
  out.width_max = screen_size().columns;
  out.terminal = &terminal_;
  return out;
}

std::string ShellOutput::text_of(const ResultTable& table, std::string_view json) const {
  switch (settings.format) {
    case OutputFormat::kJson:
      return std::string(json) + '\n';
    case OutputFormat::kJsonLines:
      return table.json_lines_text();
    case OutputFormat::kCsv:
      return table.csv_text();
    case OutputFormat::kMarkdown:
      return markdown_text(table, layout());
    case OutputFormat::kTable:
      break;
  }
  if (settings.expanded == Expanded::kOn) return expanded_text(table, layout());
  if (settings.expanded == Expanded::kAuto && file_ == nullptr) {
    auto wide = layout();
    wide.width_max = 0;
    wide.terminal = nullptr;
    const auto text = fitted_table(table, wide);
    const auto line = std::string_view(text).substr(0, text.find('\n'));
    if (display_width(line) > screen_size().columns) return expanded_text(table, layout());
  }
  return fitted_table(table, layout());
}

void ShellOutput::show(const ResultTable& table, std::string_view json) {
  const auto text = text_of(table, json);
  if (file_ == nullptr) {
    page(text);
  } else {
    write_file(text);
  }
}

void ShellOutput::write_line(std::string_view line) {
  if (file_ == nullptr) {
    print(std::string(line) + '\n');
  } else {
    write_file(std::string(line) + '\n');
  }
}

void ShellOutput::write_file(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), file_.get()) == text.size() &&
                       std::fflush(file_.get()) == 0;
  if (!written)
    note(terminal_.red(fmt::format("the file was not written: {}", std::strerror(errno))));
}

void ShellOutput::page(const std::string& text) const {
  const auto pager =
      settings.pager && !fits(text, screen_size()) ? pager_of_environment() : std::string();
  if (pager.empty()) {
    print(text);
    return;
  }
  // Colours pass, long lines are not folded, and what fits after all ends at once.
  ::setenv("LESS", "FRSX", 0);
  ::setenv("LESSCHARSET", "utf-8", 0);
  // Whoever leaves it early ends the pipe; Ctrl-C is the pager's.
  const Ignored pipe(SIGPIPE);
  const Ignored interrupt(SIGINT);
  if (std::FILE* to = ::popen(pager.c_str(), "w"); to != nullptr) {
    if (std::fwrite(text.data(), 1, text.size(), to) != text.size()) errno = 0;
    const int status = ::pclose(to);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) print(text);  // there is no such program
  } else {
    print(text);
  }
}

void ShellOutput::note(std::string_view text) const { print(std::string(text) + '\n'); }

Status ShellOutput::open_file(const std::string& path) {
  file_.reset();
  if (path.empty()) return {};
  std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "we"));
  if (file == nullptr) {
    return fail(ErrorCode::kUnavailable, "", "cannot write {}: {}", path, std::strerror(errno));
  }
  file_ = std::move(file);
  return {};
}

}  // namespace millrace::cli
