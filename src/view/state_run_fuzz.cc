// Any bytes as a state run. Most inputs stop at a checksum, so the same bytes are also written as
// entries of a run and read back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "view/state_run.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using millrace::view::StateRun;
  using millrace::view::StateRunWriter;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto run = StateRun::parse(std::string(bytes), 1)) {
    for (std::size_t i = 0; i < (*run)->entries(); ++i) {
      const StateRun::Entry entry = (*run)->entry(i);
      if ((*run)->find(entry.key) != entry.state) std::abort();
    }
  }
  StateRunWriter writer(1);
  std::string key;
  for (std::size_t at = 0; at < size; at += 1 + data[at] % 16U) {
    const std::string_view next = bytes.substr(at, 1 + data[at] % 16U);
    if (writer.entries() != 0 && next <= key) continue;
    key = next;
    writer.add(key, next);
  }
  const std::uint64_t entries = writer.entries();
  const auto run = StateRun::parse(writer.finish(), 1);
  if (!run || (*run)->entries() != entries) std::abort();
  for (std::size_t i = 0; i < entries; ++i) {
    if ((*run)->find((*run)->entry(i).key) != (*run)->entry(i).key) std::abort();
  }
  return 0;
}
