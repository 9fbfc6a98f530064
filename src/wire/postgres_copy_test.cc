// COPY's data: what is written is read again, in whatever pieces it comes; what is none is refused.
#include "wire/postgres_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace millrace::wire::postgres {
namespace {

using testing::HasSubstr;
using Format = CopyOptions::Format;

constexpr std::uint32_t kTextOid = 25;
constexpr std::size_t kRowMax = 1 << 20;

CopyOptions csv() {
  CopyOptions options;
  options.format = Format::kCsv;
  options.delimiter = ',';
  options.null = "";
  return options;
}

/// The values, NULL as "~", a row in brackets; or the error.
std::string read(const CopyOptions& options, std::string_view bytes, std::size_t columns,
                 std::size_t piece = 1'000'000) {
  CopyReader reader(options, std::vector<std::uint32_t>(columns, kTextOid), kRowMax);
  CopyValues values;
  Status done;
  while (done && !bytes.empty()) {
    done = reader.read(bytes.substr(0, piece), values);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (done) done = reader.finish(values);
  if (!done) return done.error().message;
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % columns == 0) out += '[';
    out += values[i].value_or("~") + ((i + 1) % columns == 0 ? "]" : "|");
  }
  return out;
}

TEST(PostgresCopyTest, TextHasNullsAndEscapes) {
  EXPECT_EQ(read({}, "a\tb\n\\N\t\\\\N\n", 2), "[a|b][~|\\N]");
  EXPECT_EQ(read({}, "\\t\\101\\x42\\q\r\n", 1), "[\tABq]");
  EXPECT_EQ(read({}, "one\\\ntwo\nlast", 1), "[one\ntwo][last]");
  EXPECT_EQ(read({}, "a\n\\.\nwhatever\tstands\tbehind", 1), "[a]");
}

TEST(PostgresCopyTest, CsvHasQuotesAndUnquotedNulls) {
  EXPECT_EQ(read(csv(), "a,\"b,\"\"c\"\"\nd\"\n,\"\"\n", 2), "[a|b,\"c\"\nd][~|]");
  auto options = csv();
  options.header = true;
  options.escape = '\\';
  options.delimiter = ';';
  EXPECT_EQ(read(options, "x;y\r\n\"a\\\"b\";c\r\n", 2), "[a\"b|c]");
}

TEST(PostgresCopyTest, RowsOfAnotherShapeAreRefusedWithTheirLine) {
  EXPECT_THAT(read({}, "a\tb\nc\n", 2), HasSubstr("line 2 of the COPY: it has 1 columns"));
  EXPECT_THAT(read({}, "a\tb\tc\n", 2), HasSubstr("line 1"));
  EXPECT_THAT(read(csv(), "a,\"b", 2), HasSubstr("inside of quotes"));
  EXPECT_THAT(read(csv(), "a,b,c,d\n", 2), HasSubstr("should have 2"));
}

TEST(PostgresCopyTest, BeforeAnErrorAreOnlyWholeRows) {
  CopyReader reader({}, {kTextOid, kTextOid}, kRowMax);
  CopyValues values;
  EXPECT_FALSE(reader.read("a\tb\nc\n", values));
  EXPECT_EQ(values, (CopyValues{"a", "b"}));
}

TEST(PostgresCopyTest, ARowWithoutAnEndIsBounded) {
  EXPECT_THAT(read(csv(), '"' + std::string(kRowMax + 10, 'x'), 1, 65'536), HasSubstr("more than"));
}

TEST(PostgresCopyTest, BinaryThatIsNoneIsRefused) {
  CopyOptions options;
  options.format = Format::kBinary;
  std::string good;
  append_copy_begin(options, {}, good);
  EXPECT_THAT(read(options, "PGCOPY, but something else entirely", 1), HasSubstr("signature"));
  EXPECT_THAT(read(options, good + std::string("\0\1\0\0\0\5ab", 8), 1), HasSubstr("end inside"));
  EXPECT_THAT(read(options, good + std::string("\0\2", 2), 1), HasSubstr("2 columns"));
  EXPECT_THAT(read(options, good + std::string("\0\1\x80\0\0\0", 6), 1), HasSubstr("negative"));
  EXPECT_EQ(read(options, good + std::string("\0\1\0\0\0\2ab\xff\xff", 10), 1), "[ab]");
}

TEST(PostgresCopyTest, WhatIsWrittenIsReadInAnyPieces) {
  rc::check([](const std::vector<std::string>& texts, bool quoted) {
    const Type text{TypeKind::kVarchar};
    const std::vector<Type> types{text, text};
    ColumnBatch batch(types);
    std::string expected;
    for (const auto& one : texts) {
      std::string value = one;
      std::erase(value, '\0');
      batch.column(0).push_string(value, batch.arena());
      batch.column(1).push_null();
      expected += "[" + value + "|~]";
    }
    auto options = quoted ? csv() : CopyOptions();
    if (quoted && *rc::gen::arbitrary<bool>()) options.escape = '\\';
    options.header = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) options.format = Format::kBinary;
    std::string bytes;
    const std::vector<std::string_view> names{"a,\"", "b"};
    append_copy_begin(options, names, bytes);
    for (std::size_t row = 0; row < batch.rows(); ++row)
      append_copy_row(options, batch.views(), row, bytes);
    append_copy_end(options, bytes);
    RC_ASSERT(read(options, bytes, 2, *rc::gen::inRange<std::size_t>(1, 9)) == expected);
  });
}

}  // namespace
}  // namespace millrace::wire::postgres
