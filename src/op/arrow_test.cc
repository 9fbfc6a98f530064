// Columns leave as Arrow arrays and come back the same bits, by both transports; arrays of another
// writer are read; any damage is refused. The files in tests/protocol/arrow_stream_fuzz were
// written by pyarrow 26.
#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <iterator>

#include "model/nested_value.h"
#include "op/arrow_c.h"
#include "op/arrow_ipc.h"
#include "view/random_batch.h"

namespace millrace::op {
namespace {

using view::below;
using view::Random;

/// One column of each type; texts are UTF-8.
struct Rows {
  std::vector<Column> columns;
  ColumnBatch batch;
};

Rows random_rows(Random& random, std::size_t rows) {
  Rows out;
  std::vector<Type> types;
  for (const Type& type : view::all_types()) {
    if (type.kind > TypeKind::kJson) continue;  // no column of a stream has such a type
    types.push_back(type);
    out.columns.push_back({"c" + std::to_string(types.size()), type});
  }
  out.batch = ColumnBatch(types);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < types.size(); ++c) {
      ColumnVector& column = out.batch.column(c);
      if (types[c].is_string() && types[c].kind != TypeKind::kBlob && below(random, 4) != 0) {
        column.push_string(std::string(below(random, 20), 'x') +
                               "gr\xc3\xbc\xc3\x9f"
                               "e",
                           out.batch.arena());
      } else if (types[c].is_string() && types[c].kind != TypeKind::kBlob) {
        column.push_null();
      } else {
        view::push_random(random, column, out.batch.arena());
      }
    }
  }
  return out;
}

std::string bytes_of(const ColumnView& column, std::size_t row) {
  if (!column.valid(row)) return "NULL";
  if (column.type.is_string()) return "'" + std::string(column.as<StringRef>()[row].view());
  const std::size_t width = size_bytes(column.type.physical());
  return "=" + std::string(static_cast<const char*>(column.data) + row * width, width);
}

void expect_rows(const Rows& rows, std::size_t begin, std::size_t end, const ColumnBatch& got) {
  ASSERT_EQ(got.rows(), end - begin);
  const auto expected = rows.batch.views();
  const auto actual = got.views();
  for (std::size_t c = 0; c < expected.size(); ++c) {
    for (std::size_t row = begin; row < end; ++row) {
      ASSERT_EQ(bytes_of(expected[c], row), bytes_of(actual[c], row - begin))
          << rows.columns[c].type.sql() << " row " << row;
    }
  }
}

Result<std::shared_ptr<ColumnBatch>> read_stream(std::string_view bytes,
                                                 std::span<const Column> columns) {
  std::vector<Type> types;
  for (const auto& column : columns) types.push_back(column.type);
  auto out = std::make_shared<ColumnBatch>(types);
  auto status = read_arrow_stream(bytes, [&](const ArrayBatchView& batch) -> Status {
    MR_TRY(const auto part, read_columns(batch, columns));
    out->append_all({part->views(), part->rows()});
    return {};
  });
  if (!status) return std::unexpected(std::move(status).error());
  return out;
}

