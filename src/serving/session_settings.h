// The settings of one session, under the names that PostgreSQL's clients use. Some have an effect,
// some are kept because drivers set them and read them back, some only say what is so. Owns: the
// values, and what they were before the transaction. Thread: one owner. Errors: kInvalidArgument
// (kSetting) for names that there are none of and values that a setting does not take.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace::serving {

struct SettingShown {
  std::string name;
  std::string value;
  std::string description;
};

class SessionSettings {
 public:
  explicit SessionSettings(std::string user, bool admin);

  /// `local`: until the transaction ends.
  Status set(std::string_view name, std::optional<std::string_view> value, bool local);
  void reset_all();
  [[nodiscard]] std::optional<std::string> find(std::string_view name) const;
  /// The name as PostgreSQL spells it. Errors: kNotFound.
  Result<std::pair<std::string, std::string>> shown(std::string_view name) const;
  [[nodiscard]] std::vector<SettingShown> all() const;
  /// Of a setting that has a length of time or a number.
  [[nodiscard]] std::uint64_t number(std::string_view name) const;
  [[nodiscard]] bool is_on(std::string_view name) const { return find(name) == "on"; }

  void begin();
  void end(bool commit);

  /// Those that a client is told of, where they changed since the last call; all at the first.
  std::vector<std::pair<std::string, std::string>> take_reported();

 private:
  using Values = std::map<std::string, std::string, std::less<>>;  // by lower-case names
  void put(std::string key, std::string value, bool local);

  Values defaults_;
  Values values_;
  Values before_;        // the transaction
  Values before_local_;  // SET LOCAL
  Values custom_names_;  // as they were given
  Values reported_;
  bool in_transaction_ = false;
};

}  // namespace millrace::serving
