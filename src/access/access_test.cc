// Who somebody is and what they may do: secrets prove users, grants say what, and a restart changes
// neither.
#include "access/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "access/scram.h"

namespace millrace::access {
namespace {

using testing::HasSubstr;
using testing::Not;

class AccessTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "millrace-access-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    open();
  }
  void TearDown() override {
    access_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open(Anonymous anonymous = Anonymous::kUntilUsers) {
    access_.reset();
    catalog_.reset();
    auto catalog = catalog::Catalog::open(folder_ / "catalog.db");
    ASSERT_TRUE(catalog) << catalog.error().text();
    catalog_ = std::move(*catalog);
    access_ = std::make_unique<Access>(*catalog_, anonymous);
  }
  bool logs_in(std::string_view user, std::string_view password,
               std::string_view from = "127.0.0.1") {
    return access_->authenticate(user, password, from).has_value();
  }

  std::filesystem::path folder_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<Access> access_;
};

const auto kLocal = Principal::anonymous(/*from_this_machine=*/true);
const auto kStranger = Principal::anonymous(/*from_this_machine=*/false);

TEST_F(AccessTest, LetsOnlyThisMachineInUntilThereIsAUser) {
  EXPECT_TRUE(access_->is_admin(kLocal));
  EXPECT_FALSE(access_->is_known(kStranger));
  EXPECT_FALSE(access_->allowed(kStranger, Privilege::kSelect, "trips"));
  ASSERT_TRUE(access_->create_user("root", "secret"));
  EXPECT_FALSE(access_->is_known(kLocal));
  EXPECT_TRUE(access_->is_admin(Principal::user("root"))) << "the first user is an administrator";
  ASSERT_TRUE(access_->drop_user("root"));
  EXPECT_TRUE(access_->is_admin(kLocal));

  open(Anonymous::kAllowed);
  ASSERT_TRUE(access_->create_user("root", "secret"));
  EXPECT_TRUE(access_->is_admin(kStranger)) << "where the configuration says so";
}

TEST_F(AccessTest, KnowsUsersByPasswordAndTokenAlsoAfterARestart) {
  ASSERT_TRUE(access_->create_user("root", "secret"));
  ASSERT_TRUE(access_->create_user("ana", std::nullopt));
  const auto token = access_->create_token("ana", "probe", std::nullopt);
  const auto old = access_->create_token("ana", "old", -1);
  ASSERT_TRUE(token && old);
  EXPECT_FALSE(access_->create_token("ana", "probe", std::nullopt)) << "a name twice";
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(logs_in("root", "secret"));
    EXPECT_TRUE(logs_in("ROOT", "secret")) << "names have no case";
    EXPECT_TRUE(logs_in("root", "secret")) << "the second time from memory";
    EXPECT_FALSE(logs_in("root", "Secret"));
    EXPECT_FALSE(logs_in("root", ""));
    EXPECT_FALSE(logs_in("ana", "")) << "a user without a password";
    EXPECT_FALSE(logs_in("nobody", "secret"));
    EXPECT_TRUE(access_->authenticate_token(*token, "127.0.0.1"));
    EXPECT_FALSE(access_->authenticate_token(*old, "127.0.0.1")) << "expired";
    EXPECT_FALSE(access_->authenticate_token(*token + "0", "127.0.0.1"));
    open();
  }
  ASSERT_TRUE(access_->set_password("root", "another"));
  EXPECT_FALSE(logs_in("root", "secret", "::1"));
  EXPECT_TRUE(logs_in("root", "another", "::1"));
  ASSERT_TRUE(access_->drop_token("ana", "probe"));
  EXPECT_FALSE(access_->authenticate_token(*token, "::1"));
}

TEST_F(AccessTest, ReadsTheAuthorizationHeader) {
  ASSERT_TRUE(access_->create_user("root", "se:cret"));
  const auto token = access_->create_token("root", "t", std::nullopt);
  ASSERT_TRUE(token);
  // printf 'root:se:cret' | base64
  EXPECT_TRUE(access_->authenticate_header("Basic cm9vdDpzZTpjcmV0", "::1"));
  EXPECT_TRUE(access_->authenticate_header("bearer " + *token, "::1"));
  for (const std::string header :
       {"Basic", "Basic !", "Basic cm9vdA==", "Bearer", "Bearer x", "Digest x", " "}) {
    const auto refused = access_->authenticate_header(header, "::1");
    ASSERT_FALSE(refused) << header;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated) << header;
  }
}

TEST_F(AccessTest, MakesAnAddressWaitThatGuesses) {
  ASSERT_TRUE(access_->create_user("root", "secret"));
  ErrorCode last = ErrorCode::kInternal;
  for (int i = 0; i < 10; ++i)
    last = access_->authenticate("root", "guess", "10.0.0.1").error().code;
  EXPECT_EQ(last, ErrorCode::kResourceExhausted);
  EXPECT_FALSE(logs_in("root", "secret", "10.0.0.1")) << "not even with the right one, for a while";
  EXPECT_TRUE(logs_in("root", "secret", "10.0.0.2")) << "others are not held up";
  EXPECT_TRUE(logs_in("root", "secret", "10.0.0.1")) << "nor those that are known";
}

