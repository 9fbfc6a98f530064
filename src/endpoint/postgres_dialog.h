// What one PostgreSQL client asks once it is let in, and what it is answered: simple queries, and
// prepared statements with portals (PostgreSQL 15, chapter 55.2). Without a socket: messages in,
// bytes out, as many at a time as fit. Owns: the client's statements, portals and the answer under
// way. Thread: one at a time: run() on the pool, for it waits for statements; run_at_hand(), fill()
// and the questions on the I/O thread; abandon() any. Errors: to the client; what breaks the
// protocol ends the dialog. Invariant: behind an error in the extended protocol nothing runs until
// Sync; an answer that was cut off is never given as a whole one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "endpoint/postgres_answer.h"
#include "endpoint/postgres_state.h"
#include "serving/sql_session.h"
#include "sql/statement.h"
#include "wire/postgres.h"
#include "wire/postgres_copy.h"

namespace millrace::endpoint {

class PostgresDialog {
 public:
  /// `wake` is called on any thread when run() may have more to do without a message; it must not
  /// block, and may be called when the dialog is gone.
  PostgresDialog(std::shared_ptr<PostgresServerState> state,
                 std::shared_ptr<serving::SqlSession> session, access::Principal who,
                 std::function<void()> wake);

  /// Goes on with what has begun, and takes messages off the front of `bytes`. Gives how many
  /// bytes it took; what came behind is for the next call.
  std::size_t run(std::string_view bytes, std::string& out);
  /// As run(), up to the first message that may wait for something: reads by key of prepared
  /// statements, mostly, to which a hand-over would be most of the work.
  std::size_t run_at_hand(std::string_view bytes, std::string& out);
  /// Rows wait for room.
  [[nodiscard]] bool has_rows() const { return running_ && !running_->waits; }
  void fill(std::string& out);
  /// run() has more to do, also without a message.
  [[nodiscard]] bool has_statements() const {
    return running_ ? running_->waits && running_->answer->is_ready()
                    : script_ != nullptr && copying_ == nullptr;
  }
  /// An answer has begun and is not over: messages wait.
  [[nodiscard]] bool is_answering() const { return running_.has_value(); }
  /// When has_statements() becomes true without anybody saying so.
  [[nodiscard]] std::chrono::steady_clock::time_point ready_by() const {
    return running_ && running_->waits ? running_->answer->ready_by()
                                       : std::chrono::steady_clock::time_point::max();
  }
  /// No statement runs: a transaction that has done nothing for too long is ended, and with it the
  /// dialog.
  void look_after(std::string& out);
  /// Nothing more is read; what was written last goes out.
  [[nodiscard]] bool ended() const { return ended_; }
  /// The client is gone, or has to go: what runs is cancelled, and nothing more begins.
  void abandon();
  [[nodiscard]] const access::Principal& who() const { return who_; }

 private:
  struct Prepared {
    std::string text;
    std::string_view statement;  // of the text, without what is around it; empty for none
    std::shared_ptr<const serving::PreparedStatement> plan;  // null for none
    std::vector<std::uint32_t> parameter_types;
  };
  struct Portal {
    std::shared_ptr<const Prepared> prepared;
    std::vector<std::optional<std::string>> values;
    std::size_t bytes = 0;  // of the values
    ResultFormats formats;
    std::shared_ptr<PostgresAnswer> answer;  // once it was executed
  };
  static constexpr std::uint64_t kAllRows = ~std::uint64_t{0};
  /// An answer whose rows are being written.
  struct Running {
    std::shared_ptr<PostgresAnswer> answer;
    std::uint64_t rows_max = 0;
    std::uint64_t rows_left = 0;
    bool of_portal = false;
    bool waits = false;  // for rows that run() makes or reads
  };
  /// A COPY FROM STDIN.
  struct Copying {
    std::shared_ptr<const serving::PreparedStatement> plan;
    wire::postgres::CopyReader reader;
    wire::postgres::CopyValues values;
    std::size_t bytes = 0;  // of data that the values were read of
  };
  /// The statements of a simple query.
  struct Script {
    std::string text;
    std::vector<sql::ScriptPart> parts;
    std::size_t next = 0;
  };

