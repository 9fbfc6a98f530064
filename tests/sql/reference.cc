#include "tests/sql/reference.h"

#include <fstream>

#include "sql/statement.h"

namespace millrace::sql_cases {

namespace {

/// (seq, partition, offset) of each row, as the node has them.
Result<std::string> places_of(const StreamInput& input, LocalSession& node) {
  MR_TRY(const auto rows, node.node().statements().run(fmt::format(
                              "SELECT seq, _partition, _offset FROM {}", input.definition.name)));
  std::string values;
  for (const auto& batch : rows.batches) {
    const auto views = batch->views();
    for (std::size_t row = 0; row < batch->rows(); ++row) {
      values +=
          fmt::format("{}({},{},{})", values.empty() ? "" : ",", views[0].as<std::int64_t>()[row],
                      views[1].as<std::int32_t>()[row], views[2].as<std::int64_t>()[row]);
    }
  }
  return values;
}

}  // namespace

Result<std::unique_ptr<Reference>> Reference::load(const std::filesystem::path& folder,
                                                   const CaseFile& file,
                                                   const std::vector<StreamInput>& inputs,
                                                   LocalSession& node) {
  MR_TRY(auto database, sql::Database::open({.threads = 1, .folders = {folder}}));
  MR_TRY(auto connection, database->connect());
  std::unique_ptr<Reference> reference(new Reference(std::move(database), std::move(connection)));
  for (const auto& input : inputs) MR_RETURN_IF_ERROR(reference->load_stream(folder, input, node));
  for (const auto& derived : file.derived) {
    MR_TRY(const auto statement, sql::parse_statement(derived.sql));
    const auto& stream = std::get<sql::CreateStream>(statement);
    auto made = reference->connection_->execute(fmt::format(
        "CREATE TABLE {} AS {}", quote_identifier(stream.definition.name), stream.select));
    if (!made)
      return std::unexpected(std::move(made).error().within("{}:{}", file.path, derived.line));
  }
  for (const auto* statements : {&file.tables, &file.changes}) {
    for (const auto& statement : *statements) {
      auto made = reference->connection_->execute(statement.sql);
      if (!made)
        return std::unexpected(std::move(made).error().within("{}:{}", file.path, statement.line));
    }
  }
  return reference;
}

Status Reference::load_stream(const std::filesystem::path& folder, const StreamInput& input,
                              LocalSession& node) {
  const auto& stream = input.definition;
  const auto path = folder / (stream.name + ".jsonl");
  std::ofstream out(path);
  for (const auto& line : input.lines) out << line << '\n';
  out.close();
  std::string fields;
  std::string items;
  for (const auto& column : stream.columns) {
    const bool as_is =
        column.type.kind == TypeKind::kJson || column.type.kind == TypeKind::kVarchar;
    fields += fmt::format("{}{}: '{}'", fields.empty() ? "" : ", ", quote_identifier(column.name),
                          as_is ? column.type.sql() : "VARCHAR");
    items +=
        fmt::format("CAST({0} AS {1}) AS {0}, ", quote_identifier(column.name), column.type.sql());
  }
  const auto name = quote_identifier(stream.name);
  // A reader of no lines would have to guess the columns.
  std::string rows = fmt::format(
      "SELECT {}CAST(0 AS INTEGER) AS _partition, row_number() OVER () - 1 AS _offset FROM "
      "read_json({}, format = 'newline_delimited', columns = {{{}}})",
      items, quote_literal(path.string()), fields);
  if (input.lines.empty()) {
    rows = "SELECT ";
    for (const auto& column : stream.columns)
      rows +=
          fmt::format("CAST(NULL AS {}) AS {}, ", column.type.sql(), quote_identifier(column.name));
    rows += "CAST(0 AS INTEGER) AS _partition, CAST(0 AS BIGINT) AS _offset WHERE FALSE";
  }
  MR_RETURN_IF_ERROR(connection_->execute(fmt::format("CREATE TABLE {} AS {}", name, rows)));
  if (stream.partitions == 1 || input.lines.empty()) return {};
  const auto seq = stream.find_column("seq");
  if (!seq || stream.columns[*seq].type.kind != TypeKind::kBigInt)
    return connection_->execute(fmt::format(
        "ALTER TABLE {0} DROP COLUMN _partition; ALTER TABLE {0} DROP COLUMN _offset", name));
  MR_TRY(const auto places, places_of(input, node));
  return connection_->execute(
      fmt::format("UPDATE {} AS t SET _partition = p.p, _offset = p.o FROM (VALUES {}) AS p(s, p, "
                  "o) WHERE t.seq = p.s",
                  name, places));
}

const Result<Answer>& Reference::answer(const std::string& select) {
  const auto found = answers_.find(select);
  if (found != answers_.end()) return found->second;
  return answers_.emplace(select, compute(select)).first->second;
}

Result<Answer> Reference::compute(const std::string& select) {
  Answer answer;
  // The types as DuckDB names them, also those that come as VARCHAR.
  auto described = connection_->query("DESCRIBE " + select, [&](const BatchView& chunk) -> Status {
    for (std::size_t row = 0; row < chunk.rows; ++row) {
      answer.names.push_back(value_text(chunk.columns[0], row).value_or(""));
      answer.types.push_back(value_text(chunk.columns[1], row).value_or(""));
    }
    return {};
  });
  if (!described) return std::unexpected(std::move(described).error());
  auto rows = connection_->query(select, [&](const BatchView& chunk) -> Status {
    answer.append(chunk);
    return {};
  });
  if (!rows) return std::unexpected(std::move(rows).error());
  return answer;
}

}  // namespace millrace::sql_cases
