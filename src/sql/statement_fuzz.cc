// Any bytes as a statement and as a script: an Error or a statement, never a crash, and each part
// of a script that was split is one statement.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "sql/statement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto statement = millrace::sql::parse_statement(text);
  const auto parts = millrace::sql::split_script(text);
  if (!parts) {
    MR_CHECK(!statement, "a text that cannot be split is a statement");
    return 0;
  }
  MR_CHECK(!statement || parts->size() == 1, "a statement is split into {} parts", parts->size());
  for (const auto& part : *parts) {
    const auto parsed = millrace::sql::parse_statement(part.text);
    MR_CHECK(parsed || parsed.error().message != "the text holds more than one statement",
             "a part of a script is more than one statement");
  }
  return 0;
}
