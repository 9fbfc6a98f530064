#include "serving/live_query.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "runtime/clock.h"

namespace millrace::serving {

namespace {

/// Batches that the feed may give before one was taken.
constexpr std::uint32_t kCredit = 2;
/// Between progress rows with nothing before them.
constexpr std::int64_t kProgressUs = 1'000'000;
/// Of keys that are remembered, so that those are not deleted which the reader never had; a key
/// takes so much beside its text.
constexpr std::size_t kKnownBytesMax = std::size_t{4} << 20;
constexpr std::size_t kKnownBytes = 64;
/// SELECTs that are more than columns have an engine each.
constexpr std::uint32_t kStagesMax = 500;

std::atomic<std::uint32_t>& stages_open() {
  static std::atomic<std::uint32_t> count{0};
  return count;
}

Error cancelled() {
  return {.code = ErrorCode::kCancelled,
          .id = std::string(error_id::kCancelled),
          .message = "the SUBSCRIBE was cancelled",
          .hint = {},
          .place = {}};
}

std::vector<Type> types_of(std::span<const Column> columns) {
  std::vector<Type> out;
  for (const auto& column : columns) out.push_back(column.type);
  return out;
}

bool same_columns(std::span<const Column> a, std::span<const Column> b) {
  return std::ranges::equal(
      a, b, [](const Column& x, const Column& y) { return x.name == y.name && x.type == y.type; });
}

std::shared_ptr<const ColumnBatch> piece_of(const ColumnBatch& rows, std::size_t begin,
                                            std::size_t end, std::span<const Type> types) {
  std::vector<std::uint32_t> chosen;
  for (std::size_t row = begin; row < end; ++row) chosen.push_back(static_cast<std::uint32_t>(row));
  auto out = std::make_shared<ColumnBatch>(types);
  out->append_rows({rows.views(), rows.rows()}, chosen);
  return out;
}

}  // namespace

std::vector<Column> live_columns(std::span<const Column> columns) {
  std::vector<Column> out;
  for (const char* name : {"_position", "_op", "_key"})
    out.push_back({name, Type{TypeKind::kVarchar}});
  out.insert(out.end(), columns.begin(), columns.end());
  return out;
}

/// What the feed has told and the reader has not asked for yet.
class LiveQuery::Inbox : public FeedSink {
 public:
  struct Start {
    FeedStart why = FeedStart::kSubscribed;
    std::shared_ptr<const FeedShape> shape;
    std::string token;
  };
  using Item = std::variant<Start, std::shared_ptr<const FeedBatch>>;

  void start(FeedStart why, const std::shared_ptr<const FeedShape>& shape,
             const std::string& token) override {
    put(Start{why, shape, token});
  }
  void batch(const std::shared_ptr<const FeedBatch>& batch) override { put(batch); }
  void end(const Error& error) override {
    const MutexLock lock(mutex_);
    if (!ended_) ended_ = error;
    wake();
  }

  void cancel() {
    const MutexLock lock(mutex_);
    ended_ = cancelled();
    items_.clear();
    wake();
  }
  void on_ready(std::function<void()> wake) {
    const MutexLock lock(mutex_);
    wake_ = std::move(wake);
  }
  [[nodiscard]] bool is_ready() const {
    const MutexLock lock(mutex_);
    return ended_ || !items_.empty();
  }
  /// nullopt: nothing is there. What came before the end comes before it.
  Result<std::optional<Item>> take() {
    const MutexLock lock(mutex_);
    if (items_.empty()) {
      if (ended_) return std::unexpected(*ended_);
      return std::nullopt;
    }
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

 private:
  void put(Item item) {
    const MutexLock lock(mutex_);
    if (ended_) return;
    items_.push_back(std::move(item));
    wake();
  }
  void wake() REQUIRES(mutex_) {
    if (wake_) wake_();
  }

  mutable Mutex mutex_;
  std::deque<Item> items_ GUARDED_BY(mutex_);
  std::optional<Error> ended_ GUARDED_BY(mutex_);
  std::function<void()> wake_ GUARDED_BY(mutex_);
};

/// Rows on their way to the reader.
struct LiveQuery::Maker {
  explicit Maker(std::span<const Type> types) : rows(std::make_shared<ColumnBatch>(types)) {}

