#include "format/json_decoder.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "format/json_index.h"
#include "format/json_record.h"
#include "format/json_text.h"

namespace millrace::format {

namespace {

// Large enough that the fixed cost of a window is nothing, small enough that text and tokens stay
// in the second cache between the two stages.
constexpr std::size_t kWindowBytes = std::size_t{128} << 10;
constexpr std::size_t kIndexBytesKept = std::size_t{8} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

/// RFC 8259 section 8.1: a parser may ignore a byte order mark instead of treating it as an error.
std::string_view without_mark(std::string_view body) {
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  return body;
}

const char* find_newline(std::string_view text) {
  if (text.empty()) return nullptr;
  return static_cast<const char*>(std::memchr(text.data(), '\n', text.size()));
}

/// About as many rows as the body has lines, from the lines at its beginning.
std::size_t estimated_rows(std::string_view body) {
  const std::string_view sample = body.substr(0, 4096);
  const auto lines = static_cast<std::size_t>(std::ranges::count(sample, '\n')) + 1;
  return std::min(lines * body.size() / std::max<std::size_t>(sample.size(), 1) * 17 / 16,
                  body.size() / 16) +
         1;
}

RecordFault index_fault(JsonIndex::Fault fault, std::string_view text) {
  switch (fault) {
    case JsonIndex::Fault::kBadUtf8:
      return {error_id::kBadUtf8, fmt::format("byte {} is not UTF-8", first_bad_utf8(text) + 1)};
    case JsonIndex::Fault::kControlCharacter:
      return {error_id::kBadJson, "a string holds a control character that is not escaped"};
    case JsonIndex::Fault::kUnclosedString:
      return {error_id::kBadJson, "a string is not closed"};
    case JsonIndex::Fault::kTooLarge:
      return {error_id::kRecordTooLarge, "the text is too large to be read"};
    case JsonIndex::Fault::kNone:
      break;
  }
  return {};
}

RecordFault size_fault(std::size_t size, std::size_t size_max) {
  return {error_id::kRecordTooLarge,
          fmt::format("the record has {} bytes, {} are allowed", size, size_max)};
}

/// One body on its way into rows; the two framings are two methods over the same record reader.
class BodyReader {
 public:
  BodyReader(const DecodeLimits& limits, JsonIndex& index, const StreamDefinition& stream,
             const ColumnRules& rules, Decoded& out)
      : limits_(limits),
        index_(index),
        out_(out),
        record_(stream, rules, *out.columns, limits.depth_max) {}

  void read_lines(std::string_view body) {
    const std::size_t rows = estimated_rows(body);
    out_.columns->reserve(rows);
    out_.values.reserve(rows);
    while (!body.empty()) {
      const std::size_t size = window_size(body);
      read_window(body.substr(0, size));
      body.remove_prefix(size);
    }
  }

  void read_document(std::string_view body) {
    body = trimmed(body);
    if (body.empty()) {
      refuse_body(body, 1, {error_id::kBadJson, "the body is empty, and no JSON"});
      return;
    }
    const auto fault = index_.build(body);
    if (fault != JsonIndex::Fault::kNone) {
      refuse_body(body, 1, index_fault(fault, body));
      return;
    }
    TokenCursor cursor{body.data(), index_.tokens(), static_cast<std::uint32_t>(body.size())};
    if (cursor.head() == '[') {
      read_array(body, cursor);
    } else {
      line_ = 1;
      read_record(body, cursor);
    }
  }

 private:
  /// Whole lines, kWindowBytes or one line at least.
  static std::size_t window_size(std::string_view body) {
    if (body.size() <= kWindowBytes) return body.size();
    const auto last = body.substr(0, kWindowBytes).rfind('\n');
    if (last != std::string_view::npos) return last + 1;
    const auto next = body.find('\n', kWindowBytes);
    return next == std::string_view::npos ? body.size() : next + 1;
  }

  /// A fault that simdjson finds has no line: it only says that each line must be looked at alone.
  void read_window(std::string_view window) {
    const bool indexed =
        window.size() <=
            std::max<std::size_t>(kWindowBytes, limits_.record_bytes_max + std::size_t{1024}) &&
        index_.build(window) == JsonIndex::Fault::kNone;
    TokenCursor cursor{window.data(), index_.tokens(), 0};
    const char* at = window.data();
    const char* const end = at + window.size();
    while (at != end) {
      const char* newline = find_newline({at, static_cast<std::size_t>(end - at)});
      const char* line_end = newline != nullptr ? newline : end;
      const std::string_view line = trimmed({at, static_cast<std::size_t>(line_end - at)});
      at = newline != nullptr ? newline + 1 : end;
      ++line_;
      if (line.empty()) continue;
      if (indexed) {
        cursor.end = static_cast<std::uint32_t>(line_end - window.data());
        read_record(line, cursor);
        while (!cursor.at_end()) ++cursor.at;
      } else {
        read_lone_line(line);
      }
    }
  }

