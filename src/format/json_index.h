// Where the tokens of JSON text begin: the first stage of simdjson, run on a whole window of
// records at once with the best instructions of this CPU. The only code that sees simdjson. It also
// decides UTF-8 and the ends of strings, so that what reads the tokens (json_record.cc) checks
// grammar alone. Why not On-Demand on top of it: one error there ends the whole stream of
// documents, it does not look at what it skips, and it does not tell the line of a record; the
// tokens give us all three, and faster. Thread: one owner. Errors: a Fault. Invariant after kNone:
// tokens() ascend, and three more entries behind the last hold the size of the text. No string
// holds a raw control character, so no token crosses a line, and a line has the same tokens alone
// as in its window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace millrace::format {

class JsonIndex {
 public:
  enum class Fault : std::uint8_t {
    kNone,
    kBadUtf8,
    kControlCharacter,
    kUnclosedString,
    kTooLarge
  };

  JsonIndex();
  ~JsonIndex();
  JsonIndex(const JsonIndex&) = delete;
  JsonIndex& operator=(const JsonIndex&) = delete;

  /// A token is a bracket, a colon, a comma, the opening quote of a string, or the first byte of a
  /// run of other bytes. Cost: O(size), 4 bytes of memory per byte at most, of which only what
  /// holds tokens is touched.
  Fault build(std::string_view text);
  [[nodiscard]] const std::uint32_t* tokens() const { return tokens_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Gives the memory back when it is more than `bytes_max`.
  void shrink(std::size_t bytes_max);

 private:
  struct Stage;
  std::unique_ptr<Stage> stage_;
  const std::uint32_t* tokens_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace millrace::format
