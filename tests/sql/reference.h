// What DuckDB answers over the whole input of a test file, which it reads by its own JSON reader
// and casts. A stream's table also has _partition and _offset where they are known: one partition,
// or a BIGINT column `seq` by which the node tells the place of each row. Thread: one.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "tests/sql/answer.h"
#include "tests/sql/session.h"

namespace millrace::sql_cases {

struct StreamInput {
  StreamDefinition definition;
  std::vector<std::string> lines;
};

class Reference {
 public:
  /// `node` has all rows. The folder is used for the input's text.
  static Result<std::unique_ptr<Reference>> load(const std::filesystem::path& folder,
                                                 const CaseFile& file,
                                                 const std::vector<StreamInput>& inputs,
                                                 LocalSession& node);
  /// Computed once for each SELECT.
  const Result<Answer>& answer(const std::string& select);

 private:
  Reference(std::shared_ptr<sql::Database> database, std::unique_ptr<sql::Connection> connection)
      : database_(std::move(database)), connection_(std::move(connection)) {}
  Status load_stream(const std::filesystem::path& folder, const StreamInput& input,
                     LocalSession& node);
  Result<Answer> compute(const std::string& select);

  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<sql::Connection> connection_;
  std::map<std::string, Result<Answer>> answers_;
};

}  // namespace millrace::sql_cases
