// Sets of encoded group keys: what a condition on the first columns of the key leaves of a view.
// Since the encoding is memcomparable and delimits itself (key_codec.h), equal values of the first
// columns are a prefix of the key, and a range of values is a range of bytes. Thread: any, values
// only. Errors: none. Invariant: ranges ascend, and no two of them overlap.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::view {

struct KeyRange {
  std::string begin;  // included
  std::string end;    // not included; empty: there is no end
  /// Whether it has one key only, which is `begin`.
  bool point = false;
  [[nodiscard]] bool contains(std::string_view key) const {
    return key >= begin && (end.empty() || key < end);
  }
};

class KeyRanges {
 public:
  /// All keys.
  KeyRanges() : ranges_(1) {}
  explicit KeyRanges(std::vector<KeyRange> ranges);
  static KeyRanges none() { return KeyRanges(std::vector<KeyRange>()); }
  static KeyRanges prefix(std::string_view prefix);

  [[nodiscard]] const std::vector<KeyRange>& ranges() const { return ranges_; }
  [[nodiscard]] bool is_all() const {
    return ranges_.size() == 1 && ranges_.front().begin.empty() && ranges_.front().end.empty();
  }
  /// Whether each of them is one key, so that a look-up finds all there is.
  [[nodiscard]] bool are_points() const;
  [[nodiscard]] bool contains(std::string_view key) const;
  [[nodiscard]] KeyRanges united(const KeyRanges& other) const;
  /// Those keys of it that are in the range.
  [[nodiscard]] KeyRanges within(const KeyRange& range) const;

 private:
  std::vector<KeyRange> ranges_;
};

/// The least key behind all that begin with `prefix`; empty where there is none.
[[nodiscard]] std::string end_of_prefix(std::string_view prefix);

}  // namespace millrace::view
