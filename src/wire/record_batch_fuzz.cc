// Any bytes as a record batch, with the checksum as given and made right: no crash, no read past
// the end, and what is accepted gives as many records as its header says.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/crc32c.h"
#include "wire/record_batch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  std::string batch(reinterpret_cast<const char*>(data), size);
  for (const bool sealed : {false, true}) {
    if (sealed) {
      if (batch.size() < wire::kRecordBatchHeaderBytes) break;
      const auto length = static_cast<std::uint32_t>(batch.size() - 12);
      for (std::size_t i = 0; i < 4; ++i) batch[8 + i] = static_cast<char>(length >> (24 - 8 * i));
      batch[16] = 2;
      const std::uint32_t sum = crc32c(std::string_view(batch).substr(21));
      for (std::size_t i = 0; i < 4; ++i) batch[17 + i] = static_cast<char>(sum >> (24 - 8 * i));
    }
    std::uint32_t count = 0;
    std::size_t bytes = 0;
    const auto visited = wire::for_each_record(batch, [&](std::string_view value) {
      ++count;
      bytes += value.size();
    });
    const auto header = wire::check_record_batch(batch);
    if (header && visited) {
      MR_CHECK(count == header->record_count, "{} records of {}", count, header->record_count);
    }
    MR_CHECK(bytes <= batch.size(), "{} bytes of values in a batch of {}", bytes, batch.size());
  }
  return 0;
}
