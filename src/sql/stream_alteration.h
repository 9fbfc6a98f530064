// What ALTER STREAM makes of a stream's definition. Columns are told apart by field ids, which are
// never given twice, so that a file or a view knows a column under whatever name it has now. Pure.
// Thread: any. Errors: kInvalidArgument and kFailedPrecondition, with the way out.
#pragma once

#include "base/result.h"
#include "model/stream.h"
#include "sql/statement.h"

namespace millrace::sql {

/// The next version of the definition. SET alone keeps the version: no file looks different for it.
Result<StreamDefinition> altered(const StreamDefinition& stream, const AlterStream& statement);

/// Whether every value of `from` is one of `to`, the same value.
[[nodiscard]] bool is_widening(const Type& from, const Type& to);

/// The columns whose meaning a statement changes for those who name them; empty for ADD and SET.
[[nodiscard]] std::string_view changed_column(const AlterStream& statement);

}  // namespace millrace::sql
