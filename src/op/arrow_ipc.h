// Arrow's streaming format, "encapsulated messages": a schema, then dictionaries and record
// batches, then a mark of the end. Reading takes any bytes: each message is verified before it is
// looked at, each buffer lies inside of its message's body. Views point into the bytes that were
// given. Refused: compressed bodies, big endian, deltas of dictionaries, columns that are none of
// ours (arrow_type.h). Thread: any, values only. Errors: kInvalidArgument (kArrow),
// kResourceExhausted.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "op/arrow_array.h"

namespace millrace::op {

/// Visits the record batches of a stream; the views live until visit returns.
Status read_arrow_stream(std::string_view bytes, const ArrayBatchVisitor& visit);

/// Appends the parts of a stream: the schema, then batches of these fields, then the end.
void append_arrow_schema(std::span<const ArrowField> fields, std::string& out);
void append_arrow_batch(const OwnedBatch& batch, std::string& out);
void append_arrow_end(std::string& out);
/// Appends a whole stream of one batch: schema, batch, end.
void append_arrow_stream(const OwnedBatch& batch, std::string& out);

}  // namespace millrace::op
