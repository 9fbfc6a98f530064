// What one way of computing a view gave: its states, its rows, the rows that it skipped. Two ways
// agree where every byte of these does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/result.h"
#include "op/arrow_array.h"

namespace millrace::parity {

using State = std::pair<std::string, std::string>;  // key, state

/// Partition, offset, reason, the row as JSON.
using Skipped = std::tuple<std::int32_t, std::int64_t, std::string, std::string>;

struct Outcome {
  std::vector<State> states;  // by key, each once
  std::vector<Skipped> skipped;
  /// The rows as Arrow streams of so many rows each, one behind the other.
  std::string rows;
};

/// The first difference in words; empty where there is none. `types` are those of the key.
std::string difference(const Outcome& expected, const Outcome& got, std::span<const Type> types);

/// A key as typed text: "VARCHAR 'a', DOUBLE 0x1.8p+1, INTEGER NULL".
std::string key_text(std::string_view key, std::span<const Type> types);
std::string hex_text(std::string_view bytes);

/// (key, state) of a stream of states, and back in batches of about `bytes`.
Result<std::vector<State>> read_states(std::string_view stream);
std::vector<std::string> write_states(std::span<const State> states, std::size_t rows);
/// What a stream of skipped rows says.
Result<std::vector<Skipped>> read_skipped(std::string_view stream);

}  // namespace millrace::parity
