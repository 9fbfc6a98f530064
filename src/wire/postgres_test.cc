// Bytes of PostgreSQL's protocol in, messages out, and back: vectors written by hand from the
// message formats, every broken form of each message, and the bytes of values.
#include "wire/postgres.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/nested_value.h"
#include "model/value_text.h"
#include "wire/postgres_value.h"

namespace millrace::wire::postgres {
namespace {

using testing::ElementsAre;
using testing::Pair;

/// "51 00 'text' 00": hexadecimal bytes, and texts between quotes.
std::string bytes(std::string_view written) {
  std::string out;
  for (std::size_t i = 0; i < written.size();) {
    if (written[i] == ' ') {
      ++i;
    } else if (written[i] == '\'') {
      const auto end = written.find('\'', i + 1);
      out += written.substr(i + 1, end - i - 1);
      i = end + 1;
    } else {
      out += static_cast<char>(std::stoi(std::string(written.substr(i, 2)), nullptr, 16));
      i += 2;
    }
  }
  return out;
}

template <class Body>
Body decoded(char type, std::string_view written) {
  const std::string body = bytes(written);
  static std::string keeps;  // the views of the result point into it
  keeps = body;
  const auto message = decode(type, keeps);
  EXPECT_TRUE(message) << type << ": " << (message ? "" : message.error().what);
  if (!message || !std::holds_alternative<Body>(*message)) {
    ADD_FAILURE() << "another message";
    return {};
  }
  return std::get<Body>(*message);
}

std::string_view violation(char type, std::string_view body) {
  const auto message = decode(type, body);
  return message ? "accepted" : message.error().what;
}

TEST(PostgresFrame, IsWholeWhenItsLengthHasCome) {
  const std::string query = bytes("51 00 00 00 0a 'a' 00 'b' 00 'c' 00");
  for (std::size_t size = 0; size < 11; ++size) {
    EXPECT_EQ(try_frame(std::string_view(query).substr(0, size), Framing::kTyped, 100).state,
              Frame::State::kNeedMore)
        << size;
  }
  const std::string longer = query + "more";
  const auto frame = try_frame(longer, Framing::kTyped, 100);
  ASSERT_EQ(frame.state, Frame::State::kComplete);
  EXPECT_EQ(frame.type, 'Q');
  EXPECT_EQ(frame.size, 11U);
  EXPECT_EQ(frame.body, query.substr(5));
  EXPECT_EQ(try_frame(query, Framing::kTyped, 10).state, Frame::State::kTooLong);
  EXPECT_EQ(try_frame(bytes("51 00 00 00 03"), Framing::kTyped, 100).state,
            Frame::State::kMalformed);
  EXPECT_EQ(try_frame(bytes("51 ff ff ff ff"), Framing::kTyped, 100).state, Frame::State::kTooLong);
  EXPECT_EQ(try_frame(bytes("00 00 00 08 04 d2 16 2f"), Framing::kStartup, 100).state,
            Frame::State::kComplete);
}

TEST(PostgresFirst, IsAStartupOrOneOfTheRequests) {
  const std::string startup = bytes("00 03 00 00 'user' 00 'ada' 00 'database' 00 'm' 00 00");
  const auto first = decode_first(startup);
  ASSERT_TRUE(first && std::holds_alternative<Startup>(*first));
  const auto& read = std::get<Startup>(*first);
  EXPECT_EQ(read.major, 3);
  EXPECT_EQ(read.minor, 0);
  EXPECT_THAT(read.parameters, ElementsAre(Pair("user", "ada"), Pair("database", "m")));
  EXPECT_EQ(read.parameter("database"), "m");
  EXPECT_EQ(read.parameter("options"), "");
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*decode_first(bytes("04 d2 16 2f"))));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(*decode_first(bytes("04 d2 16 30"))));
  const std::string cancel = bytes("04 d2 16 2e 00 00 00 07 01 02 03 04");
  const auto request = decode_first(cancel);
  ASSERT_TRUE(request && std::holds_alternative<CancelRequest>(*request));
  EXPECT_EQ(std::get<CancelRequest>(*request).process, 7U);
  EXPECT_EQ(std::get<CancelRequest>(*request).key, bytes("01 02 03 04"));
  // The version says what follows: of version 2 nothing is read.
  const auto old = decode_first(bytes("00 02 00 00 'whatever'"));
  ASSERT_TRUE(old && std::holds_alternative<Startup>(*old));
  EXPECT_EQ(std::get<Startup>(*old).major, 2);
}

