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

}  // namespace millrace::sql
