#include "endpoint/change_followers.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "endpoint/answer_json.h"
#include "endpoint/problem.h"
#include "model/column_batch.h"

namespace millrace::endpoint {

namespace {

/// Milliseconds after which a browser connects again.
constexpr std::string_view kRetry = "retry: 1000\n";

void append_row(std::string& out, std::span<const ColumnView> views, std::size_t row) {
  out += '[';
  for (std::size_t c = 0; c < views.size(); ++c) {
    if (c != 0) out += ',';
    append_json(out, views[c], row);
  }
  out += ']';
}

std::string event(std::string_view name, std::string_view id, std::string_view data) {
  std::string out = fmt::format("event: {}\n", name);
  if (!id.empty()) out += fmt::format("id: {}\n", id);
  out += "data: ";
  // A value of type JSON may have line ends between its tokens; one ends a field of an event.
  for (const char letter : data) {
    if (letter == '\n') {
      out += "\ndata: ";
    } else {
      out += letter == '\r' ? ' ' : letter;
    }
  }
  out += "\n\n";
  return out;
}

std::string_view event_name(const serving::FeedBatch& batch) {
  return batch.snapshot ? "snapshot" : "changes";
}
std::string_view event_name(serving::FeedStart why) {
  return why == serving::FeedStart::kResumed ? "resumed" : "reset";
}

}  // namespace

std::string start_json(serving::FeedStart why, const serving::FeedShape& shape) {
  std::string out = "{\"view\":";
  append_json_text(out, shape.view->record().name);
  out += fmt::format(",\"reason\":\"{}\",\"columns\":", name(why));
  append_columns(out, shape.columns);
  out += ",\"key\":[";
  for (std::size_t i = 0; i < shape.key.size(); ++i) {
    if (i != 0) out += ',';
    if (shape.key[i].name.empty()) {
      out += "null";
    } else {
      append_json_text(out, shape.key[i].name);
    }
  }
  out += "]}";
  return out;
}

const std::string& BatchRenderer::json(const std::shared_ptr<const serving::FeedBatch>& batch) {
  if (batch == last_) return text_;
  last_ = batch;
  text_ = "{\"changes\":[";
  const auto keys = batch->keys->views();
  const auto rows = batch->rows->views();
  std::uint32_t row = 0;
  for (std::size_t i = 0; i < batch->row_ends.size(); ++i) {
    text_ += i == 0 ? "{\"key\":" : ",{\"key\":";
    append_row(text_, keys, i);
    text_ += ",\"rows\":[";
    for (const std::uint32_t begin = row; row < batch->row_ends[i]; ++row) {
      if (row != begin) text_ += ',';
      append_row(text_, rows, row);
    }
    text_ += "]}";
  }
  text_ += fmt::format("],\"more\":{},\"coverage\":", batch->more);
  append_coverage(text_, statements_.source_of(*batch->shape->view, batch->coverage));
  text_ += '}';
  return text_;
}

// ---- Server-Sent Events ----

void EventStreamFollower::start(serving::FeedStart why,
                                const std::shared_ptr<const serving::FeedShape>& shape,
                                const std::string& token) {
  writer_.write(std::string(kRetry) + event(event_name(why), token, start_json(why, *shape)));
}

void EventStreamFollower::batch(const std::shared_ptr<const serving::FeedBatch>& batch) {
  ++on_the_way_;
  writer_.write(event(event_name(*batch), batch->token, renderer_->json(batch)));
}

void EventStreamFollower::end(const Error& error) {
  writer_.finish(event("end", {}, problem(error).body));
}

void EventStreamFollower::drained() {
  if (const std::uint32_t left = on_the_way_.exchange(0); left != 0) handle_->grant(left);
}

void EventStreamFollower::heartbeat() {
  // The position moves on also where nothing that the client wants has changed.
  const auto token = handle_->token();
  if (token && *token != idle_token_ && on_the_way_ == 0) {
    idle_token_ = *token;
    writer_.write(fmt::format("id: {}\n\n", *token));
  } else {
    writer_.write(":\n\n");
  }
}

void EventStreamFollower::closed() { handle_->cancel(); }

// ---- WebSocket ----

void WebSocketFollower::send(std::string message) {
  std::shared_ptr<WebSocket> socket;
  {
    const MutexLock lock(mutex_);
    socket = socket_;
  }
  if (socket != nullptr) socket->send(std::move(message), false);
}

void WebSocketFollower::start(serving::FeedStart why,
                              const std::shared_ptr<const serving::FeedShape>& shape,
                              const std::string& token) {
  std::string out = fmt::format("{{\"type\":\"{}\",", event_name(why));
  if (!token.empty()) out += fmt::format("\"token\":\"{}\",", token);
  send(out + start_json(why, *shape).substr(1));
}

void WebSocketFollower::batch(const std::shared_ptr<const serving::FeedBatch>& batch) {
  std::uint64_t seq = 0;
  {
    const MutexLock lock(mutex_);
    seq = ++seq_;
    --credit_;
    drained_ = false;
    if (window_ != 0) unacknowledged_.push_back({seq, batch->token});
  }
  std::string out = fmt::format("{{\"type\":\"{}\",\"seq\":{},", event_name(*batch), seq);
  if (!batch->token.empty()) out += fmt::format("\"token\":\"{}\",", batch->token);
  send(out + renderer_->json(batch).substr(1));
}

void WebSocketFollower::end(const Error& error) {
  send(fmt::format("{{\"type\":\"end\",\"problem\":{}}}", problem(error).body));
  const MutexLock lock(mutex_);
  if (socket_ != nullptr) socket_->end(WebSocketEnd::kNormal, error.id);
}

void WebSocketFollower::opened(std::shared_ptr<WebSocket> socket) {
  {
    const MutexLock lock(mutex_);
    socket_ = std::move(socket);
  }
  // Kept while it waits: the socket may go meanwhile.
  std::exchange(
      wait_, nullptr)([self = shared_from_this()](const Status& visible) { self->begin(visible); });
}

void WebSocketFollower::begin(const Status& visible) {
  auto subscribe = std::exchange(subscribe_, nullptr);
  if (!visible) {
    end(visible.error());
    return;
  }
  auto handle = subscribe();
  if (!handle) {
    end(handle.error());
    return;
  }
  {
    const MutexLock lock(mutex_);
    if (socket_ == nullptr) {
      (*handle)->cancel();
      return;
    }
    handle_ = std::move(*handle);
  }
  // What came before may have left already.
  grant_next();
}

void WebSocketFollower::message(std::string_view bytes, bool binary) {
  boost::system::error_code ec;
  const auto json = boost::json::parse({bytes.data(), bytes.size()}, ec);
  const auto* object = ec || binary ? nullptr : json.if_object();
  const auto* ack = object == nullptr ? nullptr : object->if_contains("ack");
  if (ack == nullptr || (!ack->is_string() && !ack->is_number())) {
    const MutexLock lock(mutex_);
    if (socket_ != nullptr)
      socket_->end(WebSocketEnd::kBadData, R"(a client sends {"ack":"<token>"} and nothing else)");
    return;
  }
  {
    const MutexLock lock(mutex_);
    const auto found = std::ranges::find_if(unacknowledged_, [&](const Sent& sent) {
      if (const auto* token = ack->if_string()) return *token == sent.token;
      boost::system::error_code not_whole;
      const auto seq = ack->to_number<std::uint64_t>(not_whole);
      return !not_whole && seq == sent.seq;
    });
    if (found == unacknowledged_.end()) return;  // acknowledged before
    unacknowledged_.erase(unacknowledged_.begin(), found + 1);
  }
  grant_next();
}

void WebSocketFollower::drained() {
  {
    const MutexLock lock(mutex_);
    drained_ = true;
  }
  grant_next();
}

void WebSocketFollower::grant_next() {
  std::shared_ptr<serving::FeedSubscription> handle;
  {
    const MutexLock lock(mutex_);
    if (credit_ != 0 || !drained_ || handle_ == nullptr) return;
    if (window_ != 0 && unacknowledged_.size() >= window_) return;
    credit_ = 1;
    handle = handle_;
  }
  handle->grant();
}

void WebSocketFollower::stopping() {
  const MutexLock lock(mutex_);
  if (socket_ != nullptr) socket_->end(WebSocketEnd::kGoingAway, "the server stops");
}

void WebSocketFollower::closed() {
  const MutexLock lock(mutex_);
  socket_.reset();
  if (handle_ != nullptr) handle_->cancel();
}

}  // namespace millrace::endpoint
