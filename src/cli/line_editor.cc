#include "cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "cli/statement_buffer.h"
#include "cli/terminal.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kEntriesMax = 5'000;
constexpr std::size_t kEntryBytesMax = std::size_t{64} << 10;
/// More are a question of which begin in another way.
constexpr std::size_t kShownMax = 200;

/// Entries are lines of the file.
std::string escaped(std::string_view entry) {
  std::string out;
  for (const char c : entry) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string unescaped(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      out += line[i];
    } else {
      ++i;
      out += line[i] == 'n' ? '\n' : line[i];
    }
  }
  return out;
}

/// Their longest common beginning, whatever the case of letters is.
std::size_t common_bytes(const std::vector<std::string>& words) {
  std::size_t count = words.front().size();
  for (const auto& word : words) {
    std::size_t same = 0;
    while (same < count && same < word.size() && word[same] == words.front()[same]) ++same;
    count = same;
  }
  return count;
}

void show(const std::vector<std::string>& words, std::size_t width) {
  std::size_t widest = 0;
  for (const auto& word : words) widest = std::max(widest, display_width(word));
  const std::size_t across = std::max<std::size_t>(1, width / (widest + 2));
  std::string out = "\n";
  for (std::size_t i = 0; i < words.size() && i < kShownMax; ++i) {
    out += words[i];
    const bool last = (i + 1) % across == 0 || i + 1 == words.size();
    out += last ? "\n" : std::string(widest + 2 - display_width(words[i]), ' ');
  }
  if (words.size() > kShownMax) out += "… and " + grouped(words.size() - kShownMax) + " more\n";
  print(out);
}

}  // namespace

struct LineEditor::Handle {
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string prompt;
  Complete complete;
  bool interrupted = false;

  static Handle* of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<Handle*>(data);
  }
  static char* prompt_of(EditLine* editor) { return of(editor)->prompt.data(); }

  static unsigned char on_interrupt(EditLine* editor, int) {
    of(editor)->interrupted = true;
    return CC_EOF;
  }

  static unsigned char on_tab(EditLine* editor, int) {
    const LineInfo* line = el_line(editor);
    const std::string before(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
    const auto found = of(editor)->complete(before);
    if (found.words.empty()) return CC_ERROR;
    const bool only = found.words.size() == 1;
    const std::size_t common = common_bytes(found.words);
    if (only || common > found.word_bytes) {
      // The word takes the spelling of what completes it.
      std::string word = found.words.front().substr(0, common);
      if (only && !word.ends_with('(') && !word.ends_with('.')) word += ' ';
      if (found.word_bytes != 0) {
        const std::string_view typed(before);
        const auto letters = std::ranges::count_if(
            typed.substr(typed.size() - found.word_bytes),
            [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
        el_deletestr(editor, static_cast<int>(letters));
      }
      if (el_insertstr(editor, word.c_str()) == -1) return CC_ERROR;
      return CC_REFRESH;
    }
    show(found.words, 80);
    return CC_REDISPLAY;
  }
};

std::string history_file_of_environment() {
  if (const char* file = std::getenv("MILLRACE_HISTORY"); file != nullptr) return file;
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? std::string()
                                          : std::string(home) + "/.millrace_history";
}

LineEditor::LineEditor(std::string history_file, Complete complete)
    : history_file_(std::move(history_file)), handle_(std::make_unique<Handle>()) {
  // Characters are what the terminal says; where it says nothing, UTF-8.
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  auto& h = *handle_;
  h.complete = std::move(complete);
  h.history = history_init();
  HistEvent event;
  history(h.history, &event, H_SETSIZE, static_cast<int>(kEntriesMax));
  history(h.history, &event, H_SETUNIQUE, 1);
  h.editor = el_init("millrace", stdin, stdout, stderr);
  el_set(h.editor, EL_CLIENTDATA, &h);
  el_set(h.editor, EL_PROMPT, &Handle::prompt_of);
  el_set(h.editor, EL_EDITOR, "emacs");
  el_set(h.editor, EL_SIGNAL, 0);
  el_set(h.editor, EL_HIST, history, h.history);
  el_set(h.editor, EL_ADDFN, "complete", "complete the word", &Handle::on_tab);
  el_set(h.editor, EL_BIND, "^I", "complete", nullptr);
  // While a line is typed Ctrl-C is a key: libedit goes on reading after a signal.
  el_set(h.editor, EL_SETTY, "-d", "-isig", nullptr);
  el_set(h.editor, EL_ADDFN, "interrupt", "forget the line", &Handle::on_interrupt);
  el_set(h.editor, EL_BIND, "^C", "interrupt", nullptr);
  el_set(h.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(h.editor, EL_BIND, "\033[1~", "ed-move-to-beg", nullptr);
  el_set(h.editor, EL_BIND, "\033[4~", "ed-move-to-end", nullptr);
  el_set(h.editor, EL_BIND, "\033[H", "ed-move-to-beg", nullptr);
  el_set(h.editor, EL_BIND, "\033[F", "ed-move-to-end", nullptr);
  el_set(h.editor, EL_BIND, "\033[3~", "ed-delete-next-char", nullptr);
  // What their user has set goes before: ~/.editrc.
  el_source(h.editor, nullptr);
  load();
}

LineEditor::~LineEditor() {
  el_end(handle_->editor);
  history_end(handle_->history);
}

LineEditor::Read LineEditor::read(const std::string& prompt, std::string& line) {
  handle_->prompt = prompt;
  handle_->interrupted = false;
  int count = 0;
  const char* typed = el_gets(handle_->editor, &count);
  if (handle_->interrupted) {
    el_reset(handle_->editor);
    return Read::kInterrupted;
  }
  if (typed == nullptr || count <= 0) return Read::kEnd;
  line.assign(typed, static_cast<std::size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return Read::kLine;
}

void LineEditor::remember(std::string_view entry) {
  if (entry.empty() || entry.size() > kEntryBytesMax || may_have_secret(entry)) return;
  HistEvent event;
  const std::string text(entry);
  history(handle_->history, &event, H_ENTER, text.c_str());
  if (history_file_.empty()) return;
  const int file =
      ::open(history_file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  // Also one that somebody else has made readable.
  if (::fchmod(file, 0600) == 0) {
    const std::string made = escaped(text) + "\n";
    // A history that lacks an entry is no reason to stop.
    if (::write(file, made.data(), made.size()) < 0) errno = 0;
  }
  ::close(file);
}

void LineEditor::load() {
  if (history_file_.empty()) return;
  std::vector<std::string> entries;
  {
    std::ifstream file(history_file_);
    for (std::string line; std::getline(file, line);) entries.push_back(unescaped(line));
  }
  const bool too_long = entries.size() > 2 * kEntriesMax;
  if (entries.size() > kEntriesMax) {
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kEntriesMax));
  }
  HistEvent event;
  for (const auto& entry : entries) history(handle_->history, &event, H_ENTER, entry.c_str());
  if (!too_long) return;
  const std::string next = history_file_ + ".next";
  const int file = ::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;
  std::string text;
  for (const auto& entry : entries) text += escaped(entry) + "\n";
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  if (!written || ::rename(next.c_str(), history_file_.c_str()) != 0) ::unlink(next.c_str());
}

}  // namespace millrace::cli
