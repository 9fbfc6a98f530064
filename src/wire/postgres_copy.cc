#include "wire/postgres_copy.h"

#include <algorithm>
#include <utility>

#include "wire/postgres_value.h"

namespace millrace::wire::postgres {
namespace {

using namespace std::string_view_literals;

constexpr auto kSignature = "PGCOPY\n\377\r\n\0"sv;
constexpr std::uint32_t kOidsIncluded = 1U << 16;
constexpr std::string_view kEndOfData = "\\.";

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void put_u16(std::uint16_t value, std::string& out) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void put_u32(std::uint32_t value, std::string& out) {
  put_u16(static_cast<std::uint16_t>(value >> 16), out);
  put_u16(static_cast<std::uint16_t>(value), out);
}

int digit_of(char c, int base) {
  int digit = -1;
  if (c >= '0' && c <= '9') digit = c - '0';
  if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
  return digit < base ? digit : -1;
}

/// The byte of "\101" or "\x41", whose digits begin at `at`; moves that behind them.
char numbered_byte(std::string_view text, std::size_t& at, int base, std::size_t digits_max) {
  int value = 0;
  for (std::size_t i = 0; i < digits_max && at < text.size(); ++i, ++at) {
    const int digit = digit_of(text[at], base);
    if (digit < 0) break;
    value = value * base + digit;
  }
  return static_cast<char>(value);
}

/// What stands behind a backslash, from `at` on; moves that behind it.
char escaped_byte(std::string_view text, std::size_t& at) {
  const char c = text[at];
  if (digit_of(c, 8) >= 0) return numbered_byte(text, at, 8, 3);
  ++at;
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case 'x':
      return at < text.size() && digit_of(text[at], 16) >= 0 ? numbered_byte(text, at, 16, 2) : 'x';
    default:
      return c;
  }
}

/// The letter behind the backslash for a byte that text cannot have as it is; 0 for others.
char escape_letter(char c) {
  switch (c) {
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

void append_escaped(std::string_view value, char delimiter, std::string& out) {
  for (const char c : value) {
    if (const char letter = escape_letter(c); letter != 0) {
      out += '\\';
      out += letter;
    } else {
      if (c == delimiter) out += '\\';
      out += c;
    }
  }
}

void append_quoted(std::string_view value, const CopyOptions& options, std::string& out) {
  const bool plain =
      value != options.null && value != kEndOfData && std::ranges::none_of(value, [&](char c) {
        return c == options.delimiter || c == options.quote || c == '\n' || c == '\r';
      });
  if (plain) {
    out += value;
    return;
  }
  out += options.quote;
  for (const char c : value) {
    if (c == options.quote || c == options.escape) out += options.escape;
    out += c;
  }
  out += options.quote;
}

void append_field(std::string_view value, const CopyOptions& options, std::string& out) {
  if (options.format == CopyOptions::Format::kCsv) {
    append_quoted(value, options, out);
  } else {
    append_escaped(value, options.delimiter, out);
  }
}

}  // namespace

CopyReader::CopyReader(CopyOptions options, std::vector<std::uint32_t> types,
                       std::size_t row_bytes_max)
    : options_(std::move(options)), types_(std::move(types)), row_bytes_max_(row_bytes_max) {}

std::unexpected<Error> CopyReader::bad(std::string_view what) const {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadPayload, "{} {} of the COPY: {}",
              options_.format == CopyOptions::Format::kBinary ? "row" : "line", line_, what);
}

Status CopyReader::read(std::string_view bytes, CopyValues& values) {
  return only_whole_rows(read_rows(bytes, values), values);
}

Status CopyReader::finish(CopyValues& values) {
  return only_whole_rows(read_last(values), values);
}

Status CopyReader::only_whole_rows(Status done, CopyValues& values) const {
  if (!done) values.resize(values.size() - values.size() % types_.size());
  return done;
}

Status CopyReader::read_rows(std::string_view bytes, CopyValues& values) {
  if (ended_) return {};
  pending_ += bytes;
  std::size_t taken = 0;
  if (options_.format == CopyOptions::Format::kBinary) {
    MR_TRY(taken, read_binary(pending_, values));
    pending_.erase(0, taken);
  } else {
    std::size_t end = 0;
    while (!ended_ && (end = find_line_end()) != std::string::npos) {
      std::string_view line = std::string_view(pending_).substr(taken, end - taken);
      MR_RETURN_IF_ERROR(read_line(line, values));
      taken = end + 1;
    }
    pending_.erase(0, taken);
    scanned_ -= std::min(taken, scanned_);
  }
  if (ended_) std::string().swap(pending_);
  if (pending_.size() > row_bytes_max_) {
    return fail(ErrorCode::kPayloadTooLarge, error_id::kRecordTooLarge,
                "row {} of the COPY has more than {} bytes", line_ + 1, row_bytes_max_);
  }
  return {};
}

Status CopyReader::read_last(CopyValues& values) {
  if (ended_ || pending_.empty()) return {};
  if (options_.format == CopyOptions::Format::kBinary) return bad("the data end inside of it");
  if (quoted_) return bad("the data end inside of quotes");
  const std::string line = std::exchange(pending_, {});
  return read_line(line, values);
}

/// The place of the next line feed that ends a row.
std::size_t CopyReader::find_line_end() {
  const bool csv = options_.format == CopyOptions::Format::kCsv;
  while (scanned_ < pending_.size()) {
    const char c = pending_[scanned_++];
    if (csv) {
      // An escape that is another character takes the meaning of the next one.
      if (escaped_) {
        escaped_ = false;
      } else if (quoted_ && c == options_.escape && options_.escape != options_.quote) {
        escaped_ = true;
      } else if (c == options_.quote) {
        quoted_ = !quoted_;
      } else if (c == '\n' && !quoted_) {
        return scanned_ - 1;
      }
    } else if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '\n') {
      return scanned_ - 1;
    }
  }
  return std::string::npos;
}

