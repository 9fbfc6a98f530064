// The way of an answer back to its connection: a handler gets a Responder, answers from any thread,
// and the answer reaches the I/O thread through that thread's mailbox. Many answers share one
// wake-up. Thread: as each class says. Errors: none; the answer to a connection that is gone is
// dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "endpoint/content_encoding.h"
#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// Which request an answer belongs to: a connection of one I/O thread and the number of its
/// request.
struct RequestTag {
  std::uint64_t connection = 0;
  std::uint64_t sequence = 0;
  bool operator==(const RequestTag&) const = default;
};

struct HttpAnswer {
  RequestTag tag;
  HttpResponse response;
};

/// A piece of the body of an answer that was given before, or will be.
struct HttpStreamPart {
  RequestTag tag;
  std::string bytes;
  bool last = false;
};

/// Answers on their way to one I/O thread. Thread: any. It outlives the I/O thread for as long as
/// somebody holds a Responder. Invariant: `wake` is called only while the mailbox is open, once for
/// each time that it turns from empty to not empty.
class AnswerMailbox {
 public:
  explicit AnswerMailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void put(HttpAnswer answer) EXCLUDES(mutex_);
  void put(HttpStreamPart part) EXCLUDES(mutex_);
  struct Waiting {
    std::vector<HttpAnswer> answers;
    std::vector<HttpStreamPart> parts;
  };
  [[nodiscard]] Waiting take() EXCLUDES(mutex_);
  /// Later answers are dropped, and `wake` is not called any more.
  void close() EXCLUDES(mutex_);

 private:
  const std::function<void()> wake_;
  Mutex mutex_;
  Waiting waiting_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

/// While it lives, the answer to the one request that this thread is handling stays here instead of
/// going through the mailbox: what is answered at once is also sent at once. Thread: its own.
class AnswerInPlace {
 public:
  AnswerInPlace(const AnswerMailbox& mailbox, RequestTag tag);
  ~AnswerInPlace();
  AnswerInPlace(const AnswerInPlace&) = delete;
  AnswerInPlace& operator=(const AnswerInPlace&) = delete;

  [[nodiscard]] std::optional<HttpResponse>& response() { return response_; }
  /// Takes the answer if this thread is just handling its request.
  [[nodiscard]] static bool take(const AnswerMailbox& mailbox, HttpAnswer& answer);

 private:
  const AnswerMailbox& mailbox_;
  const RequestTag tag_;
  AnswerInPlace* const outer_;
  std::optional<HttpResponse> response_;
};

/// The right and duty to answer one request. Thread: any, one at a time. If it is destroyed unused,
/// the client gets 500. Invariant: exactly one answer for each request.
class Responder {
 public:
  Responder(std::shared_ptr<AnswerMailbox> mailbox, RequestTag tag, ContentEncoding packing)
      : mailbox_(std::move(mailbox)), tag_(tag), packing_(packing) {}
  Responder(Responder&& other) noexcept = default;
  Responder& operator=(Responder&& other) noexcept;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  /// Once. A second answer is a bug of the caller (MR_CHECK).
  void respond(HttpResponse response);

 private:
  friend class HttpStreamWriter;
  void answer_if_unused();

  std::shared_ptr<AnswerMailbox> mailbox_;
  RequestTag tag_;
  ContentEncoding packing_;  // of large answers
};

}  // namespace millrace::endpoint
