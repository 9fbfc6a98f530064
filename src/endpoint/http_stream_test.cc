// Answers without an end and WebSockets over real sockets: every byte that a client gets, what the
// producer is told, and what a client cannot make the server hold.
#include "endpoint/http_stream.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "endpoint/http_server.h"
#include "endpoint/raw_client_test.h"
#include "endpoint/web_socket.h"

namespace millrace::endpoint {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using namespace std::string_literals;

// What happened, in order, seen by the test's thread.
class Log {
 public:
  void add(std::string what) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(what));
    changed_.notify_all();
  }
  [[nodiscard]] std::size_t count(std::string_view what) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count(all_, what));
  }
  [[nodiscard]] std::string last() {
    const std::lock_guard lock(mutex_);
    return all_.empty() ? "" : all_.back();
  }
  bool wait_for(std::string_view what, std::size_t times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      return static_cast<std::size_t>(std::ranges::count(all_, what)) >= times;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;
};

class Source : public HttpStreamSource {
 public:
  Source(Log& log, HttpStreamWriter made_for) : writer(std::move(made_for)), log_(log) {}
  void drained() override { log_.add("drained"); }
  void heartbeat() override {
    writer.write("beat");
    log_.add("heartbeat");
  }
  void closed() override { log_.add("closed"); }
  const HttpStreamWriter writer;

 private:
  Log& log_;
};

class EchoHandler : public WebSocketHandler {
 public:
  explicit EchoHandler(Log& log) : log_(log) {}
  void opened(std::shared_ptr<WebSocket> socket) override {
    socket_ = std::move(socket);
    log_.add("opened");
  }
  void message(std::string_view bytes, bool binary) override {
    if (bytes == "bye") {
      socket_->end(WebSocketEnd::kNormal, "as you like");
      return;
    }
    socket_->send(std::string(bytes), binary);
  }
  void drained() override { log_.add("drained"); }
  void stopping() override { socket_->end(WebSocketEnd::kGoingAway, "stops"); }
  void closed() override {
    socket_.reset();
    log_.add("closed");
  }

 private:
  Log& log_;
  std::shared_ptr<WebSocket> socket_;
};

