// What clients send.
#include <algorithm>

#include "wire/postgres.h"

namespace millrace::wire::postgres {
namespace {

constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssEncCode = 80877104;
/// "process ID" and a key, which protocol 3.2 lets be up to 256 bytes.
constexpr std::size_t kCancelKeyMax = 256;
constexpr std::size_t kStartupParametersMax = 256;

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

/// Stops at the first violation: then every read gives zeros and empty texts.
class Reader {
 public:
  explicit Reader(std::string_view body) : rest_(body) {}

  [[nodiscard]] bool ok() const { return what_.empty(); }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }
  [[nodiscard]] std::unexpected<Violation> violation() const {
    return std::unexpected(Violation{what_});
  }
  void reject(std::string_view what) {
    if (what_.empty()) what_ = what;
    rest_ = {};
  }

  std::string_view take(std::size_t size) {
    if (rest_.size() < size) {
      reject("the message ends inside a field");
      return {};
    }
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view take_rest() { return take(rest_.size()); }
  std::uint16_t u16() {
    const auto bytes = take(2);
    if (bytes.empty()) return 0;
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                      static_cast<unsigned char>(bytes[1]));
  }
  std::uint32_t u32() {
    const auto bytes = take(4);
    return bytes.empty() ? 0 : u32_at(bytes, 0);
  }
  char byte() {
    const auto bytes = take(1);
    return bytes.empty() ? '\0' : bytes[0];
  }
  std::string_view text() {
    const auto end = rest_.find('\0');
    if (end == std::string_view::npos) {
      reject("a text has no end");
      return {};
    }
    const auto out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return out;
  }
  std::vector<Format> formats() {
    const std::size_t count = u16();
    if (count > left() / 2) reject("more formats than the message has bytes for");
    std::vector<Format> out;
    for (std::size_t i = 0; i < count && ok(); ++i) {
      const auto code = u16();
      if (code > 1) reject("a format that is neither text (0) nor binary (1)");
      out.push_back(static_cast<Format>(code));
    }
    return out;
  }
  Target target() {
    const char kind = byte();
    if (kind != 'S' && kind != 'P') reject("neither a statement (S) nor a portal (P)");
    return kind == 'P' ? Target::kPortal : Target::kStatement;
  }

 private:
  std::string_view rest_;
  std::string_view what_;
};

Parse read_parse(Reader& in) {
  Parse out;
  out.statement = in.text();
  out.text = in.text();
  const std::size_t count = in.u16();
  if (count > in.left() / 4) in.reject("more parameter types than the message has bytes for");
  for (std::size_t i = 0; i < count && in.ok(); ++i) out.parameter_types.push_back(in.u32());
  return out;
}

Bind read_bind(Reader& in) {
  Bind out;
  out.portal = in.text();
  out.statement = in.text();
  out.parameter_formats = in.formats();
  const std::size_t count = in.u16();
  if (count > in.left() / 4) in.reject("more parameters than the message has bytes for");
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const auto size = static_cast<std::int32_t>(in.u32());
    if (size == -1) {
      out.parameters.emplace_back(std::nullopt);
    } else if (size < 0) {
      in.reject("a parameter of negative length");
    } else {
      out.parameters.emplace_back(in.take(static_cast<std::size_t>(size)));
    }
  }
  if (out.parameter_formats.size() > 1 && out.parameter_formats.size() != out.parameters.size())
    in.reject("as many parameter formats as parameters, one, or none");
  out.result_formats = in.formats();
  return out;
}

Execute read_execute(Reader& in) {
  Execute out;
  out.portal = in.text();
  // A negative limit is none, as PostgreSQL has it.
  const auto rows = static_cast<std::int32_t>(in.u32());
  out.rows_max = static_cast<std::uint32_t>(std::max(rows, 0));
  return out;
}

Startup read_startup(std::uint32_t version, Reader& in) {
  Startup out;
  out.major = static_cast<std::uint16_t>(version >> 16);
  out.minor = static_cast<std::uint16_t>(version & 0xffff);
  if (out.major != 3) {
    in.take_rest();
    return out;
  }
  while (in.ok()) {
    const auto name = in.text();
    if (!in.ok() || name.empty()) break;
    if (out.parameters.size() == kStartupParametersMax) in.reject("too many startup parameters");
    const auto value = in.text();
    out.parameters.emplace_back(name, value);
  }
  return out;
}

