// The OpenAPI document is that of the routes that are served: each of them, with its parameters,
// and nothing that refers to nothing. What the answers look like is in tests/e2e.
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <set>

#include "client/http_client.h"
#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

namespace json = boost::json;

class ApiDocument : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    const auto services = node_->services(pool_);
    router_ = endpoint::api_routes(services);
    auto server = endpoint::HttpServer::start({}, endpoint::api_routes(services));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    auto http = client::HttpClient::connect(fmt::format("http://127.0.0.1:{}", server_->port()));
    ASSERT_TRUE(http) << http.error().text();
    const auto reply = http->request("GET", "/v1/openapi.json");
    ASSERT_TRUE(reply) << reply.error().text();
    ASSERT_EQ(reply->status, 200);
    EXPECT_EQ(reply->header("Content-Type"), "application/json");
    document_ = json::parse(reply->body);
  }
  void TearDown() override {
    server_.reset();
    pool_.close();
    NodeTest::TearDown();
  }
  const json::value& resolved(const json::value& value) {
    const auto* ref = value.as_object().if_contains("$ref");
    if (ref == nullptr) return value;
    return document_.at_pointer(std::string_view(ref->as_string()).substr(1));
  }
  void expect_refs_lead_somewhere(const json::value& value) {
    if (const auto* list = value.if_array()) {
      for (const auto& one : *list) expect_refs_lead_somewhere(one);
    }
    if (const auto* object = value.if_object()) {
      for (const auto& [name, member] : *object) {
        if (name != "$ref") {
          expect_refs_lead_somewhere(member);
          continue;
        }
        boost::system::error_code missing;
        document_.find_pointer(std::string_view(member.as_string()).substr(1), missing);
        EXPECT_FALSE(missing) << member;
      }
    }
  }

  runtime::WorkerPool pool_{"query", 2, 64};
  endpoint::HttpRouter router_;
  std::unique_ptr<endpoint::HttpServer> server_;
  json::value document_;
};

TEST_F(ApiDocument, HasEachRouteWithItsParametersAndNoOther) {
  std::set<std::string> routes;
  for (const auto& route : router_.routes()) {
    std::string text = fmt::format("{} {}", route.method, route.pattern);
    for (const auto& segment : route.segments) {
      if (segment.starts_with('{')) text += " path:" + segment.substr(1, segment.size() - 2);
    }
    const std::set<std::string> query(route.options.query.begin(), route.options.query.end());
    for (const auto& name : query) text += " " + name;
    routes.insert(text);
  }
  std::set<std::string> documented;
  std::set<std::string> operations;
  for (const auto& [path, item] : document_.at("paths").as_object()) {
    for (const auto& [method, operation] : item.as_object()) {
      std::string name(method);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
      std::string text = fmt::format("{} {}", name, std::string_view(path));
      std::set<std::string> query;
      if (const auto* parameters = operation.as_object().if_contains("parameters")) {
        for (const auto& one : parameters->as_array()) {
          const auto& parameter = resolved(one);
          const std::string parameter_name(parameter.at("name").as_string());
          if (parameter.at("in").as_string() == "path") text += " path:" + parameter_name;
          if (parameter.at("in").as_string() == "query" && parameter_name != "columns")
            query.insert(parameter_name);
        }
      }
      for (const auto& one : query) text += " " + one;
      documented.insert(text);
      operations.insert(std::string(operation.at("operationId").as_string()));
    }
  }
  EXPECT_EQ(documented, routes);
  EXPECT_EQ(operations.size(), router_.routes().size());
}

TEST_F(ApiDocument, EveryReferenceLeadsSomewhere) {
  expect_refs_lead_somewhere(document_);
  EXPECT_EQ(document_.at("openapi").as_string(), "3.1.0");
}

TEST_F(ApiDocument, WhatIsOpenNeedsNoKeyAndAllElseNamesItsRefusals) {
  for (const auto& route : router_.routes()) {
    std::string method = route.method;
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto& operation = document_.at("paths").at(route.pattern).at(method).as_object();
    const bool open = route.options.access.kind == endpoint::RouteAccess::Kind::kOpen;
    EXPECT_EQ(operation.contains("security"), open) << route.pattern;
    EXPECT_EQ(operation.at("responses").as_object().contains("401"), !open) << route.pattern;
    EXPECT_TRUE(operation.at("responses").as_object().contains("5XX")) << route.pattern;
  }
}

}  // namespace
}  // namespace millrace::server
