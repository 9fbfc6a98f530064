#include "sink/postgres_target.h"

#include <algorithm>

#include "sink/postgres_array.h"

namespace millrace::sink {

namespace {

constexpr std::string_view kMark = "Kept by Millrace";
/// Guards the making of what all sinks share; any number that nobody else is likely to take.
constexpr std::string_view kMakingLock = "7021943318845";
/// A backfill's last step writes every row that is another.
constexpr std::chrono::minutes kReplacePatience{60};

PostgresLink::Parameter text(std::string value) {
  return {.oid = 25, .bytes = std::move(value), .binary = false};
}

PostgresLink::Parameter array_of(const ColumnView& column, std::size_t rows) {
  PostgresLink::Parameter out{
      .oid = postgres_type(column.type).array_oid, .bytes = {}, .binary = true};
  append_array(column, rows, out.bytes);
  return out;
}

std::string table_of(const StoreUrl& url, std::string_view object) {
  const std::string name = PostgresLink::quoted(object);
  return url.schema.empty() ? name : PostgresLink::quoted(url.schema) + "." + name;
}

std::unexpected<Error> refuse(std::string message, std::string hint) {
  return std::unexpected(Error{.code = ErrorCode::kFailedPrecondition,
                               .id = std::string(error_id::kStoreRefused),
                               .message = std::move(message),
                               .hint = std::move(hint),
                               .place = {}});
}

bool has_null(const TargetChanges& changes) {
  if (changes.gone == nullptr) return false;
  for (const auto& view : changes.gone->views()) {
    for (std::size_t row = 0; row < changes.gone_count; ++row) {
      if (!view.valid(row)) return true;
    }
  }
  return false;
}

}  // namespace

PostgresTarget::PostgresTarget(StoreUrl url, StoreAccess access, TargetShape shape,
                               std::string writer, const std::atomic<bool>& stopping)
    : url_(std::move(url)),
      access_(std::move(access)),
      shape_(std::move(shape)),
      writer_(std::move(writer)),
      stopping_(stopping),
      live_{table_of(url_, url_.object), "live_remove", "live_remove_null", "live_upsert"},
      stage_{"pg_temp.millrace_stage", "stage_remove", "stage_remove_null", "stage_upsert"},
      state_(table_of(url_, "millrace_sinks")) {}

std::string PostgresTarget::column(std::size_t index) const {
  return PostgresLink::quoted(shape_.columns[index].name);
}

std::string PostgresTarget::column_list() const {
  std::string out;
  for (std::size_t i = 0; i < shape_.columns.size(); ++i) out += (i == 0 ? "" : ", ") + column(i);
  return out;
}

std::string PostgresTarget::key_list(std::string_view of) const {
  std::string out;
  for (const auto index : shape_.key)
    out += fmt::format("{}{}{}", out.empty() ? "" : ", ", of, column(index));
  return out;
}

std::string PostgresTarget::same_key(std::string_view a, std::string_view b, std::size_t parts,
                                     bool null_safe) const {
  std::string out;
  for (std::size_t i = 0; i < parts; ++i) {
    out += fmt::format("{}{}.{} {} {}.{}", out.empty() ? "" : " AND ", a, column(shape_.key[i]),
                       null_safe ? "IS NOT DISTINCT FROM" : "=", b, column(shape_.key[i]));
  }
  return out;
}

std::string PostgresTarget::conflict(std::string_view table, bool only_changed) const {
  std::string set;
  std::string old_values;
  std::string new_values;
  for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
    if (std::ranges::find(shape_.key, i) != shape_.key.end()) continue;
    const std::string_view comma = set.empty() ? "" : ", ";
    set += fmt::format("{}{} = excluded.{}", comma, column(i), column(i));
    old_values += fmt::format("{}{}.{}", comma, table, column(i));
    new_values += fmt::format("{}excluded.{}", comma, column(i));
  }
  // A table of one row is unique in a constant.
  const std::string on =
      fmt::format(" ON CONFLICT ({})", shape_.key.empty() ? "(true)" : key_list());
  if (set.empty()) return on + " DO NOTHING";
  std::string out = fmt::format("{} DO UPDATE SET {}", on, set);
  if (only_changed)
    out += fmt::format(" WHERE ROW({}) IS DISTINCT FROM ROW({})", old_values, new_values);
  return out;
}

std::vector<std::uint32_t> PostgresTarget::unit_types() const {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < shape_.unit_parts; ++i)
    out.push_back(postgres_type(shape_.columns[shape_.key[i]].type).array_oid);
  return out;
}

