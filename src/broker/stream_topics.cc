#include "broker/stream_topics.h"

#include <algorithm>
#include <cstring>

#include "model/column_batch.h"

namespace millrace::broker {

namespace {

/// Topics that one thread remembers; then it forgets them all.
constexpr std::size_t kKnownMax = 8192;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// RFC 8259, section 6.
bool is_json_number(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - from;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const std::size_t first = at;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// The level as the JSON value that its column takes.
void append_level(std::string& out, std::string_view level, const Type& type) {
  bool bare = false;
  switch (type.kind) {
    case TypeKind::kVarchar:
    case TypeKind::kBlob:
    case TypeKind::kUuid:
    case TypeKind::kDate:
    case TypeKind::kTime:
      break;
    case TypeKind::kBoolean:
      bare = level == "true" || level == "false";
      break;
    default:
      bare = is_json_number(level);
      break;
  }
  if (bare) {
    out += level;
  } else {
    append_json_string(out, level);
  }
}

/// A line break inside of a record would end it. Between tokens it is as good as a blank; inside of
/// a string it is wrong (RFC 8259, section 7) and must stay so.
void append_on_one_line(std::string_view json, PaddedBytes& out) {
  if (std::memchr(json.data(), '\n', json.size()) == nullptr) {
    out.append(json);
    return;
  }
  std::string line(json);
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\n') {
      line[i] = in_string ? '\x01' : ' ';
    } else if (line[i] == '"') {
      in_string = !in_string;
    } else if (line[i] == '\\' && in_string) {
      ++i;
      if (i < line.size() && line[i] == '\n') line[i] = '\x01';
    }
  }
  out.append(line);
}

}  // namespace

void StreamTopic::append_event(std::string_view payload, PaddedBytes& lines) const {
  const std::string_view value = trimmed(payload);
  if (value.size() >= 2 && value.front() == '{') {
    const std::string_view members = trimmed(value.substr(1));
    if (head.size() > 1) {
      lines.append(head);
      if (members != "}") lines.append(",");
    } else {
      lines.append("{");
    }
    append_on_one_line(members, lines);
  } else if (!bare_column.empty() &&
             (is_json_number(value) || value == "true" || value == "false")) {
    lines.append(head);
    if (head.size() > 1) lines.append(",");
    lines.append(bare_column);
    lines.append(value);
    lines.append("}");
  } else if (value.empty()) {
    lines.append("\"\"");  // a blank line is no record
  } else {
    append_on_one_line(value, lines);
  }
  lines.append("\n");
}

std::optional<format::PayloadType> StreamTopic::type_of(
    std::optional<std::string_view> content_type, std::string_view payload) const {
  std::optional<format::PayloadType> wanted = type;
  if (content_type) {
    if (auto said = format::payload_type_of(*content_type)) {
      // One message is most often one bare line.
      if (content_type->find("header") == std::string_view::npos) said->csv.header = false;
      wanted = std::move(*said);
    }
  }
  if (!wanted) return std::nullopt;
  const bool one_object =
      wanted->format == format::Format::kJson && !trimmed(payload).starts_with('[');
  return one_object ? std::nullopt : wanted;
}

StreamTopics::StreamTopics(const speed::SpeedLayer& speed) {
  for (auto& stream : speed.streams()) {
    const auto& definition = stream->definition();
    if (definition.mqtt.empty()) continue;
    auto rule = TopicRule::parse(definition.mqtt);
    if (!rule) continue;  // checked when the stream was created
    Rule& place = rules_.at(rule->filter());
    place.topic = std::move(*rule);
    place.stream = std::move(stream);
  }
}

std::optional<StreamTopic> StreamTopics::find(std::string_view topic) const {
  const Rule* rule = nullptr;
  rules_.for_each_filter_of(topic, [&](const Rule& found) { rule = &found; });
  if (rule == nullptr) return std::nullopt;
  const auto& definition = rule->stream->definition();
  StreamTopic out{.stream = rule->stream, .head = "{", .bare_column = {}};
  if (!rule->topic.content_type.empty()) {
    // Checked when the stream was created.
    if (auto type = format::payload_type_of(rule->topic.content_type)) out.type = std::move(*type);
  }
  std::vector<bool> bound(definition.columns.size());
  for (const auto& level : rule->topic.levels) {
    std::string_view text;
    take_level(topic, text);
    if (level.kind == TopicRule::Kind::kRest) break;
    if (level.kind != TopicRule::Kind::kColumn) continue;
    const auto column = definition.find_column(level.text);
    if (!column) continue;
    bound[*column] = true;
    out.bound.push_back({level.text, std::string(text)});
    if (out.head.size() > 1) out.head += ',';
    append_json_string(out.head, level.text);
    out.head += ':';
    append_level(out.head, text, definition.columns[*column].type);
  }
  if (std::ranges::count(bound, false) == 1) {
    const auto left = static_cast<std::size_t>(std::ranges::find(bound, false) - bound.begin());
    append_json_string(out.bare_column, definition.columns[left].name);
    out.bare_column += ':';
  }
  return out;
}

const StreamTopic* StreamTopicCache::find(std::string_view topic) {
  const std::uint64_t changes = speed_.stream_changes();
  if (changes != changes_ || topics_ == nullptr || known_.size() >= kKnownMax) {
    known_.clear();
    topics_ = std::make_unique<StreamTopics>(speed_);
    changes_ = changes;
  }
  if (topics_->empty()) return nullptr;
  auto found = known_.find(topic);
  if (found == known_.end()) found = known_.emplace(std::string(topic), topics_->find(topic)).first;
  return found->second ? &*found->second : nullptr;
}

}  // namespace millrace::broker
