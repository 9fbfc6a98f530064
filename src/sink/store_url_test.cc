// Addresses of stores mean what they say, and never hold a password; columns become the arrays that
// PostgreSQL reads.
#include "sink/store_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sink/postgres_array.h"

namespace millrace::sink {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string shown(std::string_view text) {
  const auto url = StoreUrl::parse(text);
  if (!url) return "error " + url.error().message;
  return fmt::format("{}{} {}@{} {} {} {}.{}", name(url->kind), url->tls ? "+tls" : "", url->user,
                     url->host, url->port, url->database, url->schema, url->object);
}

TEST(StoreUrl, EachPartIsFound) {
  EXPECT_EQ(shown("postgres://me@db.example/shop/stations"),
            "postgres me@db.example 5432 shop .stations");
  EXPECT_EQ(shown("postgresql://m%40e@[::1]:6000/shop/public.a%2Eb"),
            "postgres m@e@::1 6000 shop public.a.b");
  EXPECT_EQ(shown("redis://cache/0/station"), "redis @cache 6379 0 .station");
  EXPECT_EQ(shown("rediss://u@cache:6380/15/a:b/c"), "redis+tls u@cache 6380 15 .a:b/c");
}

TEST(StoreUrl, WhatIsNoAddressIsRefused) {
  for (const std::string_view text : {"",
                                      "postgres",
                                      "postgres://",
                                      "mysql://a@b/c/d",
                                      "postgres://host/db/table",
                                      "postgres://u@/db/table",
                                      "postgres://u@host/db",
                                      "postgres://u@host/db/",
                                      "postgres://u@host/db/a.b.c",
                                      "postgres://u@host:0/db/t",
                                      "postgres://u@host:70000/db/t",
                                      "postgres://u@a,b/db/t",
                                      "postgres://u@/tmp/db/t",
                                      "redis://host",
                                      "redis://host/a/b",
                                      "redis://host/0/",
                                      "redis://host/0",
                                      "redis://[::1/0/p",
                                      "postgres://u@h/d/%zz",
                                      "postgres://u@h/d/%00"}) {
    const auto url = StoreUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().id, error_id::kBadOption) << text;
  }
  EXPECT_FALSE(StoreUrl::parse("postgres://u@h/d/" + std::string(64, 'x')));
}

TEST(StoreUrl, APasswordIsRefusedAndNotRepeated) {
  const auto url = StoreUrl::parse("postgres://me:hush@host/db/table");
  ASSERT_FALSE(url);
  EXPECT_THAT(url.error().text(), Not(HasSubstr("hush")));
  EXPECT_THAT(url.error().hint, HasSubstr("password_file"));
}

TEST(StoreUrl, ParametersAreNoPartOfAName) {
  for (const std::string_view text :
       {"postgres://me@host/db/table?password=hush", "postgres://me@host/db?password=hush",
        "postgres://me@host?password=hush", "redis://host/0/prefix#hush"}) {
    const auto url = StoreUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().text(), Not(HasSubstr("hush")));
    EXPECT_THAT(url.error().hint, HasSubstr("password_file"));
  }
  EXPECT_EQ(StoreUrl::parse("postgres://me@host/db/what%3F")->object, "what?");
}

TEST(StoreAccess, AnAuthorityThatNothingWouldBeComparedWithIsRefused) {
  const auto check = [](std::string_view url, std::string tls) {
    return check_access(*StoreUrl::parse(url), {.tls = std::move(tls), .ca_file = "/ca.pem"});
  };
  for (const std::string tls : {"", "require", "verify-ca", "verify-full"})
    EXPECT_TRUE(check("postgres://me@host/db/table", tls)) << tls;
  for (const std::string tls : {"disable", "allow", "prefer"})
    EXPECT_FALSE(check("postgres://me@host/db/table", tls)) << tls;
  EXPECT_TRUE(check("rediss://host/0/prefix", ""));
  EXPECT_FALSE(check("redis://host/0/prefix", ""));
}

TEST(StoreUrl, TwoAddressesOfOneTableAreTheSame) {
  const auto same = [](std::string_view a, std::string_view b) {
    return StoreUrl::parse(a)->same_object(*StoreUrl::parse(b));
  };
  EXPECT_TRUE(same("postgres://a@h/d/t", "postgresql://b@h:5432/d/public.t"));
  EXPECT_FALSE(same("postgres://a@h/d/t", "postgres://a@h/d/other.t"));
  EXPECT_FALSE(same("redis://h/0/t", "redis://h/1/t"));
}

TEST(StoreAccess, ThePasswordIsTheFirstLineOfItsFile) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("millrace-password-{}", ::getpid());
  std::ofstream(path) << "hush\r\nmore";
  EXPECT_EQ(password_of({.password_file = path.string()}).value(), "hush");
  std::filesystem::remove(path);
  EXPECT_EQ(password_of({.password_file = path.string()}).error().id, error_id::kStoreRefused);
  EXPECT_EQ(password_of({.password = "direct"}).value(), "direct");
}

TEST(PostgresArray, HoldsEachValueWithItsLength) {
  const Type types[] = {{TypeKind::kInteger}, {TypeKind::kJson}};
  ColumnBatch batch(types);
  batch.column(0).push(std::int32_t{7});
  batch.column(0).push_null();
  batch.column(1).push_string("[1]", batch.arena());
  batch.column(1).push_string("{}", batch.arena());
  std::string out;
  append_array(batch.column(0).view(), 2, out);
  EXPECT_EQ(out, std::string("\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\2\0\0\0\1"
                             "\0\0\0\4\0\0\0\7\xff\xff\xff\xff",
                             32));
  out.clear();
  append_array(batch.column(1).view(), 1, out);
  EXPECT_EQ(out, std::string("\0\0\0\1\0\0\0\0\0\0\x0e\xda\0\0\0\1\0\0\0\1\0\0\0\4\1[1]", 28));
  EXPECT_EQ(postgres_type({TypeKind::kDecimal, 9, 2}).sql, "numeric(9,2)");
}

}  // namespace
}  // namespace millrace::sink
