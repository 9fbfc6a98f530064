// Any bytes as a plan: refused, or read, and then what is written is read to the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "op/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto plan = millrace::op::read_plan({reinterpret_cast<const char*>(data), size});
  if (!plan) return 0;
  const std::string once = millrace::op::write_plan(*plan);
  const auto again = millrace::op::read_plan(once);
  if (!again || millrace::op::write_plan(*again) != once) std::abort();
  return 0;
}
