// Columns, rows and coverage as JSON, the same for every route.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/stream.h"
#include "serving/statement_runner.h"

namespace millrace::endpoint {

/// [{"name":"city","type":"VARCHAR"},...]
void append_columns(std::string& out, std::span<const Column> columns);
/// [["Lima",1],...]
void append_rows(std::string& out, std::span<const std::shared_ptr<const ColumnBatch>> batches);
/// {"generation":1,"cut":{"0":1},"delta_end":{"0":2},"quarantined":1}; of a view over several
/// streams {"generation":1,"streams":{"a":{"cut":{"0":1},"delta_end":{"0":2}},...},"quarantined":1}
void append_coverage(std::string& out, const serving::SourceCoverage& source);

/// {"state":"building","built":0.43,"error":null,"sql":"..."}
void append_replacement(std::string& out, const serving::ReplacementProgress& replacement);

}  // namespace millrace::endpoint
