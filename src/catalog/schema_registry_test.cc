#include "catalog/schema_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace millrace::catalog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class SchemaRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "millrace-registry-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    open();
  }
  void TearDown() override {
    registry_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    registry_.reset();
    catalog_.reset();
    auto catalog = Catalog::open(folder_ / "catalog.db");
    ASSERT_TRUE(catalog) << catalog.error().text();
    catalog_ = std::move(*catalog);
    auto registry = SchemaRegistry::open(*catalog_);
    ASSERT_TRUE(registry) << registry.error().text();
    registry_ = std::move(*registry);
  }
  /// A record with these fields: "x:long", "y:string=" (with a default).
  static SchemaRegistry::NewSchema record(const std::vector<std::string>& fields) {
    std::string text = R"({"type":"record","name":"r","fields":[)";
    for (const auto& field : fields) {
      const auto colon = field.find(':');
      const bool has_default = field.ends_with('=');
      if (&field != fields.data()) text += ",";
      text += fmt::format(R"({{"name":"{}","type":"{}"{}}})", field.substr(0, colon),
                          field.substr(colon + 1, field.size() - colon - 1 - (has_default ? 1 : 0)),
                          has_default ? R"(,"default":"")" : "");
    }
    return {.type = "AVRO", .text = text + "]}"};
  }
  std::string add(std::string_view subject, const SchemaRegistry::NewSchema& schema) {
    const auto id = registry_->add(subject, schema);
    return id ? fmt::format("{}", *id) : id.error().id;
  }

  std::filesystem::path folder_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<SchemaRegistry> registry_;
};

TEST_F(SchemaRegistryTest, TheSameSchemaHasOneIdEverywhereAndForEver) {
  EXPECT_EQ(add("a", record({"x:long"})), "1");
  EXPECT_EQ(add("a", record({"x:long"})), "1");
  EXPECT_EQ(
      add("a", {.text = R"({ "type":"record", "name":"r","fields":[{"name":"x","type":"long"}]})"}),
      "1");
  EXPECT_EQ(add("b", record({"x:long"})), "1");
  EXPECT_EQ(add("b", record({"x:long", "y:string="})), "2");
  EXPECT_THAT(*registry_->versions("a", false), ElementsAre(1));
  EXPECT_THAT(*registry_->versions("b", false), ElementsAre(1, 2));
  EXPECT_THAT(*registry_->uses(1), ElementsAre(Pair("a", 1), Pair("b", 1)));
  open();
  EXPECT_EQ(add("c", record({"x:long", "y:string="})), "2");
  EXPECT_EQ(add("c", record({"x:long", "y:string=", "z:string="})), "3");
  EXPECT_EQ(registry_->version("b", "latest", false)->version, 2U);
  ASSERT_TRUE(registry_->schema(3));
  EXPECT_NE((*registry_->schema(3))->avro, nullptr);
  EXPECT_EQ(registry_->schema(4).error().id, error_id::kSchemaNotFound);
  EXPECT_THAT(registry_->subjects("", false), ElementsAre("a", "b", "c"));
}

TEST_F(SchemaRegistryTest, ANewVersionMustFitTheOnesBeforeAsTheLevelSays) {
  const auto x = record({"x:long"});
  const auto with_default = record({"x:long", "y:string="});
  const auto without = record({"x:long", "y:string"});
  struct Case {
    std::string_view level;
    SchemaRegistry::NewSchema first;
    SchemaRegistry::NewSchema second;
    bool fits;
  };
  const std::vector<Case> cases = {{"BACKWARD", x, with_default, true},
                                   {"BACKWARD", x, without, false},
                                   {"BACKWARD", without, x, true},
                                   {"FORWARD", x, without, true},
                                   {"FORWARD", without, x, false},
                                   {"FULL", x, with_default, true},
                                   {"FULL", x, without, false},
                                   {"FULL", without, x, false},
                                   {"NONE", x, record({"x:string"}), true},
                                   {"BACKWARD", x, record({"x:string"}), false}};
  int number = 0;
  for (const auto& test : cases) {
    const auto subject = fmt::format("s{}", ++number);
    ASSERT_TRUE(registry_->set_compatibility(subject, test.level));
    EXPECT_NE(add(subject, test.first), error_id::kIncompatible);
    EXPECT_EQ(registry_->incompatibilities(subject, test.second, std::nullopt)->empty(), test.fits)
        << test.level << test.second.text;
    EXPECT_EQ(add(subject, test.second) != error_id::kIncompatible, test.fits);
  }
}

TEST_F(SchemaRegistryTest, TransitiveLevelsLookAtAllVersions) {
  // y comes with a default, then goes, then comes without: the first version's data has it not.
  const auto first = record({"x:long"});
  const auto second = record({"x:long", "y:string="});
  const auto third = record({"x:long", "y:string"});
  EXPECT_EQ(add("one", first), "1");
  EXPECT_EQ(add("one", second), "2");
  EXPECT_EQ(add("one", third), "3");
  ASSERT_TRUE(registry_->set_compatibility("all", "BACKWARD_TRANSITIVE"));
  EXPECT_EQ(add("all", first), "1");
  EXPECT_EQ(add("all", second), "2");
  EXPECT_EQ(add("all", third), error_id::kIncompatible);
  const auto faults = registry_->incompatibilities("all", third, "1");
  ASSERT_TRUE(faults);
  EXPECT_THAT(*faults, ElementsAre(HasSubstr("/y")));
  EXPECT_THAT(*registry_->incompatibilities("all", third, "2"), IsEmpty());
}

