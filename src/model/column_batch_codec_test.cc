// Batches through bytes and back: the same values, and no bytes that break the reader.
#include "model/column_batch_codec.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace millrace {
namespace {

std::vector<Type> every_type() {
  std::vector<Type> types;
  for (std::uint8_t kind = 0; kind <= static_cast<std::uint8_t>(TypeKind::kTime); ++kind) {
    if (static_cast<TypeKind>(kind) != TypeKind::kDecimal)
      types.push_back({static_cast<TypeKind>(kind)});
  }
  for (const std::uint8_t width : std::initializer_list<std::uint8_t>{4, 9, 18, 38})
    types.push_back({TypeKind::kDecimal, width, 2});
  return types;
}

ColumnBatch made(std::size_t rows, unsigned seed) {
  std::mt19937_64 random(seed);
  ColumnBatch batch(every_type());
  for (std::size_t c = 0; c < batch.column_count(); ++c) {
    ColumnVector& column = batch.column(c);
    const bool nulls = random() % 2 == 0;
    for (std::size_t row = 0; row < rows; ++row) {
      if (nulls && random() % 3 == 0) {
        column.push_null();
      } else if (column.type().is_string()) {
        column.push_string(std::string(random() % 40, static_cast<char>('a' + random() % 26)),
                           batch.arena());
      } else if (column.type().kind == TypeKind::kBoolean) {
        column.push<bool>(random() % 2 == 0);
      } else {
        switch (size_bytes(column.type().physical())) {
          case 1:
            column.push<std::uint8_t>(static_cast<std::uint8_t>(random()));
            break;
          case 2:
            column.push<std::uint16_t>(static_cast<std::uint16_t>(random()));
            break;
          case 4:
            column.push<std::uint32_t>(static_cast<std::uint32_t>(random() % 1000));
            break;
          case 8:
            column.push<std::uint64_t>(random() % 1'000'000);
            break;
          default:
            column.push<Int128>(static_cast<Int128>(random()) << 50);
            break;
        }
      }
    }
  }
  return batch;
}

std::string encoded(const ColumnBatch& batch) {
  const auto views = batch.views();
  std::string out;
  encode_column_batch({views, batch.rows()}, out);
  return out;
}

TEST(ColumnBatchCodec, GivesEveryTypeBack) {
  for (const std::size_t rows : {0, 1, 63, 64, 65, 2048, 5000}) {
    const ColumnBatch batch = made(rows, static_cast<unsigned>(rows) + 1);
    const auto back = decode_column_batch(encoded(batch));
    ASSERT_TRUE(back) << back.error().text();
    ASSERT_EQ(back->rows(), rows);
    const auto views = batch.views();
    const auto back_views = back->views();
    for (std::size_t c = 0; c < views.size(); ++c) {
      EXPECT_EQ(back_views[c].type, views[c].type);
      for (std::size_t row = 0; row < rows; ++row) {
        ASSERT_EQ(value_text(back_views[c], row), value_text(views[c], row))
            << "column " << c << " row " << row;
      }
    }
  }
}

TEST(ColumnBatchCodec, ReadsSeveralBatchesOneBehindTheOther) {
  std::string bytes = encoded(made(10, 1));
  const ColumnBatch second = made(20, 2);
  const auto views = second.views();
  encode_column_batch({views, second.rows()}, bytes);
  std::vector<Int128> aligned(bytes.size() / sizeof(Int128));
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  const std::string_view all(reinterpret_cast<const char*>(aligned.data()), bytes.size());
  const auto one = EncodedBatch::read(all);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->rows(), 10u);
  const auto two = EncodedBatch::read(all.substr(one->size_bytes()));
  ASSERT_TRUE(two);
  EXPECT_EQ(two->rows(), 20u);
  EXPECT_EQ(one->size_bytes() + two->size_bytes(), bytes.size());
  EXPECT_FALSE(decode_column_batch(bytes));
}

TEST(ColumnBatchCodec, RefusesBytesThatAreCutOrChanged) {
  const std::string bytes = encoded(made(70, 3));
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    EXPECT_FALSE(decode_column_batch(std::string_view(bytes).substr(0, size))) << size;
  }
  std::mt19937_64 random(4);
  for (int i = 0; i < 5000; ++i) {
    std::string changed = bytes;
    const std::size_t at = i % 2 == 0 ? random() % 400 : random() % changed.size();
    changed[at] = static_cast<char>(random());
    const auto batch = decode_column_batch(changed);
    if (batch) (void)encoded(*batch);  // whatever came out can be read
  }
}

}  // namespace
}  // namespace millrace
