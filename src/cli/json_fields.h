// Members of a JSON object with a default for those that are missing: an answer of another version
// of the server still shows what it has. Thread: any.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace millrace::cli {

inline std::string text_field(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

template <class T>
T number_field(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return T();
  boost::system::error_code error;
  const T number = value->to_number<T>(error);
  return error ? T() : number;
}

inline bool bool_field(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// Empty where it is missing or something else.
inline const boost::json::array& array_field(const boost::json::object& object,
                                             std::string_view key) {
  static const boost::json::array kEmpty;
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : kEmpty;
}

inline const boost::json::object& object_field(const boost::json::object& object,
                                               std::string_view key) {
  static const boost::json::object kEmpty;
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
}

/// {"0": 3, "1": 4} -> 7: the number of events before a position.
inline std::uint64_t events_before(const boost::json::object& position) {
  std::uint64_t sum = 0;
  for (const auto& [partition, end] : position)
    sum += number_field<std::uint64_t>(position, partition);
  return sum;
}

}  // namespace millrace::cli
