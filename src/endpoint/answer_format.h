// The rows of an answer in the format that the client asks for: JSON with columns and coverage in
// one document, or JSON Lines, CSV, an Arrow IPC stream with what the answer covers in headers.
// Thread: any. Errors: kInvalidArgument (kBadRequest) for a ?format= that is none.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "endpoint/http_message.h"
#include "model/stream.h"

namespace millrace::endpoint {

enum class AnswerFormat : std::uint8_t { kJson, kJsonLines, kCsv, kArrow };

/// ?format=json|jsonl|csv|arrow, or else what Accept likes best; JSON where it names none of them.
[[nodiscard]] Result<AnswerFormat> answer_format_of(const HttpRequest& request);

/// The answer in one of the formats that are rows alone. `coverage` is JSON, as it stands in a JSON
/// answer; empty where there is none.
[[nodiscard]] HttpResponse answer_rows(AnswerFormat format, std::span<const Column> columns,
                                       std::span<const std::shared_ptr<const ColumnBatch>> batches,
                                       std::string_view coverage, bool truncated);

}  // namespace millrace::endpoint