  void read_lone_line(std::string_view line) {
    if (line.size() > limits_.record_bytes_max) {
      refuse(line, size_fault(line.size(), limits_.record_bytes_max));
      return;
    }
    const auto fault = index_.build(line);
    if (fault != JsonIndex::Fault::kNone) {
      refuse(line, index_fault(fault, line));
      return;
    }
    TokenCursor cursor{line.data(), index_.tokens(), static_cast<std::uint32_t>(line.size())};
    read_record(line, cursor);
  }

  /// `text` is all that stands between the cursor and its end.
  void read_record(std::string_view text, TokenCursor& cursor) {
    if (text.size() > limits_.record_bytes_max) {
      refuse(text, size_fault(text.size(), limits_.record_bytes_max));
      return;
    }
    const std::size_t start = *cursor.at;
    if (!record_.read(cursor)) {
      refuse(text, record_.fault());
      return;
    }
    if (!cursor.at_end()) {
      record_.drop_last_row();
      record_.refuse_syntax(cursor, start, "the end of the record");
      refuse(text, record_.fault());
      return;
    }
    out_.values.push_back(text);
  }

  void read_array(std::string_view body, TokenCursor& cursor) {
    ++cursor.at;
    if (cursor.head() == ']') {
      ++cursor.at;
      finish_array(body, cursor);
      return;
    }
    for (;;) {
      ++line_;
      if (!read_element(cursor)) {
        refuse_body(body, line_, record_.fault());
        return;
      }
      const char next = cursor.head();
      if (next != ',' && next != ']') {
        record_.refuse_syntax(cursor, 0, "',' or ']' behind an element");
        refuse_body(body, line_, record_.fault());
        return;
      }
      ++cursor.at;
      if (next == ']') {
        finish_array(body, cursor);
        return;
      }
    }
  }

  void finish_array(std::string_view body, const TokenCursor& cursor) {
    if (cursor.at_end()) return;
    record_.refuse_syntax(cursor, 0, "the end of the body");
    refuse_body(body, line_, record_.fault());
  }

  /// False: the next element cannot be found, so the array as a whole is lost.
  bool read_element(TokenCursor& cursor) {
    const std::uint32_t* const first = cursor.at;
    const std::size_t rows = out_.columns->rows();
    RecordFault fault;
    if (!record_.read(cursor)) {
      fault = std::move(record_.fault());
      cursor.at = first;
      if (!record_.skip_value(cursor, 0, 0, JsonRecordReader::Check::kStructure)) return false;
    }
    const std::size_t last = cursor.at[-1];
    const std::size_t end =
        cursor.text[last] == '}' || cursor.text[last] == ']'
            ? last + 1
            : *first + TokenCursor{cursor.text, first, cursor.end}.token().size();
    const std::string_view text(cursor.text + *first, end - *first);
    if (text.size() > limits_.record_bytes_max) {
      if (out_.columns->rows() != rows) record_.drop_last_row();
      fault = size_fault(text.size(), limits_.record_bytes_max);
    }
    if (fault.id.empty()) {
      out_.values.push_back(text);
    } else {
      refuse(text, fault);
    }
    return true;
  }

  void refuse(std::string_view raw, const RecordFault& fault) {
    out_.refuse(limits_, {.line = line_,
                          .id = std::string(fault.id),
                          .reason = fault.reason,
                          .raw = std::string(raw.substr(0, kRawBytesMax))});
  }

  /// Nothing of the body counts: what stands before the fault may be a part of something else.
  void refuse_body(std::string_view body, std::uint64_t line, const RecordFault& fault) {
    while (out_.columns->rows() != 0) record_.drop_last_row();
    out_.values.clear();
    out_.forget_refused();
    line_ = line;
    refuse(body, fault);
  }

  const DecodeLimits& limits_;
  JsonIndex& index_;
  Decoded& out_;
  JsonRecordReader record_;
  std::uint64_t line_ = 0;
};

}  // namespace

struct JsonDecoder::Parsers {
  JsonIndex index;
};

JsonDecoder::JsonDecoder(DecodeLimits limits)
    : limits_(limits), parsers_(std::make_unique<Parsers>()) {}
JsonDecoder::~JsonDecoder() = default;

Decoded JsonDecoder::decode(const PaddedBytes& body, JsonFraming framing,
                            const StreamDefinition& stream, const ColumnRules& rules) {
  Decoded out;
  out.columns = std::make_shared<ColumnBatch>(stream.types());
  BodyReader reader(limits_, parsers_->index, stream, rules, out);
  const std::string_view text = without_mark(body.view());
  switch (framing) {
    case JsonFraming::kLines:
      reader.read_lines(text);
      break;
    case JsonFraming::kDocument:
      reader.read_document(text);
      break;
  }
  parsers_->index.shrink(kIndexBytesKept);
  return out;
}

}  // namespace millrace::format