Status PostgresTarget::lock_table(std::string_view what) {
  const std::vector<PostgresLink::Parameter> parameters = {text(live_.table)};
  MR_TRY(const auto got,
         link_->run(fmt::format("SELECT pg_try_advisory_lock(hashtextextended('millrace sink ' || "
                                "{}, 0))",
                                what),
                    parameters));
  if (got.at(0, 0) == "t") return {};
  return fail(ErrorCode::kUnavailable, error_id::kStoreLost,
              "PostgreSQL: another session keeps the table {}", live_.table);
}

Status PostgresTarget::check_table(const std::string& oid) {
  const std::vector<PostgresLink::Parameter> parameters = {text(oid)};
  MR_TRY(const auto mark, link_->run("SELECT obj_description($1::oid, 'pg_class')", parameters));
  if (!mark.at(0, 0).value_or("").starts_with(kMark)) {
    return refuse(fmt::format("the table {} is there and was not made by a sink", live_.table),
                  "name another table, or drop that one");
  }
  MR_TRY(const auto columns,
         link_->run("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                    "WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
                    parameters));
  for (const auto& wanted : shape_.columns) {
    const std::string type = postgres_type(wanted.type).sql;
    bool found = false;
    for (std::size_t row = 0; row < columns.rows() && !found; ++row)
      found = columns.at(row, 0) == wanted.name && columns.at(row, 1) == type;
    if (found) continue;
    return refuse(fmt::format("the table {} of an earlier sink has no column {} of type {}",
                              live_.table, wanted.name, type),
                  "drop the table, or name another one");
  }
  return {};
}

Status PostgresTarget::make_state() {
  // IF NOT EXISTS wants the right to create even where there is nothing to do.
  const std::vector<PostgresLink::Parameter> parameters = {text(state_)};
  MR_TRY(const auto found, link_->run("SELECT to_regclass($1)::oid", parameters));
  if (found.at(0, 0)) return {};
  MR_RETURN_IF_ERROR(link_->send("BEGIN"));
  MR_RETURN_IF_ERROR(link_->send(fmt::format("SELECT pg_advisory_xact_lock({})", kMakingLock)));
  MR_RETURN_IF_ERROR(link_->send(
      fmt::format("CREATE TABLE IF NOT EXISTS {} (target text PRIMARY KEY, writer text NOT NULL, "
                  "token text NOT NULL, whole boolean NOT NULL, file oid, "
                  "updated_at timestamptz NOT NULL DEFAULT now())",
                  state_)));
  MR_RETURN_IF_ERROR(link_->send("COMMIT"));
  return link_->sync();
}

Result<bool> PostgresTarget::make_table() {
  MR_RETURN_IF_ERROR(make_state());
  const std::vector<PostgresLink::Parameter> parameters = {text(live_.table)};
  MR_TRY(const auto found, link_->run("SELECT to_regclass($1)::oid", parameters));
  if (const auto oid = found.at(0, 0)) {
    MR_RETURN_IF_ERROR(check_table(std::string(*oid)));
    return false;
  }
  std::string columns;
  for (const auto& one : shape_.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", PostgresLink::quoted(one.name),
                           postgres_type(one.type).sql);
  }
  MR_RETURN_IF_ERROR(link_->send("BEGIN"));
  // Room in each page, so that a row which changes stays where its index finds it.
  MR_RETURN_IF_ERROR(link_->send(
      fmt::format("CREATE TABLE {} ({}) WITH (fillfactor = 80)", live_.table, columns)));
  MR_RETURN_IF_ERROR(link_->send(fmt::format("CREATE UNIQUE INDEX ON {} ({}){}", live_.table,
                                             shape_.key.empty() ? "(true)" : key_list(),
                                             shape_.key.empty() ? "" : " NULLS NOT DISTINCT")));
  MR_RETURN_IF_ERROR(link_->send(
      fmt::format("COMMENT ON TABLE {} IS '{}; see millrace_sinks'", live_.table, kMark)));
  MR_RETURN_IF_ERROR(link_->send("COMMIT"));
  MR_RETURN_IF_ERROR(link_->sync());
  return true;
}

