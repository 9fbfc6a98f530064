#include "format/csv_scanner.h"

#include <algorithm>
#include <cstring>

namespace millrace::format {

namespace {

std::size_t line_end_size(std::string_view text, std::size_t at) {
  if (at == text.size()) return 0;
  if (text[at] == '\n') return 1;
  return text[at] == '\r' && (at + 1 == text.size() || text[at + 1] == '\n') ? 2 : 0;
}

}  // namespace

CsvScanner::Step CsvScanner::next() {
  for (;;) {
    if (rest_.empty()) return Step::kEnd;
    const std::size_t blank = blank_records_ ? 0 : line_end_size(rest_, 0);
    if (blank == 0) break;
    rest_.remove_prefix(std::min(blank, rest_.size()));
    ++next_line_;
  }
  line_ = next_line_;
  fields_.clear();
  unescaped_count_ = 0;
  std::size_t at = 0;
  for (;;) {
    if (at < rest_.size() && rest_[at] == '"') {
      const Step step = scan_quoted(at);
      if (step != Step::kRecord) return step;
    } else {
      const std::size_t begin = at;
      bool quote = false;
      while (at < rest_.size() && rest_[at] != delimiter_ && rest_[at] != '\n' &&
             (rest_[at] != '\r' || line_end_size(rest_, at) == 0)) {
        quote |= rest_[at] == '"';
        ++at;
      }
      if (quote) {
        return give_up(Step::kBad, "a quote stands inside of a field that does not begin with one");
      }
      fields_.push_back({.text = rest_.substr(begin, at - begin), .quoted = false});
    }
    if (at > record_bytes_max_) return give_up(Step::kTooLarge, {});
    if (at < rest_.size() && rest_[at] == delimiter_) {
      ++at;
      continue;
    }
    return finish(at, line_end_size(rest_, at));
  }
}

CsvScanner::Step CsvScanner::scan_quoted(std::size_t& at) {
  const std::size_t begin = ++at;
  bool doubled = false;
  for (;;) {
    // A quote that is never closed must not make each line behind it look at all that follows.
    const std::size_t window = std::min(rest_.size(), record_bytes_max_ + 1);
    const void* found = at < window ? std::memchr(rest_.data() + at, '"', window - at) : nullptr;
    if (found == nullptr) {
      return window < rest_.size() ? give_up(Step::kTooLarge, {})
                                   : give_up(Step::kBad, "a quoted field is not closed");
    }
    at = static_cast<std::size_t>(static_cast<const char*>(found) - rest_.data());
    if (at + 1 >= rest_.size() || rest_[at + 1] != '"') break;
    doubled = true;
    at += 2;
  }
  std::string_view text = rest_.substr(begin, at - begin);
  ++at;
  if (at != rest_.size() && rest_[at] != delimiter_ && line_end_size(rest_, at) == 0)
    return give_up(Step::kBad, "something stands behind a quoted field");
  if (doubled) {
    if (unescaped_count_ == unescaped_.size()) unescaped_.emplace_back();
    std::string& copy = unescaped_[unescaped_count_++];
    copy.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
      copy += text[i];
      if (text[i] == '"') ++i;
    }
    text = copy;
  }
  fields_.push_back({.text = text, .quoted = true});
  return Step::kRecord;
}

CsvScanner::Step CsvScanner::give_up(Step step, std::string_view reason) {
  reason_ = reason;
  const std::size_t newline = rest_.find('\n');
  const std::size_t size = newline == std::string_view::npos ? rest_.size() : newline;
  raw_ = rest_.substr(0, size);
  if (raw_.ends_with('\r')) raw_.remove_suffix(1);
  rest_.remove_prefix(std::min(size + 1, rest_.size()));
  ++next_line_;
  return step;
}

CsvScanner::Step CsvScanner::finish(std::size_t size, std::size_t line_end) {
  raw_ = rest_.substr(0, size);
  const auto breaks = static_cast<std::uint64_t>(std::ranges::count(raw_, '\n'));
  next_line_ += breaks + 1;
  rest_.remove_prefix(std::min(size + line_end, rest_.size()));
  return Step::kRecord;
}

}  // namespace millrace::format
