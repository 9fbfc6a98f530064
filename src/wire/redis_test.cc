// What Redis sends is read as what it means, however it is cut; what is no reply is told.
#include "wire/redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::wire::redis {
namespace {

using testing::ElementsAre;
using Kind = Reply::Kind;

std::string shown(const Reply& reply) {
  switch (reply.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kText:
      return "'" + reply.text + "'";
    case Kind::kError:
      return "error " + reply.text;
    case Kind::kInteger:
      return std::to_string(reply.integer);
    case Kind::kItems:
      break;
  }
  std::string out = "[";
  for (const auto& item : reply.items) out += (out.size() == 1 ? "" : " ") + shown(item);
  return out + "]";
}

/// All replies of a text, or the error.
std::vector<std::string> replies(std::string_view bytes, const ReplyLimits& limits = {}) {
  std::vector<std::string> out;
  for (;;) {
    const auto reply = take_reply(bytes, limits);
    if (!reply) return {reply.error().message};
    if (!*reply) break;
    out.push_back(shown(**reply));
  }
  if (!bytes.empty()) out.push_back("rest " + std::string(bytes));
  return out;
}

constexpr std::string_view kAll =
    "+OK\r\n-ERR no\r\n:-7\r\n$5\r\nab\r\nc\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n"
    "_\r\n#t\r\n,1.5\r\n(123456789012345678901\r\n=7\r\ntxt:abc\r\n%1\r\n+k\r\n:2\r\n~1\r\n+m\r\n"
    ">2\r\n+pubsub\r\n+x\r\n+behind\r\n|1\r\n+a\r\n+b\r\n:3\r\n!4\r\nERR!\r\n";

TEST(RedisReply, EveryKindIsRead) {
  EXPECT_THAT(replies(kAll),
              ElementsAre("'OK'", "error ERR no", "-7", "'ab\r\nc'", "null", "null", "[1 ['']]",
                          "null", "1", "'1.5'", "'123456789012345678901'", "'abc'", "['k' 2]",
                          "['m']", "'behind'", "3", "error ERR!"));
}

TEST(RedisReply, APartOfARepliesBytesIsNotAReplyYet) {
  const auto whole = replies(kAll);
  for (std::size_t cut = 0; cut <= kAll.size(); ++cut) {
    std::string buffer(kAll.substr(0, cut));
    std::vector<std::string> out;
    for (const auto rest : {std::string_view(), kAll.substr(cut)}) {
      buffer += rest;
      std::string_view left = buffer;
      for (;;) {
        const auto reply = take_reply(left);
        ASSERT_TRUE(reply) << reply.error().message;
        if (!*reply) break;
        out.push_back(shown(**reply));
      }
      buffer = std::string(left);
    }
    EXPECT_EQ(out, whole) << "cut at " << cut;
  }
}

TEST(RedisReply, WhatIsNoReplyIsRefused) {
  for (const std::string_view text :
       {"hello\r\n", "\r\n", ":x\r\n", ":\r\n", "$-2\r\n", "$3\r\nabcde\r\n", "#x\r\n", "*-3\r\n",
        "$99999999999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"}) {
    std::string_view left = text;
    const auto reply = take_reply(left);
    EXPECT_FALSE(reply) << text;
    if (!reply) EXPECT_EQ(reply.error().id, error_id::kStoreLost);
  }
}

TEST(RedisReply, AnAnnouncedLengthTakesNoMemory) {
  const ReplyLimits limits{.bytes_max = 1000, .items_max = 100, .depth_max = 3};
  for (const std::string_view text : {"*101\r\n", "$1001\r\n", "%60\r\n+a\r\n"}) {
    std::string_view left = text;
    const auto reply = take_reply(left, limits);
    EXPECT_TRUE(!reply || !*reply) << text;
  }
  EXPECT_FALSE(take_reply(*std::make_unique<std::string_view>("*101\r\n"), limits));
  const std::string endless(100'000, 'a');
  std::string_view left = endless;
  EXPECT_FALSE(take_reply(left, limits));
}

TEST(RedisCommand, ArgumentsMayHoldAnyBytes) {
  std::string out;
  append_command({"SET", std::string_view("a\r\n\0b", 5), ""}, out);
  EXPECT_EQ(out, std::string("*3\r\n$3\r\nSET\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n", 30));
  std::string_view left = out;
  const auto read = take_reply(left);
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->items.size(), 3U);
  EXPECT_TRUE(left.empty());
}

}  // namespace
}  // namespace millrace::wire::redis
