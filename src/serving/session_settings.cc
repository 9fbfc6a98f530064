#include "serving/session_settings.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii_case.h"

namespace millrace::serving {

namespace {

enum class Kind : std::uint8_t {
  kFixed,   // says what is so
  kText,    // kept
  kSwitch,  // on or off
  kNumber,
  kTime,  // milliseconds; "5s" is taken, too
  kOneOf,
  kEncoding,
  kDateStyle,
};

struct Setting {
  std::string_view name;
  Kind kind;
  std::string_view value;  // by default
  std::string_view takes;  // of kOneOf, by '|'
  std::string_view description;
  bool reported = false;
};

constexpr std::string_view kIsolations =
    "serializable|repeatable read|read committed|read uncommitted";

constexpr auto kSettings = std::to_array<Setting>({
    {"application_name", Kind::kText, "", "", "what the client calls itself", true},
    {"block_size", Kind::kFixed, "8192", "", "of PostgreSQL; means nothing here"},
    {"bytea_output", Kind::kOneOf, "hex", "hex", "the text form of BLOB"},
    {"check_function_bodies", Kind::kSwitch, "on", "", "kept, without effect"},
    {"client_encoding", Kind::kEncoding, "UTF8", "", "texts are UTF-8", true},
    {"client_min_messages", Kind::kText, "notice", "", "kept, without effect"},
    {"DateStyle", Kind::kDateStyle, "ISO, MDY", "", "dates are written as ISO 8601 has them", true},
    {"default_table_access_method", Kind::kText, "heap", "", "kept, without effect"},
    {"default_tablespace", Kind::kText, "", "", "kept, without effect"},
    {"default_transaction_deferrable", Kind::kSwitch, "off", "", "kept, without effect"},
    {"default_transaction_isolation", Kind::kOneOf, "repeatable read", kIsolations,
     "reads of a transaction have one position whatever it says"},
    {"default_transaction_read_only", Kind::kSwitch, "off", "",
     "whether transactions are READ ONLY that do not say", true},
    {"extra_float_digits", Kind::kNumber, "1", "", "numbers are written so that they read back"},
    {"idle_in_transaction_session_timeout", Kind::kTime, "60000", "",
     "a transaction that does nothing for so long is ended; 0: never"},
    {"in_hot_standby", Kind::kFixed, "off", "", "there is no standby", true},
    {"integer_datetimes", Kind::kFixed, "on", "", "times have microseconds", true},
    {"IntervalStyle", Kind::kOneOf, "postgres", "postgres", "the text form of INTERVAL", true},
    {"jit", Kind::kSwitch, "off", "", "kept, without effect"},
    {"lc_collate", Kind::kFixed, "C", "", "texts are ordered by their bytes"},
    {"lc_ctype", Kind::kFixed, "C", "", "texts are ordered by their bytes"},
    {"lc_messages", Kind::kText, "C", "", "kept, without effect"},
    {"lc_monetary", Kind::kText, "C", "", "kept, without effect"},
    {"lc_numeric", Kind::kText, "C", "", "kept, without effect"},
    {"lc_time", Kind::kText, "C", "", "kept, without effect"},
    {"lock_timeout", Kind::kTime, "0", "", "kept, without effect"},
    {"max_identifier_length", Kind::kFixed, "63", "", "the longest name that is not cut"},
    {"row_security", Kind::kSwitch, "on", "", "kept, without effect"},
    {"search_path", Kind::kText, "\"$user\", public", "", "kept; there is one schema"},
    {"server_encoding", Kind::kFixed, "UTF8", "", "texts are UTF-8", true},
    {"server_version", Kind::kFixed, "15.0 (Millrace " MR_VERSION ")", "",
     "the version of PostgreSQL whose protocol is spoken", true},
    {"server_version_num", Kind::kFixed, "150000", "", "the same as a number"},
    {"standard_conforming_strings", Kind::kOneOf, "on", "on", "'\\' is a character", true},
    {"statement_timeout", Kind::kTime, "0", "", "a statement may take so long; 0: the server's"},
    {"subscribe_wait", Kind::kTime, "1000", "",
     "FETCH of a SUBSCRIBE waits so long for a first row"},
    {"synchronous_commit", Kind::kText, "on", "", "kept; what is answered is durable"},
    {"TimeZone", Kind::kText, "UTC", "", "kept; times with a zone are written in UTC", true},
    {"transaction_deferrable", Kind::kSwitch, "off", "", "kept, without effect"},
    {"transaction_isolation", Kind::kOneOf, "repeatable read", kIsolations,
     "reads of a transaction have one position whatever it says"},
    {"transaction_read_only", Kind::kSwitch, "off", "", "whether the transaction only reads"},
    {"work_mem", Kind::kText, "4MB", "", "kept, without effect"},
    {"xmloption", Kind::kText, "content", "", "kept, without effect"},
});

constexpr std::size_t kCustomMax = 64;
constexpr std::size_t kValueBytesMax = 1024;

const Setting* known(std::string_view name) {
  const auto found = std::ranges::find_if(
      kSettings, [&](const Setting& setting) { return same_name(setting.name, name); });
  return found == kSettings.end() ? nullptr : &*found;
}

std::unexpected<Error> refused(std::string_view name, std::string_view value,
                               std::string_view takes) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kSetting),
                               .message = fmt::format("{} cannot be '{}'", name, value),
                               .hint = fmt::format("it takes {}", takes),
                               .place = {}});
}

