// The rows of a SUBSCRIBE as the body of an HTTP answer: JSON Lines, a row each, for as long as the
// client reads; a last line with "_op":"end" and the error where it ends by itself, and an empty
// line now and then while nothing comes. One piece is under way at a time: who reads slowly holds
// no more. Thread: any. Errors: told in the last line.
#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "endpoint/http_stream.h"
#include "endpoint/sql_sessions.h"
#include "runtime/worker_pool.h"
#include "serving/live_query.h"

namespace millrace::endpoint {

class LiveStream : public HttpStreamSource, public std::enable_shared_from_this<LiveStream> {
 public:
  /// `lease`: of the session whose statement it is; kept while rows may come. The pool makes rows.
  LiveStream(HttpStreamWriter writer, runtime::WorkerPool& pool, runtime::WorkShare share,
             std::shared_ptr<serving::LiveQuery> live, std::shared_ptr<SqlSessions::Lease> lease)
      : writer_(std::move(writer)),
        pool_(pool),
        share_(share),
        live_(std::move(live)),
        lease_(std::move(lease)) {}
  ~LiveStream() override;

  /// Once, when the answer is given.
  void begin();

  void drained() override;
  void heartbeat() override;
  void closed() override;

 private:
  /// Has the pool make rows, where there are some and the client has room.
  void go_on() EXCLUDES(mutex_);
  void hand_over() EXCLUDES(mutex_);
  void make_rows();
  void end(const Error& error) EXCLUDES(mutex_);

  const HttpStreamWriter writer_;
  runtime::WorkerPool& pool_;
  const runtime::WorkShare share_;
  const std::shared_ptr<serving::LiveQuery> live_;
  Mutex mutex_;
  std::shared_ptr<SqlSessions::Lease> lease_ GUARDED_BY(mutex_);
  bool has_room_ GUARDED_BY(mutex_) = true;
  bool working_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
};

}  // namespace millrace::endpoint