Format format_of(std::span<const Format> formats, std::size_t index) {
  if (formats.empty()) return Format::kText;
  return formats.size() == 1 ? formats[0] : index < formats.size() ? formats[index] : Format::kText;
}

template <class Body>
std::expected<Message, Violation> finished(const Reader& in, Body body) {
  if (!in.ok()) return in.violation();
  if (in.left() != 0) return std::unexpected(Violation{"bytes after the end of the message"});
  return Message(std::move(body));
}

}  // namespace

Format Bind::parameter_format(std::size_t parameter) const {
  return format_of(parameter_formats, parameter);
}

Format Bind::result_format(std::size_t column) const { return format_of(result_formats, column); }

std::string_view Startup::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

Frame try_frame(std::string_view bytes, Framing framing, std::size_t bytes_max) {
  const std::size_t type_bytes = framing == Framing::kTyped ? 1 : 0;
  if (bytes.size() < type_bytes + 4) return {};
  Frame out;
  out.type = type_bytes == 0 ? '\0' : bytes[0];
  const std::uint32_t length = u32_at(bytes, type_bytes);
  if (length < 4) {
    out.state = Frame::State::kMalformed;
    return out;
  }
  out.size = type_bytes + length;
  if (out.size > bytes_max) {
    out.state = Frame::State::kTooLong;
  } else if (bytes.size() >= out.size) {
    out.state = Frame::State::kComplete;
    out.body = bytes.substr(type_bytes + 4, length - 4);
  }
  return out;
}

std::expected<First, Violation> decode_first(std::string_view body) {
  Reader in(body);
  const auto code = in.u32();
  First out;
  if (code == kSslCode) {
    out = SslRequest{};
  } else if (code == kGssEncCode) {
    out = GssEncRequest{};
  } else if (code == kCancelCode) {
    CancelRequest cancel;
    cancel.process = in.u32();
    cancel.key = in.take_rest();
    if (cancel.key.empty() || cancel.key.size() > kCancelKeyMax)
      in.reject("a cancel request without its key");
    out = cancel;
  } else {
    out = read_startup(code, in);
  }
  if (!in.ok()) return in.violation();
  if (in.left() != 0) return std::unexpected(Violation{"bytes after the end of the message"});
  return out;
}

std::expected<Message, Violation> decode(char type, std::string_view body) {
  Reader in(body);
  switch (type) {
    case 'Q':
      return finished(in, [&] { return Query{in.text()}; }());
    case 'P':
      return finished(in, read_parse(in));
    case 'B':
      return finished(in, read_bind(in));
    case 'D': {
      Describe out;
      out.target = in.target();
      out.name = in.text();
      return finished(in, out);
    }
    case 'E':
      return finished(in, read_execute(in));
    case 'C': {
      Close out;
      out.target = in.target();
      out.name = in.text();
      return finished(in, out);
    }
    case 'H':
      return finished(in, Flush{});
    case 'S':
      return finished(in, Sync{});
    case 'X':
      return finished(in, Terminate{});
    case 'p':
      return finished(in, Password{in.take_rest()});
    case 'd':
      return finished(in, CopyData{in.take_rest()});
    case 'c':
      return finished(in, CopyDone{});
    case 'f':
      return finished(in, CopyFail{in.text()});
    case 'F':
      in.take_rest();
      return finished(in, FunctionCall{});
    default:
      return std::unexpected(Violation{"a message of a type that is not known"});
  }
}

std::expected<SaslInitialResponse, Violation> decode_sasl_initial(std::string_view body) {
  Reader in(body);
  SaslInitialResponse out;
  out.mechanism = in.text();
  const auto size = static_cast<std::int32_t>(in.u32());
  if (size >= 0) {
    out.response = in.take(static_cast<std::size_t>(size));
  } else if (size != -1) {
    in.reject("a response of negative length");
  }
  if (!in.ok()) return in.violation();
  if (in.left() != 0) return std::unexpected(Violation{"bytes after the end of the message"});
  return out;
}

}  // namespace millrace::wire::postgres
