// The HTTP server over real sockets on loopback: what a client sends, byte for byte, and what it
// gets.
#include "endpoint/http_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "endpoint/content_encoding.h"
#include "endpoint/raw_client_test.h"

namespace millrace::endpoint {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using namespace std::string_literals;

HttpResponse text(std::string body) {
  return HttpResponse{
      .status = 200, .content_type = "text/plain", .headers = {}, .body = std::move(body)};
}

// Requests of the route /wait/{name}, answered when the test says so, from the test's thread.
class Waiting {
 public:
  void add(std::string name, Responder responder) {
    const std::lock_guard lock(mutex_);
    responders_.emplace(std::move(name), std::move(responder));
    changed_.notify_all();
  }
  Responder take(const std::string& name) {
    std::unique_lock lock(mutex_);
    const bool came =
        changed_.wait_for(lock, kPatience, [&] { return responders_.contains(name); });
    if (!came) throw std::runtime_error("request " + name + " did not come");
    Responder responder = std::move(responders_.at(name));
    responders_.erase(name);
    return responder;
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return responders_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Responder> responders_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    HttpRouter router;
    router.add("GET", "/hello",
               [](HttpRequest, Responder responder) { responder.respond(text("hello")); });
    router.add("POST", "/echo", [](HttpRequest request, Responder responder) {
      responder.respond(text(std::string(request.body.view())));
    });
    router.add("POST", "/small",
               [](HttpRequest request, Responder responder) {
                 responder.respond(text(fmt::format("{} bytes", request.body.size())));
               },
               {.body_bytes_max = 1000, .media_types = {"application/json"}});
    router.add("POST", "/raw",
               [](HttpRequest request, Responder responder) {
                 responder.respond(text(fmt::format("{} raw bytes", request.body.size())));
               },
               {.body_bytes_max = {}, .media_types = {}, .decode_body = false});
    router.add("GET", "/v1/streams/{stream}/events", [](HttpRequest request, Responder responder) {
      std::string out = fmt::format("stream={}", request.param("stream"));
      for (const auto& [name, value] : request.query) out += fmt::format(" {}={}", name, value);
      responder.respond(text(out));
    });
    router.add("GET", "/v1/streams/special/events",
               [](HttpRequest, Responder responder) { responder.respond(text("special")); });
    router.add("GET", "/wait/{name}", [this](HttpRequest request, Responder responder) {
      waiting_.add(std::string(request.param("name")), std::move(responder));
    });
    router.add("POST", "/wait/{name}", [this](HttpRequest request, Responder responder) {
      waiting_.add(std::string(request.param("name")), std::move(responder));
    });
    router.add("GET", "/forgotten", [](HttpRequest, Responder) {});
    router.add("GET", "/throws", [](HttpRequest, Responder) { throw std::runtime_error("no"); });
    router.add("GET", "/large",
               [](HttpRequest request, Responder responder) {
                 const std::string bytes(request.query_value("bytes").value_or("100000"));
                 responder.respond(text(std::string(std::stoul(bytes), 'x')));
               },
               {.body_bytes_max = {}, .media_types = {}, .decode_body = true, .gzip_answer = true});
    router.add("GET", "/inject", [](HttpRequest request, Responder responder) {
      HttpResponse response = text("ok");
      response.headers.emplace_back("X-Echo", std::string(*request.query_value("text")));
      responder.respond(std::move(response));
    });
    options.threads = 2;
    auto server = HttpServer::start(std::move(options), std::move(router));
    ASSERT_TRUE(server.has_value()) << server.error().text();
    server_ = std::move(*server);
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  Waiting waiting_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersManyRequestsOnOneConnection) {
  start();
  RawClient client(port());
  for (int i = 0; i < 100; ++i) {
    client.send(get("/hello"));
    const Reply reply = read_reply(client);
    ASSERT_EQ(reply.status, 200);
    ASSERT_EQ(reply.body, "hello");
    ASSERT_EQ(reply.header("Connection"), "");
  }
  EXPECT_EQ(server_->metrics().answers_by_class[2].load(), 100U);
  EXPECT_EQ(server_->metrics().connections_open.load(), 1U);
}

TEST_F(HttpServerTest, SaysTypeLengthAndDate) {
  start();
  const Reply reply = exchange(port(), get("/hello"));
  EXPECT_EQ(reply.header("Content-Type"), "text/plain");
  EXPECT_EQ(reply.header("Content-Length"), "5");
  EXPECT_THAT(reply.header("Date"), HasSubstr(" GMT"));
  EXPECT_EQ(reply.header("X-Request-Id"), "");
}

TEST_F(HttpServerTest, EchoesARequestIdThatIsPrintable) {
  start();
  EXPECT_EQ(exchange(port(), get("/hello", "x-request-id: abc-1\r\n")).header("X-Request-Id"),
            "abc-1");
  EXPECT_EQ(exchange(port(), get("/hello", "X-Request-Id: \xc3\xa4\r\n")).header("X-Request-Id"),
            "");
  const std::string too_long(129, 'a');
  EXPECT_EQ(exchange(port(), get("/hello", fmt::format("X-Request-Id: {}\r\n", too_long)))
                .header("X-Request-Id"),
            "");
}

TEST_F(HttpServerTest, DecodesPathParametersAndQuery) {
  start();
  EXPECT_EQ(exchange(port(), get("/v1/streams/a%20b%2Fc/events?x=1&y=a+b%26&x=%C3%A4&z")).body,
            "stream=a b/c x=1 y=a b& x=\xc3\xa4 z=");
  EXPECT_EQ(exchange(port(), get("/v1/streams/special/events")).body, "special");
  EXPECT_EQ(exchange(port(), get("http://x/v1/streams/s/events?a=b")).body, "stream=s a=b");
  EXPECT_EQ(exchange(port(), get("/v1/streams//events")).status, 404);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInTheirOrderWhateverOrderTheHandlersFinishIn) {
  start();
  RawClient client(port());
  client.send(get("/wait/a") + get("/wait/b") + get("/hello") + get("/wait/c"));
  waiting_.take("c").respond(text("C"));
  waiting_.take("b").respond(text("B"));
  waiting_.take("a").respond(text("A"));
  std::string bodies;
  for (int i = 0; i < 4; ++i) bodies += read_reply(client).body + " ";
  EXPECT_EQ(bodies, "A B hello C ");
}

TEST_F(HttpServerTest, TakesRequestsByteByByte) {
  start();
  RawClient client(port());
  const std::string bytes = "\r\n" + post("/echo", "some body") + get("/hello") +
                            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "4\r\nabcd\r\n1;name=\"v\"\r\ne\r\n0\r\nTrailer: t\r\n\r\n" +
                            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "0\r\n\r\n";
  for (const char byte : bytes) client.send(std::string_view(&byte, 1));
  EXPECT_EQ(read_reply(client).body, "some body");
  EXPECT_EQ(read_reply(client).body, "hello");
  EXPECT_EQ(read_reply(client).body, "abcde");
  const Reply empty = read_reply(client);
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "");
}

TEST_F(HttpServerTest, StopsReadingAConnectionThatHasTooManyRequestsInFlight) {
  HttpServerOptions options;
  options.requests_in_flight_max = 4;
  start(options);
  RawClient client(port());
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += get(fmt::format("/wait/{}", i));
  client.send(requests);
  for (int i = 0; i < 20; ++i) {
    Responder responder = waiting_.take(std::to_string(i));
    EXPECT_LE(waiting_.size(), 4U);
    responder.respond(text(std::to_string(i)));
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(read_reply(client).body, std::to_string(i));
}

TEST_F(HttpServerTest, AnswersHeadLikeGetWithoutTheBody) {
  start();
  RawClient client(port());
  client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n" + get("/hello"));
  const Reply head = read_reply(client, false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "5");
  EXPECT_EQ(read_reply(client).body, "hello");
}

TEST_F(HttpServerTest, ClosesAfterTheAnswerWhenTheClientAsks) {
  start();
  RawClient client(port());
  client.send(get("/hello", "Connection: close\r\n") + get("/hello"));
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, HasSubstr("Connection: close"));
  EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos);
}

