// A table of a PostgreSQL that is kept equal to a view. Rows go as arrays into prepared upserts and
// deletes; a backfill goes into a temporary table first, so that its readers see the old rows or
// the new ones. The token stands in the table millrace_sinks beside it and is compared and set in
// the transaction that changes the rows, so two writers, an emptied table or another database are
// found and not written over. Owns: a connection and, in it, a lock of the table. Thread: one.
// Errors: target.h. Invariant: the rows of the table and the token are one transaction's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sink/postgres_link.h"
#include "sink/target.h"

namespace millrace::sink {

class PostgresTarget final : public Target {
 public:
  /// `writer` names the sink among all that ever were.
  PostgresTarget(StoreUrl url, StoreAccess access, TargetShape shape, std::string writer,
                 const std::atomic<bool>& stopping);

  Result<std::string> open() override;
  void close() override;
  Status begin_backfill() override;
  Status put(const TargetChanges& changes) override;
  Status commit(const std::string& token) override;
  Status check() override;

 private:
  struct Names {
    std::string table;  // quoted
    std::string remove;
    std::string remove_null;
    std::string upsert;
  };

  /// `what` of the table's name is locked, in SQL. Held as long as the connection.
  Status lock_table(std::string_view what);
  /// The table of tokens.
  Status make_state();
  /// Gives whether the table was made now.
  Result<bool> make_table();
  Status check_table(const std::string& oid);
  Result<std::string> take_token(bool made);
  Status prepare(const Names& names);
  Status begin();
  Status put_into(const Names& names, const TargetChanges& changes);
  Status replace_all();
  Status note(const std::string& token, bool whole);
  [[nodiscard]] std::string schema_prefix() const;
  /// "a.k0 = b.k0 AND ..." of the first `parts` of the key, or null-safe.
  [[nodiscard]] std::string same_key(std::string_view a, std::string_view b, std::size_t parts,
                                     bool null_safe) const;
  [[nodiscard]] std::string column(std::size_t index) const;
  [[nodiscard]] std::string column_list() const;
  [[nodiscard]] std::string key_list(std::string_view of = {}) const;
  [[nodiscard]] std::string conflict(std::string_view table, bool only_changed) const;
  [[nodiscard]] std::vector<std::uint32_t> unit_types() const;

  const StoreUrl url_;
  const StoreAccess access_;
  const TargetShape shape_;
  const std::string writer_;
  const std::atomic<bool>& stopping_;
  const Names live_;
  const Names stage_;
  const std::string state_;  // the table of tokens, quoted
  std::unique_ptr<PostgresLink> link_;
  std::string token_;
  bool in_transaction_ = false;
  bool backfilling_ = false;
  bool staged_ = false;  // the temporary table is there
};

}  // namespace millrace::sink
