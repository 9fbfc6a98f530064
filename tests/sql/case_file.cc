#include "tests/sql/case_file.h"

#include <charconv>
#include <cstdlib>

namespace millrace::sql_cases {

namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    const auto end = std::min(text.find_first_of(" \t", begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    at = end;
  }
  return words;
}

std::vector<std::string> values_of(std::string_view line) {
  std::vector<std::string> values;
  for (;;) {
    const auto bar = line.find('|');
    values.emplace_back(trimmed(line.substr(0, bar)));
    if (bar == std::string_view::npos) return values;
    line.remove_prefix(bar + 1);
  }
}

struct Record {
  int line = 0;
  std::string_view head;
  std::vector<std::string_view> body;
};

/// Blank lines end a record; comments stand between records.
std::vector<Record> records_of(std::string_view text) {
  std::vector<Record> records;
  bool open = false;
  int number = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (trimmed(line).empty()) {
      open = false;
    } else if (open) {
      records.back().body.push_back(line);
    } else if (line.front() != '#') {
      records.push_back({number, line, {}});
      open = true;
    }
  }
  return records;
}

class Parser {
 public:
  explicit Parser(std::string_view path) { file_.path = path; }

  Result<CaseFile> run(std::string_view text) {
    for (const auto& record : records_of(text)) {
      record_ = &record;
      MR_RETURN_IF_ERROR(take());
    }
    return std::move(file_);
  }

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "{}:{}: {}", file_.path,
                record_->line, what);
  }

  [[nodiscard]] std::string body(std::size_t begin, std::size_t end) const {
    std::string text;
    for (std::size_t i = begin; i < end; ++i) {
      if (!text.empty()) text += '\n';
      text += record_->body[i];
    }
    return text;
  }
  [[nodiscard]] std::string body() const { return body(0, record_->body.size()); }

  static std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }
  static std::optional<double> fraction(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || end != text.c_str() + text.size() || !(value > 0)) return std::nullopt;
    return value;
  }

  Status take() {
    const auto words = words_of(record_->head);
    const auto& kind = words.front();
    if (kind == "stream" && words.size() == 1) {
      file_.streams.push_back({record_->line, body()});
    } else if (kind == "derived" && words.size() == 1) {
      file_.derived.push_back({record_->line, body()});
    } else if (kind == "table" && words.size() == 1) {
      file_.tables.push_back({record_->line, body()});
    } else if (kind == "change" && words.size() == 1) {
      file_.changes.push_back({record_->line, body()});
    } else if (kind == "rows" && words.size() == 2) {
      Input input{.line = record_->line, .stream = words[1], .lines = {}};
      for (const auto line : record_->body) input.lines.emplace_back(line);
      file_.inputs.push_back(std::move(input));
    } else if (kind == "generate" && words.size() == 6 && words[2] == "rows" &&
               words[4] == "seed") {
      const auto rows = number(words[3]);
      const auto seed = number(words[5]);
      if (!rows || !seed) return wrong("generate takes `generate NAME rows N seed S`");
      file_.inputs.push_back({.line = record_->line,
                              .stream = words[1],
                              .lines = {},
                              .generated = *rows,
                              .seed = *seed});
    } else if (kind == "view") {
      return view(words);
    } else if (kind == "refused" && words.size() >= 4) {
      return refused(words);
    } else {
      return wrong(
          "expected stream, derived, table, change, rows NAME, generate NAME rows N seed S, view, "
          "or "
          "refused ID PLACE WORDS");
    }
    return {};
  }

  Status view(const std::vector<std::string>& words) {
    ViewCase out;
    out.line = record_->line;
    for (std::size_t i = 1; i < words.size();) {
      if (words[i] == "tolerance" && i + 1 < words.size()) {
        const auto value = fraction(words[i + 1]);
        if (!value) return wrong("tolerance takes a number above 0");
        out.tolerance = *value;
        i += 2;
      } else if (words[i] == "approx" && i + 4 < words.size() && words[i + 2] == "within" &&
                 words[i + 4] == "%") {
        const auto value = fraction(words[i + 3]);
        if (!value) return wrong("approx takes `approx COLUMN within P %`");
        out.bounds.push_back({words[i + 1], *value / 100});
        i += 5;
      } else if (words[i] == "skips" && i + 1 < words.size()) {
        const auto value = number(words[i + 1]);
        if (!value) return wrong("skips takes a number of rows");
        out.skipped_rows = *value;
        i += 2;
      } else {
        return wrong("view takes `tolerance X`, `approx COLUMN within P %` and `skips N`");
      }
    }
    const auto& lines = record_->body;
    std::size_t end = 0;
    while (end < lines.size() && lines[end] != "like" && !lines[end].starts_with("----")) ++end;
    out.select = body(0, end);
    if (out.select.empty()) return wrong("a view has a SELECT");
    if (end < lines.size() && lines[end] == "like") {
      out.reference = body(end + 1, lines.size());
      if (out.reference.empty()) return wrong("like is followed by a SELECT for DuckDB");
    } else if (end < lines.size()) {
      const auto types = trimmed(lines[end].substr(4));
      if (!types.empty()) out.types = values_of(types);
      out.rows.emplace();
      for (std::size_t i = end + 1; i < lines.size(); ++i) out.rows->push_back(values_of(lines[i]));
    }
    file_.views.push_back(std::move(out));
    return {};
  }

  Status refused(const std::vector<std::string>& words) {
    RefusedCase out{
        .line = record_->line, .sql = body(), .id = words[1], .place = words[2], .words = {}};
    if (out.sql.empty()) return wrong("refused has a statement");
    const auto place = record_->head.find(words[2], record_->head.find(words[1]) + words[1].size());
    out.words = trimmed(record_->head.substr(place + words[2].size()));
    file_.refused.push_back(std::move(out));
    return {};
  }

  const Record* record_ = nullptr;
  CaseFile file_;
};

}  // namespace

Result<CaseFile> parse_case_file(std::string_view path, std::string_view text) {
  return Parser(path).run(text);
}

}  // namespace millrace::sql_cases
