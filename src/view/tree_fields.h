// Reads fields of a syntax tree's nodes (sql/syntax.h), which may lack any of them.
#pragma once

#include <boost/json.hpp>
#include <string_view>

namespace millrace::view {

/// The text of a field; empty where it is missing or no text.
[[nodiscard]] inline std::string_view text_of(const boost::json::object& node,
                                              std::string_view field) {
  const auto* value = node.if_contains(field);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

}  // namespace millrace::view
