// What Tab offers in a statement or behind a backslash: keywords, the names of streams, views,
// tables and their columns, as the server has them. Names are asked for when they are wanted first,
// and again once a statement may have changed them. Thread: one. Errors: none; names that cannot be
// had are not offered.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/line_editor.h"

namespace millrace::cli {

class Completer {
 public:
  using Names = std::map<std::string, std::vector<std::string>>;  // columns by relation
  using AskNames = std::function<Names()>;
  explicit Completer(AskNames ask) : ask_(std::move(ask)) {}

  /// `before`: the statement's lines before this one.
  Completion complete(std::string_view before, std::string_view line);
  void forget() { known_ = false; }

 private:
  [[nodiscard]] Completion complete_command(std::string_view line);
  void know();
  void offer(std::string_view word, std::string_view begin, std::vector<std::string>& out) const;

  const AskNames ask_;
  Names names_;
  bool known_ = false;
};

}  // namespace millrace::cli
