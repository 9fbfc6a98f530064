// Answers that have no end yet, and connections that go over to another protocol. A handler answers
// with a head that has a `stream`: what its HttpStreamWriter is given afterwards is the body, in
// chunks. Or with an `upgrade`: that takes the stream over. Memory: a producer writes once when it
// begins and then after drained(), so that no more than a piece waits in the server. Thread: as
// each function says. Errors: what is written for a client that is gone is dropped.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "endpoint/http_responder.h"
#include "endpoint/transport.h"

namespace millrace::endpoint {

/// What the connection tells whoever makes the body. Thread: the connection's.
class HttpStreamSource {
 public:
  virtual ~HttpStreamSource() = default;
  /// All that was written is on its way: more may be written.
  virtual void drained() = 0;
  /// Nothing was written for HttpServerOptions::stream_heartbeat_time.
  virtual void heartbeat() = 0;
  /// The last call: the client is gone, wants no body, or the server stops. Not after finish().
  virtual void closed() = 0;
};

/// Thread: any, one at a time. Copies write to the same answer.
class HttpStreamWriter {
 public:
  explicit HttpStreamWriter(const Responder& responder);
  void write(std::string bytes) const { put(std::move(bytes), false); }
  /// The body ends here.
  void finish(std::string bytes = {}) const { put(std::move(bytes), true); }

 private:
  void put(std::string bytes, bool last) const;

  std::shared_ptr<AnswerMailbox> mailbox_;
  RequestTag tag_;
};

/// A protocol that a connection goes over to. The answer must be given while the handler runs.
/// Thread: the connection's.
class HttpUpgrade {
 public:
  virtual ~HttpUpgrade() = default;
  /// The head of the request is read, nothing is answered. `gone` is to be called once, when the
  /// stream is closed.
  virtual void take(Transport transport, std::function<void()> gone) = 0;
  /// The server stops: say so, and close soon.
  virtual void stop() = 0;
  virtual void close() = 0;
  /// The connection ended, or cannot be handed over: take() will not be called.
  virtual void dropped() = 0;
};

}  // namespace millrace::endpoint