TEST_F(SchemaRegistryTest, DeletedVersionsKeepTheirNumbersUntilTheyGoForGood) {
  EXPECT_EQ(add("s", record({"x:long"})), "1");
  EXPECT_EQ(add("s", record({"x:long", "y:string="})), "2");
  EXPECT_EQ(registry_->remove("s", "1", true).error().id, error_id::kInUse);
  EXPECT_THAT(*registry_->remove("s", "1", false), ElementsAre(1));
  EXPECT_EQ(registry_->version("s", "1", false).error().id, error_id::kVersionNotFound);
  EXPECT_EQ(registry_->version("s", "1", true)->schema.id, 1U);
  open();
  EXPECT_THAT(*registry_->versions("s", false), ElementsAre(2));
  EXPECT_THAT(*registry_->versions("s", true), ElementsAre(1, 2));
  EXPECT_THAT(*registry_->remove("s", std::nullopt, false), ElementsAre(2));
  EXPECT_EQ(registry_->versions("s", false).error().id, error_id::kSubjectNotFound);
  EXPECT_THAT(registry_->subjects("", true), ElementsAre("s"));
  EXPECT_THAT(*registry_->remove("s", std::nullopt, true), ElementsAre(1, 2));
  EXPECT_THAT(registry_->subjects("", true), IsEmpty());
  // Data that were written with it can still be read.
  EXPECT_TRUE(registry_->schema(2));
  open();
  EXPECT_THAT(registry_->subjects("", true), IsEmpty());
  EXPECT_EQ(add("t", record({"z:long"})), "3");
}

TEST_F(SchemaRegistryTest, SettingsOfASubjectGoBeforeThoseOfTheWhole) {
  EXPECT_EQ(registry_->compatibility(""), "BACKWARD");
  EXPECT_EQ(registry_->compatibility("s"), std::nullopt);
  ASSERT_TRUE(registry_->set_compatibility("", "NONE"));
  ASSERT_TRUE(registry_->set_compatibility("s", "FULL"));
  EXPECT_FALSE(registry_->set_compatibility("s", "full"));
  open();
  EXPECT_EQ(registry_->compatibility(""), "NONE");
  EXPECT_EQ(registry_->compatibility("s"), "FULL");
  ASSERT_TRUE(registry_->set_mode("s", "READONLY"));
  EXPECT_EQ(add("s", record({"x:long"})), error_id::kReadOnly);
  EXPECT_EQ(add("other", record({"x:long"})), "1");
  EXPECT_THAT(registry_->subjects("", true), ElementsAre("other"));
}

TEST_F(SchemaRegistryTest, ProtobufFieldsKeepTheirNumbersAndTypes) {
  const auto proto = [](std::string_view fields) {
    return SchemaRegistry::NewSchema{
        "PROTOBUF", fmt::format("syntax = \"proto3\"; message M {{ {} }}", fields)};
  };
  EXPECT_EQ(add("p", proto("int64 a = 1; string b = 2;")), "1");
  EXPECT_EQ(add("p", proto("int32 a = 1; bytes b = 2; double c = 3;")), "2");
  EXPECT_EQ(add("p", proto("string a = 1;")), error_id::kIncompatible);
  EXPECT_EQ(add("p", {"PROTOBUF", "syntax = \"proto3\"; message N {}"}), error_id::kIncompatible);
  EXPECT_EQ(add("p", {"PROTOBUF", "message M { string a = 1 }"}), error_id::kBadSchema);
  open();
  ASSERT_TRUE(registry_->schema(2));
  EXPECT_NE((*registry_->schema(2))->protobuf, nullptr);
}

TEST_F(SchemaRegistryTest, OtherTypesAreKeptAndNotCompared) {
  EXPECT_EQ(add("j", {.type = "JSON", .text = R"({"type":"object"})"}), "1");
  EXPECT_EQ(add("j", {.type = "JSON", .text = R"({ "type": "object" })"}), "1");
  EXPECT_EQ(add("j", {.type = "JSON", .text = R"({"type":"string"})"}), error_id::kIncompatible);
  ASSERT_TRUE(registry_->set_compatibility("j", "NONE"));
  EXPECT_EQ(add("j", {.type = "JSON", .text = R"({"type":"string"})"}), "2");
  EXPECT_EQ(add("j", {.type = "JSON", .text = "{"}), error_id::kBadSchema);
  EXPECT_EQ(add("j", {.type = "THRIFT", .text = "{}"}), error_id::kBadSchema);
  EXPECT_EQ(add("", record({"x:long"})), error_id::kBadName);
}

}  // namespace
}  // namespace millrace::catalog
