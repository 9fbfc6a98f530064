#include "format/json_record.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "format/json_text.h"

namespace millrace::format {

namespace {

constexpr std::size_t kShownBytesMax = 64;

std::string_view inside_quotes(std::string_view token) { return token.substr(1, token.size() - 2); }
bool has_escape(std::string_view inside) {
  return !inside.empty() && std::memchr(inside.data(), '\\', inside.size()) != nullptr;
}
bool starts_value(char head) {
  return head != '\0' && head != ':' && head != ',' && head != '}' && head != ']';
}

}  // namespace

JsonRecordReader::JsonRecordReader(const StreamDefinition& stream, const ColumnRules& rules,
                                   ColumnBatch& batch, std::uint32_t depth_max)
    : stream_(stream), rules_(rules), batch_(batch), depth_max_(depth_max), row_(batch.rows()) {
  names_.reserve(stream.columns.size());
  for (const Column& column : stream.columns) {
    Name name{.text = column.name, .words = {}};
    if (has_escape(name.text)) {
      // It never stands in JSON as it is: its raw bytes must not match.
      name.text = {};
    } else if (name.text.size() <= ShortText::kBytesMax) {
      char padded[ShortText::kBytesMax] = {};
      std::memcpy(padded, name.text.data(), name.text.size());
      name.words = ShortText::load(padded, name.text.size());
    }
    names_.push_back(name);
  }
  // A field of such a name is an unknown one: its value is not the record's to give.
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (rules.closed(i)) names_[i].text = {};
  }
}

bool JsonRecordReader::read(TokenCursor& cursor) {
  const std::size_t start = *cursor.at;
  expected_ = 0;
  unknown_.clear();
  filled_ = 0;
  if (cursor.head() != '{') {
    refuse_no_object(cursor);
    return false;
  }
  if (read_fields(cursor, start) && finish_row()) {
    ++row_;
    return true;
  }
  for (std::size_t i = 0; i < names_.size(); ++i) batch_.column(i).truncate(row_);
  return false;
}

void JsonRecordReader::drop_last_row() {
  --row_;
  for (std::size_t i = 0; i < names_.size(); ++i) batch_.column(i).truncate(row_);
}

bool JsonRecordReader::read_common_fields(TokenCursor& cursor) {
  const char* const text = cursor.text;
  const std::uint32_t* at = cursor.at;
  const std::uint32_t end = cursor.end;
  std::size_t index = expected_;
  bool closed = false;
  // Ascending, and with three entries more behind the last: the last of four tells of all.
  while (!closed && index < names_.size() && at[3] < end) {
    const char* const key = text + at[0];
    const char* const colon = text + at[1];
    const char* const value = text + at[2];
    const char* const next = text + at[3];
    if (*key != '"' || *colon != ':' || colon[-1] != '"' || (*next != ',' && *next != '}')) break;
    if (static_cast<unsigned char>(next[-1]) <= ' ') break;
    if (!names_[index].is({key + 1, static_cast<std::size_t>(colon - key - 2)})) break;
    ColumnVector& column = batch_.column(index);
    if (column.rows() != row_) break;
    if (!put_common_field({value, static_cast<std::size_t>(next - value)}, column, batch_.arena()))
      break;
    ++index;
    at += 4;
    closed = *next == '}';
  }
  filled_ += index - expected_;
  expected_ = index;
  cursor.at = at;
  return closed;
}

bool JsonRecordReader::read_fields(TokenCursor& cursor, std::size_t start) {
  if (depth_max_ < 1) {
    refuse(error_id::kTooDeep, fmt::format("brackets are nested deeper than {}", depth_max_));
    return false;
  }
  ++cursor.at;
  if (cursor.head() == '}') {
    ++cursor.at;
    return true;
  }
  for (;;) {
    if (read_common_fields(cursor)) return true;
    if (cursor.head() != '"') {
      refuse_syntax(cursor, start, "a field name in quotes");
      return false;
    }
    const std::string_view key = inside_quotes(cursor.token());
    ++cursor.at;
    if (cursor.head() != ':') {
      refuse_syntax(cursor, start, "':' behind a field name");
      return false;
    }
    ++cursor.at;
    std::size_t index = expected_;
    if (index < names_.size() && names_[index].is(key)) {
      ++expected_;
    } else if (!find(key, index)) {
      refuse(error_id::kBadJson,
             fmt::format("the field name \"{}\" has a wrong escape, or half of a surrogate pair",
                         shortened(key, kShownBytesMax)));
      return false;
    }
    if (index == kNoColumn || rules_.closed(index)) {
      if (!read_unknown(cursor, start, key)) return false;
    } else if (!read_value(cursor, start, index)) {
      return false;
    }
    const char next = cursor.head();
    if (next != ',' && next != '}') {
      refuse_syntax(cursor, start, "',' or '}' behind a value");
      return false;
    }
    ++cursor.at;
    if (next == '}') return true;
  }
}

