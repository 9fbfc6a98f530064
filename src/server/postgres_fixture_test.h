// A client that speaks PostgreSQL's protocol byte for byte over a plain socket, and a node with its
// listener, for tests from the outside.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "endpoint/postgres_server.h"
#include "endpoint/raw_client_test.h"
#include "server/node_fixture_test.h"

namespace millrace::server {

inline std::string u16(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string u32(std::size_t value) { return u16(value >> 16) + u16(value & 0xffff); }
inline std::string text(std::string_view value) { return std::string(value) + '\0'; }
inline std::string message(char type, std::string_view body) {
  return type + u32(body.size() + 4) + std::string(body);
}
inline std::string first_message(std::string_view body) {
  return u32(body.size() + 4) + std::string(body);
}
inline std::string startup(std::string_view user, std::string_view more = {},
                           std::uint32_t version = 3U << 16) {
  return first_message(u32(version) + text("user") + text(user) + std::string(more) + '\0');
}
inline const std::string kSslRequest = first_message(u32(80877103));

// Of the extended protocol.
inline std::string parse(std::string_view name, std::string_view sql) {
  return message('P', text(name) + text(sql) + u16(0));
}
inline std::string bind(std::string_view portal, std::string_view statement,
                        const std::vector<std::string>& values = {}) {
  std::string body = text(portal) + text(statement) + u16(0) + u16(values.size());
  for (const auto& value : values) body += u32(value.size()) + value;
  return message('B', body + u16(0));
}
inline std::string execute(std::string_view portal, std::uint32_t rows = 0) {
  return message('E', text(portal) + u32(rows));
}
inline const std::string kSync = message('S', "");

class PostgresTestClient {
 public:
  struct Message {
    char type = 0;  // 0: the connection has ended
    std::string body;

    /// A field of an error: 'C' its SQLSTATE, 'M' the message.
    [[nodiscard]] std::string field(char name) const {
      for (std::size_t at = 0; at < body.size() && body[at] != 0;) {
        const auto end = body.find('\0', at);
        if (body[at] == name) return body.substr(at + 1, end - at - 1);
        at = end + 1;
      }
      return {};
    }
    /// The values of a DataRow with '|' behind each.
    [[nodiscard]] std::string values() const {
      std::string out;
      std::size_t at = 2;
      while (at + 4 <= body.size()) {
        std::uint32_t size = 0;
        for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(body[at++]);
        if (size == 0xffffffff) {
          out += "NULL|";
          continue;
        }
        out += body.substr(at, size) + "|";
        at += size;
      }
      return out;
    }
  };

  explicit PostgresTestClient(std::uint16_t port) : raw_(port) {}

  void send(std::string_view bytes) { raw_.send(bytes); }
  [[nodiscard]] endpoint::RawClient& raw() { return raw_; }
  Message next() {
    const std::string head = raw_.read_bytes(5);
    if (head.size() < 5) return {};
    std::uint32_t size = 0;
    for (std::size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(head[i]);
    return {.type = head[0], .body = raw_.read_bytes(size - 4)};
  }
  /// The messages up to ReadyForQuery, that one too, or up to the end of the connection.
  std::vector<Message> until_ready() {
    std::vector<Message> out;
    while (out.empty() || out.back().type != 'Z') {
      out.push_back(next());
      if (out.back().type == 0) break;
    }
    return out;
  }
  std::vector<Message> connect(std::string_view user = "anybody", std::string_view more = {}) {
    send(startup(user, more));
    return until_ready();
  }
  /// Sends a simple query; the answer in short: the types of the messages, with rows and errors in
  /// words.
  std::string ask(std::string_view sql) {
    send(message('Q', text(sql)));
    return shortly(until_ready());
  }
  static std::string shortly(const std::vector<Message>& messages) {
    std::string out;
    for (const auto& one : messages) {
      if (!out.empty()) out += ' ';
      out += one.type == 0 ? 'x' : one.type;
      if (one.type == 'D') out += "(" + one.values() + ")";
      if (one.type == 'C') out += "(" + one.body.substr(0, one.body.size() - 1) + ")";
      if (one.type == 'E') out += "(" + one.field('C') + ")";
      if (one.type == 'Z') out += "(" + one.body + ")";
    }
    return out;
  }

 private:
  endpoint::RawClient raw_;
};

class PostgresTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    start();
  }
  void TearDown() override {
    server_.reset();
    pool_.reset();
    NodeTest::TearDown();
  }
  void start() {
    server_.reset();
    pool_.reset();
    open();
    pool_ = std::make_unique<runtime::WorkerPool>("postgres", 2, 64);
    auto server =
        endpoint::PostgresServer::start(options_, node_->access(), node_->statements(), *pool_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  endpoint::PostgresServerOptions options_;
  std::unique_ptr<runtime::WorkerPool> pool_;
  std::unique_ptr<endpoint::PostgresServer> server_;
};

}  // namespace millrace::server