  void head(const std::string* position, std::string_view op, const std::string* key) {
    const auto text = [&](std::size_t column, const std::string* value) {
      if (value == nullptr) {
        rows->column(column).push_null();
      } else {
        rows->column(column).push_string(*value, rows->arena());
      }
    };
    text(0, position);
    rows->column(1).push_string(op, rows->arena());
    text(2, key);
  }
  /// A row that is about no row.
  void bare(const std::string* position, std::string_view op) {
    head(position, op, nullptr);
    for (std::size_t c = kLiveColumns; c < rows->column_count(); ++c) rows->column(c).push_null();
  }

  std::shared_ptr<ColumnBatch> rows;
  bool ends_in_progress = false;
  std::vector<ColumnView> keys;  // of the batch at hand
  std::vector<ColumnView> selected;
};

// --- from outside -------------------------------------------------------------------------------

LiveQuery::LiveQuery(LiveSelect select, std::unique_ptr<sql::ScalarStage> stage)
    : select_(std::move(select)),
      columns_(live_columns(select_.columns)),
      types_(types_of(columns_)),
      several_rows_(select_.view->compiled().session_gap_us.has_value()),
      stage_(std::move(stage)),
      inbox_(std::make_shared<Inbox>()) {
  if (stage_ != nullptr) stages_open().fetch_add(1);
}

LiveQuery::~LiveQuery() {
  if (subscription_ != nullptr) subscription_->cancel();
  if (stage_ != nullptr) stages_open().fetch_sub(1);
}

Result<std::shared_ptr<LiveQuery>> LiveQuery::open(ChangeFeed& feed, sql::Database& database,
                                                   LiveSelect select, Options options) {
  const auto view_columns = columns_of(select.view->compiled());
  std::unique_ptr<sql::ScalarStage> stage;
  if (!select.sql.empty()) {
    if (stages_open().load() >= kStagesMax) {
      return std::unexpected(
          Error{.code = ErrorCode::kResourceExhausted,
                .id = std::string(error_id::kBusy),
                .message = fmt::format("{} SUBSCRIBEs with expressions or WHERE are open, which is "
                                       "the limit",
                                       kStagesMax),
                .hint = "close some, or follow columns of the view as they are",
                .place = {}});
    }
    StreamDefinition rows;
    rows.name = kLiveRelation;
    for (std::size_t i = 0; i < view_columns.size(); ++i)
      rows.columns.push_back({fmt::format("c{}", i), view_columns[i].type});
    MR_TRY(stage, sql::ScalarStage::prepare(database, select.sql, rows));
    auto types = types_of(select.columns);
    types.insert(types.begin(), Type{TypeKind::kBigInt});
    if (stage->types() != types) {
      return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                   .id = std::string(error_id::kUnsupportedStatement),
                                   .message = "SUBSCRIBE cannot follow this SELECT: a column has a "
                                              "type that rows here do not have",
                                   .hint = "CAST it to VARCHAR or another type of Millrace",
                                   .place = {}});
    }
  }
  FeedRequest request{.view = select.view->record().name,
                      .where = select.where,
                      .after = options.position,
                      .snapshot = options.snapshot,
                      .credit = kCredit,
                      .keys_max = 0,
                      .allowed = std::move(options.allowed)};
  std::shared_ptr<LiveQuery> out(new LiveQuery(std::move(select), std::move(stage)));
  if (options.snapshot && options.position.empty()) out->known_.emplace();
  auto subscribed = feed.subscribe(request, out->inbox_);
  if (!subscribed && !request.where.empty()) {
    // A constant that no key can be: then the SELECT looks at every row and finds none.
    request.where.clear();
    subscribed = feed.subscribe(std::move(request), out->inbox_);
  }
  if (!subscribed) return std::unexpected(std::move(subscribed).error());
  out->subscription_ = std::move(*subscribed);
  return out;
}

