#include "sink/redis_target.h"

#include <algorithm>
#include <optional>

namespace millrace::sink {

namespace {

namespace redis = wire::redis;
using Kind = redis::Reply::Kind;

/// Commands that gather before they are sent.
constexpr std::size_t kSendBytes = std::size_t{256} << 10;
constexpr std::string_view kPageKeys = "1000";

/// What MATCH takes literally.
std::string glob(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^') out += '\\';
    out += c;
  }
  return out;
}

void append_part(std::optional<std::string> text, std::string& out) {
  // NULL is a lone %, which no text becomes.
  if (!text) {
    out += '%';
    return;
  }
  for (const char c : *text) {
    if (c == ':') {
      out += "%3A";
    } else if (c == '%') {
      out += "%25";
    } else {
      out += c;
    }
  }
}

std::unexpected<Error> changed() {
  return fail(ErrorCode::kUnavailable, error_id::kStoreLost,
              "Redis: the keys there are not those of the last commit any more");
}

/// Of a command whose reply says nothing but that it went well.
Status expect_good(const redis::Reply& reply) {
  if (reply.is(Kind::kError)) return redis_error(reply.text);
  return {};
}

/// Of what was put and of EXEC: an error in any of it is the answer.
Status check_put(const redis::Reply& reply) {
  if (reply.is(Kind::kError)) return redis_error(reply.text);
  if (reply.is(Kind::kNull)) return changed();
  for (const auto& item : reply.items) {
    if (item.is(Kind::kError)) return redis_error(item.text);
  }
  return {};
}

void append_value(const ColumnView& view, std::size_t row, std::string& out) {
  if (view.type.kind == TypeKind::kBlob) {
    out += view.as<StringRef>()[row].view();
  } else if (view.type.is_nested()) {
    append_json(out, view, row);
  } else if (view.type.is_string()) {
    out += view.as<StringRef>()[row].view();
  } else {
    out += value_text(view, row).value_or("");
  }
}

}  // namespace

RedisTarget::RedisTarget(StoreUrl url, StoreAccess access, bool as_json, TargetShape shape,
                         std::string writer, bool owned, const std::atomic<bool>& stopping)
    : url_(std::move(url)),
      access_(std::move(access)),
      as_json_(as_json),
      shape_(std::move(shape)),
      writer_(std::move(writer)),
      stopping_(stopping),
      state_(url_.object + ":%state"),
      stage_(url_.object + ":%stage"),
      pattern_(glob(url_.object) + ":*"),
      owned_(owned) {
  for (const auto& column : shape_.columns) {
    std::string name(1, json_names_.empty() ? '{' : ',');
    append_json_string(name, column.name);
    json_names_.push_back(name + ":");
  }
}

void RedisTarget::close() {
  link_.reset();
  token_.clear();
  in_transaction_ = false;
  backfilling_ = false;
}

Status RedisTarget::take_over() {
  std::string cursor = "0";
  MR_TRY(const auto there, link_->run({"EXISTS", state_}));
  // Where no sink was, all that begins so is somebody's.
  while (there.integer == 0) {
    MR_TRY(const auto page, link_->run({"SCAN", cursor, "MATCH", pattern_, "COUNT", kPageKeys}));
    if (page.items.size() != 2) return changed();
    if (!page.items[1].items.empty()) {
      auto failure =
          fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
               "Redis has keys that begin with {}: and were not made by a sink", url_.object);
      failure.error().hint = "name another prefix, or remove them";
      return failure;
    }
    cursor = page.items[0].text;
    if (cursor == "0") break;
  }
  MR_TRY(const auto set,
         link_->run({"HSET", state_, "writer", writer_, "token", "", "whole", "0"}));
  return {};
}

Result<std::string> RedisTarget::open() {
  close();
  MR_TRY(link_, RedisLink::connect(url_, access_, stopping_));
  MR_TRY(const auto state, link_->run({"HMGET", state_, "writer", "token"}));
  if (state.items.size() != 2) return changed();
  if (state.items[0].text == writer_) {
    token_ = state.items[1].text;
  } else if (owned_ && !state.items[0].text.empty()) {
    auto failure = fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
                        "Redis: another sink writes the keys that begin with {}:", url_.object);
    failure.error().hint = "drop one of the two, then RESUME SINK";
    return failure;
  } else {
    MR_RETURN_IF_ERROR(take_over());
  }
  owned_ = true;
  MR_RETURN_IF_ERROR(watch());
  return token_;
}

/// From here on the next EXEC fails where anybody changes the state.
Status RedisTarget::watch() {
  link_->command({"WATCH", state_});
  return check();
}

Status RedisTarget::check() {
  link_->command({"HMGET", state_, "writer", "token"});
  return link_->finish([&](const redis::Reply& reply) -> Status {
    if (reply.is(Kind::kError)) return redis_error(reply.text);
    if (!reply.is(Kind::kItems)) return {};
    const bool same =
        reply.items.size() == 2 && reply.items[0].text == writer_ && reply.items[1].text == token_;
    return same ? Status() : Status(changed());
  });
}

Status RedisTarget::begin_backfill() {
  if (std::exchange(in_transaction_, false)) {
    link_->command({"DISCARD"});
    MR_RETURN_IF_ERROR(link_->finish(expect_good));
  }
  backfilling_ = true;
  token_.clear();
  link_->command({"UNLINK", stage_});
  link_->command({"HSET", state_, "writer", writer_, "token", "", "whole", "0"});
  MR_RETURN_IF_ERROR(link_->finish(expect_good));
  // What was watched before is changed by what stands above.
  MR_TRY(const auto unwatched, link_->run({"UNWATCH"}));
  return {};
}