std::optional<std::string> switch_text(std::string_view value) {
  for (const std::string_view on : {"on", "true", "yes", "1", "t", "y"}) {
    if (same_name(value, on)) return "on";
  }
  for (const std::string_view off : {"off", "false", "no", "0", "f", "n"}) {
    if (same_name(value, off)) return "off";
  }
  return std::nullopt;
}

/// "1500", "1500ms", "5s", "2min", "1h", "1d" as milliseconds.
std::optional<std::string> time_text(std::string_view value) {
  std::uint64_t number = 0;
  const auto [stop, code] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (code != std::errc() || number > 1'000'000'000) return std::nullopt;
  std::string_view unit(stop, static_cast<std::size_t>(value.data() + value.size() - stop));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  for (const auto& [name, factor] : kUnits) {
    if (unit == name) return fmt::format("{}", number * factor);
  }
  return std::nullopt;
}

/// "ISO" with an order of day and month, which is only about how dates are read.
std::optional<std::string> date_style(std::string_view value) {
  std::string order = "MDY";
  while (!value.empty()) {
    const auto comma = std::min(value.find(','), value.size());
    std::string_view part = value.substr(0, comma);
    value.remove_prefix(std::min(comma + 1, value.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (same_name(part, "MDY") || same_name(part, "DMY") || same_name(part, "YMD")) {
      order = part;
      std::ranges::transform(order, order.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      });
    } else if (!same_name(part, "ISO")) {
      return std::nullopt;
    }
  }
  return "ISO, " + order;
}

Result<std::string> checked(const Setting& setting, std::string_view value) {
  switch (setting.kind) {
    case Kind::kFixed:
      if (same_name(value, setting.value)) return std::string(setting.value);
      return refused(setting.name, value, "no other value: it says what is so");
    case Kind::kText:
      return std::string(value);
    case Kind::kSwitch:
      if (auto text = switch_text(value)) return *text;
      return refused(setting.name, value, "on and off");
    case Kind::kNumber: {
      int number = 0;
      const auto end = value.data() + value.size();
      if (std::from_chars(value.data(), end, number).ptr == end && !value.empty())
        return std::string(value);
      return refused(setting.name, value, "a whole number");
    }
    case Kind::kTime:
      if (auto text = time_text(value)) return *text;
      return refused(setting.name, value, "milliseconds, or a number with ms, s, min, h or d");
    case Kind::kOneOf:
      for (std::string_view rest = setting.takes; !rest.empty();) {
        const auto bar = std::min(rest.find('|'), rest.size());
        if (same_name(rest.substr(0, bar), value)) return std::string(rest.substr(0, bar));
        rest.remove_prefix(std::min(bar + 1, rest.size()));
      }
      return refused(setting.name, value, setting.takes);
    case Kind::kEncoding:
      for (const std::string_view name : {"UTF8", "UTF-8", "UNICODE"}) {
        if (same_name(name, value)) return std::string("UTF8");
      }
      return refused(setting.name, value, "UTF8");
    case Kind::kDateStyle:
      if (auto text = date_style(value)) return *text;
      return refused(setting.name, value, "ISO, with MDY, DMY or YMD");
  }
  return std::string(value);
}

}  // namespace

SessionSettings::SessionSettings(std::string user, bool admin) {
  for (const auto& setting : kSettings) defaults_[lower_name(setting.name)] = setting.value;
  defaults_["session_authorization"] = std::move(user);
  defaults_["is_superuser"] = admin ? "on" : "off";
  values_ = defaults_;
}

void SessionSettings::put(std::string key, std::string value, bool local) {
  if (local && in_transaction_) {
    before_local_.try_emplace(key, find(key).value_or(""));
  } else {
    before_local_.erase(key);
  }
  values_[std::move(key)] = std::move(value);
}

Status SessionSettings::set(std::string_view name, std::optional<std::string_view> value,
                            bool local) {
  const std::string key = lower_name(name);
  if (value && value->size() > kValueBytesMax)
    return refused(name, value->substr(0, 32), fmt::format("{} bytes at most", kValueBytesMax));
  if (const auto* const setting = known(key)) {
    MR_TRY(auto text, checked(*setting, value.value_or(defaults_.at(key))));
    put(key, std::move(text), local);
    return {};
  }
  // As PostgreSQL: what has a point in its name belongs to somebody else.
  if (key.find('.') != std::string::npos) {
    if (!values_.contains(key) && values_.size() >= kSettings.size() + kCustomMax)
      return refused(name, *value, fmt::format("{} names of others at most", kCustomMax));
    custom_names_[key] = name;
    put(key, std::string(value.value_or("")), local);
    return {};
  }
  if (defaults_.contains(key)) return refused(name, value.value_or(""), "no other value");
  return std::unexpected(shown(name).error());
}

void SessionSettings::reset_all() {
  values_ = defaults_;
  before_local_.clear();
}

std::optional<std::string> SessionSettings::find(std::string_view name) const {
  const auto found = values_.find(lower_name(name));
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::pair<std::string, std::string>> SessionSettings::shown(std::string_view name) const {
  if (const auto value = find(name)) {
    const auto* const setting = known(name);
    return std::pair(setting == nullptr ? lower_name(name) : std::string(setting->name), *value);
  }
  return std::unexpected(Error{.code = ErrorCode::kNotFound,
                               .id = std::string(error_id::kSetting),
                               .message = fmt::format("there is no setting '{}'", name),
                               .hint = "SHOW ALL lists the settings",
                               .place = {}});
}

std::vector<SettingShown> SessionSettings::all() const {
  std::vector<SettingShown> out;
  for (const auto& [key, value] : values_) {
    const auto* const setting = known(key);
    const auto custom = custom_names_.find(key);
    out.push_back({setting != nullptr              ? std::string(setting->name)
                   : custom != custom_names_.end() ? custom->second
                                                   : key,
                   value, setting == nullptr ? std::string() : std::string(setting->description)});
  }
  return out;
}

std::uint64_t SessionSettings::number(std::string_view name) const {
  std::uint64_t out = 0;
  const auto text = find(name).value_or("0");
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

void SessionSettings::begin() {
  in_transaction_ = true;
  before_ = values_;
  before_local_.clear();
}

void SessionSettings::end(bool commit) {
  if (!in_transaction_) return;
  in_transaction_ = false;
  if (!commit) values_ = std::move(before_);
  if (commit) {
    for (auto& [key, value] : before_local_) values_[key] = std::move(value);
  }
  before_.clear();
  before_local_.clear();
}

std::vector<std::pair<std::string, std::string>> SessionSettings::take_reported() {
  std::vector<std::pair<std::string, std::string>> out;
  const auto tell = [&](std::string_view name) {
    const std::string key = lower_name(name);
    const auto& value = values_.at(key);
    const auto [told, first] = reported_.try_emplace(key, value);
    if (!first && told->second == value) return;
    told->second = value;
    out.emplace_back(name, value);
  };
  for (const auto& setting : kSettings) {
    if (setting.reported) tell(setting.name);
  }
  tell("session_authorization");
  tell("is_superuser");
  return out;
}

}  // namespace millrace::serving