bool LiveQuery::is_ready() const {
  return has_left_.load(std::memory_order_acquire) || inbox_->is_ready();
}

void LiveQuery::on_ready(std::function<void()> wake) { inbox_->on_ready(std::move(wake)); }

void LiveQuery::cancel() {
  subscription_->cancel();
  inbox_->cancel();
}

Result<LiveQuery::Piece> LiveQuery::next(std::uint64_t rows_max) {
  if (ended_) return std::unexpected(*ended_);
  while (left_ == nullptr) {
    const auto made = [&]() -> Result<bool> {
      MR_TRY(const auto item, inbox_->take());
      if (!item) return false;
      Maker out(types_);
      if (const auto* start = std::get_if<Inbox::Start>(&*item)) {
        MR_RETURN_IF_ERROR(take_start(start->why, *start->shape, start->token, out));
      } else {
        const auto& batch = *std::get<std::shared_ptr<const FeedBatch>>(*item);
        subscription_->grant();
        MR_RETURN_IF_ERROR(take_batch(batch, out));
      }
      if (out.rows->rows() == 0) return true;
      left_ = std::move(out.rows);
      left_from_ = 0;
      left_ends_in_progress_ = out.ends_in_progress;
      has_left_.store(true, std::memory_order_release);
      return true;
    }();
    if (!made) {
      ended_ = made.error();
      subscription_->cancel();
      return std::unexpected(*ended_);
    }
    if (!*made) return Piece{};
  }
  const std::size_t rows = left_->rows();
  if (left_from_ == 0 && rows <= rows_max) {
    has_left_.store(false, std::memory_order_release);
    return Piece{std::exchange(left_, nullptr), left_ends_in_progress_};
  }
  const std::size_t end =
      left_from_ + static_cast<std::size_t>(std::min<std::uint64_t>(rows - left_from_, rows_max));
  Piece piece{piece_of(*left_, left_from_, end, types_), left_ends_in_progress_ && end == rows};
  left_from_ = end;
  if (end == rows) {
    left_ = nullptr;
    has_left_.store(false, std::memory_order_release);
  }
  return piece;
}

// --- what the feed tells ------------------------------------------------------------------------

Status LiveQuery::take_start(FeedStart why, const FeedShape& shape, const std::string& token,
                             Maker& out) {
  if (shape.view != select_.view &&
      !same_columns(shape.columns, columns_of(select_.view->compiled()))) {
    return std::unexpected(
        Error{.code = ErrorCode::kFailedPrecondition,
              .id = std::string(error_id::kPrepared),
              .message = fmt::format("view {} has another definition now, with other columns",
                                     shape.view->record().name),
              .hint = "SUBSCRIBE again",
              .place = {}});
  }
  const bool forget = why != FeedStart::kSubscribed && why != FeedStart::kResumed;
  if (forget) {
    out.bare(nullptr, "reset");
    // With a snapshot what the reader has is known again.
    known_.reset();
    known_bytes_ = 0;
    if (token.empty()) known_.emplace();
  }
  if (!token.empty()) progress(token, out);
  return {};
}

void LiveQuery::progress(const std::string& token, Maker& out) {
  out.bare(&token, "progress");
  out.ends_in_progress = true;
  told_any_ = true;
  told_us_ = runtime::monotonic_us();
}

Status LiveQuery::take_batch(const FeedBatch& batch, Maker& out) {
  MR_TRY(const auto selected, select_rows(batch));
  out.keys = batch.keys->views();
  out.selected = selected.rows->views();
  std::size_t at = 0;
  for (std::size_t unit = 0; unit < batch.row_ends.size(); ++unit) {
    const std::size_t begin = at;
    while (at < selected.numbers.size() && selected.numbers[at] < batch.row_ends[unit]) ++at;
    take_key(batch, unit, begin, at, out);
  }
  const bool quiet =
      out.rows->rows() == 0 && told_any_ && runtime::monotonic_us() - told_us_ < kProgressUs;
  if (!batch.token.empty() && !quiet) progress(batch.token, out);
  return {};
}

