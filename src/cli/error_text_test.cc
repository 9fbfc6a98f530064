#include "cli/error_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using testing::HasSubstr;

Error error_at(std::uint32_t line, std::uint32_t column) {
  return {.code = ErrorCode::kInvalidArgument,
          .id = "MR1203",
          .message = "there is no column orgin",
          .hint = "did you mean origin?",
          .place = {line, column}};
}

TEST(ErrorText, ACaretStandsUnderThePlace) {
  EXPECT_EQ(error_text({}, error_at(2, 8), "SELECT 1,\n '東京', orgin\nFROM t", 80),
            "error[MR1203]: there is no column orgin\n"
            "   2 |  '東京', orgin\n"
            "     |          ^\n"
            "hint: did you mean origin?\n");
}

TEST(ErrorText, ALongLineIsCutAroundThePlace) {
  const std::string line = "SELECT " + std::string(300, 'a') + " orgin " + std::string(300, 'b');
  const auto text = error_text({}, error_at(1, 309), line, 60);
  EXPECT_THAT(text, HasSubstr("a orgin bbb"));
  const auto marked = text.find("     | ");
  const auto caret = text.find('^', marked) - marked;
  const auto shown = text.find("   1 | ");
  const auto name = text.find("orgin b", shown);
  EXPECT_EQ(display_width(text.substr(shown, name - shown)), caret);
}

TEST(ErrorText, WithoutAPlaceTheNameInTheMessageIsMarked) {
  const Error error{.code = ErrorCode::kInvalidArgument,
                    .id = "MR1203",
                    .message = "Referenced column \"orgin\" not found",
                    .hint = {},
                    .place = {}};
  EXPECT_THAT(error_text({}, error, "SELECT 'orgin',\n  Orgin FROM t", 80),
              HasSubstr("   2 |   Orgin FROM t\n     |   ^\n"));
}

TEST(ErrorText, APlaceThatIsNotThereIsTold) {
  EXPECT_THAT(error_text({}, error_at(7, 3), "SELECT 1", 80), HasSubstr("at line 7, column 3"));
}

}  // namespace
}  // namespace millrace::cli
