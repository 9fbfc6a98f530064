#include "cli/table_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using testing::HasSubstr;

ResultTable wide(std::size_t columns, std::string cell) {
  std::vector<ResultColumn> heads;
  std::vector<std::string> cells;
  for (std::size_t i = 0; i < columns; ++i) {
    heads.push_back({fmt::format("column{}", i), "VARCHAR"});
    cells.push_back("\"" + cell + "\"");
  }
  return ResultTable::of_cells(std::move(heads), std::move(cells));
}

std::size_t widest_line(std::string_view text) {
  std::size_t out = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    out = std::max(out, display_width(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

TEST(TableLayout, ATableThatFitsIsAsItIs) {
  const auto table = ResultTable::of_cells({{"k", "VARCHAR"}, {"n", "BIGINT"}},
                                           {"\"Lima\"", "1", "\"a\"", "null"});
  EXPECT_EQ(fitted_table(table, {.width_max = 80}),
            "┌──────┬──────┐\n"
            "│ k    │    n │\n"
            "├──────┼──────┤\n"
            "│ Lima │    1 │\n"
            "│ a    │ NULL │\n"
            "└──────┴──────┘\n");
}

TEST(TableLayout, LongValuesGiveWayAndNoLineIsTooWide) {
  for (const std::size_t width : {20U, 33U, 40U, 79U, 200U}) {
    for (const std::size_t columns : {1U, 2U, 3U, 7U, 40U}) {
      const auto text = fitted_table(wide(columns, "東京 and a very long value that goes on"),
                                     {.width_max = width});
      EXPECT_LE(widest_line(text), width) << columns << "\n" << text;
    }
  }
  // The short column keeps its width.
  const auto table =
      ResultTable::of_cells({{"id", "BIGINT"}, {"text", "VARCHAR"}},
                            {"123456789", "\"a text of which not all of it can be seen here\""});
  EXPECT_THAT(fitted_table(table, {.width_max = 36}),
              HasSubstr("│ 123456789 │ a text of which not… │"));
}

TEST(TableLayout, ColumnsThatDoNotFitAreLeftOutAndTold) {
  const auto text = fitted_table(wide(40, "value"), {.width_max = 60});
  EXPECT_THAT(text, HasSubstr("│ … │"));
  EXPECT_THAT(text, HasSubstr("columns do not fit here; \\x shows all"));
}

TEST(TableLayout, NullIsNotTheTextNull) {
  const auto table =
      ResultTable::of_cells({{"k", "VARCHAR"}}, {"\"NULL\"", "null", "\"\"", "\"nil\""});
  const auto text = fitted_table(table, {.width_max = 80});
  EXPECT_THAT(text, HasSubstr("│ 'NULL' │"));
  EXPECT_THAT(text, HasSubstr("│ NULL   │"));
  EXPECT_THAT(fitted_table(table, {.width_max = 80, .null = "nil"}), HasSubstr("│ 'nil' │"));
}

TEST(TableLayout, ExpandedAndMarkdown) {
  const auto table = ResultTable::of_cells({{"city", "VARCHAR"}, {"n", "BIGINT"}},
                                           {"\"a|b\"", "1", "\"c\\nd\"", "null"});
  EXPECT_THAT(expanded_text(table, {}), HasSubstr("─[ row 1 ]"));
  EXPECT_THAT(expanded_text(table, {}), HasSubstr("city │ a|b\nn    │ 1\n"));
  EXPECT_EQ(markdown_text(table, {}),
            "| city | n |\n|---|---:|\n| a\\|b | 1 |\n| c\\\\nd | NULL |\n");
}

}  // namespace
}  // namespace millrace::cli
