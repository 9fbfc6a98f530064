// The SQL test files of tests/sql: what a file says, as values. tests/sql/README.md describes the
// form. Pure: no node, no DuckDB. Errors: kInvalidArgument with the line of the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::sql_cases {

/// `rows NAME` and `generate NAME rows N seed S`.
struct Input {
  int line = 0;
  std::string stream;
  std::vector<std::string> lines;  // of `rows`: one JSON object each
  std::size_t generated = 0;       // of `generate`
  std::uint64_t seed = 0;
};

/// What is there before the rows. A stream is made in the node only; of a derived one DuckDB gets
/// the SELECT as a table; a table is made in both.
struct Statement {
  int line = 0;
  std::string sql;
};

/// `approx COLUMN within P %`.
struct Bound {
  std::string column;
  double relative = 0;
};

struct ViewCase {
  int line = 0;
  std::string select;
  /// The SELECT that DuckDB answers; empty where it is the view's own.
  std::string reference;
  /// Rows that are written in the file, values as SQL shows them, NULL for none; then DuckDB is not
  /// asked.
  std::optional<std::vector<std::vector<std::string>>> rows;
  /// With `rows`: the types behind `----`, or none.
  std::vector<std::string> types;
  /// Allowed difference of floating values: relative, and absolute below 1. 0: the same bits.
  double tolerance = 0;
  std::vector<Bound> bounds;
  /// Rows that no group has, since an expression failed on them.
  std::uint64_t skipped_rows = 0;
};

struct RefusedCase {
  int line = 0;
  /// A SELECT for CREATE MATERIALIZED VIEW, or another statement as it is.
  std::string sql;
  std::string id;
  /// "2:8" in `sql`, or "-" where the error has no place.
  std::string place;
  std::string words;
};

struct CaseFile {
  std::string path;
  std::vector<Statement> streams;
  std::vector<Statement> derived;
  std::vector<Statement> tables;
  /// Changes of tables, in the middle of the rows where the way has a middle.
  std::vector<Statement> changes;
  std::vector<Input> inputs;
  std::vector<ViewCase> views;
  std::vector<RefusedCase> refused;
};

Result<CaseFile> parse_case_file(std::string_view path, std::string_view text);

}  // namespace millrace::sql_cases
