// Streams and rows for the tests of decoders.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/decoded.h"
#include "format/json_decoder.h"
#include "format/payload_decoder.h"
#include "model/value_text.h"

namespace millrace::format {

inline StreamDefinition stream_of(const std::vector<std::pair<std::string, std::string>>& columns,
                                  std::optional<std::uint32_t> time = std::nullopt) {
  StreamDefinition stream;
  stream.name = "s";
  for (const auto& [name, type] : columns) stream.columns.push_back({name, *Type::parse(type)});
  stream.time_column = time;
  return stream;
}

/// A row per entry, its values by '|', doubles by their bits.
inline std::vector<std::string> rows_of(const ColumnBatch& columns) {
  std::vector<std::string> rows;
  for (std::size_t row = 0; row < columns.rows(); ++row) {
    std::string line;
    for (std::size_t c = 0; c < columns.column_count(); ++c) {
      if (c != 0) line += '|';
      const auto view = columns.column(c).view();
      line += value_text(view, row).value_or("NULL");
    }
    rows.push_back(line);
  }
  return rows;
}

/// "line id: reason" of each refused record.
inline std::vector<std::string> faults_of(const Decoded& decoded) {
  std::vector<std::string> out;
  for (const auto& record : decoded.rejected)
    out.push_back(fmt::format("{} {}: {}", record.line, record.id, record.reason));
  return out;
}

/// Decodes a payload, and checks that the log's text of the good records gives the same rows again.
inline Decoded decode_payload(PayloadDecoder& decoder, const PayloadType& type,
                              std::string_view body, const StreamDefinition& stream,
                              std::span<const BoundText> bound = {}) {
  const PaddedBytes bytes = PaddedBytes::copy_of(body);
  Decoded decoded = decoder.decode(type, bytes, stream, bound);
  EXPECT_EQ(decoded.values.size(), decoded.columns->rows());
  PaddedBytes lines;
  for (const auto value : decoded.values) {
    lines.append(value);
    lines.append("\n");
  }
  JsonDecoder reader;
  const auto again = reader.decode(lines, JsonFraming::kLines, stream);
  EXPECT_EQ(faults_of(again), std::vector<std::string>());
  EXPECT_EQ(rows_of(*again.columns), rows_of(*decoded.columns));
  // The views point into bytes that end here; nobody needs them any more.
  decoded.values.clear();
  return decoded;
}

inline Decoded decode_payload(std::string_view content_type, std::string_view body,
                              const StreamDefinition& stream,
                              std::span<const BoundText> bound = {}) {
  PayloadDecoder decoder;
  const auto type = payload_type_of(content_type);
  EXPECT_TRUE(type) << (type ? "" : type.error().text());
  return decode_payload(decoder, *type, body, stream, bound);
}

/// A column of every type that a stream can have.
inline StreamDefinition stream_of_all_types() {
  return stream_of({{"b", "BOOLEAN"},
                    {"i8", "TINYINT"},
                    {"i16", "SMALLINT"},
                    {"i32", "INTEGER"},
                    {"i64", "BIGINT"},
                    {"i128", "HUGEINT"},
                    {"u8", "UTINYINT"},
                    {"u16", "USMALLINT"},
                    {"u32", "UINTEGER"},
                    {"u64", "UBIGINT"},
                    {"f32", "FLOAT"},
                    {"f64", "DOUBLE"},
                    {"d4", "DECIMAL(4,1)"},
                    {"d18", "DECIMAL(18,3)"},
                    {"d38", "DECIMAL(38,10)"},
                    {"text", "VARCHAR"},
                    {"raw", "BLOB"},
                    {"ts", "TIMESTAMP"},
                    {"tz", "TIMESTAMP WITH TIME ZONE"},
                    {"day", "DATE"},
                    {"at", "TIME"},
                    {"id", "UUID"},
                    {"doc", "JSON"}});
}

/// A row of random values, some NULL, in the columns of stream_of_all_types().
inline void push_random_row(std::mt19937_64& random, ColumnBatch& batch) {
  constexpr std::int64_t kMicrosMax = 4'000'000'000'000'000;
  for (std::size_t i = 0; i < batch.column_count(); ++i) {
    ColumnVector& column = batch.column(i);
    if (random() % 5 == 0) {
      column.push_null();
      continue;
    }
    const std::uint64_t bits = random() >> (random() % 64);
    const auto text = [&] {
      static constexpr std::string_view kPieces[] = {"a", "\"", "\\", "\n", "\r",  ",", ";",   " ",
                                                     "é", "𝄞",  "{",  "\t", "x y", "0", "\x01"};
      std::string out;
      for (std::uint64_t n = random() % 12; n != 0; --n) out += kPieces[random() % 15];
      return out;
    };
    switch (column.type().kind) {
      case TypeKind::kBoolean:
        column.push(static_cast<std::uint8_t>(bits & 1));
        break;
      case TypeKind::kTinyInt:
      case TypeKind::kUTinyInt:
        column.push(static_cast<std::uint8_t>(bits));
        break;
      case TypeKind::kSmallInt:
      case TypeKind::kUSmallInt:
        column.push(static_cast<std::uint16_t>(bits));
        break;
      case TypeKind::kInteger:
      case TypeKind::kUInteger:
        column.push(static_cast<std::uint32_t>(bits));
        break;
      case TypeKind::kBigInt:
      case TypeKind::kUBigInt:
        column.push(bits);
        break;
      case TypeKind::kHugeInt:
        column.push((Int128{static_cast<std::int64_t>(random())} << 64 | random()) >>
                    (random() % 127));
        break;
      case TypeKind::kFloat: {
        auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (value != value) value = std::numeric_limits<float>::quiet_NaN();
        column.push(value);
        break;
      }
      case TypeKind::kDouble: {
        auto value = std::bit_cast<double>(random());
        if (value != value) value = std::numeric_limits<double>::infinity();
        column.push(value);
        break;
      }
      case TypeKind::kDecimal: {
        const auto value = static_cast<std::int64_t>(random() % 19'999) - 9'999;
        if (column.type().width <= 4) {
          column.push(static_cast<std::int16_t>(value));
        } else if (column.type().width <= 18) {
          column.push(value * 1'000'003);
        } else {
          column.push(Int128{value} * 1'000'000'007 * 1'000'000'009);
        }
        break;
      }
      case TypeKind::kVarchar:
        column.push_string(text(), batch.arena());
        break;
      case TypeKind::kBlob:
        column.push_string(std::string(random() % 20, static_cast<char>(random())), batch.arena());
        break;
      case TypeKind::kTimestamp:
      case TypeKind::kTimestampTz: {
        auto value = static_cast<std::int64_t>(random() % (2 * kMicrosMax)) - kMicrosMax;
        if (random() % 2 == 0) value = value / 1000 * 1000;
        column.push(value);
        break;
      }
      case TypeKind::kDate:
        column.push(static_cast<std::int32_t>(random() % 80'000) - 30'000);
        break;
      case TypeKind::kTime:
        column.push(static_cast<std::int64_t>(random() % (kMicrosPerDay + 1)));
        break;
      case TypeKind::kUuid:
        column.push(static_cast<Int128>(UInt128{random()} << 64 | random()));
        break;
      default: {  // JSON
        std::string json = "{\"a\":[1,2.5,null],\"b\":";
        append_json_string(json, text());
        column.push_string(json + "}", batch.arena());
        break;
      }
    }
  }
}

}  // namespace millrace::format
