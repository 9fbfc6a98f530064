// SUBSCRIBE in the shell: a table that is kept as the view is, in place, until Ctrl-C; with another
// output format, or into a file, the changes themselves, a line each.
#include <unistd.h>

#include <algorithm>

#include "cli/interrupt.h"
#include "cli/live_rows.h"
#include "cli/shell.h"

namespace millrace::cli {
namespace {

using Clock = LiveRows::Clock;

/// Between two pictures.
constexpr std::chrono::milliseconds kFrameTime{150};
/// So long a change is marked.
constexpr std::chrono::milliseconds kNewTime{1200};
/// Lines around the rows: the table's own four, and the last one.
constexpr std::size_t kAroundRows = 6;

std::size_t lines_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

/// A text that the next one takes the place of.
class Picture {
 public:
  Picture() { print("\x1b[?25l"); }
  ~Picture() { print("\x1b[?25h"); }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;

  void show(const std::string& text) {
    std::string out;
    if (lines_ != 0) out = fmt::format("\x1b[{}F", lines_);
    // Each line is cleared behind its end, and the screen behind the last: nothing flickers.
    for (const char c : text) {
      if (c == '\n') out += "\x1b[K";
      out += c;
    }
    out += "\x1b[J";
    print(out);
    lines_ = lines_of(text);
  }

 private:
  std::size_t lines_ = 0;
};

class LiveTable {
 public:
  LiveTable(const ShellOutput& output, const Terminal& terminal)
      : output_(output), terminal_(terminal) {}

  /// Unless that was done just now, or there would be nothing new.
  void draw(const LiveRows& rows, Clock::time_point now) {
    if (rows.changes() != changes_) changed_ = now;
    const bool same = rows.changes() == changes_ && now - changed_ > kNewTime + kFrameTime;
    if (same || now - drawn_ < kFrameTime) return;
    changes_ = rows.changes();
    draw_now(rows, now);
  }
  void draw_now(const LiveRows& rows, Clock::time_point now) {
    drawn_ = now;
    const auto screen = screen_size();
    const std::size_t room = screen.rows > kAroundRows ? screen.rows - kAroundRows : 1;
    const auto shown = rows.shown(room, now - kNewTime);
    TableLayout layout = output_.layout();
    layout.is_new = [&](std::size_t row) { return shown.is_new[row]; };
    std::string text = fitted_table(shown.table, layout);
    const std::size_t hidden =
        rows.keys() > shown.table.rows() ? rows.keys() - shown.table.rows() : 0;
    std::string state = fmt::format("{} row{}", grouped(rows.keys()), rows.keys() == 1 ? "" : "s");
    if (hidden != 0) state += fmt::format(", {} of them not shown", grouped(hidden));
    if (!rows.is_whole()) state += ", only those that changed last are kept";
    state += fmt::format(", {} changes; Ctrl-C ends", grouped(rows.changes()));
    text += terminal_.dim(clipped(state, screen.columns)) + "\n";
    picture_.show(text);
  }

 private:
  const ShellOutput& output_;
  const Terminal& terminal_;
  Picture picture_;
  Clock::time_point drawn_;
  Clock::time_point changed_;
  std::uint64_t changes_ = 0;
};

}  // namespace

void Shell::follow(const std::string& statement) {
  const bool in_place = output_.settings.format == OutputFormat::kTable && !output_.is_to_file() &&
                        ::isatty(STDOUT_FILENO) == 1;
  LiveRows rows;
  std::optional<LiveTable> picture;
  std::optional<Error> wrong;
  bool is_whole = false;  // the rows are those of one position: only then they are shown
  const auto took = [&](std::string_view line) {
    terminal_.end_progress();
    if (line.empty()) return true;
    const auto now = Clock::now();
    const auto whole = rows.take(line, now);
    if (!whole) {
      wrong = whole.error();
      return false;
    }
    is_whole = *whole;
    if (!in_place) {
      output_.write_line(line);
    } else if (is_whole) {
      if (!picture) picture.emplace(output_, terminal_);
      picture->draw(rows, now);
    }
    return true;
  };
  following_ = [&] {
    if (picture && is_whole) picture->draw(rows, Clock::now());
  };
  auto done = link_->stream(statement, took);
  following_ = {};
  terminal_.end_progress();
  if (picture) {
    picture->draw_now(rows, Clock::now());
    picture.reset();
  }
  if (wrong) {
    show_error(*wrong, statement);
  } else if (!done && done.error().code != ErrorCode::kCancelled) {
    show_error(done.error(), statement);
  } else if (!rows.position().empty()) {
    output_.note(terminal_.dim(fmt::format("ended at position {}", rows.position())));
  }
  static_cast<void>(take_interrupt());
}

}  // namespace millrace::cli