Result<std::string> PostgresTarget::take_token(bool made) {
  const std::vector<PostgresLink::Parameter> both = {text(live_.table), text(writer_)};
  if (!made) {
    MR_TRY(const auto found,
           link_->run(fmt::format("SELECT token FROM {} WHERE target = $1 AND writer = $2 AND "
                                  "file = pg_relation_filenode($1::regclass)",
                                  state_),
                      both));
    if (found.rows() == 1) return std::string(found.at(0, 0).value_or(""));
  }
  MR_TRY(const auto noted,
         link_->run(fmt::format(
                        "INSERT INTO {} (target, writer, token, whole, file) VALUES ($1, $2, '', "
                        "false, pg_relation_filenode($1::regclass)) ON CONFLICT (target) DO UPDATE "
                        "SET writer = excluded.writer, token = '', whole = false, "
                        "file = excluded.file, updated_at = now()",
                        state_),
                    both));
  // Whoever kept it by another name of it does not go on from what was.
  MR_TRY(const auto forgotten, link_->run(fmt::format("DELETE FROM {} WHERE target <> $1 AND "
                                                      "file = pg_relation_filenode($1::regclass)",
                                                      state_),
                                          std::span(both).first(1)));
  return std::string();
}

Status PostgresTarget::prepare(const Names& names) {
  std::vector<std::uint32_t> types;
  std::string items;
  for (std::size_t i = 0; i < shape_.columns.size(); ++i) {
    types.push_back(postgres_type(shape_.columns[i].type).array_oid);
    items += fmt::format("{}${}", items.empty() ? "" : ", ", i + 1);
  }
  MR_RETURN_IF_ERROR(
      link_->prepare(names.upsert,
                     fmt::format("INSERT INTO {} AS t ({}) SELECT * FROM unnest({}){}", names.table,
                                 column_list(), items, conflict("t", /*only_changed=*/false)),
                     types));
  if (shape_.unit_parts == 0) return link_->sync();
  std::string parts;
  std::string aliases;
  for (std::size_t i = 0; i < shape_.unit_parts; ++i) {
    parts += fmt::format("{}${}", parts.empty() ? "" : ", ", i + 1);
    aliases += fmt::format("{}{}", aliases.empty() ? "" : ", ", column(shape_.key[i]));
  }
  for (const bool null_safe : {false, true}) {
    MR_RETURN_IF_ERROR(link_->prepare(
        null_safe ? names.remove_null : names.remove,
        fmt::format("DELETE FROM {} AS t USING unnest({}) AS u ({}) WHERE {}", names.table, parts,
                    aliases, same_key("t", "u", shape_.unit_parts, null_safe)),
        unit_types()));
  }
  return link_->sync();
}

Result<std::string> PostgresTarget::open() {
  close();
  MR_TRY(link_, PostgresLink::connect(url_, access_, stopping_));
  MR_RETURN_IF_ERROR(lock_table("$1"));
  MR_TRY(const bool made, make_table());
  // One table has several names: table and public.table, and hosts in an address.
  MR_RETURN_IF_ERROR(lock_table("to_regclass($1)::oid::text"));
  MR_TRY(token_, take_token(made));
  // Some keys among many: by the index, whatever the statistics of a new table say.
  MR_TRY(const auto set, link_->run("SET enable_seqscan = off"));
  MR_RETURN_IF_ERROR(prepare(live_));
  return token_;
}

void PostgresTarget::close() {
  link_.reset();
  token_.clear();
  in_transaction_ = false;
  backfilling_ = false;
  staged_ = false;
}

Status PostgresTarget::begin_backfill() {
  if (in_transaction_) {
    in_transaction_ = false;
    MR_TRY(const auto undone, link_->run("ROLLBACK"));
  }
  backfilling_ = true;
  if (staged_) {
    MR_TRY(const auto emptied, link_->run(fmt::format("TRUNCATE {}", stage_.table)));
    return {};
  }
  std::string columns;
  for (const auto& one : shape_.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", PostgresLink::quoted(one.name),
                           postgres_type(one.type).sql);
  }
  MR_RETURN_IF_ERROR(link_->send(fmt::format("CREATE TEMP TABLE millrace_stage ({})", columns)));
  MR_RETURN_IF_ERROR(link_->send(fmt::format("CREATE UNIQUE INDEX ON {} ({}){}", stage_.table,
                                             shape_.key.empty() ? "(true)" : key_list(),
                                             shape_.key.empty() ? "" : " NULLS NOT DISTINCT")));
  MR_RETURN_IF_ERROR(link_->sync());
  staged_ = true;
  return prepare(stage_);
}

Status PostgresTarget::begin() {
  if (in_transaction_ || backfilling_) return {};
  in_transaction_ = true;
  return link_->send("BEGIN");
}

Status PostgresTarget::put(const TargetChanges& changes) {
  MR_RETURN_IF_ERROR(begin());
  MR_RETURN_IF_ERROR(put_into(backfilling_ ? stage_ : live_, changes));
  return backfilling_ ? link_->sync() : Status();
}