bool JsonRecordReader::read_value(TokenCursor& cursor, std::size_t start, std::size_t index) {
  ColumnVector& column = batch_.column(index);
  const char head = cursor.head();
  if (!starts_value(head)) {
    refuse_syntax(cursor, start, "a value");
    return false;
  }
  if (column.rows() != row_) {
    refuse(error_id::kDuplicateKey,
           fmt::format("column '{}' is given twice",
                       shortened(stream_.columns[index].name, kShownBytesMax)));
    return false;
  }
  ++filled_;
  if (head == '{' || head == '[') {
    if (column.type().kind != TypeKind::kJson) {
      field_fault_ = wrong_type(std::string_view(&head, 1), column.type());
      refuse_field(index);
      return false;
    }
    const std::size_t first = *cursor.at;
    if (!skip_value(cursor, start, 1, Check::kAll)) return false;
    column.push_string({cursor.text + first, cursor.at[-1] + 1 - first}, batch_.arena());
    return true;
  }
  const std::string_view token = cursor.token();
  if (token == "null") {
    column.push_null();
  } else if (!put_field(token, column, batch_.arena(), scratch_, field_fault_)) {
    refuse_field(index);
    return false;
  }
  ++cursor.at;
  return true;
}

bool JsonRecordReader::skip_value(TokenCursor& cursor, std::size_t start, std::uint32_t depth,
                                  Check check) {
  open_.clear();
  for (;;) {
    // One value begins here.
    const char head = cursor.head();
    bool closed = true;
    if (!starts_value(head)) {
      refuse_syntax(cursor, start, "a value");
      return false;
    }
    if (head == '{' || head == '[') {
      if (check == Check::kAll && depth + open_.size() + 1 > depth_max_) {
        refuse(error_id::kTooDeep, fmt::format("brackets are nested deeper than {}", depth_max_));
        return false;
      }
      open_.push_back(head);
      ++cursor.at;
      closed = cursor.head() == (head == '{' ? '}' : ']');
      if (closed) {
        open_.pop_back();
        ++cursor.at;
      }
    } else {
      if (check == Check::kAll && !check_scalar(cursor)) return false;
      ++cursor.at;
    }
    // What may follow a value, until the next one begins.
    while (closed) {
      if (open_.empty()) return true;
      const char next = cursor.head();
      if (next == ',') {
        ++cursor.at;
        closed = false;
      } else if (next == (open_.back() == '{' ? '}' : ']')) {
        open_.pop_back();
        ++cursor.at;
      } else {
        refuse_syntax(
            cursor, start,
            open_.back() == '{' ? "',' or '}' behind a value" : "',' or ']' behind a value");
        return false;
      }
    }
    if (open_.back() == '{') {
      if (cursor.head() != '"') {
        refuse_syntax(cursor, start, "a field name in quotes");
        return false;
      }
      if (check == Check::kAll && !check_scalar(cursor)) return false;
      ++cursor.at;
      if (cursor.head() != ':') {
        refuse_syntax(cursor, start, "':' behind a field name");
        return false;
      }
      ++cursor.at;
    }
  }
}

bool JsonRecordReader::check_scalar(const TokenCursor& cursor) {
  const std::string_view token = cursor.token();
  if (token.front() == '"') {
    const std::string_view inside = inside_quotes(token);
    if (!has_escape(inside)) return true;
    scratch_.clear();
    if (unescape(inside, scratch_)) return true;
    refuse(error_id::kBadJson, fmt::format("{} has a wrong escape, or half of a surrogate pair",
                                           shortened(token, kShownBytesMax)));
    return false;
  }
  JsonNumber number;
  if (token == "true" || token == "false" || token == "null" || scan_number(token, number))
    return true;
  FieldFault fault = bad_word(token);
  refuse(fault.id, std::move(fault.text));
  return false;
}

