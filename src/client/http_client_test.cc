#include "client/http_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "endpoint/http_server.h"
#include "endpoint/tls_client_test.h"

namespace millrace::client {
namespace {

using endpoint::HttpRequest;
using endpoint::HttpResponse;
using endpoint::HttpRouter;
using endpoint::HttpServer;
using endpoint::Responder;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

std::unique_ptr<HttpServer> start_server(endpoint::HttpServerOptions options = {}) {
  HttpRouter router;
  const auto echo = [](HttpRequest request, Responder responder) {
    HttpResponse response;
    response.headers.emplace_back("X-Method", request.method);
    response.headers.emplace_back("X-Type", std::string(request.header("content-type")));
    response.body = std::string(request.body.view());
    if (auto text = request.query_value("text")) response.body = *text;
    responder.respond(std::move(response));
  };
  for (const auto* method : {"GET", "POST", "DELETE"}) {
    router.add(method, "/echo", echo);
  }
  router.add("POST", "/small", echo,
             {.body_bytes_max = 10, .media_types = {}, .decode_body = true, .gzip_answer = false});
  router.add("GET", "/never", [](HttpRequest, Responder responder) {
    static std::vector<Responder> kept;
    kept.push_back(std::move(responder));
  });
  options.threads = 1;
  auto server = HttpServer::start(options, std::move(router));
  EXPECT_TRUE(server.has_value());
  return std::move(*server);
}

std::string url_of(std::uint16_t port) { return fmt::format("http://127.0.0.1:{}", port); }

TEST(HttpClientTest, SendsManyRequestsOverOneConnection) {
  const auto server = start_server();
  auto client = HttpClient::connect(url_of(server->port()));
  ASSERT_TRUE(client.has_value()) << client.error().text();
  for (int i = 0; i < 50; ++i) {
    const auto reply = client->request("POST", "/echo", fmt::format("body {}", i),
                                       {{"Content-Type", "text/plain"}});
    ASSERT_TRUE(reply.has_value()) << reply.error().text();
    EXPECT_TRUE(reply->ok());
    EXPECT_EQ(reply->body, fmt::format("body {}", i));
    EXPECT_EQ(reply->header("x-method"), "POST");
    EXPECT_EQ(reply->header("X-Type"), "text/plain");
  }
  EXPECT_EQ(server->metrics().connections_accepted.load(), 1U);
}

TEST(HttpClientTest, CarriesLargeBodiesBothWays) {
  const auto server = start_server();
  auto client = HttpClient::connect(url_of(server->port()));
  ASSERT_TRUE(client.has_value());
  const std::string body(20'000'000, 'b');
  const auto reply = client->request("POST", "/echo", body);
  ASSERT_TRUE(reply.has_value()) << reply.error().text();
  EXPECT_TRUE(reply->body == body);
}

TEST(HttpClientTest, GivesErrorsOfTheServerAsReplies) {
  const auto server = start_server();
  auto client = HttpClient::connect(url_of(server->port()));
  ASSERT_TRUE(client.has_value());
  const auto missing = client->request("GET", "/nothing");
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(missing->status, 404);
  EXPECT_THAT(missing->body, HasSubstr("MR3005"));
  const auto large = client->request("POST", "/small", std::string(30'000'000, 'a'));
  ASSERT_TRUE(large.has_value()) << large.error().text();
  EXPECT_EQ(large->status, 413);
  EXPECT_EQ(client->request("GET", "/echo?text=" + percent_encoded("a b/\xc3\xa4"))->body,
            "a b/\xc3\xa4");
  const auto head = client->request("HEAD", "/echo?text=abc");
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->header("content-length"), "3");
  EXPECT_EQ(head->body, "");
}

TEST(HttpClientTest, OpensAConnectionAgainThatTheServerHasClosed) {
  endpoint::HttpServerOptions options;
  options.idle_time = 20ms;
  options.linger_time = 20ms;
  const auto server = start_server(options);
  auto client = HttpClient::connect(url_of(server->port()));
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->request("POST", "/echo", "a").has_value());
  while (server->metrics().connections_open.load() != 0) std::this_thread::yield();
  const auto reply = client->request("POST", "/echo", "b");
  ASSERT_TRUE(reply.has_value()) << reply.error().text();
  EXPECT_EQ(reply->body, "b");
}

TEST(HttpClientTest, SaysWhatIsWrongWithTheAddress) {
  std::uint16_t port = 0;
  {
    const auto server = start_server();
    port = server->port();
  }
  const auto refused = HttpClient::connect(url_of(port));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr(url_of(port)));
  EXPECT_THAT(refused.error().message, HasSubstr("Connection refused"));
  for (const auto* url : {"127.0.0.1:80", "ftp://x", "http://", "http://x:y", "http://x:99999"}) {
    const auto bad = HttpClient::connect(url);
    ASSERT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument) << url;
  }
}

TEST(HttpClientTest, GivesUpWhenNoAnswerComes) {
  endpoint::HttpServerOptions server_options;
  server_options.stop_grace_time = 10ms;
  const auto server = start_server(server_options);
  HttpClientOptions options;
  options.request_time = 30ms;
  auto client = HttpClient::connect(url_of(server->port()), options);
  ASSERT_TRUE(client.has_value());
  const auto reply = client->request("GET", "/never");
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, ErrorCode::kDeadlineExceeded);
}

