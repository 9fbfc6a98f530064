#include "wire/postgres_array.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/ascii_case.h"

namespace millrace::wire::postgres {

namespace {

/// pg_type.dat.
constexpr auto kArrays = std::to_array<std::pair<std::uint32_t, Oid>>({{1000, Oid::kBool},
                                                                       {1001, Oid::kBytea},
                                                                       {1003, Oid::kName},
                                                                       {1005, Oid::kInt2},
                                                                       {1007, Oid::kInt4},
                                                                       {1009, Oid::kText},
                                                                       {1014, Oid::kBpchar},
                                                                       {1015, Oid::kVarchar},
                                                                       {1016, Oid::kInt8},
                                                                       {1021, Oid::kFloat4},
                                                                       {1022, Oid::kFloat8},
                                                                       {1028, Oid::kOid},
                                                                       {1115, Oid::kTimestamp},
                                                                       {1182, Oid::kDate},
                                                                       {1183, Oid::kTime},
                                                                       {1185, Oid::kTimestampTz},
                                                                       {1187, Oid::kInterval},
                                                                       {1231, Oid::kNumeric},
                                                                       {2951, Oid::kUuid}});

std::unexpected<Error> bad_array(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
              "a parameter that is an array {}; arrays have one dimension", what);
}

/// The elements as one text.
class ListText {
 public:
  explicit ListText(Oid element) : element_(element) {}

  Status add(Format format, std::optional<std::string_view> bytes) {
    out_ += out_.size() == 1 ? "" : ", ";
    if (!bytes) {
      out_ += "NULL";
      return {};
    }
    MR_TRY(const auto text, parameter_text(static_cast<std::uint32_t>(element_), format, *bytes));
    out_ += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out_ += '\\';
      out_ += c;
    }
    out_ += '"';
    return {};
  }
  std::string take() && { return std::move(out_) + "]"; }

 private:
  Oid element_;
  std::string out_ = "[";
};

class BinaryReader {
 public:
  explicit BinaryReader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::int32_t> number() {
    if (rest_.size() < 4) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(rest_[i]);
    rest_.remove_prefix(4);
    return static_cast<std::int32_t>(value);
  }
  std::optional<std::string_view> bytes(std::int32_t size) {
    if (size < 0 || static_cast<std::size_t>(size) > rest_.size()) return std::nullopt;
    const auto out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(out.size());
    return out;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

Result<std::string> from_binary(Oid element, std::string_view bytes) {
  BinaryReader reader(bytes);
  const auto dimensions = reader.number();
  const auto has_null = reader.number();
  const auto type = reader.number();
  if (!dimensions || !has_null || !type) return bad_array("is shorter than its head");
  if (static_cast<std::uint32_t>(*type) != static_cast<std::uint32_t>(element))
    return bad_array("has elements of another type");
  ListText list(element);
  std::int32_t count = 0;
  if (*dimensions != 0) {
    const auto length = reader.number();
    if (*dimensions != 1 || !length || !reader.number() || *length < 0)
      return bad_array("has no one dimension");
    count = *length;
  }
  for (std::int32_t i = 0; i < count; ++i) {
    const auto size = reader.number();
    if (!size) return bad_array("ends before its last element");
    if (*size == -1) {
      MR_RETURN_IF_ERROR(list.add(Format::kBinary, std::nullopt));
      continue;
    }
    const auto one = reader.bytes(*size);
    if (!one) return bad_array("ends before its last element");
    MR_RETURN_IF_ERROR(list.add(Format::kBinary, one));
  }
  if (!reader.at_end()) return bad_array("goes on behind its last element");
  return std::move(list).take();
}

/// One element of '{…}'.
struct Element {
  std::string text;
  bool quoted = false;
};

constexpr std::string_view kBlanks = " \t\n\r\v\f";

/// Takes an element off the text, up to the comma or brace behind it.
Result<Element> take_element(std::string_view& rest) {
  Element out;
  std::size_t kept = 0;  // blanks behind it do not belong to it
  while (!rest.empty() && rest.front() != ',' && rest.front() != '}') {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '{') return bad_array("has another inside");
    if (c == '"') {
      out.quoted = true;
      while (!rest.empty() && rest.front() != '"') {
        if (rest.front() == '\\') rest.remove_prefix(1);
        if (rest.empty()) break;
        out.text += rest.front();
        rest.remove_prefix(1);
      }
      if (rest.empty()) return bad_array("has a quote that does not end");
      rest.remove_prefix(1);
      kept = out.text.size();
    } else if (c == '\\') {
      if (rest.empty()) return bad_array("ends in a backslash");
      out.text += rest.front();
      rest.remove_prefix(1);
      kept = out.text.size();
    } else {
      const bool blank = kBlanks.contains(c);
      if (blank && out.text.empty() && !out.quoted) continue;
      out.text += c;
      if (!blank) kept = out.text.size();
    }
  }
  out.text.resize(kept);
  if (out.text.empty() && !out.quoted) return bad_array("has an empty place");
  return out;
}

Result<std::string> from_text(Oid element, std::string_view text) {
  const auto skip_blanks = [&] {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  };
  skip_blanks();
  if (!text.starts_with('{')) return bad_array("does not begin with '{'");
  text.remove_prefix(1);
  skip_blanks();
  ListText list(element);
  if (text.starts_with('}')) {
    text.remove_prefix(1);
  } else {
    for (bool more = true; more;) {
      MR_TRY(const auto one, take_element(text));
      const bool null = !one.quoted && same_name(one.text, "null");
      MR_RETURN_IF_ERROR(
          list.add(Format::kText, null ? std::nullopt : std::optional<std::string_view>(one.text)));
      if (text.empty()) return bad_array("does not end with '}'");
      more = text.front() == ',';
      text.remove_prefix(1);
    }
  }
  skip_blanks();
  if (!text.empty()) return bad_array("goes on behind its '}'");
  return std::move(list).take();
}

}  // namespace

Oid array_element(std::uint32_t array) {
  const auto* const found =
      std::ranges::find(kArrays, array, &std::pair<std::uint32_t, Oid>::first);
  return found == kArrays.end() ? Oid::kUnknownToUs : found->second;
}

Result<std::string> array_parameter_text(Oid element, Format format, std::string_view bytes) {
  return format == Format::kBinary ? from_binary(element, bytes) : from_text(element, bytes);
}

}  // namespace millrace::wire::postgres