Status CopyReader::read_line(std::string_view line, CopyValues& values) {
  ++line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (options_.header && !std::exchange(header_read_, true)) return {};
  if (line == kEndOfData) {
    ended_ = true;
    return {};
  }
  return options_.format == CopyOptions::Format::kCsv ? read_csv_line(line, values)
                                                      : read_text_line(line, values);
}

Status CopyReader::check_columns(std::size_t columns) const {
  if (columns == types_.size()) return {};
  return bad(fmt::format("it has {} columns, and should have {}", columns, types_.size()));
}

Status CopyReader::read_text_line(std::string_view line, CopyValues& values) {
  const std::size_t before = values.size();
  for (std::size_t at = 0;;) {
    const std::size_t start = at;
    std::string value;
    while (at < line.size() && line[at] != options_.delimiter) {
      if (line[at] != '\\' || at + 1 == line.size()) {
        value += line[at++];
        continue;
      }
      ++at;
      value += escaped_byte(line, at);
    }
    if (line.substr(start, at - start) == options_.null) {
      values.emplace_back();
    } else {
      values.emplace_back(std::move(value));
    }
    if (at >= line.size()) break;
    ++at;
    if (values.size() - before > types_.size()) break;
  }
  return check_columns(values.size() - before);
}

Status CopyReader::read_csv_line(std::string_view line, CopyValues& values) {
  const std::size_t before = values.size();
  for (std::size_t at = 0;;) {
    std::string value;
    bool was_quoted = false;
    bool inside = false;
    for (; at < line.size() && (inside || line[at] != options_.delimiter); ++at) {
      const char c = line[at];
      const bool escapes = inside && c == options_.escape && at + 1 < line.size() &&
                           (line[at + 1] == options_.quote || line[at + 1] == options_.escape);
      if (escapes) {
        value += line[++at];
      } else if (c == options_.quote) {
        inside = !inside;
        was_quoted = true;
      } else {
        value += c;
      }
    }
    if (inside) return bad("quotes have no end");
    if (!was_quoted && value == options_.null) {
      values.emplace_back();
    } else {
      values.emplace_back(std::move(value));
    }
    if (at >= line.size()) break;
    ++at;
    if (values.size() - before > types_.size()) break;
  }
  return check_columns(values.size() - before);
}

