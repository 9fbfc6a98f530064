// "did you mean": the nearest of the words that would have been right. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace millrace::sql {

/// The candidate with the least edit distance to `word` (cases and swapped neighbours cost little),
/// or empty where none is near enough to be what was meant.
[[nodiscard]] std::string_view closest(std::string_view word,
                                       std::span<const std::string_view> candidates);

/// Whether two names are the same to SQL: ASCII letters compare without case.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);
[[nodiscard]] std::string lower_name(std::string_view name);

}  // namespace millrace::sql
