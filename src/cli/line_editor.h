// Lines typed on a terminal, with libedit: editing, a history that stays, completion by Tab. Owns:
// libedit's state and the history file. Thread: one. Errors: none; a history that cannot be kept is
// not kept. Invariant: the file is its user's alone (0600), and has nothing of which
// may_have_secret() says so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

/// What the last word of a line may become.
struct Completion {
  std::size_t word_bytes = 0;  // before the cursor
  std::vector<std::string> words;
};
using Complete = std::function<Completion(std::string_view before_cursor)>;

class LineEditor {
 public:
  enum class Read { kLine, kEnd, kInterrupted };

  /// `history_file`: empty for none.
  LineEditor(std::string history_file, Complete complete);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// `line` without its end.
  Read read(const std::string& prompt, std::string& line);
  /// Remembers what was typed, for the next time too.
  void remember(std::string_view entry);

 private:
  struct Handle;
  void load();
  const std::string history_file_;
  std::unique_ptr<Handle> handle_;
};

/// Where the history is kept: MILLRACE_HISTORY, or ~/.millrace_history; empty where nowhere.
[[nodiscard]] std::string history_file_of_environment();

}  // namespace millrace::cli