bool JsonRecordReader::find(std::string_view key, std::size_t& index) {
  if (has_escape(key)) {
    scratch_.clear();
    if (!unescape(key, scratch_)) return false;
    key = scratch_;
  }
  index = search(key);
  if (index != kNoColumn) expected_ = index + 1;
  return true;
}

std::size_t JsonRecordReader::search(std::string_view key) {
  const auto& columns = stream_.columns;
  // Most often a few fields are left out, and the next ones are in order again.
  for (std::size_t i = expected_ + 1; i < std::min(columns.size(), expected_ + 3); ++i) {
    if (columns[i].name == key) return i;
  }
  if (by_name_.empty()) {
    by_name_.resize(columns.size());
    std::iota(by_name_.begin(), by_name_.end(), 0U);
    std::ranges::sort(by_name_, {},
                      [&](std::uint32_t i) -> const std::string& { return columns[i].name; });
  }
  const auto place = std::ranges::lower_bound(
      by_name_, key, {}, [&](std::uint32_t i) { return std::string_view(columns[i].name); });
  return place != by_name_.end() && columns[*place].name == key ? *place : kNoColumn;
}

bool JsonRecordReader::read_unknown(TokenCursor& cursor, std::size_t start, std::string_view key) {
  if (stream_.unknown_fields == UnknownFields::kRefuse) {
    refuse(error_id::kUnknownField,
           fmt::format("no column has the name \"{}\"", shortened(key, kShownBytesMax)));
    return false;
  }
  const std::uint32_t* const first = cursor.at;
  if (!skip_value(cursor, start, 1, Check::kAll)) return false;
  if (stream_.unknown_fields != UnknownFields::kKeep) return true;
  const std::size_t last = cursor.at[-1];
  const bool brackets = cursor.text[last] == '}' || cursor.text[last] == ']';
  const std::size_t end =
      brackets ? last + 1 : *first + TokenCursor{cursor.text, first, cursor.end}.token().size();
  if (!unknown_.empty()) unknown_ += ',';
  unknown_ += '"';
  unknown_ += key;
  unknown_ += "\":";
  const std::size_t value = unknown_.size();
  unknown_.append(cursor.text + *first, end - *first);
  // As the log keeps it: line breaks stand between tokens only.
  std::ranges::replace(unknown_.begin() + static_cast<std::ptrdiff_t>(value), unknown_.end(), '\n',
                       ' ');
  return true;
}

bool JsonRecordReader::finish_row() {
  if (stream_.time_column && !rules_.closed(*stream_.time_column)) {
    const ColumnVector& time = batch_.column(*stream_.time_column);
    const bool missing = time.rows() == row_;
    if (missing || !time.valid(row_)) {
      refuse(error_id::kMissingColumn, fmt::format("column '{}' is the event time and {}",
                                                   stream_.columns[*stream_.time_column].name,
                                                   missing ? "is missing" : "is null"));
      return false;
    }
  }
  if (filled_ != names_.size()) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (batch_.column(i).rows() != row_) continue;
      if (i == stream_.unknown_column && !unknown_.empty()) {
        batch_.column(i).push_string("{" + unknown_ + "}", batch_.arena());
      } else {
        batch_.column(i).push_from(rules_.missing(i), 0, batch_.arena());
      }
    }
  }
  return true;
}

void JsonRecordReader::refuse(std::string_view id, std::string reason) {
  fault_.id = id;
  fault_.reason = std::move(reason);
}

void JsonRecordReader::refuse_field(std::size_t index) {
  refuse(field_fault_.id,
         fmt::format("column '{}': {}", shortened(stream_.columns[index].name, kShownBytesMax),
                     field_fault_.text));
}

void JsonRecordReader::refuse_no_object(const TokenCursor& cursor) {
  refuse(error_id::kBadJson, fmt::format("a record is a JSON object, this begins with {}",
                                         shortened(cursor.token(), kShownBytesMax)));
}

void JsonRecordReader::refuse_syntax(const TokenCursor& cursor, std::size_t start,
                                     std::string_view expected) {
  if (cursor.at_end()) {
    refuse(error_id::kBadJson, fmt::format("the JSON ends where {} is expected", expected));
    return;
  }
  refuse(error_id::kBadJson,
         fmt::format("{} is expected at byte {}, not {}", expected, *cursor.at - start + 1,
                     shortened(cursor.token(), kShownBytesMax)));
}

}  // namespace millrace::format
