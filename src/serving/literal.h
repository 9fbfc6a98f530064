// Constants in the text of a SELECT, as its syntax tree has them. Thread: any, values only. Errors:
// none: what is no plain constant is none.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/column_batch.h"

namespace millrace::serving {

/// Without a type it is a text in quotes, which takes the type of what it is compared with.
struct Literal {
  std::optional<Type> type;
  std::string text;
  bool null = false;
};

/// The constant that an expression is, with at most one cast.
[[nodiscard]] std::optional<Literal> literal_of(const boost::json::object& expression);
/// The elements of a constant list: [1, 2], ARRAY['a'], '{a,b}'::VARCHAR[].
[[nodiscard]] std::optional<std::vector<Literal>> literal_list_of(
    const boost::json::object& expression);
/// The elements of a list's text, in PostgreSQL's form or the engine's.
[[nodiscard]] std::optional<std::vector<Literal>> parse_literal_list(std::string_view text,
                                                                     const Type& element);
/// Of an integer constant that is not negative.
[[nodiscard]] std::optional<std::uint64_t> count_of(const boost::json::object& expression);

/// Appends the value to a column of `type` as a comparison with a column of that type takes it;
/// false where that is not for sure.
[[nodiscard]] bool push_literal(const Literal& literal, ColumnVector& column, Arena& arena);

}  // namespace millrace::serving
