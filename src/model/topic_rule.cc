#include "model/topic_rule.h"

#include <utility>

namespace millrace {

namespace {

constexpr std::size_t kLevelsMax = 64;
constexpr std::size_t kBytesMax = 4096;

std::unexpected<Error> bad(std::string message) {
  return std::unexpected(
      Error{.code = ErrorCode::kInvalidArgument,
            .id = std::string(error_id::kBadOption),
            .message = "option mqtt: " + std::move(message),
            .hint = "write the topic with columns in braces, '+' for any level and '#' for the "
                    "rest: 'site/{site}/sensor/{sensor}/reading'",
            .place = {}});
}

/// Words before the topic, and what they say. Other texts before a colon belong to the topic.
constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"json:", ""},
    {"csv:", "text/csv; header=absent"},
    {"avro:", "application/avro"},
    {"protobuf:", "application/x-protobuf"},
};

Result<TopicRule::Level> parse_level(std::string_view text, bool last) {
  if (text == "+") return TopicRule::Level{TopicRule::Kind::kAny, {}};
  if (text == "#") {
    if (!last) return bad("'#' is the last level or none");
    return TopicRule::Level{TopicRule::Kind::kRest, {}};
  }
  if (text.starts_with('{') && text.ends_with('}') && text.size() > 2) {
    return TopicRule::Level{TopicRule::Kind::kColumn, std::string(text.substr(1, text.size() - 2))};
  }
  if (text.find_first_of("{}") != std::string_view::npos)
    return bad(fmt::format("'{}': a column in braces is a whole level", text));
  if (text.find_first_of("+#") != std::string_view::npos)
    return bad(fmt::format("'{}': a wildcard is a whole level", text));
  if (text.find('\0') != std::string_view::npos) return bad("a topic has no NUL");
  return TopicRule::Level{TopicRule::Kind::kText, std::string(text)};
}

}  // namespace

Result<TopicRule> TopicRule::parse(std::string_view text) {
  TopicRule rule;
  for (const auto& [word, content_type] : kFormats) {
    if (!text.starts_with(word)) continue;
    rule.content_type = content_type;
    text.remove_prefix(word.size());
    break;
  }
  if (text.empty()) return bad("the topic is empty");
  if (text.size() > kBytesMax) return bad(fmt::format("more than {} bytes", kBytesMax));
  if (text.starts_with('$')) return bad("topics that begin with '$' are the server's");
  for (;;) {
    const auto slash = text.find('/');
    const bool last = slash == std::string_view::npos;
    MR_TRY(auto level, parse_level(text.substr(0, slash), last));
    for (const Level& before : rule.levels) {
      if (level.kind == Kind::kColumn && before.kind == Kind::kColumn && before.text == level.text)
        return bad(fmt::format("column '{}' is there twice", level.text));
    }
    rule.levels.push_back(std::move(level));
    if (rule.levels.size() > kLevelsMax) return bad(fmt::format("more than {} levels", kLevelsMax));
    if (last) break;
    text.remove_prefix(slash + 1);
  }
  return rule;
}

std::string TopicRule::filter() const {
  std::string out;
  for (const Level& level : levels) {
    if (&level != &levels.front()) out += '/';
    switch (level.kind) {
      case Kind::kText:
        out += level.text;
        break;
      case Kind::kAny:
      case Kind::kColumn:
        out += '+';
        break;
      case Kind::kRest:
        out += '#';
        break;
    }
  }
  return out;
}

bool TopicRule::overlaps(const TopicRule& other) const {
  for (std::size_t i = 0;; ++i) {
    const bool end = i == levels.size();
    const bool other_end = i == other.levels.size();
    // "a/#" takes "a", too.
    if (!end && levels[i].kind == Kind::kRest) return true;
    if (!other_end && other.levels[i].kind == Kind::kRest) return true;
    if (end || other_end) return end && other_end;
    const bool texts = levels[i].kind == Kind::kText && other.levels[i].kind == Kind::kText;
    if (texts && levels[i].text != other.levels[i].text) return false;
  }
}

}  // namespace millrace
