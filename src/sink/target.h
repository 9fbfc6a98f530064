// A store that is kept equal to a view: what it is told, whatever kind it is. The store keeps, in
// the same transaction as the rows, a token that says which rows those are; whoever opens it goes
// on from there. Rows are whole and not differences, so giving one twice changes nothing. Thread:
// one. Errors: kUnavailable (kStoreLost) where the connection is gone or the store is not as it was
// left: close() and open() again; anything else (kStoreRefused) comes again with the same rows.
// Invariant: between commits the store has what the last one said, or, where a view's changes do
// not fit one transaction, rows that each are as new as that or newer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::sink {

/// The table that a sink keeps.
struct TargetShape {
  std::vector<Column> columns;
  /// Indices of the columns that name a row, in the order of the view's key.
  std::vector<std::uint32_t> key;
  /// Of these, the first: rows that come and go together. All but the last of a view over sessions.
  std::size_t unit_parts = 0;
};

/// First the units of `gone` lose their rows, then `rows` are there. A row stands in it once.
struct TargetChanges {
  std::shared_ptr<const ColumnBatch> rows;  // the shape's columns
  /// The first `unit_parts` of the key; `gone_count` rows, of a view without a key without columns.
  std::shared_ptr<const ColumnBatch> gone;
  std::size_t gone_count = 0;
};

class Target {
 public:
  virtual ~Target() = default;
  /// Connects, makes what is missing, and gives the token of the last commit; empty where the rows
  /// that are there are not known to be this sink's.
  virtual Result<std::string> open() = 0;
  virtual void close() = 0;
  /// What follows up to the next token are all rows there are: the others go with that commit.
  virtual Status begin_backfill() = 0;
  virtual Status put(const TargetChanges& changes) = 0;
  /// What was put since the last commit is there from now on. An empty token: more belongs to it,
  /// and the token that is there stays.
  virtual Status commit(const std::string& token) = 0;
  /// Whether the store is there still, and as the last commit left it.
  virtual Status check() = 0;
};

}  // namespace millrace::sink
