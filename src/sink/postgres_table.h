// A table of another PostgreSQL, read whole: reference data for joins. Values come as texts, in the
// forms that events have in JSON. Thread: one. Errors: those of postgres_link.h; kInvalidArgument
// (kForeignTable) for a column whose type we have nothing for.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sink/postgres_link.h"
#include "sink/store_url.h"

namespace millrace::sink {

/// Its columns, each of our nearest type. A numeric without digits is a DOUBLE, and what we have no
/// type for, such as an enumeration, its text.
Result<std::vector<Column>> foreign_columns(PostgresLink& link, const StoreUrl& url);

/// The values of a row, in the order of the columns; nullopt is NULL.
using ForeignRow = std::span<const std::optional<std::string_view>>;
/// All rows of these columns, which are found by their names.
Status read_foreign_rows(PostgresLink& link, const StoreUrl& url, std::span<const Column> columns,
                         const std::function<Status(ForeignRow)>& visit);

}  // namespace millrace::sink