TEST_F(HttpServerTest, SpeaksHttp10) {
  start();
  {
    RawClient client(port());
    client.send("GET /hello HTTP/1.0\r\n\r\n");
    EXPECT_THAT(client.read_to_end(), HasSubstr("hello"));
  }
  RawClient client(port());
  client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(read_reply(client).header("Connection"), "keep-alive");
  client.send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), HasSubstr("hello"));
}

TEST_F(HttpServerTest, AnswersAClientThatHasFinishedSending) {
  start();
  RawClient client(port());
  client.send(get("/wait/a") + get("/hello"));
  client.finish_sending();
  waiting_.take("a").respond(text("A"));
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, HasSubstr("\r\n\r\nA"));
  EXPECT_THAT(all, HasSubstr("\r\n\r\nhello"));
}

TEST_F(HttpServerTest, SaysContinueToAClientThatWaitsForIt) {
  start();
  RawClient client(port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_EQ(read_reply(client).body, "abc");
}

TEST_F(HttpServerTest, RefusesAtOnceInsteadOfSayingContinue) {
  start();
  RawClient client(port());
  client.send(
      "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
      "Expect: 100-continue\r\n\r\n");
  const Reply reply = read_reply(client);
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_EQ(exchange(port(), get("/hello", "Expect: miracles\r\n")).status, 417);
}

TEST_F(HttpServerTest, TakesLargeBodies) {
  start();
  std::string body(5'000'000, 'b');
  for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i % 26);
  RawClient client(port());
  std::thread sender([&] { client.send(post("/echo", body)); });
  const Reply reply = read_reply(client);
  sender.join();
  EXPECT_TRUE(reply.body == body);

  std::string chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += 100'000) {
    chunked += fmt::format("{:x}\r\n", 100'000);
    chunked.append(body, at, 100'000).append("\r\n");
  }
  std::thread chunk_sender([&] { client.send(chunked + "0\r\n\r\n"); });
  const Reply chunked_reply = read_reply(client);
  chunk_sender.join();
  EXPECT_TRUE(chunked_reply.body == body);
  EXPECT_EQ(server_->metrics().body_bytes_in_flight.load(), 0U);
}

TEST_F(HttpServerTest, SendsLargeAnswersToASlowReader) {
  start();
  RawClient client(port());
  client.send(get("/large?bytes=20000000") + get("/hello"));
  EXPECT_EQ(read_reply(client).body.size(), 20'000'000U);
  EXPECT_EQ(read_reply(client).body, "hello");
}

struct BadRequest {
  std::string_view name;
  std::string request;
  int status;
  std::string_view code;
};

class HttpBadRequestTest : public HttpServerTest,
                           public ::testing::WithParamInterface<BadRequest> {};

TEST_P(HttpBadRequestTest, GetsItsStatusAndCodeAndTheServerKeepsServing) {
  start();
  RawClient client(port());
  client.send(GetParam().request);
  const Reply reply = read_reply(client);
  EXPECT_EQ(reply.status, GetParam().status) << reply.body;
  EXPECT_EQ(reply.code(), GetParam().code) << reply.body;
  EXPECT_EQ(reply.header("Content-Type"), "application/problem+json");
  EXPECT_THAT(reply.body, HasSubstr(fmt::format("\"status\":{}", GetParam().status)));
  if (reply.header("Connection") == "close") {
    // Nothing behind a request that was not understood is answered.
    client.send(get("/hello"));
    EXPECT_EQ(client.read_to_end(), "");
  } else {
    client.send(get("/hello"));
    EXPECT_EQ(read_reply(client).body, "hello");
  }
  EXPECT_EQ(exchange(port(), get("/hello")).body, "hello");
}

const std::string kChunkedHead =
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    All, HttpBadRequestTest,
    ::testing::Values(
        BadRequest{"NoRequestLine", "hello\r\n\r\n", 400, "MR3007"},
        BadRequest{"Tls", "\x16\x03\x01\x02", 400, "MR3007"},
        BadRequest{"BareLineFeed", "GET /hello HTTP/1.1\nHost: x\n\n", 400, "MR3007"},
        BadRequest{"BareLineFeedInAField", "GET /hello HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"BareCarriageReturn", "GET /hello HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"NulInAField", "GET /hello HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n"s, 400,
                   "MR3007"},
        BadRequest{"BlankBeforeColon", get("/hello", "Content-Length : 0\r\n"), 400, "MR3007"},
        BadRequest{"EmptyFieldName", get("/hello", ": a\r\n"), 400, "MR3007"},
        BadRequest{"NoHost", "GET /hello HTTP/1.1\r\n\r\n", 400, "MR3007"},
        BadRequest{"TwoHosts", get("/hello", "Host: y\r\n"), 400, "MR3007"},
        BadRequest{"OtherVersion", "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", 505, "MR3007"},
        BadRequest{"BrokenEscape", get("/hel%2"), 400, "MR3007"},
        BadRequest{"BrokenEscapeInQuery", get("/hello?a=%zz"), 400, "MR3007"},
        BadRequest{"NulInPath", get("/hello%00"), 400, "MR3007"},
        BadRequest{"NotUtf8InPath", get("/hello%ff"), 400, "MR3007"},
        BadRequest{"Fragment", get("/hello#top"), 400, "MR3007"},
        BadRequest{"NoPath", get("hello"), 400, "MR3007"},
        BadRequest{"LengthAndChunked",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"ChunkedAndLength",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   "Content-Length: 3\r\n\r\n0\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"TwoLengths", post("/echo", "abc", "Content-Length: 3\r\n"), 400, "MR3007"},
        BadRequest{"LengthList",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400,
                   "MR3007"},
        BadRequest{"NegativeLength",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc", 400,
                   "MR3007"},
        BadRequest{"SignedLength",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400,
                   "MR3007"},
        BadRequest{"HugeLength",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n"
                   "\r\nabc",
                   400, "MR3007"},
        BadRequest{"OtherTransferEncoding",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                   "0\r\n\r\n",
                   501, "MR3007"},
        BadRequest{"ChunkedNotLast",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"
                   "0\r\n\r\n",
                   501, "MR3007"},
        BadRequest{"HiddenChunked",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked\r\n\r\n"
                   "0\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"TwoTransferEncodings",
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400, "MR3007"},
        BadRequest{"ChunkedInHttp10",
                   "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
                   "MR3007"},
        BadRequest{"ChunkSizeNotHex", kChunkedHead + "zz\r\nab\r\n0\r\n\r\n", 400, "MR3007"},
        BadRequest{"ChunkWithoutEnd", kChunkedHead + "2\r\nabcd\r\n0\r\n\r\n", 400, "MR3007"},
        BadRequest{"ChunkBareLineFeed", kChunkedHead + "2\nab\n0\n\n\r\n\r\n", 400, "MR3007"},
        BadRequest{"ChunkSizeOverflow", kChunkedHead + "10000000000000002\r\nab\r\n0\r\n\r\n", 400,
                   "MR3007"},
        BadRequest{"ChunkExtensionTooLong", kChunkedHead + "2;" + std::string(20'000, 'a'), 431,
                   "MR3007"},
        BadRequest{"HeadTooLong", get("/hello", "A: " + std::string(20'000, 'a') + "\r\n"), 431,
                   "MR3007"},
        BadRequest{"HeadWithoutEnd", "GET /" + std::string(20'000, 'a'), 431, "MR3007"},
        BadRequest{"UnknownRoute", get("/nothing"), 404, "MR3005"},
        BadRequest{"UnknownRouteWithBody", post("/nothing", "abc"), 404, "MR3005"},
        BadRequest{"WrongMethod", get("/echo"), 405, "MR3006"},
        BadRequest{"UnknownMethod", "BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", 405, "MR3006"},
        BadRequest{"BodyTooLarge", post("/small", std::string(1001, 'a')), 413, "MR3001"},
        BadRequest{"BodyFarTooLarge",
                   "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", 413,
                   "MR3001"},
        BadRequest{"ChunkTooLarge",
                   "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
                   413, "MR3001"},
        BadRequest{"ManyChunksTooLarge",
                   "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" +
                       std::string(500, 'a') + "\r\n1f5\r\n",
                   413, "MR3001"},
        BadRequest{"MediaType", post("/small", "{}", "Content-Type: text/csv\r\n"), 415, "MR3002"},
        BadRequest{"ContentEncoding", post("/echo", "abc", "Content-Encoding: br\r\n"), 415,
                   "MR3003"},
        BadRequest{"BrokenGzip", post("/echo", "abc", "Content-Encoding: gzip\r\n"), 400, "MR3003"},
        BadRequest{"BrokenZstd", post("/echo", "abc", "Content-Encoding: zstd\r\n"), 400,
                   "MR3003"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(HttpServerTest, TellsTheAllowedMethodsAndTheKnownRoutes) {
  start();
  EXPECT_EQ(exchange(port(), get("/echo")).header("Allow"), "POST");
  EXPECT_EQ(exchange(port(), post("/hello", "")).header("Allow"), "GET, HEAD");
  EXPECT_THAT(exchange(port(), get("/nothing")).body, HasSubstr("POST /echo"));
}

TEST_F(HttpServerTest, TakesTheMediaTypeInAnyCaseAndWithParameters) {
  start();
  EXPECT_EQ(
      exchange(port(), post("/small", "{}", "content-type: Application/JSON; charset=utf-8\r\n"))
          .body,
      "2 bytes");
}

std::string zstd(std::string_view content) {
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), 1));
  return packed;
}

TEST_F(HttpServerTest, DecompressesBodies) {
  start();
  const std::string content(300'000, 'c');
  EXPECT_TRUE(exchange(port(), post("/echo", *gzip(content), "Content-Encoding: gzip\r\n")).body ==
              content);
  EXPECT_TRUE(exchange(port(), post("/echo", zstd(content), "Content-Encoding: zstd\r\n")).body ==
              content);
  EXPECT_EQ(
      exchange(port(), post("/echo", *gzip("a") + *gzip("b"), "Content-Encoding: gzip\r\n")).body,
      "ab");
  EXPECT_EQ(exchange(port(), post("/raw", *gzip(content), "Content-Encoding: gzip\r\n")).body,
            fmt::format("{} raw bytes", gzip(content)->size()));
  const std::string cut = gzip(content)->substr(0, 100);
  EXPECT_EQ(exchange(port(), post("/echo", cut, "Content-Encoding: gzip\r\n")).code(), "MR3003");
}

TEST_F(HttpServerTest, RefusesBodiesThatUnfoldTooFar) {
  start();
  const std::string content(1001, 'c');
  for (const auto& request :
       {post("/small", *gzip(content), "Content-Encoding: gzip\r\n"),
        post("/small", zstd(content), "Content-Encoding: zstd\r\n"),
        post("/small", *gzip(std::string(100'000, 'c')), "Content-Encoding: gzip\r\n")}) {
    const Reply reply = exchange(port(), request);
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.code(), "MR3001");
  }
  const std::string bomb(80'000'000, 'b');
  EXPECT_EQ(exchange(port(), post("/echo", *gzip(bomb), "Content-Encoding: gzip\r\n")).status, 413);
  EXPECT_EQ(exchange(port(), post("/echo", zstd(bomb), "Content-Encoding: zstd\r\n")).status, 413);
}

TEST_F(HttpServerTest, CompressesLargeAnswersForThoseWhoTakeIt) {
  start();
  const Reply packed = exchange(port(), get("/large", "Accept-Encoding: br, gzip;q=0.5\r\n"));
  EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
  const auto content = decode_content(ContentEncoding::kGzip, packed.body, 1'000'000);
  ASSERT_TRUE(content.has_value());
  EXPECT_EQ(content->size(), 100'000U);
  EXPECT_EQ(exchange(port(), get("/large")).header("Content-Encoding"), "");
  EXPECT_EQ(
      exchange(port(), get("/large", "Accept-Encoding: gzip;q=0\r\n")).header("Content-Encoding"),
      "");
  EXPECT_EQ(exchange(port(), get("/large?bytes=100", "Accept-Encoding: gzip\r\n"))
                .header("Content-Encoding"),
            "");
}

TEST_F(HttpServerTest, AnswersForAHandlerThatForgetsOrThrows) {
  start();
  RawClient client(port());
  for (const auto* target : {"/forgotten", "/throws"}) {
    client.send(get(target));
    const Reply reply = read_reply(client);
    EXPECT_EQ(reply.status, 500);
    EXPECT_EQ(reply.code(), "MR9001");
  }
  client.send(get("/hello"));
  EXPECT_EQ(read_reply(client).body, "hello");
}

TEST_F(HttpServerTest, LetsNoValueBeginAnotherHeader) {
  start();
  const Reply reply = exchange(port(), get("/inject?text=a%0d%0aX-Evil:%20b"));
  EXPECT_EQ(reply.header("X-Echo"), "a  X-Evil: b");
  EXPECT_EQ(reply.header("X-Evil"), "");
}

TEST_F(HttpServerTest, RefusesConnectionsOverTheLimitAndServesAgainLater) {
  HttpServerOptions options;
  options.connections_max = 2;
  options.linger_time = 50ms;
  start(options);
  RawClient first(port());
  first.send(get("/hello"));
  EXPECT_EQ(read_reply(first).status, 200);
  {
    RawClient second(port());
    second.send(get("/hello"));
    EXPECT_EQ(read_reply(second).status, 200);
    RawClient third(port());
    third.send(get("/hello"));
    const Reply reply = read_reply(third);
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.code(), "MR3004");
    EXPECT_EQ(reply.header("Retry-After"), "1");
    EXPECT_EQ(third.read_to_end(), "");
  }
  EXPECT_EQ(server_->metrics().connections_refused.load(), 1U);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  int status = 503;
  while (status != 200 && std::chrono::steady_clock::now() < end) {
    status = exchange(port(), get("/hello")).status;
  }
  EXPECT_EQ(status, 200);
}

TEST_F(HttpServerTest, DropsClientsThatAreSlowWithTheirHeadOrBody) {
  HttpServerOptions options;
  options.head_time = 60ms;
  options.body_time = 60ms;
  options.linger_time = 50ms;
  start(options);
  for (const std::string_view part :
       {"GET /hello HTTP/1.1\r\nHost:",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"}) {
    RawClient client(port());
    client.send(part);
    const Reply reply = read_reply(client);
    EXPECT_EQ(reply.status, 408) << part;
    EXPECT_EQ(client.read_to_end(), "");
  }
  EXPECT_EQ(server_->metrics().timeouts.load(), 3U);
  EXPECT_EQ(server_->metrics().body_bytes_in_flight.load(), 0U);
}

TEST_F(HttpServerTest, ClosesIdleConnectionsAndThoseThatReadNothing) {
  HttpServerOptions options;
  options.idle_time = 60ms;
  options.write_time = 60ms;
  start(options);
  RawClient idle(port());
  idle.send(get("/hello"));
  EXPECT_EQ(read_reply(idle).status, 200);
  EXPECT_EQ(idle.read_to_end(), "");

  RawClient deaf(port());
  deaf.send(get("/large?bytes=50000000"));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (server_->metrics().timeouts.load() == 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  EXPECT_EQ(server_->metrics().timeouts.load(), 1U);
}

TEST_F(HttpServerTest, WaitsForAHandlerLongerThanForAnIdleClient) {
  HttpServerOptions options;
  options.idle_time = options.head_time = options.body_time = 40ms;
  start(options);
  RawClient client(port());
  client.send(get("/wait/a"));
  Responder responder = waiting_.take("a");
  RawClient idle(port());
  EXPECT_EQ(idle.read_to_end(), "");  // several ticks have passed when this one is closed
  responder.respond(text("A"));
  EXPECT_EQ(read_reply(client).body, "A");
}

TEST_F(HttpServerTest, RefusesBodiesBeyondTheBudgetOfAllTogether) {
  HttpServerOptions options;
  options.body_bytes_in_flight_max = 1000;
  start(options);
  RawClient first(port());
  first.send(post("/wait/a", std::string(600, 'a')));
  Responder responder = waiting_.take("a");
  RawClient second(port());
  second.send(post("/echo", std::string(600, 'b')));
  const Reply refused = read_reply(second);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "MR3004");
  EXPECT_EQ(refused.header("Retry-After"), "1");
  const std::string chunk = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", 600, std::string(600, 'b'));
  EXPECT_EQ(exchange(port(), kChunkedHead + chunk).status, 429);

  responder.respond(text("A"));
  EXPECT_EQ(read_reply(first).body, "A");
  second.send(post("/echo", std::string(600, 'b')));
  EXPECT_EQ(read_reply(second).status, 200);
  EXPECT_EQ(server_->metrics().body_bytes_in_flight.load(), 0U);
}

TEST_F(HttpServerTest, HoldsNoMoreAnswersThanTheBudgetForClientsThatDoNotRead) {
  HttpServerOptions options;
  options.answer_bytes_in_flight_max = 20'000'000;
  start(options);
  RawClient greedy(port());
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += get("/large?bytes=4000000");
  greedy.send(requests);
  const auto patience = std::chrono::steady_clock::now() + kPatience;
  while (server_->metrics().requests_over_budget.load() == 0 &&
         std::chrono::steady_clock::now() < patience) {
    std::this_thread::yield();
  }
  EXPECT_EQ(exchange(port(), get("/hello")).status, 200) << "small answers are not refused";

  int taken = 0;
  for (int i = 0; i < 40; ++i) {
    const Reply reply = read_reply(greedy);
    if (reply.status == 200) {
      EXPECT_EQ(reply.body.size(), 4'000'000U);
      ++taken;
    } else {
      EXPECT_EQ(reply.status, 429);
      EXPECT_EQ(reply.code(), "MR3004");
    }
  }
  EXPECT_GE(taken, 5) << "of 4 MB each, within 20 MB";
  EXPECT_LT(taken, 40);
  // What has been read makes room, also for one that alone is larger.
  int status = 0;
  while (status != 200 && std::chrono::steady_clock::now() < patience)
    status = exchange(port(), get("/large?bytes=30000000")).status;
  EXPECT_EQ(status, 200);
}

TEST_F(HttpServerTest, ServesManyConnectionsFromManyThreads) {
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<RawClient>(port()));
  for (int round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      clients[i]->send(post("/echo", fmt::format("{} {}", round, i)));
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      ASSERT_EQ(read_reply(*clients[i]).body, fmt::format("{} {}", round, i));
    }
  }
}

TEST_F(HttpServerTest, AnswersFromOtherThreadsReachTheirConnections) {
  start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      RawClient client(port());
      for (int i = 0; i < 200; ++i) {
        const std::string name = fmt::format("{}-{}", t, i);
        client.send(get("/wait/" + name));
        waiting_.take(name).respond(text(name));
        ASSERT_EQ(read_reply(client).body, name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(HttpServerTest, FinishesRequestsInFlightWhenItStops) {
  HttpServerOptions options;
  options.threads = 1;  // so that all connections learn of the stop at one moment
  start(options);
  RawClient idle(port());
  idle.send(get("/hello"));
  EXPECT_EQ(read_reply(idle).status, 200);
  RawClient busy(port());
  busy.send(get("/wait/a"));
  RawClient sending(port());
  sending.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  Responder responder = waiting_.take("a");
  while (server_->metrics().body_bytes_in_flight.load() == 0) std::this_thread::yield();

  std::thread stopping([&] { server_->stop(); });
  EXPECT_EQ(idle.read_to_end(), "");  // the stop has begun when the idle one is closed
  responder.respond(text("A"));
  sending.send("cd");
  const Reply reply = read_reply(busy);
  EXPECT_EQ(reply.body, "A");
  EXPECT_EQ(read_reply(sending).body, "abcd");
  EXPECT_EQ(busy.read_to_end(), "");
  EXPECT_EQ(sending.read_to_end(), "");
  stopping.join();
}

TEST_F(HttpServerTest, StopsWithinTheGraceTimeAndDropsLateAnswers) {
  HttpServerOptions options;
  options.stop_grace_time = 50ms;
  start(options);
  RawClient client(port());
  client.send(get("/wait/a"));
  Responder responder = waiting_.take("a");
  server_->stop();
  EXPECT_EQ(client.read_to_end(), "");
  responder.respond(text("late"));
  EXPECT_EQ(server_->metrics().connections_open.load(), 0U);
}

TEST_F(HttpServerTest, RefusesToStartOnAnAddressThatIsTaken) {
  start();
  HttpServerOptions options;
  options.port = port();
  const auto second = HttpServer::start(options, HttpRouter());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("127.0.0.1:{}", port())));
  options.address = "localhost";
  EXPECT_EQ(HttpServer::start(options, HttpRouter()).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::endpoint