  // postgres_dialog.cc
  void take(const wire::postgres::Frame& frame, std::string& out);
  void on(const wire::postgres::Query& query, std::string& out);
  void on(const wire::postgres::Sync& sync, std::string& out);
  void on(const wire::postgres::Flush& flush, std::string& out);
  void on(const wire::postgres::Terminate& terminate, std::string& out);
  void on(const wire::postgres::Password& password, std::string& out);
  void on(const wire::postgres::CopyData& data, std::string& out);
  void on(const wire::postgres::CopyDone& done, std::string& out);
  void on(const wire::postgres::CopyFail& fail, std::string& out);
  void on(const wire::postgres::FunctionCall& call, std::string& out);
  [[nodiscard]] static bool belongs_to_copy(const wire::postgres::Message& message);
  void run_script(std::string& out);
  Status run_part(std::string_view part, std::string& out);
  Result<std::shared_ptr<PostgresAnswer>> answer_of(Result<serving::StatementResult> result,
                                                    const ResultFormats& formats, std::string& out);
  void run_rows(Running running, std::string& out);
  void make_rows(std::string& out);
  /// What the session has to say beside the answer.
  void tell(std::string& out);
  [[nodiscard]] static Error cut_off(const serving::StatementResult& result);
  /// False, and the end, where what the client logged in with is not good any more.
  bool may_stay(std::string& out);
  void ready(std::string& out);
  void report(const Error& error, std::string_view query, std::string_view statement,
              std::string& out);
  void violated(std::string_view what, std::string& out);

  // postgres_copy.cc
  Status run_copy(std::shared_ptr<const serving::PreparedStatement> plan, std::string& out);
  void begin_copy_in(std::shared_ptr<const serving::PreparedStatement> plan, std::string& out);
  Status give_copied();
  Result<serving::StatementResult> end_copy();
  void fail_copy(const Error& error, std::string& out);

  // postgres_prepared.cc: the extended protocol.
  void on(const wire::postgres::Parse& parse, std::string& out);
  void on(const wire::postgres::Bind& bind, std::string& out);
  void on(const wire::postgres::Describe& describe, std::string& out);
  void on(const wire::postgres::Execute& execute, std::string& out);
  void on(const wire::postgres::Close& close, std::string& out);
  Result<std::shared_ptr<const Prepared>> prepare(const wire::postgres::Parse& parse);
  Result<Portal> bind(const wire::postgres::Bind& bind);
  bool take_at_hand(const wire::postgres::Frame& frame, std::string& out);
  bool execute_at_hand(const wire::postgres::Execute& execute, std::string& out);
  void start(Portal& portal, std::uint32_t rows_max, std::string& out);
  void fail_portal(const Portal& portal, const Error& error, std::string& out);
  bool take_result(Portal& portal, Result<serving::StatementResult> result, std::uint32_t rows_max,
                   std::string& out);
  void give_rows(const Portal& portal, std::uint32_t rows_max, std::string& out);
  void refuse(std::string_view state, std::string message, std::string& out);
  void close_statement(std::string_view name);
  void close_portal(std::string_view name);
  void describe(const Prepared& prepared, const ResultFormats& formats, std::string& out);

  const std::shared_ptr<PostgresServerState> state_;
  const std::shared_ptr<serving::SqlSession> session_;
  const access::Principal who_;
  const std::function<void()> wake_;
  std::map<std::string, std::shared_ptr<const Prepared>, std::less<>> prepared_;
  std::map<std::string, Portal, std::less<>> portals_;
  std::size_t prepared_bytes_ = 0;  // the texts of all of them and the values of the portals
  std::unique_ptr<Script> script_;
  std::unique_ptr<Copying> copying_;
  bool was_failed_ = false;  // the transaction, before the statement
  std::optional<Running> running_;
  bool skipping_ = false;    // to the next Sync
  bool sent_whole_ = false;  // the client waits for what was written
  bool ended_ = false;
  std::atomic<bool> abandoned_{false};
};

}  // namespace millrace::endpoint