class HttpStreamTest : public ::testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    HttpRouter router;
    router.add("GET", "/stream", [this](HttpRequest, Responder responder) {
      auto source = std::make_shared<Source>(log_, HttpStreamWriter(responder));
      {
        const std::lock_guard lock(mutex_);
        sources_.push_back(source);
      }
      log_.add("begun");
      HttpResponse response;
      response.content_type = "text/plain";
      response.stream = std::move(source);
      responder.respond(std::move(response));
    });
    router.add("GET", "/hello", [](HttpRequest, Responder responder) {
      HttpResponse response;
      response.body = "hello";
      responder.respond(std::move(response));
    });
    router.add("GET", "/socket", [this](HttpRequest request, Responder responder) {
      WebSocketOptions of_socket{.subprotocols = {}, .message_bytes_max = 1000};
      of_socket.allowed_origins = {"http://friend.example"};
      if (request.query_value("speaks")) of_socket.subprotocols = {"mqtt", "chat"};
      responder.respond(web_socket_answer(request, of_socket, std::make_shared<EchoHandler>(log_)));
    });
    options.threads = 2;
    auto server = HttpServer::start(std::move(options), std::move(router));
    ASSERT_TRUE(server.has_value()) << server.error().text();
    server_ = std::move(*server);
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  std::shared_ptr<Source> source(std::size_t number = 0) {
    EXPECT_TRUE(log_.wait_for("begun", number + 1));
    const std::lock_guard lock(mutex_);
    return sources_.at(number);
  }
  [[nodiscard]] std::string upgrade(std::string_view target, std::string_view fields = "") const {
    return get(target, fmt::format("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                                   "Sec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}",
                                   fields));
  }
  // A text message of a client, masked by zeros.
  static std::string message(std::string_view text, char opcode = '\x01') {
    std::string frame = {static_cast<char>(0x80 | opcode)};
    if (text.size() < 126) {
      frame += static_cast<char>(0x80 | text.size());
    } else {
      frame += '\xfe';
      frame += static_cast<char>(text.size() >> 8);
      frame += static_cast<char>(text.size() & 0xff);
    }
    return frame + "\0\0\0\0"s + std::string(text);
  }

  Log log_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Source>> sources_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpStreamTest, SendsEachPieceAsAChunkAndTheNextAnswerBehindTheLast) {
  start();
  RawClient client(port());
  client.send(get("/stream") + get("/hello"));
  const Reply head = read_reply(client, false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(head.header("Content-Length"), "");
  EXPECT_EQ(head.header("Content-Type"), "text/plain");
  source()->writer.write("one");
  EXPECT_EQ(client.read_bytes(8), "3\r\none\r\n");
  EXPECT_TRUE(log_.wait_for("drained"));
  source()->writer.write("");  // would be the end
  source()->writer.write(std::string(20, 'x'));
  EXPECT_EQ(client.read_bytes(26), "14\r\n" + std::string(20, 'x') + "\r\n");
  source()->writer.finish("two");
  EXPECT_EQ(client.read_bytes(13), "3\r\ntwo\r\n0\r\n\r\n");
  EXPECT_EQ(read_reply(client).body, "hello");
  EXPECT_EQ(log_.count("closed"), 0U);
  EXPECT_EQ(server_->metrics().streams_open.load(), 0U);
}

TEST_F(HttpStreamTest, InHttp10TheBodyEndsWithTheConnection) {
  start();
  RawClient client(port());
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n");
  source()->writer.write("one");
  source()->writer.finish("two");
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n\r\nonetwo"));
  EXPECT_TRUE(all.ends_with("onetwo")) << all;
}

TEST_F(HttpStreamTest, AHeadRequestGetsNoBody) {
  start();
  RawClient client(port());
  client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n" + get("/hello"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(read_reply(client).body, "hello");
}

TEST_F(HttpStreamTest, TheProducerIsToldWhenTheClientIsGone) {
  start();
  {
    RawClient client(port());
    client.send(get("/stream"));
    EXPECT_EQ(read_reply(client, false).status, 200);
    EXPECT_EQ(server_->metrics().streams_open.load(), 1U);
  }
  EXPECT_TRUE(log_.wait_for("closed"));
  source()->writer.write("to nobody");
  EXPECT_EQ(server_->metrics().streams_open.load(), 0U);
  EXPECT_EQ(log_.count("drained"), 0U);
}

TEST_F(HttpStreamTest, AClientThatDoesNotReadIsNotWrittenTo) {
  start({.write_time = 300ms});
  RawClient client(port());
  client.send(get("/stream"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  // More than the sockets take: it stays until the client reads.
  source()->writer.write(std::string(std::size_t{16} << 20, 'x'));
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.count("drained"), 0U);
  EXPECT_EQ(server_->metrics().timeouts.load(), 1U);
}

TEST_F(HttpStreamTest, SilenceIsBrokenByASignOfLife) {
  start({.idle_time = 40ms, .stream_heartbeat_time = 50ms});
  RawClient client(port());
  client.send(get("/stream"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  EXPECT_EQ(client.read_bytes(18), "4\r\nbeat\r\n4\r\nbeat\r\n");
  EXPECT_TRUE(log_.wait_for("heartbeat", 2));
}

TEST_F(HttpStreamTest, StoppingEndsTheStream) {
  start();
  RawClient client(port());
  client.send(get("/stream"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  RawClient socket(port());
  socket.send(upgrade("/socket"));
  EXPECT_EQ(read_reply(socket, false).status, 101);
  EXPECT_TRUE(log_.wait_for("opened"));
  const auto before = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 4s);
  EXPECT_EQ(client.read_to_end(), "0\r\n\r\n");
  EXPECT_EQ(socket.read_to_end(), "\x88\x07\x03\xe9stops");
  EXPECT_EQ(log_.count("closed"), 2U);
}

TEST_F(HttpStreamTest, TooManyStreamsAreRefusedAndTheOthersLiveOn) {
  start({.streams_max = 2});
  RawClient first(port());
  first.send(get("/stream"));
  EXPECT_EQ(read_reply(first, false).status, 200);
  RawClient second(port());
  second.send(upgrade("/socket"));
  EXPECT_EQ(read_reply(second, false).status, 101);
  EXPECT_EQ(exchange(port(), get("/stream")).status, 429);
  EXPECT_EQ(exchange(port(), upgrade("/socket")).status, 429);
  EXPECT_TRUE(log_.wait_for("closed", 2));
  source()->writer.write("one");
  EXPECT_EQ(first.read_bytes(8), "3\r\none\r\n");
  EXPECT_EQ(exchange(port(), get("/hello")).status, 200);
}

TEST_F(HttpStreamTest, AWebSocketOpensEchoesAndCloses) {
  start();
  RawClient client(port());
  client.send(get("/hello") + upgrade("/socket"));
  EXPECT_EQ(read_reply(client).body, "hello");
  const Reply head = read_reply(client, false);
  EXPECT_EQ(head.status, 101);
  // Of the example in RFC 6455, section 1.3.
  EXPECT_EQ(head.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(head.header("Sec-WebSocket-Protocol"), "");
  client.send(message("hi") + message("\x01\x02", 2));
  EXPECT_EQ(client.read_bytes(4), "\x81\x02hi");
  EXPECT_EQ(client.read_bytes(4), "\x82\x02\x01\x02");
  client.send(message("you", 9));
  EXPECT_EQ(client.read_bytes(5), "\x8a\x03you");  // the answer to a ping
  EXPECT_TRUE(log_.wait_for("drained"));
  client.send(message("bye"));
  EXPECT_EQ(client.read_bytes(15), "\x88\x0d\x03\xe8"s + "as you like");
  client.send(message("\x03\xe8", 8));
  EXPECT_EQ(client.read_to_end(), "");
  client.finish_sending();
  EXPECT_TRUE(log_.wait_for("closed"));
  EXPECT_EQ(log_.count("closed"), 1U);
}

TEST_F(HttpStreamTest, AWebSocketMessageThatIsTooLongEndsIt) {
  start();
  RawClient client(port());
  client.send(upgrade("/socket"));
  EXPECT_EQ(read_reply(client, false).status, 101);
  client.send(message(std::string(1001, 'x')));
  EXPECT_THAT(client.read_bytes(4), HasSubstr("\x03\xf1"));  // 1009
  client.finish_sending();
  EXPECT_TRUE(log_.wait_for("closed"));
}

TEST_F(HttpStreamTest, ABrokenFrameEndsAWebSocket) {
  start();
  RawClient client(port());
  client.send(upgrade("/socket"));
  EXPECT_EQ(read_reply(client, false).status, 101);
  client.send("\x81\x02hi");                                 // a client must mask
  EXPECT_THAT(client.read_bytes(4), HasSubstr("\x03\xea"));  // 1002
  client.finish_sending();
  EXPECT_TRUE(log_.wait_for("closed"));
}

TEST_F(HttpStreamTest, AWebSocketIsRefusedWithAReason) {
  start();
  const Reply plain = exchange(port(), get("/socket"));
  EXPECT_EQ(plain.status, 426);
  EXPECT_EQ(plain.header("Upgrade"), "websocket");
  EXPECT_EQ(exchange(port(), get("/socket",
                                 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Version: 8\r\n"))
                .status,
            426);
  const Reply foreign = exchange(port(), upgrade("/socket", "Origin: http://evil.example\r\n"));
  EXPECT_EQ(foreign.status, 403);
  EXPECT_THAT(foreign.body, HasSubstr("pages of http://evil.example may not connect"));
  EXPECT_EQ(exchange(port(), upgrade("/socket", "Origin: null\r\n")).status, 403);
  for (const std::string_view origin :
       {"http://localhost", "https://LocalHost", "http://friend.example"}) {
    RawClient client(port());
    client.send(upgrade("/socket", fmt::format("Origin: {}\r\n", origin)));
    EXPECT_EQ(read_reply(client, false).status, 101) << origin;
  }
}

TEST_F(HttpStreamTest, AWebSocketSpeaksASubprotocolOfBothSides) {
  start();
  RawClient client(port());
  client.send(upgrade("/socket?speaks=1", "Sec-WebSocket-Protocol: other, chat\r\n"));
  EXPECT_EQ(read_reply(client, false).header("Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(exchange(port(), upgrade("/socket?speaks=1")).status, 400);
}

TEST_F(HttpStreamTest, AWebSocketThatOpensWhileTheServerStopsHearsOfItsEndLast) {
  for (int i = 0; i < 100; ++i) {
    start();
    {
      RawClient client(port());
      client.send(upgrade("/socket"));
      EXPECT_EQ(read_reply(client, false).status, 101);
    }
    server_.reset();
    ASSERT_EQ(log_.last(), "closed") << i;
  }
}

TEST_F(HttpStreamTest, WhatComesBeforeTheHandshakeIsAnsweredIsRefused) {
  start();
  RawClient client(port());
  client.send(upgrade("/socket") + message("too early"));
  const Reply reply = read_reply(client);
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body, HasSubstr("before the upgrade was answered"));
  EXPECT_EQ(client.read_to_end(), "");
}

}  // namespace
}  // namespace millrace::endpoint
