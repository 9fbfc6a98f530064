#include "endpoint/http_responder.h"

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "endpoint/http_stream.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {
namespace {

// Below this, the frame and the time cost more than the bytes saved.
constexpr std::size_t kPackedBytesMin = 1024;

thread_local AnswerInPlace* innermost = nullptr;

void compress(HttpResponse& response, ContentEncoding packing) {
  if (packing == ContentEncoding::kIdentity || response.body.size() < kPackedBytesMin) return;
  // Where it leaves, its request is named in it.
  if (response.content_type == "application/problem+json") return;
  for (const auto& [name, value] : response.headers) {
    if (equal_ignoring_case(name, "content-encoding")) return;
  }
  const bool as_zstd = packing == ContentEncoding::kZstd;
  auto packed = as_zstd ? zstd(response.body) : gzip(response.body);
  if (!packed || packed->size() >= response.body.size()) return;
  response.body = std::move(*packed);
  response.headers.emplace_back("Content-Encoding", as_zstd ? "zstd" : "gzip");
}

}  // namespace

void AnswerMailbox::put(HttpAnswer answer) {
  if (AnswerInPlace::take(*this, answer)) return;
  {
    const MutexLock lock(mutex_);
    if (!closed_) {
      waiting_.answers.push_back(std::move(answer));
      if (waiting_.answers.size() + waiting_.parts.size() == 1) wake_();
      return;
    }
  }
  if (answer.response.stream != nullptr) answer.response.stream->closed();
}

void AnswerMailbox::put(HttpStreamPart part) {
  const MutexLock lock(mutex_);
  if (closed_) return;
  waiting_.parts.push_back(std::move(part));
  if (waiting_.answers.size() + waiting_.parts.size() == 1) wake_();
}

AnswerMailbox::Waiting AnswerMailbox::take() {
  const MutexLock lock(mutex_);
  return std::exchange(waiting_, {});
}

void AnswerMailbox::close() {
  Waiting dropped;
  {
    const MutexLock lock(mutex_);
    closed_ = true;
    dropped = std::exchange(waiting_, {});
  }
  for (const HttpAnswer& answer : dropped.answers) {
    if (answer.response.stream != nullptr) answer.response.stream->closed();
  }
}

AnswerInPlace::AnswerInPlace(const AnswerMailbox& mailbox, RequestTag tag)
    : mailbox_(mailbox), tag_(tag), outer_(innermost) {
  innermost = this;
}

AnswerInPlace::~AnswerInPlace() { innermost = outer_; }

bool AnswerInPlace::take(const AnswerMailbox& mailbox, HttpAnswer& answer) {
  if (innermost == nullptr || &innermost->mailbox_ != &mailbox || innermost->tag_ != answer.tag) {
    return false;
  }
  innermost->response_ = std::move(answer.response);
  return true;
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this != &other) {
    answer_if_unused();
    mailbox_ = std::move(other.mailbox_);
    tag_ = other.tag_;
    packing_ = other.packing_;
  }
  return *this;
}

Responder::~Responder() { answer_if_unused(); }

void Responder::respond(HttpResponse response) {
  MR_CHECK(mailbox_ != nullptr, "a request was answered twice");
  compress(response, packing_);
  std::exchange(mailbox_, nullptr)->put({.tag = tag_, .response = std::move(response)});
}

HttpStreamWriter::HttpStreamWriter(const Responder& responder)
    : mailbox_(responder.mailbox_), tag_(responder.tag_) {}

void HttpStreamWriter::put(std::string bytes, bool last) const {
  mailbox_->put(HttpStreamPart{.tag = tag_, .bytes = std::move(bytes), .last = last});
}

void Responder::answer_if_unused() {
  if (mailbox_ == nullptr) return;
  respond(problem(Error{.code = ErrorCode::kInternal,
                        .id = std::string(error_id::kInternal),
                        .message = "the request was dropped without an answer",
                        .hint = {},
                        .place = {}}));
}

}  // namespace millrace::endpoint
