#include "wire/redis.h"

#include <charconv>
#include <limits>

namespace millrace::wire::redis {

namespace {

void append_length(char kind, std::size_t length, std::string& out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), length).ptr;
  out += kind;
  out.append(digits, end);
  out += "\r\n";
}

std::unexpected<Error> broken(std::string_view why) {
  return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "Redis: what it sends is no reply: {}",
              why);
}

/// Reads one reply from the front of a text that may end too early.
class ReplyReader {
 public:
  ReplyReader(std::string_view bytes, const ReplyLimits& limits) : bytes_(bytes), limits_(limits) {}

  /// False: the text ends before the reply does.
  Result<bool> read(Reply& out, std::size_t depth);
  [[nodiscard]] std::size_t taken() const { return at_; }

 private:
  Result<std::optional<std::string_view>> line();
  Result<bool> bulk(std::string_view length, Reply& out);
  Result<bool> items(std::string_view count, std::size_t per_item, Reply& out, std::size_t depth);
  Result<bool> skipped(std::string_view count, std::size_t per_item, std::size_t depth);

  const std::string_view bytes_;
  const ReplyLimits& limits_;
  std::size_t at_ = 0;
  std::size_t items_ = 0;
};

Result<std::int64_t> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto got = std::from_chars(text.data(), end, value);
  if (text.empty() || got.ec != std::errc() || got.ptr != end) return broken("a bad number");
  return value;
}

/// A line never is longer than this: texts that may be long are bulk strings.
constexpr std::size_t kLineBytesMax = std::size_t{64} << 10;

Result<std::optional<std::string_view>> ReplyReader::line() {
  const auto end = bytes_.find("\r\n", at_);
  if (end == std::string_view::npos) {
    if (bytes_.size() - at_ > kLineBytesMax) return broken("a line without end");
    return std::optional<std::string_view>();
  }
  if (end - at_ > kLineBytesMax) return broken("a line too long");
  const auto out = bytes_.substr(at_, end - at_);
  at_ = end + 2;
  return std::optional(out);
}

Result<bool> ReplyReader::bulk(std::string_view length, Reply& out) {
  MR_TRY(const auto bytes, number(length));
  if (bytes == -1) {
    out.kind = Reply::Kind::kNull;
    return true;
  }
  if (bytes < 0 || static_cast<std::size_t>(bytes) > limits_.bytes_max)
    return broken("a length that is none");
  const auto size = static_cast<std::size_t>(bytes);
  if (bytes_.size() - at_ < size + 2) return false;
  if (bytes_.substr(at_ + size, 2) != "\r\n") return broken("a text of another length");
  out.text = bytes_.substr(at_, size);
  at_ += size + 2;
  return true;
}

Result<bool> ReplyReader::items(std::string_view count, std::size_t per_item, Reply& out,
                                std::size_t depth) {
  MR_TRY(const auto announced, number(count));
  if (announced == -1) {
    out.kind = Reply::Kind::kNull;
    return true;
  }
  if (announced < 0 || static_cast<std::size_t>(announced) > limits_.items_max)
    return broken("more items than a reply may have");
  if (depth >= limits_.depth_max) return broken("items within items within items");
  out.kind = Reply::Kind::kItems;
  const std::size_t wanted = static_cast<std::size_t>(announced) * per_item;
  for (std::size_t i = 0; i < wanted; ++i) {
    if (++items_ > limits_.items_max) return broken("more items than a reply may have");
    MR_TRY(const bool whole, read(out.items.emplace_back(), depth + 1));
    if (!whole) return false;
  }
  return true;
}

Result<bool> ReplyReader::skipped(std::string_view count, std::size_t per_item, std::size_t depth) {
  Reply ignored;
  return items(count, per_item, ignored, depth);
}

Result<bool> ReplyReader::read(Reply& out, std::size_t depth) {
  for (;;) {
    MR_TRY(const auto head, line());
    if (!head) return false;
    if (head->empty()) return broken("an empty line");
    const std::string_view rest = head->substr(1);
    out.kind = Reply::Kind::kText;
    switch (head->front()) {
      case '+':
      case ',':  // a double
      case '(':  // an integer beyond 64 bits
        out.text = rest;
        return true;
      case '-':
        out.kind = Reply::Kind::kError;
        out.text = rest;
        return true;
      case ':': {
        out.kind = Reply::Kind::kInteger;
        MR_TRY(out.integer, number(rest));
        return true;
      }
      case '#':
        if (rest != "t" && rest != "f") return broken("a boolean that is none");
        out.kind = Reply::Kind::kInteger;
        out.integer = rest == "t" ? 1 : 0;
        return true;
      case '_':
        out.kind = Reply::Kind::kNull;
        return true;
      case '!':
        out.kind = Reply::Kind::kError;
        return bulk(rest, out);
      case '$':
        return bulk(rest, out);
      case '=': {
        MR_TRY(const bool whole, bulk(rest, out));
        // "txt:" or "mkd:" stands before it.
        if (whole && out.text.size() >= 4) out.text.erase(0, 4);
        return whole;
      }
      case '*':
      case '~':
        return items(rest, 1, out, depth);
      case '%':
        return items(rest, 2, out, depth);
      case '>':
      case '|': {
        MR_TRY(const bool whole, skipped(rest, head->front() == '|' ? 2 : 1, depth));
        if (!whole) return false;
        continue;
      }
      default:
        return broken("a kind that is not known");
    }
  }
}

}  // namespace

void append_command_head(std::size_t arguments, std::string& out) {
  append_length('*', arguments, out);
}

void append_argument(std::string_view bytes, std::string& out) {
  append_length('$', bytes.size(), out);
  out += bytes;
  out += "\r\n";
}

void append_command(std::initializer_list<std::string_view> arguments, std::string& out) {
  append_command_head(arguments.size(), out);
  for (const auto argument : arguments) append_argument(argument, out);
}

Result<std::optional<Reply>> take_reply(std::string_view& bytes, const ReplyLimits& limits) {
  ReplyReader reader(bytes, limits);
  Reply out;
  MR_TRY(const bool whole, reader.read(out, 0));
  if (!whole) {
    if (bytes.size() > limits.bytes_max + kLineBytesMax) return broken("it is too long");
    return std::optional<Reply>();
  }
  bytes.remove_prefix(reader.taken());
  return std::optional(std::move(out));
}

}  // namespace millrace::wire::redis
