// Positions as text in ids and tokens: "17-4" are the ends of partitions 0 and 1. Thread: any.
// Errors: nullopt for text that is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/position.h"

namespace millrace::serving {

[[nodiscard]] std::string position_text(const Position& position);
void append_position_text(std::string& out, const Position& position);

/// Takes a number in its only form, without leading zeros, off the front.
[[nodiscard]] std::optional<std::uint64_t> take_number(std::string_view& text);
/// Takes a position of at most kPartitionsMax partitions off the front.
[[nodiscard]] std::optional<Position> take_position(std::string_view& text);

}  // namespace millrace::serving
