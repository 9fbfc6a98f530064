// The start of a connection: TLS, the startup message, and who the client is.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/buffer.hpp>
#include <functional>
#include <utility>

#include "base/ascii_case.h"
#include "endpoint/postgres_connection.h"
#include "endpoint/postgres_error.h"
#include "format/json_text.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;

constexpr std::string_view kScram = "SCRAM-SHA-256";
constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";
constexpr std::size_t kUserBytesMax = 256;
/// What asks to send the password itself, which TLS hides on its way: a token has no verifier.
constexpr std::string_view kPasswordOption = "millrace.auth=password";

/// The settings of "-c name=value --name=value"; a backslash takes a blank its meaning.
std::vector<std::pair<std::string, std::string>> settings_of(std::string_view options) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == '\\' && i + 1 < options.size()) {
      words.back() += options[++i];
    } else if (options[i] != ' ') {
      words.back() += options[i];
    } else if (!words.back().empty() && words.back() != "-c") {
      words.emplace_back();
    }
  }
  std::vector<std::pair<std::string, std::string>> settings;
  for (std::string_view word : words) {
    if (!word.starts_with("-c") && !word.starts_with("--")) continue;
    word.remove_prefix(2);
    const auto equals = word.find('=');
    if (equals != std::string_view::npos)
      settings.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return settings;
}

}  // namespace

void PostgresConnection::take_first(std::string_view body, bool more_behind) {
  const auto first = postgres::decode_first(body);
  if (!first) {
    server_.metrics.violations.fetch_add(1, std::memory_order_relaxed);
    refuse(kProtocolViolation, first.error().what);
    return;
  }
  if (entrance_ == nullptr) entrance_ = std::make_unique<Entrance>();
  if (const auto* startup = std::get_if<postgres::Startup>(&*first)) return on_startup(*startup);
  if (const auto* cancel = std::get_if<postgres::CancelRequest>(&*first)) {
    if (server_.cancels.cancel(cancel->process, cancel->key))
      server_.metrics.cancels.fetch_add(1, std::memory_order_relaxed);
    close();
    return;
  }
  answer_encryption(std::holds_alternative<postgres::SslRequest>(*first), more_behind);
}

void PostgresConnection::answer_encryption(bool wanted_tls, bool more_behind) {
  const bool tls = wanted_tls && server_.options.tls != nullptr && !transport_.is_encrypted();
  // One of each kind at most: GSSAPI is tried first. What came behind it in plain text must not be
  // read as if it had come encrypted.
  if (more_behind || (wanted_tls && entrance_->asked_encryption)) {
    server_.metrics.violations.fetch_add(1, std::memory_order_relaxed);
    return close();
  }
  entrance_->asked_encryption |= wanted_tls;
  const char answer = tls ? 'S' : 'N';
  boost::system::error_code ec;
  if (transport_.write_some(boost::asio::buffer(&answer, 1), ec) != 1 || ec) return close();
  if (tls) transport_.start_tls(*server_.options.tls, TlsProtocol::kPostgres);
}

bool PostgresConnection::refuse_startup(const postgres::Startup& startup) {
  const auto user = startup.parameter("user");
  if (startup.major != 3) {
    refuse("0A000",
           fmt::format("protocol {}.{} is not spoken here, 3.0 is", startup.major, startup.minor));
  } else if (server_.options.tls_required && !transport_.is_encrypted()) {
    refuse("28000", "this server wants TLS: connect with sslmode=require");
  } else if (const auto mode = startup.parameter("replication");
             !mode.empty() && mode != "false" && mode != "off" && mode != "no" && mode != "0") {
    refuse("0A000", "there is no replication here: follow views over HTTP or MQTT");
  } else if (user.empty()) {
    refuse("28000", "the startup message names no user");
  } else if (user.size() > kUserBytesMax || format::first_bad_utf8(user) != user.size()) {
    refuse("28000", "the user's name is too long, or not UTF-8");
  } else {
    return false;
  }
  return true;
}

void PostgresConnection::on_startup(const postgres::Startup& startup) {
  if (refuse_startup(startup)) return;
  state_ = State::kAuthenticating;
  std::vector<std::string_view> unknown;
  for (const auto& [name, value] : startup.parameters) {
    if (name.starts_with("_pq_.")) {
      unknown.push_back(name);
    } else if (name == "options") {
      for (auto& setting : settings_of(value)) entrance_->settings.push_back(std::move(setting));
    } else if (name != "user" && name != "database" && name != "replication") {
      // asyncpg writes a value as SQL would have it.
      const bool quoted = value.size() > 1 && value.starts_with('\'') && value.ends_with('\'');
      entrance_->settings.emplace_back(name, quoted ? value.substr(1, value.size() - 2) : value);
    }
  }
  if (startup.minor != 0 || !unknown.empty()) postgres::append_negotiate_version(0, unknown, out_);
  entrance_->user = startup.parameter("user");
  ask_who(startup);
}

