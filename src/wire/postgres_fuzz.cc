// Any bytes as what a client sends: framed, decoded, and each parameter read as a value of a type
// that the bytes choose. No crash, no read past the end, no list longer than the message.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "wire/postgres.h"
#include "wire/postgres_value.h"

namespace {

using namespace millrace::wire::postgres;

constexpr std::uint32_t kTypes[] = {0,    16,   17,   20,   21,   23,   25,   26,
                                    114,  700,  701,  1082, 1083, 1114, 1184, 1186,
                                    1700, 2950, 3802, 1009, 1016, 1231, 4711};

void read(const Bind& bind, std::size_t message_bytes) {
  MR_CHECK(bind.parameters.size() <= message_bytes, "more parameters than bytes");
  for (std::size_t i = 0; i < bind.parameters.size(); ++i) {
    if (!bind.parameters[i]) continue;
    for (const auto type : kTypes)
      (void)parameter_text(type, bind.parameter_format(i), *bind.parameters[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  auto framing = Framing::kStartup;
  for (auto frame = try_frame(rest, framing, 1 << 20); frame.state == Frame::State::kComplete;
       frame = try_frame(rest, framing, 1 << 20)) {
    if (framing == Framing::kStartup) {
      (void)decode_first(frame.body);
    } else {
      const auto message = decode(frame.type, frame.body);
      if (message) {
        if (const auto* bind = std::get_if<Bind>(&*message)) read(*bind, frame.size);
        if (const auto* answer = std::get_if<Password>(&*message))
          (void)decode_sasl_initial(answer->body);
      }
    }
    framing = Framing::kTyped;
    rest.remove_prefix(frame.size);
  }
  return 0;
}