Result<LiveQuery::Selected> LiveQuery::select_rows(const FeedBatch& batch) {
  const std::size_t count = batch.rows->rows();
  std::vector<std::uint32_t> numbers;
  auto rows = std::make_shared<ColumnBatch>(std::span(types_).subspan(kLiveColumns));
  if (stage_ == nullptr) {
    // Columns as they are.
    const auto views = batch.rows->views();
    std::vector<ColumnView> chosen;
    for (const auto column : select_.plain) chosen.push_back(views[column]);
    rows->append_all({chosen, count});
    for (std::size_t row = 0; row < count; ++row)
      numbers.push_back(static_cast<std::uint32_t>(row));
    return Selected{std::move(rows), std::move(numbers)};
  }
  if (count == 0) return Selected{std::move(rows), {}};
  const StreamBatch input{
      .stream = {}, .partition = {}, .base_offset = {}, .arrival_us = 0, .columns = batch.rows};
  MR_RETURN_IF_ERROR(stage_->run(std::span(&input, 1), [&](const BatchView& view) {
    const auto* offsets = view.columns[0].as<std::int64_t>();
    for (std::size_t row = 0; row < view.rows; ++row)
      numbers.push_back(static_cast<std::uint32_t>(offsets[row]));
    rows->append_all({view.columns.subspan(1), view.rows});
  }));
  if (std::ranges::is_sorted(numbers)) return Selected{std::move(rows), std::move(numbers)};
  std::vector<std::uint32_t> order(numbers.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  std::ranges::sort(order, {}, [&](std::uint32_t row) { return numbers[row]; });
  auto sorted = std::make_shared<ColumnBatch>(std::span(types_).subspan(kLiveColumns));
  sorted->append_rows({rows->views(), rows->rows()}, order);
  std::ranges::sort(numbers);
  return Selected{std::move(sorted), std::move(numbers)};
}

void LiveQuery::take_key(const FeedBatch& batch, std::size_t unit, std::size_t begin,
                         std::size_t end, Maker& out) {
  std::string key = "[";
  for (std::size_t k = 0; k < out.keys.size(); ++k) {
    if (k != 0) key += ',';
    append_json(key, out.keys[k], unit);
  }
  key += ']';
  // In the pieces of a snapshot before its end a key comes for the first time, or again at the end.
  if (begin == end && batch.snapshot && !batch.touched_too) return;
  const bool may_have = note(key, begin != end);
  auto& rows = *out.rows;
  if ((begin == end || several_rows_) && may_have) {
    out.head(nullptr, "delete", &key);
    for (std::size_t c = 0; c < select_.columns.size(); ++c) {
      auto& column = rows.column(kLiveColumns + c);
      if (select_.keys[c]) {
        column.push_from(out.keys[*select_.keys[c]], unit, rows.arena());
      } else {
        column.push_null();
      }
    }
  }
  for (std::size_t row = begin; row < end; ++row) {
    out.head(nullptr, several_rows_ ? "insert" : "upsert", &key);
    for (std::size_t c = 0; c < select_.columns.size(); ++c)
      rows.column(kLiveColumns + c).push_from(out.selected[c], row, rows.arena());
  }
}

bool LiveQuery::note(const std::string& key, bool has_rows) {
  if (!known_) return true;
  if (!has_rows) {
    known_bytes_ -= known_->contains(key) ? key.size() + kKnownBytes : 0;
    return known_->erase(key) != 0;
  }
  if (!known_->insert(key).second) return true;
  known_bytes_ += key.size() + kKnownBytes;
  if (known_bytes_ > kKnownBytesMax) known_.reset();
  return false;
}

}  // namespace millrace::serving
