// CSV (RFC 4180) into columns. The first record names the columns, or they come in the stream's
// order; a record has as many fields as that. An empty field without quotes is one that the record
// does not have. What is accepted stands in docs/reference/formats_in.md. Thread: one decoder per
// thread. Errors: a bad record is a RejectedRecord; reading goes on at the next line. Cost: linear,
// whatever the quotes are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/padded_bytes.h"
#include "format/column_rules.h"
#include "format/decoded.h"
#include "format/payload.h"
#include "format/text_field.h"

namespace millrace::format {

class CsvDecoder {
 public:
  explicit CsvDecoder(DecodeLimits limits = {}) : limits_(limits) {}

  /// Without the values: PayloadDecoder writes them.
  void decode(const PaddedBytes& body, const CsvOptions& options, const StreamDefinition& stream,
              const ColumnRules& rules, Decoded& out);

 private:
  DecodeLimits limits_;
  TextFieldReader fields_;
};

}  // namespace millrace::format
