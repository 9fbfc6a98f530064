// What the measures share: a server with the stream and the views, and ways to load and to ask it.
#include "measures.h"

#include <simdjson.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "echo_server.h"
#include "model/column_batch.h"

namespace millrace::bench {

namespace {

constexpr std::size_t kEventsPerRequest = 1'000;
constexpr std::size_t kBulkConnections = 4;
constexpr double kLakeSecondsMax = 300;

}  // namespace

Result<std::string> ask_sql(Connection& connection, std::string_view sql) {
  std::string body = "{\"sql\":";
  append_json_string(body, sql);
  body += '}';
  MR_TRY(auto reply, connection.ask("POST", "/v1/sql", body));
  if (reply.status == 200) return std::move(reply.body);
  return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {} {}", sql, reply.status,
              reply.body);
}

void say(std::string_view what) { fmt::print(stderr, "bench: {}\n", what); }

Result<std::unique_ptr<ServerProcess>> start_with_views(const Settings& settings,
                                                        std::string_view name,
                                                        const ConfigValues& config) {
  MR_TRY(auto server, ServerProcess::start(settings.binary, settings.folder / name, config));
  MR_TRY(auto connection, Connection::open(server->port()));
  MR_RETURN_IF_ERROR(ask_sql(connection, kStreamSql));
  for (const auto& view : kViews) {
    MR_RETURN_IF_ERROR(
        ask_sql(connection, fmt::format("CREATE MATERIALIZED VIEW {} AS {}", view.name,
                                        fmt::format(fmt::runtime(view.select), "ev"))));
  }
  return server;
}

Result<LoadResult> load_events(std::uint16_t port, EventGenerator& generator,
                               std::uint64_t events) {
  struct Pending {
    std::string head;
    std::string body;
  };
  std::vector<Pending> pending(kBulkConnections);
  std::uint64_t left = events;
  const NextRequest next = [&](std::size_t connection, Request& request) {
    if (left == 0) return false;
    const auto rows = std::min<std::uint64_t>(left, kEventsPerRequest);
    left -= rows;
    auto& [head, body] = pending[connection];
    body.clear();
    generator.append(body, rows);
    head = request_head("POST", kEventsTarget, kJsonLines, body.size());
    request = {head, body};
    return true;
  };
  const OnReply check = [](std::size_t, const ReplyReader& reply) {
    return expect_status(reply, 200);
  };
  return run_load({.port = port, .connections = kBulkConnections}, next, check);
}

Result<std::uint64_t> run_batch(Connection& connection, bool full) {
  MR_TRY(const auto started,
         connection.ask("POST", "/v1/batch", full ? R"({"full":true})" : R"({"full":false})"));
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  std::uint64_t run = 0;
  if (parser.parse(started.body).get(document) != simdjson::SUCCESS ||
      document["run"].get_uint64().get(run) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "no batch run: {}", started.body);
  }
  for (;;) {
    MR_TRY(const auto state, connection.ask("GET", "/v1/batch"));
    simdjson::dom::array last;
    if (parser.parse(state.body).get(document) != simdjson::SUCCESS ||
        document["last"].get_array().get(last) != simdjson::SUCCESS) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "the state of the batch layer: {}",
                  state.body);
    }
    for (const simdjson::dom::element entry : last) {
      std::uint64_t number = 0;
      if (entry["run"].get_uint64().get(number) != simdjson::SUCCESS || number != run) continue;
      if (!entry["error"].is_null()) {
        return fail(ErrorCode::kInternal, error_id::kInternal, "the batch run failed: {}",
                    state.body);
      }
      return run;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Status wait_for_lake(Connection& connection, std::uint64_t events) {
  simdjson::dom::parser parser;
  const double begin = now_us();
  while (now_us() - begin < kLakeSecondsMax * 1e6) {
    MR_TRY(const auto reply, connection.ask("GET", "/v1/streams"));
    simdjson::dom::element document;
    simdjson::dom::array streams;
    if (parser.parse(reply.body).get(document) != simdjson::SUCCESS ||
        document["streams"].get_array().get(streams) != simdjson::SUCCESS) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "no list of streams: {}", reply.body);
    }
    for (const simdjson::dom::element stream : streams) {
      std::string_view name;
      std::uint64_t end = 0;
      if (stream["name"].get_string().get(name) == simdjson::SUCCESS && name == "ev" &&
          stream["lake"]["position"]["0"].get_uint64().get(end) == simdjson::SUCCESS &&
          end == events) {
        return {};
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal,
              "the lake has not all events after {} s", kLakeSecondsMax);
}

Result<double> echo_rate(std::size_t connections, std::uint64_t requests, const Request& request,
                         std::size_t reply_bytes) {
  MR_TRY(const auto echo,
         EchoServer::start(request.head.size() + request.body.size(), reply_bytes));
  std::uint64_t left = requests;
  const NextRequest next = [&](std::size_t, Request& out) {
    out = request;
    return left != 0 && left-- != 0;
  };
  const OnReply check = [](std::size_t, const ReplyReader& reply) {
    return expect_status(reply, 200);
  };
  MR_TRY(const auto result,
         run_load({.port = echo->port(), .connections = connections}, next, check));
  return static_cast<double>(result.requests) / result.seconds;
}

}  // namespace millrace::bench