/// Gives how many bytes whole rows took.
Result<std::size_t> CopyReader::read_binary(std::string_view bytes, CopyValues& values) {
  std::size_t taken = 0;
  if (!header_read_) {
    constexpr std::size_t kHead = kSignature.size() + 8;
    if (bytes.size() < kHead) return taken;
    if (!bytes.starts_with(kSignature))
      return bad("the signature of COPY's binary form is missing");
    if ((u32_at(bytes, kSignature.size()) & kOidsIncluded) != 0) return bad("it has OIDs");
    const std::uint32_t extension = u32_at(bytes, kSignature.size() + 4);
    if (extension > row_bytes_max_) return bad("the extension of its head is too long");
    if (bytes.size() < kHead + extension) return taken;
    taken = kHead + extension;
    header_read_ = true;
  }
  while (!ended_) {
    MR_TRY(const std::size_t row, read_tuple(bytes.substr(taken), values));
    if (row == 0) break;
    taken += row;
  }
  return taken;
}

/// 0 where it is not whole.
Result<std::size_t> CopyReader::read_tuple(std::string_view bytes, CopyValues& values) {
  if (bytes.size() < 2) return std::size_t{0};
  const auto columns = static_cast<std::int16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                                 static_cast<unsigned char>(bytes[1]));
  if (columns == -1) {
    ended_ = true;
    return std::size_t{2};
  }
  if (columns < 0) return bad("it has a negative number of columns");
  MR_RETURN_IF_ERROR(check_columns(static_cast<std::size_t>(columns)));
  std::size_t at = 2;
  std::vector<std::optional<std::string_view>> row;
  for (std::int16_t i = 0; i < columns; ++i) {
    if (bytes.size() < at + 4) return std::size_t{0};
    const auto size = static_cast<std::int32_t>(u32_at(bytes, at));
    at += 4;
    if (size == -1) {
      row.emplace_back();
      continue;
    }
    if (size < 0) return bad("a value has a negative length");
    const auto length = static_cast<std::size_t>(size);
    if (length > row_bytes_max_) return bad("a value is too long");
    if (bytes.size() < at + length) return std::size_t{0};
    row.emplace_back(bytes.substr(at, length));
    at += length;
  }
  ++line_;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!row[i]) {
      values.emplace_back();
      continue;
    }
    auto text = parameter_text(types_[i], Format::kBinary, *row[i]);
    if (!text) {
      return std::unexpected(
          std::move(text).error().within("row {} of the COPY, column {}", line_, i + 1));
    }
    values.emplace_back(std::move(*text));
  }
  return at;
}

void append_copy_begin(const CopyOptions& options, std::span<const std::string_view> names,
                       std::string& out) {
  if (options.format == CopyOptions::Format::kBinary) {
    out += kSignature;
    put_u32(0, out);
    put_u32(0, out);
    return;
  }
  if (!options.header) return;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) out += options.delimiter;
    append_field(names[i], options, out);
  }
  out += '\n';
}

void append_copy_row(const CopyOptions& options, std::span<const ColumnView> columns,
                     std::size_t row, std::string& out) {
  if (options.format == CopyOptions::Format::kBinary) {
    put_u16(static_cast<std::uint16_t>(columns.size()), out);
    for (const auto& column : columns) {
      const std::size_t start = out.size();
      put_u32(0xffffffff, out);
      if (!column.valid(row)) continue;
      append_value(column, row, Format::kBinary, out);
      const auto size = static_cast<std::uint32_t>(out.size() - start - 4);
      for (std::size_t i = 0; i < 4; ++i) out[start + i] = static_cast<char>(size >> (24 - 8 * i));
    }
    return;
  }
  std::string value;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i != 0) out += options.delimiter;
    if (!columns[i].valid(row)) {
      out += options.null;
      continue;
    }
    value.clear();
    append_value(columns[i], row, Format::kText, value);
    append_field(value, options, out);
  }
  out += '\n';
}

void append_copy_end(const CopyOptions& options, std::string& out) {
  if (options.format == CopyOptions::Format::kBinary) put_u16(0xffff, out);
}

}  // namespace millrace::wire::postgres
