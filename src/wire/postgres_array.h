// Arrays as parameters, in PostgreSQL's text and binary forms (array_in and array_recv of
// src/backend/utils/adt/arrayfuncs.c), as texts that the SQL engine casts to a LIST. Pure
// functions: any thread. Errors: kInvalidArgument (kBadValue) for bytes that are no array of one
// dimension. Invariant: a text has no more elements than the message had bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/postgres.h"
#include "wire/postgres_value.h"

namespace millrace::wire::postgres {

/// kUnknownToUs for what is no array, and for arrays that are not read.
[[nodiscard]] Oid array_element(std::uint32_t array);

/// "[1, 2, NULL]" with each element in quotes.
Result<std::string> array_parameter_text(Oid element, Format format, std::string_view bytes);

}  // namespace millrace::wire::postgres