void PostgresConnection::ask_who(const postgres::Startup& startup) {
  const Peer& peer = transport_.peer();
  auto& access = server_.access;
  auto certified = access.certified(transport_.certified_user(), peer.local);
  if (certified.is_user(lower_name(entrance_->user))) return let_in(std::move(certified));
  auto anybody = access::Principal::anonymous(peer.local);
  if (access.is_known(anybody)) return let_in(std::move(anybody));
  const bool hidden = transport_.is_encrypted() || peer.local;
  if (startup.parameter("options").contains(kPasswordOption)) {
    if (!hidden) return refuse("28000", "a password is only sent over TLS");
    entrance_->asked = Asked::kPassword;
    postgres::append_authentication_password(out_);
    return;
  }
  std::vector<std::string_view> mechanisms;
  if (!transport_.channel_binding().empty()) mechanisms.push_back(kScramPlus);
  mechanisms.push_back(kScram);
  postgres::append_authentication_sasl(mechanisms, out_);
}

void PostgresConnection::on_authentication(std::string_view body) {
  if (entrance_->asked == Asked::kPassword) return check_password(body);
  const auto done =
      entrance_->asked == Asked::kMechanism ? choose_mechanism(body) : check_proof(body);
  if (!done) refuse_who(done.error());
}

Result<bool> PostgresConnection::choose_mechanism(std::string_view body) {
  const auto initial = postgres::decode_sasl_initial(body);
  if (!initial || !initial->response) {
    return fail(ErrorCode::kInvalidArgument, error_id::kNotAuthenticated,
                "no first message of SCRAM-SHA-256");
  }
  access::ScramExchange::Channel channel{.binding = transport_.channel_binding(),
                                         .bound = initial->mechanism == kScramPlus};
  if (initial->mechanism != kScram && (!channel.bound || channel.binding.empty())) {
    return fail(ErrorCode::kInvalidArgument, error_id::kNotAuthenticated,
                "another mechanism than was offered");
  }
  MR_TRY(entrance_->claim, server_.access.claim(entrance_->user, transport_.peer().address));
  MR_TRY(entrance_->exchange, access::ScramExchange::begin(entrance_->claim->verifier,
                                                           std::move(channel), *initial->response));
  postgres::append_authentication_sasl_continue(entrance_->exchange->server_first(), out_);
  entrance_->asked = Asked::kProof;
  return true;
}

Result<bool> PostgresConnection::check_proof(std::string_view body) {
  MR_TRY(const auto answer, entrance_->exchange->finish(body));
  MR_TRY(auto who,
         server_.access.settle(*entrance_->claim, answer.has_value(), transport_.peer().address));
  postgres::append_authentication_sasl_final(*answer, out_);
  let_in(std::move(who));
  return true;
}

// It takes milliseconds of processor time, on purpose.
void PostgresConnection::check_password(std::string_view body) {
  const auto end = std::min(body.find('\0'), body.size());
  working_ = server_.pool.post(share_, [self = shared_from_this(), user = entrance_->user,
                                        password = std::string(body.substr(0, end))] {
    auto who = std::make_shared<Result<access::Principal>>(
        self->server_.access.authenticate(user, password, self->transport_.peer().address));
    self->loop_.post([self, who] {
      self->working_ = false;
      if (self->state_ != State::kAuthenticating) return;
      if (!*who) {
        self->refuse_who(who->error());
      } else {
        self->let_in(std::move(**who));
      }
      if (self->state_ != State::kClosed) self->take({});
    });
  });
  if (!working_) refuse("53300", "the server is busy");
}

void PostgresConnection::refuse_who(const Error& error) {
  server_.metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
  append_report(error, Severity::kFatal, 0, out_);
  finish();
}

void PostgresConnection::let_in(access::Principal who) {
  if (!who.name().empty()) share_.owner = std::hash<std::string_view>{}(who.name());
  auto session =
      std::make_shared<serving::SqlSession>(server_.statements, who, serving::AnswerSize::kWhole);
  for (const auto& [name, value] : entrance_->settings) {
    const auto set = session->set(name, value);
    if (set) continue;
    append_report(set.error(), Severity::kFatal, 0, out_);
    return finish();
  }
  postgres::append_authentication_ok(out_);
  for (const auto& [name, value] : session->take_reported())
    postgres::append_parameter_status(name, value, out_);
  postgres::append_parameter_status("is_superuser", server_.access.is_admin(who) ? "on" : "off",
                                    out_);
  postgres::append_parameter_status("session_authorization", entrance_->user, out_);
  ticket_ = server_.cancels.enter(session);
  session->set_process_id(static_cast<std::int32_t>(ticket_.process));
  postgres::append_backend_key(ticket_.process, ticket_.key, out_);
  postgres::append_ready(postgres::TransactionState::kIdle, out_);
  dialog_ =
      std::make_shared<PostgresDialog>(loop_.shared_state(), std::move(session), std::move(who),
                                       [self = weak_from_this(), loop = keeps_loop_] {
                                         loop->post([self] {
                                           if (const auto connection = self.lock())
                                             connection->go_on();
                                         });
                                       });
  entrance_.reset();
  state_ = State::kOpen;
}

}  // namespace millrace::endpoint