void RedisTarget::begin() {
  if (!std::exchange(in_transaction_, true)) link_->command({"MULTI"});
}

/// Runs what was put, when it is sent.
void RedisTarget::end() {
  link_->command({"EXEC"});
  in_transaction_ = false;
}

void RedisTarget::make_key(std::span<const ColumnView> parts, std::size_t row) {
  key_ = url_.object;
  for (const auto& part : parts) {
    key_ += ':';
    append_part(part.valid(row) ? value_text(part, row) : std::nullopt, key_);
  }
}

void RedisTarget::remove(const TargetChanges& changes) {
  const auto parts = changes.gone->views();
  for (std::size_t row = 0; row < changes.gone_count; ++row) {
    make_key(parts, row);
    link_->command({"UNLINK", key_});
    if (backfilling_) link_->command({"SREM", stage_, key_});
  }
}

void RedisTarget::write_hash(std::span<const ColumnView> views, std::size_t row) {
  std::size_t nulls = 0;
  for (const auto& view : views) nulls += view.valid(row) ? 0 : 1;
  // What the hash of an earlier sink has besides goes, too.
  if (backfilling_) link_->command({"UNLINK", key_});
  if (nulls != 0 && !backfilling_) {
    link_->command_head(2 + nulls);
    link_->argument("HDEL");
    link_->argument(key_);
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (!views[i].valid(row)) link_->argument(shape_.columns[i].name);
    }
  }
  if (nulls == views.size()) return;
  link_->command_head(2 + 2 * (views.size() - nulls));
  link_->argument("HSET");
  link_->argument(key_);
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i].valid(row)) continue;
    value_.clear();
    append_value(views[i], row, value_);
    link_->argument(shape_.columns[i].name);
    link_->argument(value_);
  }
}

void RedisTarget::write_json(std::span<const ColumnView> views, std::size_t row) {
  value_.clear();
  for (std::size_t i = 0; i < views.size(); ++i) {
    value_ += json_names_[i];
    append_json(value_, views[i], row);
  }
  value_ += '}';
  link_->command({"SET", key_, value_});
}

Status RedisTarget::put(const TargetChanges& changes) {
  begin();
  remove(changes);
  const auto views = changes.rows->views();
  std::vector<ColumnView> parts;
  for (const auto index : shape_.key) parts.push_back(views[index]);
  for (std::size_t row = 0; row < changes.rows->rows(); ++row) {
    make_key(parts, row);
    as_json_ ? write_json(views, row) : write_hash(views, row);
    if (backfilling_) link_->command({"SADD", stage_, key_});
  }
  if (backfilling_) end();
  return link_->waiting_bytes() < kSendBytes ? Status() : link_->flow(check_put);
}

Status RedisTarget::commit(const std::string& token) {
  if (backfilling_ && token.empty()) return {};
  const bool backfilled = backfilling_;
  if (backfilled) {
    MR_RETURN_IF_ERROR(link_->finish(check_put));
    MR_RETURN_IF_ERROR(watch());
    MR_RETURN_IF_ERROR(sweep());
  }
  begin();
  const std::string& next = token.empty() ? token_ : token;
  if (backfilled) link_->command({"UNLINK", stage_});
  link_->command({"HSET", state_, "token", next, "whole", token.empty() ? "0" : "1"});
  end();
  auto done = link_->finish(check_put);
  if (!done) {
    // Redis takes nothing back of a MULTI in which one command failed: all is written anew.
    if (done.error().code == ErrorCode::kFailedPrecondition) {
      link_->command({"HSET", state_, "token", ""});
      static_cast<void>(link_->finish(nullptr));
    }
    return done;
  }
  backfilling_ = false;
  token_ = next;
  return watch();
}

Status RedisTarget::sweep() {
  std::string cursor = "0";
  std::vector<std::string> keys;
  if (shape_.key.empty()) keys.push_back(url_.object);
  do {
    MR_TRY(auto page, link_->run({"SCAN", cursor, "MATCH", pattern_, "COUNT", kPageKeys}));
    if (page.items.size() != 2) return changed();
    cursor = page.items[0].text;
    for (auto& key : page.items[1].items) {
      if (key.text != state_ && key.text != stage_) keys.push_back(std::move(key.text));
    }
    MR_RETURN_IF_ERROR(remove_unstaged(keys));
  } while (cursor != "0");
  return {};
}

Status RedisTarget::remove_unstaged(std::vector<std::string>& keys) {
  if (keys.empty()) return {};
  link_->command_head(2 + keys.size());
  link_->argument("SMISMEMBER");
  link_->argument(stage_);
  for (const auto& key : keys) link_->argument(key);
  std::vector<std::string> gone;
  MR_RETURN_IF_ERROR(link_->finish([&](const redis::Reply& reply) -> Status {
    if (reply.is(Kind::kError)) return redis_error(reply.text);
    if (reply.items.size() != keys.size()) return changed();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (reply.items[i].integer == 0) gone.push_back(std::move(keys[i]));
    }
    return {};
  }));
  keys.clear();
  if (gone.empty()) return {};
  link_->command_head(1 + gone.size());
  link_->argument("UNLINK");
  for (const auto& key : gone) link_->argument(key);
  return link_->finish(expect_good);
}

}  // namespace millrace::sink
