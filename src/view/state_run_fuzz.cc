// Any bytes as a state run. Most inputs stop at a checksum, so the same bytes are also written as
// entries of a run and read back.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "view/run_in_memory.h"
#include "view/state_cursor.h"

namespace {

using millrace::view::RunCursor;
using millrace::view::StateRun;

/// A run whose blocks are all right: parse() has read them.
void walk(const std::shared_ptr<const StateRun>& run) {
  RunCursor cursor(run, false);
  std::uint64_t entries = 0;
  bool read = cursor.seek("").has_value();
  for (; read && !cursor.at_end(); read = cursor.next().has_value()) {
    const auto found = run->find(cursor.key());
    if (!found || !*found || (*found)->state != cursor.state()) std::abort();
    ++entries;
  }
  if (!read || entries != run->entries()) std::abort();
  for (read = cursor.seek_before("").has_value(); read && !cursor.at_end();
       read = cursor.prev().has_value())
    --entries;
  if (!read || entries != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto run = StateRun::parse(std::string(bytes), 1)) walk(*run);
  std::map<std::string_view, std::string_view> states;
  for (std::size_t at = 0; at < size; at += 1 + data[at] % 16U) {
    const std::string_view next = bytes.substr(at, 1 + data[at] % 16U);
    states.emplace(next, next);
  }
  const auto file = millrace::view::run_file(1, [&](auto& writer) -> millrace::Status {
    for (const auto& [key, state] : states) MR_RETURN_IF_ERROR(writer.add(key, state));
    return {};
  });
  const auto run = StateRun::parse(file, 1);
  if (!run || (*run)->entries() != states.size()) std::abort();
  walk(*run);
  return 0;
}
