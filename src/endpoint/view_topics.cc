#include "endpoint/view_topics.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "broker/topic_tree.h"
#include "format/base64.h"
#include "model/column_batch.h"
#include "serving/feed_keys.h"
#include "wire/mqtt_topic.h"

namespace millrace::endpoint {

namespace {

constexpr std::string_view kEmptyLevel = "%empty";
constexpr std::string_view kHashLevel = "%hash-";
constexpr std::size_t kLevelBytesMax = 1024;
/// Of a whole key, so that the topic of a view with very many key columns is legal, too.
constexpr std::size_t kKeyBytesMax = 60'000;

/// Bytes of the UTF-8 character at the front, 0 where there is none.
std::size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size > text.size()) return 0;
  return wire::mqtt::check_text(text.substr(0, size), wire::mqtt::Version::k5) ? 0 : size;
}

bool stays(std::string_view character) {
  if (character.size() == 1) {
    const auto byte = static_cast<unsigned char>(character.front());
    return byte >= 0x20 && byte != 0x7f &&
           std::string_view("/+#%").find(character.front()) == std::string_view::npos;
  }
  // U+0080 to U+009F are control characters.
  return !(character.size() == 2 && character[0] == '\xc2' &&
           static_cast<unsigned char>(character[1]) < 0xa0);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// As text that parse_value.cc reads back to the same value, but for nested types.
std::string key_text(const ColumnView& column, std::size_t row) {
  switch (column.type.kind) {
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      return std::string(column.as<StringRef>()[row].view());
    case TypeKind::kBlob:
      return format::base64_encode(column.as<StringRef>()[row].view());
    case TypeKind::kFloat:
    case TypeKind::kDouble:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap: {
      std::string text;
      append_json(text, column, row);
      // "NaN" and "Infinity" stand in quotes in JSON only.
      return text.starts_with('"') ? text.substr(1, text.size() - 2) : text;
    }
    default:
      return *value_text(column, row);
  }
}

bool reads_back(const Type& type) {
  switch (type.kind) {
    case TypeKind::kInterval:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      return false;
    default:
      return true;
  }
}

std::string level_of(std::string_view text) {
  std::string out;
  append_topic_level(out, text, kLevelBytesMax);
  return out;
}

void append_object(std::string& out, std::span<const std::string> names,
                   std::span<const ColumnView> columns, std::size_t row) {
  if (columns.empty()) out += '{';
  for (std::size_t c = 0; c < columns.size(); ++c) {
    out += names[c];
    append_json(out, columns[c], row);
  }
  out += '}';
}

}  // namespace

void append_topic_level(std::string& topic, std::string_view text, std::size_t bytes_max) {
  if (text.empty()) {
    topic += kEmptyLevel;
    return;
  }
  const std::size_t begin = topic.size();
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t size = character_size(rest);
    const std::string_view character = rest.substr(0, std::max<std::size_t>(size, 1));
    if (size != 0 && stays(character)) {
      topic += character;
    } else {
      for (const char byte : character)
        topic += fmt::format("%{:02X}", static_cast<unsigned char>(byte));
    }
    rest.remove_prefix(character.size());
    if (topic.size() - begin <= bytes_max) continue;
    topic.resize(begin);
    const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
    topic += fmt::format("{}{:016x}{:016x}", kHashLevel, hash.high64, hash.low64);
    return;
  }
}

std::optional<std::string> text_of_topic_level(std::string_view level) {
  if (level == kEmptyLevel) return std::string();
  std::string out;
  for (std::size_t i = 0; i < level.size(); ++i) {
    if (level[i] != '%') {
      out += level[i];
      continue;
    }
    const int high = i + 2 < level.size() ? hex_digit(level[i + 1]) : -1;
    const int low = i + 2 < level.size() ? hex_digit(level[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::string topic_of_view(std::string_view view) {
  std::string out(kViewTopics);
  append_topic_level(out, view, kLevelBytesMax);
  return out;
}

void append_key_levels(std::string& topic, std::span<const ColumnView> key, std::size_t row) {
  if (key.empty()) return;
  const std::size_t bytes_max = std::min(kLevelBytesMax, kKeyBytesMax / key.size());
  for (const auto& column : key) {
    topic += '/';
    if (column.valid(row)) {
      append_topic_level(topic, key_text(column, row), bytes_max);
    } else {
      topic += kNullLevel;
    }
  }
}

std::optional<ViewFilter> ViewFilter::parse(std::string_view filter) {
  ViewFilter out;
  std::string_view level;
  bool more = broker::take_level(filter, level);
  if (level == "#") {
    out.open_end = true;
    return out;
  }
  if (level != "views" && level != "+") return std::nullopt;
  if (!more) return std::nullopt;
  out.only_views = level == "views";
  more = broker::take_level(filter, level);
  if (level == "#") {
    out.open_end = true;
    return out;
  }
  if (level != "+") {
    out.view = text_of_topic_level(level);
    if (!out.view) return std::nullopt;
  }
  while (more) {
    more = broker::take_level(filter, level);
    if (level == "#") {
      out.open_end = true;
      break;
    }
    out.key.push_back(level == "+" ? std::nullopt : std::optional<std::string>(level));
  }
  return out;
}

std::optional<std::vector<serving::ViewRequest::Equal>> ViewFilter::conditions(
    const speed::ViewState& state) const {
  if (view && *view != state.record().name) return std::nullopt;
  const auto columns = serving::unit_columns(state.compiled());
  if (key.size() > columns.size() || (key.size() < columns.size() && !open_end))
    return std::nullopt;
  std::vector<serving::ViewRequest::Equal> out;
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (!key[i] || *key[i] == kNullLevel || key[i]->starts_with(kHashLevel)) continue;
    auto text = text_of_topic_level(*key[i]);
    if (!text || level_of(*text) != *key[i]) return std::nullopt;  // no level is written like this
    if (!columns[i].name.empty() && reads_back(columns[i].type))
      out.push_back({columns[i].name, std::move(*text)});
  }
  return out;
}

std::shared_ptr<const ViewMessages> ViewMessages::of(
    const std::shared_ptr<const serving::FeedBatch>& batch) {
  auto out = std::make_shared<ViewMessages>();
  out->batch = batch;
  const auto& shape = *batch->shape;
  const bool sessions = shape.view->compiled().session_gap_us.has_value();
  std::vector<std::string> names;
  for (const Column& column : shape.columns) {
    names.emplace_back(names.empty() ? "{" : ",");
    append_json_string(names.back(), column.name);
    names.back() += ':';
  }
  const std::string prefix = topic_of_view(shape.view->record().name);
  const auto keys = batch->keys->views();
  const auto rows = batch->rows->views();
  // A key that is gone is news only where it may have been given.
  const bool tells_gone = !batch->snapshot || batch->touched_too;
  std::uint32_t row = 0;
  for (std::size_t i = 0; i < batch->row_ends.size(); ++i) {
    const std::uint32_t begin = row;
    row = batch->row_ends[i];
    if (row == begin && !tells_gone) continue;
    ViewMessages::One one;
    out->bytes += prefix;
    append_key_levels(out->bytes, keys, i);
    one.topic_end = static_cast<std::uint32_t>(out->bytes.size());
    if (sessions && row != begin) out->bytes += '[';
    for (std::uint32_t at = begin; at < row; ++at) {
      if (at != begin) out->bytes += ',';
      append_object(out->bytes, names, rows, at);
    }
    if (sessions && row != begin) out->bytes += ']';
    one.payload_end = static_cast<std::uint32_t>(out->bytes.size());
    out->all.push_back(one);
  }
  return out;
}

}  // namespace millrace::endpoint
