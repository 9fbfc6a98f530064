#include "cli/statement_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(StatementBuffer, AStatementEndsAtItsSemicolonOverSeveralLines) {
  StatementBuffer buffer;
  EXPECT_EQ(buffer.inside(), Inside::kNothing);
  EXPECT_THAT(buffer.add("  SELECT a"), IsEmpty());
  EXPECT_EQ(buffer.inside(), Inside::kStatement);
  EXPECT_THAT(buffer.add("FROM t; SELECT 2;;  "), ElementsAre("SELECT a\nFROM t", "SELECT 2"));
  EXPECT_TRUE(buffer.is_empty());
  EXPECT_EQ(buffer.inside(), Inside::kNothing);
}

TEST(StatementBuffer, SemicolonsInQuotesAndCommentsEndNothing) {
  const auto whole = [](std::string_view line) {
    StatementBuffer buffer;
    return buffer.add(line);
  };
  for (const std::string text :
       {"SELECT ';'", "SELECT 'it''s;'", "SELECT \"a;b\"", "SELECT $$ ; $$",
        "SELECT $x$ ; $$ ; $x$", "SELECT 1 /* ; /* ; */ ; */ + 1", "SELECT E'\\';'", "SELECT 'a\\'",
        "SELECT a$b"}) {
    EXPECT_THAT(whole(text + ";"), ElementsAre(text));
  }
  EXPECT_THAT(whole("SELECT 1 -- ;"), IsEmpty());
  EXPECT_THAT(whole("-- nothing;"), IsEmpty());
}

TEST(StatementBuffer, KnowsWhatItIsInTheMiddleOf) {
  const auto inside = [](std::string_view line) {
    StatementBuffer buffer;
    buffer.add(line);
    return buffer.inside();
  };
  EXPECT_EQ(inside("SELECT 'a"), Inside::kString);
  EXPECT_EQ(inside("SELECT \"a"), Inside::kName);
  EXPECT_EQ(inside("SELECT /* a"), Inside::kComment);
  EXPECT_EQ(inside("SELECT $$a"), Inside::kDollars);
  EXPECT_EQ(inside("SELECT (a"), Inside::kBrackets);
  EXPECT_EQ(inside("SELECT (a)"), Inside::kStatement);
  EXPECT_EQ(inside("-- only a comment"), Inside::kNothing);
}

TEST(StatementBuffer, ALineEndInsideOfAStringStays) {
  StatementBuffer buffer;
  EXPECT_THAT(buffer.add("SELECT 'a"), IsEmpty());
  EXPECT_THAT(buffer.add("b';"), ElementsAre("SELECT 'a\nb'"));
  EXPECT_THAT(buffer.add("SELECT 1"), IsEmpty());
  EXPECT_EQ(buffer.take(), "SELECT 1");
  EXPECT_EQ(buffer.take(), "");
}

TEST(StatementBuffer, TheHistoryHasOneLineAndNoSecrets) {
  EXPECT_EQ(one_line("SELECT a, -- the first\n  b\nFROM  t"), "SELECT a, b FROM t");
  EXPECT_EQ(one_line("SELECT 'a\nb'"), "SELECT 'a\nb'");
  EXPECT_TRUE(may_have_secret("CREATE USER ana WITH PASSWORD 'x'"));
  EXPECT_TRUE(may_have_secret("create sink s into 'postgres://ana:geheim@db/x' as select 1"));
  EXPECT_TRUE(may_have_secret("SELECT 'not closed"));
  EXPECT_FALSE(may_have_secret("SELECT 'password' FROM t"));
  EXPECT_FALSE(may_have_secret("SELECT 'http://example.org/a@b'"));
}

}  // namespace
}  // namespace millrace::cli
