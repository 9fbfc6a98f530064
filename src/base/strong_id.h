// Ids that do not convert into each other or into plain numbers by accident.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace millrace {

template <class Tag, class Value>
struct StrongId {
  Value value{};
  constexpr StrongId() = default;
  constexpr explicit StrongId(Value v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;
};

}  // namespace millrace

template <class Tag, class Value>
struct std::hash<millrace::StrongId<Tag, Value>> {
  std::size_t operator()(const millrace::StrongId<Tag, Value>& id) const noexcept {
    return std::hash<Value>{}(id.value);
  }
};

template <class Tag, class Value>
struct fmt::formatter<millrace::StrongId<Tag, Value>> : fmt::formatter<Value> {
  template <class Context>
  auto format(const millrace::StrongId<Tag, Value>& id, Context& context) const {
    return fmt::formatter<Value>::format(id.value, context);
  }
};