TEST(PostgresFirst, OfABrokenFormIsRefused) {
  for (const std::string_view broken :
       {"", "00 03", "00 03 00 00", "00 03 00 00 'user'", "00 03 00 00 'user' 00 'ada'",
        "00 03 00 00 'user' 00 'ada' 00", "00 03 00 00 00 'x'", "04 d2 16 2f 00",
        "04 d2 16 2e 00 00 00 07", "04 d2 16 2e 00 00"}) {
    EXPECT_FALSE(decode_first(bytes(broken))) << broken;
  }
  EXPECT_FALSE(decode_first(bytes("04 d2 16 2e 00 00 00 07") + std::string(257, 'k')));
}

TEST(PostgresMessage, OfEachTypeIsRead) {
  EXPECT_EQ(decoded<Query>('Q', "'SELECT 1' 00").text, "SELECT 1");
  const auto parse = decoded<Parse>('P', "'s' 00 'SELECT $1' 00 00 02 00 00 00 17 00 00 00 00");
  EXPECT_EQ(parse.statement, "s");
  EXPECT_EQ(parse.text, "SELECT $1");
  EXPECT_THAT(parse.parameter_types, ElementsAre(23, 0));
  const auto bind = decoded<Bind>(
      'B',
      "'p' 00 's' 00 00 01 00 01 00 03 00 00 00 02 'ab' ff ff ff ff 00 00 00 00 00 02 00 00 00 01");
  EXPECT_EQ(bind.portal, "p");
  EXPECT_EQ(bind.statement, "s");
  EXPECT_THAT(bind.parameters, ElementsAre("ab", std::nullopt, ""));
  EXPECT_EQ(bind.parameter_format(2), Format::kBinary);
  EXPECT_EQ(bind.result_format(0), Format::kText);
  EXPECT_EQ(bind.result_format(1), Format::kBinary);
  EXPECT_EQ(Bind{}.result_format(5), Format::kText);
  EXPECT_EQ(decoded<Describe>('D', "'P' 'x' 00").target, Target::kPortal);
  EXPECT_EQ(decoded<Describe>('D', "'S' 00").target, Target::kStatement);
  EXPECT_EQ(decoded<Execute>('E', "00 00 00 00 05").rows_max, 5U);
  EXPECT_EQ(decoded<Execute>('E', "00 ff ff ff ff").rows_max, 0U);
  EXPECT_EQ(decoded<Close>('C', "'S' 's' 00").name, "s");
  decoded<Flush>('H', "");
  decoded<Sync>('S', "");
  decoded<Terminate>('X', "");
  EXPECT_EQ(decoded<Password>('p', "'n,,' 00").body.size(), 4U);
  EXPECT_EQ(decoded<CopyData>('d', "'a' 00 'b'").bytes.size(), 3U);
  decoded<CopyDone>('c', "");
  EXPECT_EQ(decoded<CopyFail>('f', "'no' 00").reason, "no");
  decoded<FunctionCall>('F', "01 02 03");
  const auto sasl = bytes("'SCRAM-SHA-256' 00 00 00 00 03 'n,,'");
  const auto initial = decode_sasl_initial(sasl);
  ASSERT_TRUE(initial);
  EXPECT_EQ(initial->mechanism, "SCRAM-SHA-256");
  EXPECT_EQ(initial->response, "n,,");
  EXPECT_EQ(decode_sasl_initial(bytes("'A' 00 ff ff ff ff"))->response, std::nullopt);
}