// A server that plays a fixed part: for each connection it reads a request head and sends the next
// line of its script, then closes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> script) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, script = std::move(script)] {
      for (const std::string& answer : script) {
        const int socket = ::accept(listener_, nullptr, nullptr);
        if (socket < 0) return;
        std::string request;
        char room[4096];
        while (request.find("\r\n\r\n") == std::string::npos) {
          const ssize_t bytes = ::recv(socket, room, sizeof room, 0);
          if (bytes <= 0) break;
          request.append(room, static_cast<std::size_t>(bytes));
        }
        ++requests_;
        ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
        ::close(socket);
      }
    });
  }
  ~ScriptedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int requests() const { return requests_; }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> requests_ = 0;
  std::thread thread_;
};

TEST(HttpClientTest, RepeatsABrokenRequestOnceIfThatIsHarmless) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  {
    const ScriptedServer server({"", answer});
    auto client = HttpClient::connect(url_of(server.port()));
    ASSERT_TRUE(client.has_value());
    const auto reply = client->request("GET", "/");
    ASSERT_TRUE(reply.has_value()) << reply.error().text();
    EXPECT_EQ(reply->body, "ok");
  }
  {
    const ScriptedServer server({"", answer});
    auto client = HttpClient::connect(url_of(server.port()));
    ASSERT_TRUE(client.has_value());
    const auto reply = client->request("POST", "/", "x");
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(server.requests(), 1);
  }
  const ScriptedServer server({"", answer});
  auto client = HttpClient::connect(url_of(server.port()));
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->request("POST", "/", "x", {{"Idempotency-Key", "k"}}).has_value());
}

TEST(HttpClientTest, ReadsChunkedAnswersAndAnswersWithoutLength) {
  const ScriptedServer server(
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
       "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n",
       "HTTP/1.0 200 OK\r\n\r\nuntil the end"});
  auto client = HttpClient::connect(url_of(server.port()));
  ASSERT_TRUE(client.has_value());
  const auto chunked = client->request("GET", "/");
  ASSERT_TRUE(chunked.has_value()) << chunked.error().text();
  EXPECT_EQ(chunked->body, "abcde");
  auto second = HttpClient::connect(url_of(server.port()));
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->request("GET", "/")->body, "until the end");
}

TEST(HttpClientTest, RefusesWhatIsNotHttp) {
  const ScriptedServer server({"SSH-2.0-OpenSSH_9.2\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"});
  for (int i = 0; i < 3; ++i) {
    auto client = HttpClient::connect(url_of(server.port()));
    ASSERT_TRUE(client.has_value());
    const auto reply = client->request("GET", "/");
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, ErrorCode::kInternal) << reply.error().text();
  }
}

TEST(HttpClientTest, SpeaksTlsWithTheServerThatWasAskedForAndNoOther) {
  const endpoint::CertificateFolder files;
  const auto tls = files.load(files.options());
  endpoint::HttpServerOptions options;
  options.tls = tls.get();
  const auto server = start_server(options);
  const auto url = [&](std::string_view host) {
    return fmt::format("https://{}:{}", host, server->tls_port());
  };
  HttpClientOptions trusting;
  trusting.ca_file = files.path("ca.crt");
  for (const auto* host : {"127.0.0.1", "localhost"}) {
    auto client = HttpClient::connect(url(host), trusting);
    ASSERT_TRUE(client) << client.error().text();
    const std::string body(1'000'000, 'x');
    for (int i = 0; i < 5; ++i) {
      const auto reply = client->request("POST", "/echo", i % 2 == 0 ? body : "short");
      ASSERT_TRUE(reply) << reply.error().text();
      EXPECT_EQ(reply->body, i % 2 == 0 ? body : "short");
    }
    auto moved = std::move(*client);
    EXPECT_TRUE(moved.request("GET", "/echo?text=again"));
  }
  EXPECT_EQ(server->metrics().connections_accepted, 2U) << "connections are used again";

  const endpoint::CertificateFolder others;
  HttpClientOptions elsewhere;
  elsewhere.ca_file = others.path("ca.crt");
  const auto stranger = HttpClient::connect(url("127.0.0.1"), elsewhere);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(stranger.error().text(), HasSubstr("not trusted"));
  EXPECT_THAT(stranger.error().text(), HasSubstr("--ca"));
  const auto other_name = HttpClient::connect(url("127.0.0.2"), trusting);
  EXPECT_FALSE(other_name) << "the certificate is of another address";
  elsewhere.ca_file = others.path("nowhere.crt");
  EXPECT_EQ(HttpClient::connect(url("127.0.0.1"), elsewhere).error().code,
            ErrorCode::kInvalidArgument);
  const auto plain =
      HttpClient::connect(fmt::format("https://127.0.0.1:{}", server->port()), trusting);
  EXPECT_FALSE(plain) << "a port without TLS";
}

}  // namespace
}  // namespace millrace::client
