// What the server sends.
#include "base/check.h"
#include "wire/postgres.h"

namespace millrace::wire::postgres {
namespace {

void put_u16(std::uint16_t value, std::string& out) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

void put_u32(std::uint32_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

void set_u32(std::uint32_t value, std::size_t at, std::string& out) {
  for (std::size_t i = 0; i < 4; ++i)
    out[at + i] = static_cast<char>((value >> (24 - 8 * i)) & 0xff);
}

/// A text ends at its first zero byte, which none of ours may hold.
void put_text(std::string_view text, std::string& out) {
  out += text.substr(0, text.find('\0'));
  out += '\0';
}

/// A message whose length is written when its body is known.
class Writer {
 public:
  Writer(char type, std::string& out) : out_(out), start_(out.size()) {
    out_ += type;
    put_u32(0, out_);
  }
  ~Writer() { set_u32(static_cast<std::uint32_t>(out_.size() - start_ - 1), start_ + 1, out_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  std::string& out_;
  std::size_t start_;
};

constexpr std::uint32_t kAuthenticationOk = 0;
constexpr std::uint32_t kAuthenticationPassword = 3;
constexpr std::uint32_t kAuthenticationSasl = 10;
constexpr std::uint32_t kAuthenticationSaslContinue = 11;
constexpr std::uint32_t kAuthenticationSaslFinal = 12;

void append_authentication(std::uint32_t kind, std::string_view data, std::string& out) {
  const Writer message('R', out);
  put_u32(kind, out);
  out += data;
}

void put_field(char code, std::string_view text, std::string& out) {
  if (text.empty()) return;
  out += code;
  put_text(text, out);
}

void append_report(char type, const Report& report, std::string& out) {
  const Writer message(type, out);
  put_field('S', report.severity, out);
  put_field('V', report.severity, out);
  put_field('C', report.sqlstate, out);
  put_field('M', report.message, out);
  put_field('D', report.detail, out);
  put_field('H', report.hint, out);
  if (report.position != 0) put_field('P', std::to_string(report.position), out);
  put_field('W', report.where, out);
  out += '\0';
}

void append_copy(char type, Format format, std::uint16_t columns, std::string& out) {
  const Writer message(type, out);
  out += static_cast<char>(format);
  put_u16(columns, out);
  for (std::uint16_t i = 0; i < columns; ++i) put_u16(static_cast<std::uint16_t>(format), out);
}

}  // namespace

void append_authentication_ok(std::string& out) {
  append_authentication(kAuthenticationOk, {}, out);
}

void append_authentication_password(std::string& out) {
  append_authentication(kAuthenticationPassword, {}, out);
}

void append_authentication_sasl(std::span<const std::string_view> mechanisms, std::string& out) {
  const Writer message('R', out);
  put_u32(kAuthenticationSasl, out);
  for (const auto mechanism : mechanisms) put_text(mechanism, out);
  out += '\0';
}

void append_authentication_sasl_continue(std::string_view data, std::string& out) {
  append_authentication(kAuthenticationSaslContinue, data, out);
}

void append_authentication_sasl_final(std::string_view data, std::string& out) {
  append_authentication(kAuthenticationSaslFinal, data, out);
}

void append_negotiate_version(std::uint32_t newest_minor,
                              std::span<const std::string_view> unknown_options, std::string& out) {
  const Writer message('v', out);
  put_u32(newest_minor, out);
  put_u32(static_cast<std::uint32_t>(unknown_options.size()), out);
  for (const auto option : unknown_options) put_text(option, out);
}

void append_parameter_status(std::string_view name, std::string_view value, std::string& out) {
  const Writer message('S', out);
  put_text(name, out);
  put_text(value, out);
}

void append_backend_key(std::uint32_t process, std::uint32_t key, std::string& out) {
  const Writer message('K', out);
  put_u32(process, out);
  put_u32(key, out);
}

void append_ready(TransactionState state, std::string& out) {
  const Writer message('Z', out);
  out += static_cast<char>(state);
}

void append_row_description(std::span<const Field> fields, std::string& out) {
  const Writer message('T', out);
  put_u16(static_cast<std::uint16_t>(fields.size()), out);
  for (const auto& field : fields) {
    put_text(field.name, out);
    put_u32(0, out);  // the column of no table
    put_u16(0, out);
    put_u32(field.type, out);
    put_u16(static_cast<std::uint16_t>(field.type_bytes), out);
    put_u32(static_cast<std::uint32_t>(field.type_modifier), out);
    put_u16(static_cast<std::uint16_t>(field.format), out);
  }
}

void append_parameter_description(std::span<const std::uint32_t> types, std::string& out) {
  const Writer message('t', out);
  put_u16(static_cast<std::uint16_t>(types.size()), out);
  for (const auto type : types) put_u32(type, out);
}

void append_command_complete(std::string_view tag, std::string& out) {
  const Writer message('C', out);
  put_text(tag, out);
}

void append_error(const Report& report, std::string& out) { append_report('E', report, out); }
void append_notice(const Report& report, std::string& out) { append_report('N', report, out); }

void append_copy_in(Format format, std::uint16_t columns, std::string& out) {
  append_copy('G', format, columns, out);
}
void append_copy_out(Format format, std::uint16_t columns, std::string& out) {
  append_copy('H', format, columns, out);
}
void append_copy_data(std::string_view bytes, std::string& out) {
  const Writer message('d', out);
  out += bytes;
}

void append(Bare message, std::string& out) { const Writer whole(static_cast<char>(message), out); }

RowWriter::RowWriter(std::uint16_t columns, std::string& out) : out_(out), start_(out.size()) {
  out_ += 'D';
  put_u32(0, out_);
  put_u16(columns, out_);
}

void RowWriter::null() { put_u32(0xffffffff, out_); }

void RowWriter::value(std::string_view bytes) {
  put_u32(static_cast<std::uint32_t>(bytes.size()), out_);
  out_ += bytes;
}

void RowWriter::begin() {
  value_ = out_.size();
  put_u32(0, out_);
}

void RowWriter::end() {
  MR_CHECK(value_ != 0, "end() of a value that was not begun");
  set_u32(static_cast<std::uint32_t>(out_.size() - value_ - 4), value_, out_);
  value_ = 0;
}

void RowWriter::finish() {
  set_u32(static_cast<std::uint32_t>(out_.size() - start_ - 1), start_ + 1, out_);
}

}  // namespace millrace::wire::postgres
