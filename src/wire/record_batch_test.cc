// Record batches against bytes written by hand from the Kafka protocol guide, and against damage.
#include "wire/record_batch.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/crc32c.h"

namespace millrace::wire {
namespace {

using namespace std::string_view_literals;

std::vector<std::string> values_of(std::string_view batch) {
  std::vector<std::string> values;
  const Status status =
      for_each_record(batch, [&](std::string_view value) { values.emplace_back(value); });
  EXPECT_TRUE(status.has_value()) << status.error().text();
  return values;
}

std::string encoded(const std::vector<std::string>& values, std::int64_t arrival_us = 1'000) {
  std::string batch;
  const std::vector<std::string_view> views(values.begin(), values.end());
  encode_record_batch(views, arrival_us, batch);
  return batch;
}

/// Makes the checksum right again after a test changed bytes that it covers.
void seal(std::string& batch) {
  const std::uint32_t sum = crc32c(std::string_view(batch).substr(21));
  for (int i = 0; i < 4; ++i) batch[17 + i] = static_cast<char>(sum >> (24 - 8 * i));
}

// Kafka protocol guide, "Record Batch" and "Record".
constexpr std::string_view kByHand =
    "\x00\x00\x00\x00\x00\x00\x00\x07"  // baseOffset: int64 = 7
    "\x00\x00\x00\x41"                  // batchLength: int32 = 65, the bytes after this field
    "\x00\x00\x00\x00"                  // partitionLeaderEpoch: int32 = 0
    "\x02"                              // magic: int8 = 2
    "????"                              // crc: uint32, CRC32C of all that follows; put in below
    "\x00\x08"                          // attributes: int16, bit 3 = timestamp is LogAppendTime
    "\x00\x00\x00\x01"                  // lastOffsetDelta: int32 = 1
    "\x00\x00\x01\x8b\xcf\xe5\x68\x00"  // baseTimestamp: int64 = 1700000000000 ms
    "\x00\x00\x01\x8b\xcf\xe5\x68\x00"  // maxTimestamp: int64, the same
    "\xff\xff\xff\xff\xff\xff\xff\xff"  // producerId: int64 = -1, none
    "\xff\xff"                          // producerEpoch: int16 = -1
    "\xff\xff\xff\xff"                  // baseSequence: int32 = -1
    "\x00\x00\x00\x02"                  // records: int32 = 2
    // record 0
    "\x10"  // length: varint = 8, zig-zagged 16
    "\x00"  // attributes: int8
    "\x00"  // timestampDelta: varlong = 0
    "\x00"  // offsetDelta: varint = 0
    "\x01"  // keyLength: varint = -1, no key
    "\x04"  // valueLen: varint = 2
    "hi"    // value
    "\x00"  // headers: varint = 0
    // record 1
    "\x0c"     // length: varint = 6
    "\x00"     // attributes
    "\x00"     // timestampDelta
    "\x02"     // offsetDelta: varint = 1
    "\x01"     // keyLength: varint = -1
    "\x00"     // valueLen: varint = 0, the empty value
    "\x00"sv;  // headers

std::string by_hand() {
  std::string batch(kByHand);
  seal(batch);
  return batch;
}

TEST(RecordBatch, EncodesTheVeryBytesOfTheProtocolGuide) {
  std::string batch = encoded({"hi", ""}, 1'700'000'000'000'123);
  set_base_offset(batch, 7);
  EXPECT_EQ(batch, by_hand());
}

TEST(RecordBatch, ReadsABatchWrittenByHand) {
  const std::string batch = by_hand();
  const auto header = check_record_batch(batch);
  ASSERT_TRUE(header.has_value()) << header.error().text();
  EXPECT_EQ(header->base_offset, 7U);
  EXPECT_EQ(header->record_count, 2U);
  EXPECT_EQ(header->base_timestamp_ms, 1'700'000'000'000);
  EXPECT_EQ(header->max_timestamp_ms, 1'700'000'000'000);
  EXPECT_EQ(header->attributes, 8U);
  EXPECT_EQ(header->size_bytes, batch.size());
  EXPECT_EQ(values_of(batch), (std::vector<std::string>{"hi", ""}));
}

TEST(RecordBatch, GivesBackValuesOfEveryVarintLength) {
  std::vector<std::string> values;
  for (const std::size_t size :
       {0, 1, 57, 58, 59, 63, 64, 65, 8'185, 8'191, 8'192, 8'193, 1'100'000}) {
    values.push_back(std::string(size, static_cast<char>('a' + size % 26)));
  }
  for (int i = 0; i < 20'000; ++i) values.push_back(std::to_string(i));
  const std::string batch = encoded(values);
  ASSERT_TRUE(check_record_batch(batch).has_value());
  EXPECT_EQ(values_of(batch), values);
}

TEST(RecordBatch, IsAppendedToWhatIsThere) {
  std::string out = "before";
  const std::vector<std::string_view> values = {"x"};
  encode_record_batch(values, 0, out);
  EXPECT_EQ(out.substr(0, 6), "before");
  EXPECT_TRUE(check_record_batch(std::string_view(out).substr(6)).has_value());
}

TEST(RecordBatch, NoticesEveryFlippedBitBehindTheChecksumField) {
  const std::string good = by_hand();
  for (std::size_t bit = 16 * 8; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(check_record_batch(bad).has_value()) << "bit " << bit;
  }
}

TEST(RecordBatch, RefusesEveryOtherLength) {
  const std::string good = by_hand();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(check_record_batch(std::string_view(good).substr(0, size)).has_value());
  }
  EXPECT_FALSE(check_record_batch(good + "x").has_value());
}

TEST(RecordBatch, SaysThatCompressedBatchesAreNotRead) {
  std::string batch = by_hand();
  batch[22] = 0x0c;  // attributes: LogAppendTime, zstd
  seal(batch);
  ASSERT_TRUE(check_record_batch(batch).has_value());
  const Status status = for_each_record(batch, [](std::string_view) {});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kUnimplemented);
}

TEST(RecordBatch, RefusesLengthsThatLeaveTheRecordOrTheBatch) {
  const std::size_t record = kRecordBatchHeaderBytes;
  const std::vector<std::pair<std::size_t, char>> changes = {
      {record, 0x0e},      // a record shorter than its fields
      {record, 0x12},      // longer
      {record, 0x0f},      // negative
      {record + 3, 0x02},  // offset delta 1 in record 0
      {record + 4, 0x03},  // key length -2
      {record + 4, 0x7e},  // a key longer than the record
      {record + 5, 0x03},  // value length -2
      {record + 5, 0x06},  // a value over the record's end
      {record + 8, 0x02},  // a header that is not there
      {record + 8, 0x01},  // header count -1
  };
  for (const auto& [at, value] : changes) {
    std::string batch = by_hand();
    batch[at] = value;
    seal(batch);
    const Status status = for_each_record(batch, [](std::string_view) {});
    EXPECT_FALSE(status.has_value()) << "byte " << at << " = " << static_cast<int>(value);
  }
}

TEST(RecordBatch, RefusesVarintsThatNeverEnd) {
  std::string batch = by_hand();
  batch.resize(kRecordBatchHeaderBytes);
  batch.append(30, '\xff');
  batch[11] = static_cast<char>(batch.size() - 12);
  seal(batch);
  ASSERT_TRUE(check_record_batch(batch).has_value());
  EXPECT_FALSE(for_each_record(batch, [](std::string_view) {}).has_value());
}

}  // namespace
}  // namespace millrace::wire
