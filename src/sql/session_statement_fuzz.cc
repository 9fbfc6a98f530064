// Any text: it is a statement of the session, another one, or refused with a place inside of it.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "sql/session_statement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto statement = millrace::sql::parse_session_statement(text);
  MR_CHECK(statement || !statement.error().id.empty(), "an error without an id");
  return 0;
}