TEST(PostgresMessage, ThatIsCutOrLongerIsRefused) {
  const std::pair<char, std::string_view> whole[] = {
      {'Q', "'SELECT 1' 00"},
      {'P', "'s' 00 'SELECT $1' 00 00 01 00 00 00 17"},
      {'B', "'p' 00 's' 00 00 01 00 01 00 02 00 00 00 02 'ab' ff ff ff ff 00 01 00 01"},
      {'D', "'P' 'x' 00"},
      {'E', "'p' 00 00 00 00 05"},
      {'C', "'S' 's' 00"},
      {'f', "'no' 00"},
  };
  for (const auto& [type, written] : whole) {
    const std::string body = bytes(written);
    for (std::size_t size = 0; size < body.size(); ++size)
      EXPECT_NE(violation(type, body.substr(0, size)), "accepted") << type << " of " << size;
    EXPECT_EQ(violation(type, body + '\0'), "bytes after the end of the message") << type;
  }
  for (const char type : {'H', 'S', 'X', 'c'}) EXPECT_NE(violation(type, "x"), "accepted");
  EXPECT_NE(violation('?', ""), "accepted");
  EXPECT_NE(violation('D', bytes("'X' 00")), "accepted");
  // Counts that the message has no bytes for cost nothing.
  EXPECT_NE(violation('P', bytes("00 00 ff ff")), "accepted");
  EXPECT_NE(violation('B', bytes("00 00 ff ff")), "accepted");
  EXPECT_NE(violation('B', bytes("00 00 00 00 ff ff")), "accepted");
  EXPECT_NE(violation('B', bytes("00 00 00 00 00 01 80 00 00 00 00 00")), "accepted");
  EXPECT_NE(violation('B', bytes("00 00 00 01 00 02 00 00 00 00")), "accepted");
  EXPECT_NE(violation('B', bytes("00 00 00 02 00 00 00 00 00 00 00 00")), "accepted");
  EXPECT_FALSE(decode_sasl_initial(bytes("'A' 00 80 00 00 00")));
  EXPECT_FALSE(decode_sasl_initial(bytes("'A' 00 00 00 00 09 'x'")));
}

TEST(PostgresAnswer, HasTheBytesOfTheMessageFormats) {
  const auto made = [](auto append) {
    std::string out = "before";
    append(out);
    return out.substr(6);
  };
  EXPECT_EQ(made([](auto& out) { append_authentication_ok(out); }),
            bytes("'R' 00 00 00 08 00 00 00 00"));
  EXPECT_EQ(made([](auto& out) {
              const std::string_view mechanisms[] = {"SCRAM-SHA-256"};
              append_authentication_sasl(mechanisms, out);
            }),
            bytes("'R' 00 00 00 17 00 00 00 0a 'SCRAM-SHA-256' 00 00"));
  EXPECT_EQ(made([](auto& out) { append_authentication_sasl_final("v=x", out); }),
            bytes("'R' 00 00 00 0b 00 00 00 0c 'v=x'"));
  EXPECT_EQ(made([](auto& out) {
              const std::string_view unknown[] = {"_pq_.x"};
              append_negotiate_version(0, unknown, out);
            }),
            bytes("'v' 00 00 00 13 00 00 00 00 00 00 00 01 '_pq_.x' 00"));
  EXPECT_EQ(made([](auto& out) { append_parameter_status("a", "b", out); }),
            bytes("'S' 00 00 00 08 'a' 00 'b' 00"));
  EXPECT_EQ(made([](auto& out) { append_backend_key(1, 2, out); }),
            bytes("'K' 00 00 00 0c 00 00 00 01 00 00 00 02"));
  EXPECT_EQ(made([](auto& out) { append_ready(TransactionState::kFailed, out); }),
            bytes("'Z' 00 00 00 05 'E'"));
  EXPECT_EQ(made([](auto& out) {
              const Field field{
                  .name = "n", .type = 23, .type_bytes = 4, .format = Format::kBinary};
              append_row_description({&field, 1}, out);
            }),
            bytes("'T' 00 00 00 1a 00 01 'n' 00 00 00 00 00 00 00 00 00 00 17 00 04 ff ff ff ff "
                  "00 01"));
  EXPECT_EQ(made([](auto& out) {
              const std::uint32_t types[] = {25};
              append_parameter_description(types, out);
            }),
            bytes("'t' 00 00 00 0a 00 01 00 00 00 19"));
  EXPECT_EQ(made([](auto& out) { append_command_complete("SELECT 1", out); }),
            bytes("'C' 00 00 00 0d 'SELECT 1' 00"));
  EXPECT_EQ(made([](auto& out) { append(Bare::kParseComplete, out); }), bytes("'1' 00 00 00 04"));
  EXPECT_EQ(made([](auto& out) { append_copy_in(Format::kText, 2, out); }),
            bytes("'G' 00 00 00 0b 00 00 02 00 00 00 00"));
  EXPECT_EQ(made([](auto& out) { append_copy_data("ab", out); }), bytes("'d' 00 00 00 06 'ab'"));
  EXPECT_EQ(made([](auto& out) {
              RowWriter row(3, out);
              row.value("ab");
              row.null();
              row.begin();
              out += "xyz";
              row.end();
              row.finish();
            }),
            bytes("'D' 00 00 00 17 00 03 00 00 00 02 'ab' ff ff ff ff 00 00 00 03 'xyz'"));
  EXPECT_EQ(
      made([](auto& out) {
        append_error({.severity = "ERROR",
                      .sqlstate = "42P01",
                      .message = "no",
                      .detail = {},
                      .hint = "h",
                      .position = 7,
                      .where = {}},
                     out);
      }),
      bytes("'E' 00 00 00 24 'SERROR' 00 'VERROR' 00 'C42P01' 00 'Mno' 00 'Hh' 00 'P7' 00 00"));
}

