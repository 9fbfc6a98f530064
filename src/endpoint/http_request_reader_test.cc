#include "endpoint/http_request_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "endpoint/http_message.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {
namespace {

using Step = HttpRequestReader::Step;

// "METHOD path body|" for each request, then "refused status" where it ended so.
std::string read_in_pieces(std::string_view bytes, std::size_t piece_bytes) {
  HttpRequestReader reader(1024);
  std::string found;
  for (;;) {
    switch (reader.next()) {
      case Step::kNeedMore: {
        if (bytes.empty()) return found;
        const auto space = reader.space();
        const std::size_t count = std::min({space.size(), bytes.size(), piece_bytes});
        std::memcpy(space.data(), bytes.data(), count);
        bytes.remove_prefix(count);
        reader.received(count);
        break;
      }
      case Step::kHead:
        reader.take_body(10'000'000);
        break;
      case Step::kRequest: {
        const HttpRequest request = reader.take_request();
        found += fmt::format("{} {} {}|", request.method, request.path, request.body.view());
        EXPECT_EQ(request.body.data()[request.body.size()], '\0');
        break;
      }
      case Step::kRefused:
        return found + fmt::format("refused {}", reader.refusal().status);
    }
  }
}

std::string chunked(std::string_view chunks) {
  return fmt::format("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunks);
}

TEST(HttpRequestReaderTest, FindsTheSameRequestsHoweverTheBytesAreCut) {
  const std::string bytes =
      "\r\n\r\nGET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
      "\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n\r\nbody\n"
      "PUT /folded HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n" +
      chunked("3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nT: u\r\n\r\n") + chunked("0\r\n\r\n") +
      "GET /d HTTP/1.0\r\n\r\nnothing more\r\n\r\n";
  const std::string expected =
      "GET /a |POST /b \r\nbody\n|PUT /folded |POST /c abcde|POST /c |GET /d |refused 400";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ASSERT_EQ(read_in_pieces(bytes, piece), expected) << "in pieces of " << piece;
  }
}

TEST(HttpRequestReaderTest, BoundsWhatAChunkedBodySaysBesidesItsBytes) {
  const std::string long_extension = "1;" + std::string(300, 'e') + "\r\na\r\n0\r\n\r\n";
  const std::string short_extension = "1;" + std::string(200, 'e') + "\r\na\r\n0\r\n\r\n";
  std::string trailers = "1\r\na\r\n0\r\n";
  for (int i = 0; i < 100; ++i) trailers += fmt::format("Trailer-{}: value\r\n", i);
  for (const std::size_t piece : {1, 7, 100, 100'000}) {
    EXPECT_EQ(read_in_pieces(chunked(long_extension), piece), "refused 431");
    EXPECT_EQ(read_in_pieces(chunked(short_extension), piece), "POST /c a|");
    EXPECT_EQ(read_in_pieces(chunked(trailers + "\r\n"), piece), "refused 431");
  }
}

TEST(HttpRequestReaderTest, GivesABodyMemoryOnlyAsItsBytesCome) {
  HttpRequestReader reader(1024);
  const std::string head = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n";
  const auto first = reader.space();
  std::memcpy(first.data(), head.data(), head.size());
  reader.received(head.size());
  ASSERT_EQ(reader.next(), Step::kHead);
  reader.take_body(50'000'000);
  ASSERT_EQ(reader.next(), Step::kNeedMore);
  EXPECT_LE(reader.space().size(), 1024U * 1024U);
  EXPECT_EQ(reader.body_bytes(), 0U);
}

TEST(ProblemTest, IsJsonWhateverTheMessageHolds) {
  const Error error{.code = ErrorCode::kNotFound,
                    .id = "MR1203",
                    .message = "column \"a\\\xff\n\x01\" \xc3\xa4",
                    .hint = "did you mean b?",
                    .place = {.line = 1, .column = 8}};
  const HttpResponse response = problem(error, "id-1");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(
      response.body,
      "{\"type\":\"urn:millrace:error:MR1203\",\"title\":\"Not Found\",\"status\":404,"
      "\"code\":\"MR1203\",\"detail\":\"column \\\"a\\\\\xef\xbf\xbd\\n\\u0001\\\" \xc3\xa4\","
      "\"hint\":\"did you mean b?\",\"line\":1,\"column\":8,\"instance\":\"id-1\"}");
}

TEST(ProblemTest, TellsWhenToComeBackWhereThatHelps) {
  const auto answer = [](ErrorCode code, std::string_view id) {
    return problem({.code = code, .id = std::string(id), .message = "m", .hint = {}, .place = {}});
  };
  for (const auto& [code, status] :
       {std::pair{ErrorCode::kResourceExhausted, 429}, std::pair{ErrorCode::kUnavailable, 503}}) {
    const HttpResponse response = answer(code, "");
    EXPECT_EQ(response.status, status);
    ASSERT_EQ(response.headers.size(), 1U);
    EXPECT_EQ(response.headers[0].first, "Retry-After");
  }
  EXPECT_EQ(answer(ErrorCode::kResourceExhausted, error_id::kDiskFull).status, 503);
  EXPECT_TRUE(answer(ErrorCode::kInvalidArgument, "").headers.empty());
}

TEST(HttpMessageTest, KnowsWhatAListOfTokensSays) {
  EXPECT_TRUE(lists_token("gzip", "gzip"));
  EXPECT_TRUE(lists_token("br , GZIP;q=0.1", "gzip"));
  EXPECT_FALSE(lists_token("br, gzip;q=0.0", "gzip"));
  EXPECT_FALSE(lists_token("gzippy, br", "gzip"));
  EXPECT_FALSE(lists_token("", "gzip"));
}

}  // namespace
}  // namespace millrace::endpoint
