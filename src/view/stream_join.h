// A view that joins two streams, as both layers run it. Each side's rows are first reduced by
// themselves to what they are joined by: the key, and the span of time that a partner's span must
// meet. Rows with equal keys and spans that meet are candidates; which of those are pairs, and what
// they give, the view's own SQL says. Pure text. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/stream.h"

namespace millrace::view {

/// The relations of the two sides in the SQL over pairs.
inline constexpr std::array<std::string_view, 2> kJoinRelations = {"_left_rows", "_right_rows"};
/// Columns that the scan's relations have for it, see scan_relation().
inline constexpr std::string_view kBucketColumn = "_bucket";
inline constexpr std::string_view kFirstBucketColumn = "_first_bucket";

/// A side of the join, in SQL over a relation of its stream that is called `alias`.
struct JoinSide {
  StreamId stream;
  std::string alias;
  std::vector<std::string> keys;
  /// Ends of the span: BIGINT, microseconds where it is of times.
  std::string low;
  std::string high;
  /// The conditions on this side alone; all must be true.
  std::vector<std::string> filters;
  /// The stream's columns that the view reads.
  std::vector<std::string> columns;
  std::vector<Type> types;  // of `columns`, then of the hidden ones
};

struct StreamJoin {
  std::array<JoinSide, 2> sides;
  /// Over kJoinRelations with as many rows each, which are taken one by one: the plan's keys, then
  /// its arguments, of those that are pairs.
  std::string pair_sql;
  /// The same over kJoinRelations as scan_relation() makes them.
  std::string scan_sql;
  [[nodiscard]] std::size_t keys() const { return sides[0].keys.size(); }
};

/// The columns of rows_sql() in front of the side's own.
inline constexpr std::size_t kSpanColumns = 2;

/// "SELECT low, high, keys, columns, hidden columns FROM relation": the rows that may have
/// partners.
std::string rows_sql(const JoinSide& side, std::string_view relation);
/// The same without the rows on which an expression fails, instead of an error.
std::string sound_rows_sql(const JoinSide& side, std::string_view relation);
/// The sound rows of `relation`, once for each bucket of time that their span touches: a pair is
/// found in the first bucket that both touch, and in no other.
std::string scan_relation(const JoinSide& side, std::string_view relation,
                          std::int64_t bucket_width);

}  // namespace millrace::view
