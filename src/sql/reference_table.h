// A reference table as a statement of ours sees it: rows in memory under a name. Made a temporary
// table of one connection, so that the name is nobody else's and goes with it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"
#include "sql/database.h"

namespace millrace::sql {

struct ReferenceTable {
  std::string name;
  std::vector<Column> columns;
  std::shared_ptr<const ColumnBatch> rows;
};

/// Copies the rows: the connection keeps them, and the caller may let its own go.
Status make_tables(Connection& connection, std::span<const ReferenceTable> tables);

}  // namespace millrace::sql
