// One PostgreSQL connection: the socket, the start with its TLS and authentication, and turns with
// the pool, where the client's statements run one after the other, but for reads by key of what is
// in memory, which it answers itself. It holds no buffer while it is idle. Not reading is its
// back-pressure: while a statement runs only so much is read that a lost client is noticed, and
// rows are encoded as the socket takes them. Owns: the stream and the dialog. Thread: its loop's.
// Errors: what breaks the protocol ends the connection, told to the client where it can hear it.
// Invariant: of the dialog, either the pool has it (working_) or this thread; before the
// authentication a client can make the server hold kilobytes, not more.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "access/access.h"
#include "access/scram_exchange.h"
#include "endpoint/postgres_dialog.h"
#include "endpoint/postgres_loop.h"
#include "endpoint/transport.h"
#include "runtime/worker_pool.h"
#include "wire/postgres.h"

namespace millrace::endpoint {

class PostgresConnection : public std::enable_shared_from_this<PostgresConnection> {
 public:
  PostgresConnection(PostgresLoop& loop, std::uint64_t id, Transport transport);

  void start();
  /// Users or passwords have changed, or time passed.
  void review();
  /// Every second or so.
  void look_after();
  /// The server stops: what runs is cancelled, and the client is told.
  void leave();
  void close();

  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  void time_is_over(std::chrono::steady_clock::time_point now);

 private:
  enum class State : std::uint8_t { kNew, kAuthenticating, kOpen, kLeaving, kClosed };
  /// What the client says next of who it is.
  enum class Asked : std::uint8_t { kMechanism, kProof, kPassword };

  // postgres_connection.cc: the socket.
  void receive();
  void on_readable(const boost::system::error_code& ec);
  void take(std::string_view bytes);
  void pump();
  /// Somebody says that the dialog may have more to do.
  void go_on();
  [[nodiscard]] bool has_message();
  bool run_at_hand();
  void hand_over();
  void worked(std::string bytes, std::size_t taken, std::string out);
  void send();
  void on_sent(const boost::system::error_code& ec, std::size_t bytes);
  [[nodiscard]] bool may_read() const;
  void charge_unfinished();
  void set_deadline();
  /// Nothing more is taken; what is written goes out, then the connection ends.
  void finish();

  // postgres_startup.cc: who it is.
  void take_first_messages();
  void take_first(std::string_view body, bool more_behind);
  void answer_encryption(bool wanted_tls, bool more_behind);
  void on_startup(const wire::postgres::Startup& startup);
  [[nodiscard]] bool refuse_startup(const wire::postgres::Startup& startup);
  void ask_who(const wire::postgres::Startup& startup);
  void on_authentication(std::string_view body);
  Result<bool> choose_mechanism(std::string_view body);
  Result<bool> check_proof(std::string_view body);
  void check_password(std::string_view body);
  void let_in(access::Principal who);
  void refuse_who(const Error& error);
  void refuse(std::string_view state, std::string_view message);

  /// What Asio has of the connection needs the loop's context.
  const std::shared_ptr<PostgresLoop> keeps_loop_;
  PostgresLoop& loop_;
  PostgresServerState& server_;
  const std::uint64_t id_;
  Transport transport_;
  runtime::WorkShare share_;  // its part of the query threads
  State state_ = State::kNew;

  // Until it is let in.
  struct Entrance {
    std::string user;
    Asked asked = Asked::kMechanism;
    std::vector<std::pair<std::string, std::string>> settings;
    std::optional<access::Access::Claim> claim;
    std::optional<access::ScramExchange> exchange;
    bool asked_encryption = false;
  };
  std::unique_ptr<Entrance> entrance_;

  // From then on.
  std::shared_ptr<PostgresDialog> dialog_;
  PostgresCancels::Ticket ticket_;
  bool working_ = false;  // the pool has the dialog
  bool leaving_ = false;  // as soon as it is back
  bool waits_ = false;    // the pool had no place for it

  std::string in_;
  std::uint64_t unfinished_bytes_ = 0;  // its part of that of all
  bool receiving_ = false;
  std::string out_;
  std::string sending_;
  std::size_t sent_ = 0;

  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point write_began_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace millrace::endpoint
