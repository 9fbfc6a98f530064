// A subscriber of a view as an HTTP client: as Server-Sent Events (WHATWG HTML, section 9.2) and
// over a WebSocket. Both send the same JSON, made once for all clients that get the same batch. A
// client is given the next batch when the one before has left, and, where it asked for a window,
// when it has acknowledged enough. Thread: the feed's for what a FeedSink is told, the connection's
// for the rest. Errors: the end of the view is told as a problem document.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "endpoint/http_stream.h"
#include "endpoint/web_socket.h"
#include "serving/change_feed.h"
#include "serving/statement_runner.h"

namespace millrace::endpoint {

/// {"view":"v","reason":"subscribed","columns":[...],"key":["city"]}
[[nodiscard]] std::string start_json(serving::FeedStart why, const serving::FeedShape& shape);

/// Batches as JSON: {"changes":[{"key":["Lima"],"rows":[["Lima",3]]}],"more":false,"coverage":{}}.
/// Thread: the feed's.
class BatchRenderer {
 public:
  explicit BatchRenderer(const serving::StatementRunner& statements) : statements_(statements) {}
  /// Good until the next call.
  const std::string& json(const std::shared_ptr<const serving::FeedBatch>& batch);

 private:
  const serving::StatementRunner& statements_;
  std::shared_ptr<const serving::FeedBatch> last_;
  std::string text_;
};

class EventStreamFollower : public serving::FeedSink, public HttpStreamSource {
 public:
  EventStreamFollower(HttpStreamWriter writer, std::shared_ptr<BatchRenderer> renderer)
      : writer_(std::move(writer)), renderer_(std::move(renderer)) {}
  /// Before the answer is given.
  void follow(std::shared_ptr<serving::FeedSubscription> handle) { handle_ = std::move(handle); }

  void start(serving::FeedStart why, const std::shared_ptr<const serving::FeedShape>& shape,
             const std::string& token) override;
  void batch(const std::shared_ptr<const serving::FeedBatch>& batch) override;
  void end(const Error& error) override;

  void drained() override;
  void heartbeat() override;
  void closed() override;

 private:
  const HttpStreamWriter writer_;
  const std::shared_ptr<BatchRenderer> renderer_;
  std::shared_ptr<serving::FeedSubscription> handle_;
  std::atomic<std::uint32_t> on_the_way_{0};  // batches that were written and have not left
  std::string idle_token_;                    // that the client has been told while nothing came
};

/// Client messages: {"ack":"<token>"} or {"ack":<seq>}; all batches up to that one are
/// acknowledged.
class WebSocketFollower : public serving::FeedSink,
                          public WebSocketHandler,
                          public std::enable_shared_from_this<WebSocketFollower> {
 public:
  /// When the socket is open, `wait` is called, and `subscribe` when that says so. At most `window`
  /// batches are under way without an acknowledgement; 0: any number.
  using Wait = std::function<void(std::function<void(const Status&)>)>;
  using Subscribe = std::function<Result<std::shared_ptr<serving::FeedSubscription>>()>;
  WebSocketFollower(std::shared_ptr<BatchRenderer> renderer, std::uint32_t window)
      : renderer_(std::move(renderer)), window_(window) {}
  void on_open(Wait wait, Subscribe subscribe) {
    wait_ = std::move(wait);
    subscribe_ = std::move(subscribe);
  }

  void start(serving::FeedStart why, const std::shared_ptr<const serving::FeedShape>& shape,
             const std::string& token) override;
  void batch(const std::shared_ptr<const serving::FeedBatch>& batch) override;
  void end(const Error& error) override;

  void opened(std::shared_ptr<WebSocket> socket) override;
  void message(std::string_view bytes, bool binary) override;
  void drained() override;
  void stopping() override;
  void closed() override;

 private:
  struct Sent {
    std::uint64_t seq;
    std::string token;
  };
  void send(std::string message) EXCLUDES(mutex_);
  void begin(const Status& visible) EXCLUDES(mutex_);
  /// Gives credit for the next batch if nothing stands against it.
  void grant_next() EXCLUDES(mutex_);

  const std::shared_ptr<BatchRenderer> renderer_;
  const std::uint32_t window_;
  Wait wait_;
  Subscribe subscribe_;
  Mutex mutex_;
  std::shared_ptr<WebSocket> socket_ GUARDED_BY(mutex_);
  std::shared_ptr<serving::FeedSubscription> handle_ GUARDED_BY(mutex_);
  std::deque<Sent> unacknowledged_ GUARDED_BY(mutex_);
  std::uint64_t seq_ GUARDED_BY(mutex_) = 0;
  std::uint32_t credit_ GUARDED_BY(mutex_) = 1;  // batches that may come
  bool drained_ GUARDED_BY(mutex_) = true;       // those that came have left
};

}  // namespace millrace::endpoint