std::string file(const std::string& name) {
  std::ifstream in(std::string(MR_SOURCE_FOLDER "/tests/protocol/arrow_stream_fuzz/") + name,
                   std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string text(const ColumnBatch& batch) {
  std::string out;
  const auto views = batch.views();
  for (std::size_t row = 0; row < batch.rows(); ++row) {
    for (const auto& column : views) out += value_text(column, row).value_or("NULL") + "|";
    out += "\n";
  }
  return out;
}

Column column(std::string name, std::string_view type) {
  return {std::move(name), *Type::parse(type)};
}

std::vector<Column> columns_of_types_file() {
  return {column("flag", "BOOLEAN"),
          column("tiny", "TINYINT"),
          column("big", "BIGINT"),
          column("unsigned", "UBIGINT"),
          column("single", "FLOAT"),
          column("double", "DOUBLE"),
          column("price", "DECIMAL(18,2)"),
          column("text", "VARCHAR"),
          column("large", "VARCHAR"),
          column("bytes", "BLOB"),
          column("at", "TIMESTAMP"),
          column("instant", "TIMESTAMPTZ"),
          column("day", "DATE"),
          column("id", "UUID"),
          column("place", "VARCHAR")};
}

constexpr std::string_view kFirstRow =
    "true|-128|-9223372036854775808|0|1.5|-0.0|-12.34||a|\\x00\\xFF|2001-01-01 00:00:00|"
    "2001-01-01 00:00:00+00|2001-01-01|00010203-0405-0607-0809-0a0b0c0d0e0f|JFK|\n";
constexpr std::string_view kNullRow =
    "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|\n";
constexpr std::string_view kLastRow =
    "false|127|9223372036854775807|18446744073709551615|nan|inf|99999999999999.99|"
    "gr\xc3\xbc\xc3\x9f"
    "e and more than twelve|b||2026-02-03 04:05:06.000007|"
    "1969-12-31 00:00:00+00|1969-12-31|ffffffff-ffff-ffff-ffff-ffffffffffff|JFK|\n";

TEST(ArrowStream, GivesBackTheSameBits) {
  Random random(1);
  for (int round = 0; round < 40; ++round) {
    const std::size_t size = below(random, 70);
    const Rows rows = random_rows(random, size);
    const std::size_t begin = below(random, size + 1);
    const std::size_t end = begin + below(random, size - begin + 1);
    const auto views = rows.batch.views();
    const auto arrays = make_arrays(rows.columns, {views, size}, begin, end);
    ASSERT_TRUE(arrays) << arrays.error().text();
    std::string bytes;
    append_arrow_stream(*arrays, bytes);
    EXPECT_EQ(bytes.size() % 8, 0U);
    const auto got = read_stream(bytes, rows.columns);
    ASSERT_TRUE(got) << got.error().text();
    expect_rows(rows, begin, end, **got);
  }
}

TEST(ArrowStream, ReadsWhatAnotherWriterWrote) {
  const auto got = read_stream(file("types"), columns_of_types_file());
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(text(**got), std::string(kFirstRow) + std::string(kNullRow) + std::string(kLastRow));
  const auto sliced = read_stream(file("sliced"), columns_of_types_file());
  ASSERT_TRUE(sliced) << sliced.error().text();
  EXPECT_EQ(text(**sliced), std::string(kNullRow) + std::string(kLastRow) + std::string(kLastRow));
  const auto old = read_stream(file("old_metadata"), std::array{column("big", "BIGINT")});
  ASSERT_TRUE(old) << old.error().text();
  EXPECT_EQ((*old)->rows(), 3U);
}

TEST(ArrowStream, ADictionaryMayBeReplacedBetweenBatches) {
  const auto got = read_stream(file("replaced_dictionary"), std::array{column("place", "VARCHAR")});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(text(**got), "JFK|\nLAX|\nSFO|\nJFK|\nSFO|\n");
}

TEST(ArrowStream, SaysWhatItDoesNotTake) {
  const auto reason = [](const char* name, const char* type, const char* of = "big") {
    const auto got = read_stream(file(name), std::array{column(of, type)});
    return got ? "" : got.error().text();
  };
  EXPECT_NE(reason("compressed", "BIGINT").find("without compression"), std::string::npos);
  EXPECT_NE(reason("nested", "BIGINT").find("column l is List"), std::string::npos);
  EXPECT_NE(reason("delta_dictionary", "VARCHAR", "place").find("delta"), std::string::npos);
  EXPECT_NE(reason("types", "VARCHAR").find("the batch has int64, the stream VARCHAR; send utf8"),
            std::string::npos);
  EXPECT_NE(reason("types", "INTEGER").find("-9223372036854775808 in row 1 does not fit INTEGER"),
            std::string::npos);
  EXPECT_NE(reason("replaced_dictionary", "BIGINT").find("no column big; it has: place"),
            std::string::npos);
}

TEST(ArrowStream, AnyPrefixAndAnyFlippedBitIsRefusedOrRead) {
  for (const char* name : {"types", "replaced_dictionary"}) {
    const std::string whole = file(name);
    const auto columns = std::string_view(name) == "types"
                             ? columns_of_types_file()
                             : std::vector{column("place", "VARCHAR")};
    std::size_t refused = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // A copy of its own, so that a sanitizer sees what is read behind the end.
      const std::vector<char> part(whole.begin(), whole.begin() + static_cast<long>(size));
      refused += read_stream({part.data(), part.size()}, columns) ? 0 : 1;
    }
    EXPECT_GT(refused, whole.size() / 2);
    std::string damaged = whole;
    for (std::size_t i = 0; i < whole.size() * 8; ++i) {
      damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
      (void)read_stream(damaged, columns);
      damaged[i / 8] = whole[i / 8];
    }
  }
}

TEST(ArrowC, GivesBackTheSameBitsOfAnySlice) {
  Random random(2);
  for (int round = 0; round < 40; ++round) {
    const std::size_t size = 1 + below(random, 70);
    const Rows rows = random_rows(random, size);
    const auto views = rows.batch.views();
    auto arrays = make_arrays(rows.columns, {views, size}, 0, size);
    ASSERT_TRUE(arrays) << arrays.error().text();
    ArrowSchema schema;
    ArrowArray array;
    export_batch(*std::move(arrays), schema, array);
    const ArrowGuard guard(&schema, &array);
    // Some rows are cut off by the batch, some by each column.
    const std::size_t of_columns = below(random, size);
    const std::size_t of_batch = below(random, size - of_columns);
    const std::size_t end = of_columns + of_batch + below(random, size - of_columns - of_batch + 1);
    for (std::int64_t c = 0; c < array.n_children; ++c) {
      array.children[c]->offset = static_cast<std::int64_t>(of_columns);
      array.children[c]->length = static_cast<std::int64_t>(size - of_columns);
      array.children[c]->null_count = -1;
    }
    array.offset = static_cast<std::int64_t>(of_batch);
    array.length = static_cast<std::int64_t>(end - of_columns - of_batch);
    const auto imported = ImportedBatch::read(&schema, &array);
    ASSERT_TRUE(imported) << imported.error().text();
    const auto got = read_columns(imported->view(), rows.columns);
    ASSERT_TRUE(got) << got.error().text();
    expect_rows(rows, of_columns + of_batch, end, **got);
  }
}

TEST(ArrowC, AChildLivesOnWhenItIsMovedOut) {
  const std::vector<Column> columns = {column("n", "BIGINT"), column("t", "VARCHAR")};
  ColumnBatch batch(std::array{columns[0].type, columns[1].type});
  batch.column(0).push(std::int64_t{7});
  batch.column(1).push_string("a text that is longer than twelve", batch.arena());
  const auto views = batch.views();
  ArrowSchema schema;
  ArrowArray array;
  export_batch(*make_arrays(columns, {views, 1}, 0, 1), schema, array);
  ArrowArray moved = *array.children[1];
  array.children[1]->release = nullptr;
  array.release(&array);
  schema.release(&schema);
  EXPECT_EQ(array.release, nullptr);
  const auto* offsets = static_cast<const std::int32_t*>(moved.buffers[1]);
  EXPECT_EQ(std::string_view(static_cast<const char*>(moved.buffers[2]),
                             static_cast<std::size_t>(offsets[1])),
            "a text that is longer than twelve");
  moved.release(&moved);
}

/// A column that the test fills by hand.
struct HandMade {
  ArrowField field;
  ArrayView array;
  Result<std::string> read(std::string_view type) const {
    const std::vector<Column> columns = {column(field.name, type)};
    MR_TRY(const auto got,
           read_columns({std::span(&field, 1), std::span(&array, 1), array.length}, columns));
    return text(*got);
  }
};

template <class T>
std::string_view raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(ArrowArray, NestedValuesBecomeNestedArrays) {
  const std::vector<Column> columns = {column("l", "INTEGER[]"),
                                       column("m", "MAP(VARCHAR, STRUCT(a BOOLEAN, b DOUBLE[]))")};
  ColumnBatch batch(std::array{columns[0].type, columns[1].type});
  std::string list;
  append_count(list, 2);
  const std::int32_t seven = 7;
  append_element(list, {{TypeKind::kInteger}, &seven, nullptr}, 0);
  append_null_element(list);
  batch.column(0).push_string(list, batch.arena());
  batch.column(0).push_null();
  // {key of more than twelve bytes: {a: true, b: [0.5]}}
  const StringRef key("key of more than twelve bytes");
  const bool yes = true;
  const double half = 0.5;
  std::string map;
  append_count(map, 1);
  append_element(map, {{TypeKind::kVarchar}, &key, nullptr}, 0);
  map.push_back(1);
  append_element(map, {{TypeKind::kBoolean}, &yes, nullptr}, 0);
  map.push_back(1);
  append_count(map, 1);
  append_element(map, {{TypeKind::kDouble}, &half, nullptr}, 0);
  batch.column(1).push_null();
  batch.column(1).push_string(map, batch.arena());
  const auto views = batch.views();
  const auto arrays = make_arrays(columns, {views, 2}, 0, 2);
  ASSERT_TRUE(arrays) << arrays.error().text();
  ArrowSchema schema;
  ArrowArray array;
  export_batch(*arrays, schema, array);
  const ArrowGuard guard(&schema, &array);
  EXPECT_STREQ(schema.children[0]->format, "+l");
  EXPECT_STREQ(schema.children[1]->format, "+m");
  EXPECT_EQ(schema.children[1]->children[0]->flags, 0);
  const ArrowArray& items = *array.children[0]->children[0];
  EXPECT_EQ(items.length, 2);
  EXPECT_EQ(items.null_count, 1);
  EXPECT_EQ(static_cast<const std::int32_t*>(items.buffers[1])[0], 7);
  const auto* ends = static_cast<const std::int32_t*>(array.children[1]->buffers[1]);
  EXPECT_EQ(ends[1], 0);
  EXPECT_EQ(ends[2], 1);
  const ArrowArray& value = *array.children[1]->children[0]->children[1];
  const ArrowArray& numbers = *value.children[1]->children[0];
  EXPECT_EQ(static_cast<const double*>(numbers.buffers[1])[0], 0.5);
}

TEST(ArrowArray, IntegersOfAnyWidthAreTakenWhereTheyFit) {
  const std::vector<std::int32_t> values = {-1, 200};
  const HandMade made{{"n", parse_arrow_format("i")},
                      {.length = 2, .buffers = {"", raw(values), ""}}};
  EXPECT_EQ(*made.read("BIGINT"), "-1|\n200|\n");
  EXPECT_EQ(*made.read("SMALLINT"), "-1|\n200|\n");
  EXPECT_EQ(*made.read("HUGEINT"), "-1|\n200|\n");
  EXPECT_EQ(made.read("TINYINT").error().id, error_id::kOutOfRange);
  EXPECT_EQ(made.read("UBIGINT").error().id, error_id::kOutOfRange);
  EXPECT_EQ(made.read("DOUBLE").error().id, error_id::kArrow);
}

TEST(ArrowArray, IndicesMustBeInTheDictionary) {
  const std::vector<std::int32_t> offsets = {0, 3, 30};
  const std::string bytes = "JFKanother one, longer than 12";
  const ArrayView dictionary{.length = 2, .buffers = {"\x02", raw(offsets), bytes}};
  std::vector<std::int8_t> indices = {1, 0, 1};
  const HandMade made{{"p", parse_arrow_format("u"), parse_arrow_format("c")},
                      {.length = 3, .buffers = {"", raw(indices), ""}, .dictionary = &dictionary}};
  EXPECT_EQ(*made.read("VARCHAR"),
            "another one, longer than 12|\nNULL|\nanother one, longer than 12|\n");
  indices[1] = -1;
  EXPECT_EQ(made.read("VARCHAR").error().id, error_id::kArrow);
  indices[1] = 2;
  EXPECT_EQ(made.read("VARCHAR").error().id, error_id::kArrow);
}

TEST(ArrowArray, LengthsAndOffsetsAreHeldAgainstTheBuffers) {
  const std::vector<std::int32_t> offsets = {0, 3, 2};
  const auto strings = [&](std::size_t length, std::string_view bytes) {
    return HandMade{{"t", parse_arrow_format("u")},
                    {.length = length, .buffers = {"", raw(offsets), bytes}}};
  };
  EXPECT_EQ(*strings(1, "abc").read("VARCHAR"), "abc|\n");
  EXPECT_FALSE(strings(1, "ab").read("VARCHAR"));
  EXPECT_FALSE(strings(2, "abc").read("VARCHAR"));  // the second begins behind its end
  EXPECT_FALSE(strings(3, "abc").read("VARCHAR"));
  EXPECT_FALSE(strings(std::size_t{1} << 62, "abc").read("VARCHAR"));
  EXPECT_EQ(strings(1, "ab\xff").read("VARCHAR").error().id, error_id::kBadUtf8);
  const std::vector<std::int64_t> values = {5, 6};
  HandMade numbers{{"n", parse_arrow_format("l")}, {.length = 2, .buffers = {"", raw(values), ""}}};
  EXPECT_TRUE(numbers.read("BIGINT"));
  numbers.array.length = 3;
  EXPECT_FALSE(numbers.read("BIGINT"));
  numbers.array = {.length = 1, .offset = ~std::size_t{0}, .buffers = {"", raw(values), ""}};
  EXPECT_FALSE(numbers.read("BIGINT"));
}

TEST(ArrowArray, DecimalsThatDoNotFitAreRefused) {
  const std::vector<Int128> values = {9999, -10000};
  HandMade made{{"d", parse_arrow_format("d:6,2")},
                {.length = 1, .buffers = {"", raw(values), ""}}};
  EXPECT_EQ(*made.read("DECIMAL(4,2)"), "99.99|\n");
  EXPECT_EQ(made.read("DECIMAL(4,1)").error().id, error_id::kArrow);
  made.array.length = 2;
  EXPECT_EQ(made.read("DECIMAL(4,2)").error().id, error_id::kOutOfRange);
}

}  // namespace
}  // namespace millrace::op