TEST(PostgresAnswer, IsNotCutShortByAZeroByteInAText) {
  std::string out;
  append_command_complete(std::string_view("a\0b", 3), out);
  EXPECT_EQ(out, bytes("'C' 00 00 00 06 'a' 00"));
}

/// A value of a type, both forms.
template <class T>
std::pair<std::string, std::string> forms(const Type& type, T value) {
  std::pair<std::string, std::string> out;
  append_value({type, &value, nullptr}, 0, Format::kText, out.first);
  append_value({type, &value, nullptr}, 0, Format::kBinary, out.second);
  return out;
}

TEST(PostgresValue, OfEachTypeHasPostgresqlsTextAndBytes) {
  EXPECT_THAT(forms(Type{TypeKind::kBoolean}, true), Pair("t", bytes("01")));
  EXPECT_THAT(forms(Type{TypeKind::kTinyInt}, std::int8_t{-2}), Pair("-2", bytes("ff fe")));
  EXPECT_THAT(forms(Type{TypeKind::kUSmallInt}, std::uint16_t{65535}),
              Pair("65535", bytes("00 00 ff ff")));
  EXPECT_THAT(forms(Type{TypeKind::kBigInt}, std::int64_t{-1}),
              Pair("-1", bytes("ff ff ff ff ff ff ff ff")));
  EXPECT_THAT(forms(Type{TypeKind::kDouble}, 0.1), Pair("0.1", bytes("3f b9 99 99 99 99 99 9a")));
  EXPECT_THAT(forms(Type{TypeKind::kDouble}, 3.0).first, "3");
  EXPECT_THAT(forms(Type{TypeKind::kDouble}, std::numeric_limits<double>::quiet_NaN()).first,
              "NaN");
  EXPECT_THAT(forms(Type{TypeKind::kDouble}, -std::numeric_limits<double>::infinity()).first,
              "-Infinity");
  EXPECT_THAT(forms(Type{TypeKind::kFloat}, 1.5F), Pair("1.5", bytes("3f c0 00 00")));
  EXPECT_THAT(forms(Type{TypeKind::kBlob}, StringRef(std::string_view("\0\xff", 2))),
              Pair("\\x00ff", bytes("00 ff")));
  EXPECT_THAT(forms(Type{TypeKind::kVarchar}, StringRef("héllo")), Pair("héllo", "héllo"));
  EXPECT_THAT(forms(Type{TypeKind::kDate}, std::int32_t{10'958}),
              Pair("2000-01-02", bytes("00 00 00 01")));
  EXPECT_THAT(forms(Type{TypeKind::kTimestamp}, *parse_timestamp("2000-01-01 00:00:00.000001")),
              Pair("2000-01-01 00:00:00.000001", bytes("00 00 00 00 00 00 00 01")));
  EXPECT_THAT(forms(Type{TypeKind::kTimestampTz}, *parse_timestamp("1999-12-31 23:59:59.999999")),
              Pair("1999-12-31 23:59:59.999999+00", bytes("ff ff ff ff ff ff ff ff")));
  EXPECT_THAT(forms(Type{TypeKind::kTime}, *parse_time("00:00:01")),
              Pair("00:00:01", bytes("00 00 00 00 00 0f 42 40")));
  EXPECT_THAT(forms(Type{TypeKind::kUuid}, *parse_uuid("00112233-4455-6677-8899-aabbccddeeff")),
              Pair("00112233-4455-6677-8899-aabbccddeeff",
                   bytes("00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff")));
  EXPECT_THAT(
      forms(Type{TypeKind::kInterval}, Interval{.months = 1, .days = 2, .micros = 3}).second,
      bytes("00 00 00 00 00 00 00 03 00 00 00 02 00 00 00 01"));
}

TEST(PostgresValue, AtTheEndsOfTimeIsInfinity) {
  EXPECT_EQ(forms(Type{TypeKind::kTimestamp}, std::numeric_limits<std::int64_t>::max()).second,
            bytes("7f ff ff ff ff ff ff ff"));
  EXPECT_EQ(forms(Type{TypeKind::kTimestamp}, -std::numeric_limits<std::int64_t>::max()).second,
            bytes("80 00 00 00 00 00 00 00"));
  EXPECT_EQ(forms(Type{TypeKind::kDate}, -std::numeric_limits<std::int32_t>::max()).second,
            bytes("80 00 00 00"));
}

TEST(PostgresValue, OfADecimalIsTheNumberItWas) {
  const auto decimal = [](std::uint8_t width, std::uint8_t scale) {
    return Type{.kind = TypeKind::kDecimal, .width = width, .scale = scale};
  };
  // 1.5 as numeric(18,3): two groups, weight 0, positive, scale 3: 0001 5000.
  EXPECT_THAT(forms(decimal(18, 3), std::int64_t{1'500}),
              Pair("1.500", bytes("00 02 00 00 00 00 00 03 00 01 13 88")));
  EXPECT_THAT(forms(decimal(4, 2), std::int16_t{-5}),
              Pair("-0.05", bytes("00 01 ff ff 40 00 00 02 01 f4")));
  EXPECT_THAT(forms(Type{TypeKind::kUBigInt}, std::uint64_t{100'000'000}),
              Pair("100000000", bytes("00 01 00 02 00 00 00 00 00 01")));
  EXPECT_THAT(forms(Type{TypeKind::kHugeInt}, Int128{0}),
              Pair("0", bytes("00 00 00 00 00 00 00 00")));
  // Whatever is written is read as the same text, over all magnitudes and scales.
  Int128 value = 7;
  for (int digits = 1; digits <= 38; ++digits) {
    for (const std::uint8_t scale :
         std::initializer_list<std::uint8_t>{0, 1, 3, 4, 5, 8, 17, 37, 38}) {
      for (const Int128 signed_value : {value, -value}) {
        const auto [text, binary] = forms(decimal(38, scale), signed_value);
        const auto read = parameter_text(1700, Format::kBinary, binary);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(*read, text);
      }
    }
    if (digits < 38) value = value * 10 + digits % 10;
  }
}

TEST(PostgresValue, OfAListIsAnArray) {
  const Type type = Type::list(Type{TypeKind::kVarchar});
  std::string nested;
  append_count(nested, 5);
  for (const std::string_view text : {"a", "", "null", "x \"y\" \\"}) {
    const StringRef value(text);
    append_element(nested, {Type{TypeKind::kVarchar}, &value, nullptr}, 0);
  }
  append_null_element(nested);
  const auto [text, binary] = forms(type, StringRef(nested));
  EXPECT_EQ(text, R"({a,"","null","x \"y\" \\",NULL})");
  EXPECT_EQ(binary, bytes("00 00 00 01 00 00 00 01 00 00 00 19 00 00 00 05 00 00 00 01"
                          "00 00 00 01 'a' 00 00 00 00 00 00 00 04 'null' 00 00 00 07 "
                          "'x \"y\" \\' ff ff ff ff"));
  std::string none;
  append_count(none, 0);
  EXPECT_THAT(forms(type, StringRef(none)),
              Pair("{}", bytes("00 00 00 00 00 00 00 00 00 00 00 19")));
  EXPECT_EQ(wire_type(type).oid, 1009U);
  EXPECT_EQ(wire_type(Type::list(type)).oid, 114U);
}

TEST(PostgresParameter, InBinaryFormIsReadAsItsText) {
  const auto text = [](std::uint32_t oid, std::string_view written) -> std::string {
    const auto read = parameter_text(oid, Format::kBinary, bytes(written));
    return read ? *read : "refused: " + read.error().message;
  };
  EXPECT_EQ(text(16, "01"), "true");
  EXPECT_EQ(text(21, "ff ff"), "-1");
  EXPECT_EQ(text(23, "00 00 00 2a"), "42");
  EXPECT_EQ(text(20, "80 00 00 00 00 00 00 00"), "-9223372036854775808");
  EXPECT_EQ(text(701, "3f b9 99 99 99 99 99 9a"), "0.1");
  EXPECT_EQ(text(25, "'a b'"), "a b");
  EXPECT_EQ(text(1082, "00 00 00 01"), "2000-01-02");
  EXPECT_EQ(text(1114, "00 00 00 00 00 00 00 01"), "2000-01-01 00:00:00.000001");
  EXPECT_EQ(text(2950, "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff"),
            "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(text(3802, "01 '{}'"), "{}");
  EXPECT_EQ(text(17, "00 'a' 27"), "\\x00a\\x27");
  EXPECT_EQ(text(1700, "00 00 00 00 c0 00 00 00"), "NaN");
  for (const auto& [oid, broken] :
       std::initializer_list<std::pair<std::uint32_t, std::string_view>>{
           {16, ""},
           {21, "00"},
           {23, "00 00 00 00 00"},
           {20, "00"},
           {700, "00"},
           {701, "00"},
           {1082, "00"},
           {1082, "7f ff ff ff"},
           {1114, "7f ff ff ff ff ff ff ff"},
           {2950, "00"},
           {3802, "02 '{}'"},
           {1700, "00 01 00 00 00 00 00 00"},
           {1700, "00 01 00 00 00 00 00 00 27 10"},
           {1700, "00 00 7f ff 00 00 00 00"},
           {1700, "00 00 00 00 12 34 00 00"},
           {1700, "00 00 00 00 00 00 ff ff"},
           {1700, "00"},
           {999'999, "00"}}) {
    EXPECT_TRUE(text(oid, broken).starts_with("refused: ")) << oid << " of " << broken;
  }
  EXPECT_EQ(*parameter_text(17, Format::kText, R"(\x00Ff)"), "\\x00\\xFF");
  EXPECT_EQ(*parameter_text(17, Format::kText, R"(a\\b\001)"), "a\\x5Cb\\x01");
  for (const std::string_view broken : {R"(\x0)", R"(\xzz)", R"(\9)", R"(\777)", R"(\0)"})
    EXPECT_FALSE(parameter_text(17, Format::kText, broken)) << broken;
}

}  // namespace
}  // namespace millrace::wire::postgres