TEST_F(AccessTest, AllowsWhatIsGrantedAndNothingElse) {
  ASSERT_TRUE(access_->create_user("root", "secret"));
  ASSERT_TRUE(access_->create_user("ana", "secret"));
  const auto ana = Principal::user("ana");
  ASSERT_TRUE(access_->grant("ana", {{Privilege::kSelect, GrantTarget::kRelation, "by_city"},
                                     {Privilege::kPublish, GrantTarget::kTopic, "site/+/temp"}}));
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(access_->allowed(ana, Privilege::kSelect, "BY_CITY"));
    EXPECT_FALSE(access_->allowed(ana, Privilege::kSubscribe, "by_city"));
    EXPECT_FALSE(access_->allowed(ana, Privilege::kSelect, "by_city2"));
    EXPECT_FALSE(access_->allowed(ana, Privilege::kPublish, "by_city"));
    EXPECT_TRUE(access_->topic_allowed(ana, Privilege::kPublish, "site/7/temp"));
    EXPECT_FALSE(access_->topic_allowed(ana, Privilege::kPublish, "site/7/8/temp"));
    EXPECT_FALSE(access_->topic_allowed(ana, Privilege::kSubscribe, "site/7/temp"));
    EXPECT_FALSE(access_->is_admin(ana));
    open();
  }
  EXPECT_FALSE(access_->revoke("ana", {{Privilege::kSelect, GrantTarget::kRelation, "other"}}));
  ASSERT_TRUE(access_->revoke("ana", {{Privilege::kSelect, GrantTarget::kRelation, "by_city"}}));
  EXPECT_FALSE(access_->allowed(ana, Privilege::kSelect, "by_city"));
  ASSERT_TRUE(access_->grant("ana", {{Privilege::kSelect, GrantTarget::kAll}}));
  EXPECT_TRUE(access_->allowed(ana, Privilege::kSelect, "anything"));
  EXPECT_FALSE(access_->allowed(ana, Privilege::kPublish, "anything"));

  EXPECT_FALSE(access_->drop_user("root")) << "the only administrator";
  EXPECT_FALSE(access_->revoke("root", {{Privilege::kAdmin, GrantTarget::kAll}}));
  ASSERT_TRUE(access_->grant("ana", {{Privilege::kAdmin, GrantTarget::kAll}}));
  EXPECT_TRUE(access_->drop_user("root"));
  EXPECT_FALSE(access_->revoke("ana", {{Privilege::kAdmin, GrantTarget::kAll}}));
  EXPECT_FALSE(access_->allowed(Principal::user("root"), Privilege::kSelect, "x")) << "gone";
}

TEST_F(AccessTest, KeepsNoSecretInTheFile) {
  ASSERT_TRUE(access_->create_user("root", "a-secret-password"));
  const auto token = access_->create_token("root", "probe", std::nullopt);
  ASSERT_TRUE(token);
  access_.reset();
  catalog_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(bytes, Not(HasSubstr("a-secret-password"))) << entry.path();
    EXPECT_THAT(bytes, Not(HasSubstr(*token))) << entry.path();
  }
  open();
}

TEST(Verifier, IsReadBackAndRefusedWhereItIsNone) {
  const auto made = make_verifier("pencil");
  const auto read = Verifier::parse(made.text());
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->text(), made.text());
  EXPECT_TRUE(check_password(*read, "pencil"));
  EXPECT_FALSE(check_password(*read, "Pencil"));
  EXPECT_NE(make_verifier("pencil").text(), made.text()) << "each has a salt of its own";
  // RFC 7677, section 3: the keys of the example's exchange, user "user", password "pencil".
  const auto example = Verifier::parse(
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  ASSERT_TRUE(example) << example.error().text();
  EXPECT_TRUE(check_password(*example, "pencil"));
  for (const std::string text : {"", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:a$b:c",
                                 "SCRAM-SHA-256$4096:AA==$AA==:AA==", "md5abc"}) {
    EXPECT_FALSE(Verifier::parse(text)) << text;
  }
}

TEST(Covers, SaysWhetherAFilterIsWider) {
  const std::vector<std::pair<std::string, std::string>> yes = {
      {"#", "a"},     {"#", "a/b/#"},   {"a/#", "a"},         {"a/#", "a/b"},
      {"a/+", "a/b"}, {"a/+", "a/+"},   {"+/+", "a/b"},       {"a/+/c", "a/b/c"},
      {"a/#", "a/#"}, {"a/#", "a/+/c"}, {"$SYS/#", "$SYS/x"}, {"", ""}};
  for (const auto& [wider, filter] : yes)
    EXPECT_TRUE(covers(wider, filter)) << wider << " " << filter;
  const std::vector<std::pair<std::string, std::string>> no = {
      {"a", "b"},     {"a", "a/b"},    {"a/+", "a"},      {"a/+", "a/#"},   {"+", "#"},
      {"a/b", "a/+"}, {"#", "$SYS/x"}, {"+/x", "$SYS/x"}, {"a/+", "a/b/c"}, {"a/#", "b"}};
  for (const auto& [wider, filter] : no)
    EXPECT_FALSE(covers(wider, filter)) << wider << " " << filter;
}

}  // namespace
}  // namespace millrace::access
