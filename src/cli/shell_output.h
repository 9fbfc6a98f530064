// Where the shell's results go, and in which form: the terminal, with a pager where they are longer
// than the screen, or a file. Thread: one. Errors: kUnavailable where a file cannot be opened.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/result_table.h"
#include "cli/table_layout.h"
#include "cli/terminal.h"

namespace millrace::cli {

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};
[[nodiscard]] ScreenSize screen_size();

enum class Expanded { kOff, kOn, kAuto };

struct OutputSettings {
  OutputFormat format = OutputFormat::kTable;
  Expanded expanded = Expanded::kOff;
  std::string null = "NULL";
  bool pager = true;
  bool timing = true;
  bool coverage = false;
};

class ShellOutput {
 public:
  explicit ShellOutput(Terminal terminal) : terminal_(terminal) {}

  OutputSettings settings;

  /// The result as the settings say; `json` is what it is in JSON.
  void show(const ResultTable& table, std::string_view json);
  /// A text of the shell's own, with the pager too.
  void page(const std::string& text) const;
  /// One line of a result that goes on.
  void write_line(std::string_view line);
  /// What is beside the rows: to the terminal, never to the file.
  void note(std::string_view text) const;
  /// Empty: the terminal.
  Status open_file(const std::string& path);
  [[nodiscard]] bool is_to_file() const { return file_ != nullptr; }
  /// Widths of NULL, colours, of what is written to the terminal.
  [[nodiscard]] TableLayout layout() const;

 private:
  void write_file(std::string_view text);
  [[nodiscard]] std::string text_of(const ResultTable& table, std::string_view json) const;

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const Terminal terminal_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace millrace::cli