Status PostgresTarget::put_into(const Names& names, const TargetChanges& changes) {
  if (changes.gone_count != 0 && shape_.unit_parts == 0) {
    MR_RETURN_IF_ERROR(link_->send(fmt::format("DELETE FROM {}", names.table)));
  } else if (changes.gone_count != 0) {
    std::vector<PostgresLink::Parameter> parameters;
    for (const auto& view : changes.gone->views())
      parameters.push_back(array_of(view, changes.gone_count));
    MR_RETURN_IF_ERROR(link_->send_prepared(names.remove, parameters));
    if (has_null(changes)) MR_RETURN_IF_ERROR(link_->send_prepared(names.remove_null, parameters));
  }
  const std::size_t rows = changes.rows->rows();
  if (rows == 0) return {};
  std::vector<PostgresLink::Parameter> parameters;
  for (const auto& view : changes.rows->views()) parameters.push_back(array_of(view, rows));
  return link_->send_prepared(names.upsert, parameters);
}

/// Fails, and with it the transaction, where the token is not the one that we know, or the table's
/// file another: TRUNCATE gives it a new one.
Status PostgresTarget::note(const std::string& token, bool whole) {
  const std::vector<PostgresLink::Parameter> parameters = {
      text(live_.table), text(writer_), text(token_), text(token), text(whole ? "t" : "f")};
  return link_->send(
      fmt::format("WITH noted AS (UPDATE {} SET token = $4, whole = $5::boolean, updated_at = "
                  "now() WHERE target = $1 AND writer = $2 AND token = $3 AND "
                  "file = pg_relation_filenode($1::regclass) RETURNING 1) "
                  "SELECT 1 / count(*) FROM noted",
                  state_),
      parameters);
}

Status PostgresTarget::replace_all() {
  const std::string lost =
      shape_.key.empty() ? std::string()
                         : fmt::format("(SELECT {0} FROM {1} EXCEPT SELECT {0} FROM {2}) AS gone",
                                       key_list(), live_.table, stage_.table);
  const auto remove_where = [&](const std::string& condition) {
    return link_->send(
        fmt::format("DELETE FROM {} AS t USING {} WHERE {}", live_.table, lost, condition));
  };
  MR_RETURN_IF_ERROR(link_->send("BEGIN"));
  MR_RETURN_IF_ERROR(link_->send("SET LOCAL enable_seqscan = on"));
  MR_RETURN_IF_ERROR(link_->send(fmt::format("ANALYZE {}", stage_.table)));
  if (shape_.key.empty()) {
    MR_RETURN_IF_ERROR(link_->send(fmt::format("DELETE FROM {} WHERE NOT EXISTS (SELECT 1 FROM {})",
                                               live_.table, stage_.table)));
  } else {
    std::string nulls;
    for (const auto index : shape_.key)
      nulls += fmt::format("{}gone.{} IS NULL", nulls.empty() ? "" : " OR ", column(index));
    const std::size_t parts = shape_.key.size();
    MR_RETURN_IF_ERROR(remove_where(same_key("t", "gone", parts, /*null_safe=*/false)));
    MR_RETURN_IF_ERROR(remove_where(
        fmt::format("({}) AND {}", nulls, same_key("t", "gone", parts, /*null_safe=*/true))));
  }
  return link_->send(fmt::format("INSERT INTO {} AS t ({}) SELECT {} FROM {}{}", live_.table,
                                 column_list(), column_list(), stage_.table,
                                 conflict("t", /*only_changed=*/true)));
}

Status PostgresTarget::commit(const std::string& token) {
  if (backfilling_ && token.empty()) return {};
  const bool replaced = backfilling_;
  if (replaced) {
    MR_RETURN_IF_ERROR(replace_all());
  } else {
    MR_RETURN_IF_ERROR(begin());
  }
  MR_RETURN_IF_ERROR(note(token.empty() ? token_ : token, !token.empty()));
  MR_RETURN_IF_ERROR(link_->send("COMMIT"));
  MR_RETURN_IF_ERROR(link_->sync(replaced ? kReplacePatience : PostgresLink::kPatience));
  in_transaction_ = false;
  backfilling_ = false;
  if (!token.empty()) token_ = token;
  if (!replaced) return {};
  MR_TRY(const auto emptied, link_->run(fmt::format("TRUNCATE {}", stage_.table)));
  return {};
}

Status PostgresTarget::check() {
  const std::vector<PostgresLink::Parameter> parameters = {text(live_.table), text(writer_),
                                                           text(token_)};
  MR_TRY(const auto same,
         link_->run(fmt::format("SELECT 1 / count(*) FROM {} WHERE target = $1 AND writer = $2 AND "
                                "token = $3 AND file = pg_relation_filenode($1::regclass)",
                                state_),
                    parameters));
  return {};
}

}  // namespace millrace::sink
