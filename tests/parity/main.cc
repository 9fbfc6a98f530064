// The parity kit: the same events through the server's own code and through the operator's two
// doors must give the same bytes, whatever the batches, the tasks, the order of merges, and the
// workers that were killed. docs/reference/operator.md. Prints a line for each check; the last line
// is the total.
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <string>

#include "event_source.h"
#include "format/json_text.h"
#include "op/arrow_ipc.h"
#include "op/build_digest.h"
#include "op/plan.h"
#include "outcome.h"
#include "sql/syntax.h"
#include "transport.h"
#include "view/compiler.h"
#include "view/evaluator.h"
#include "view/finalizer.h"
#include "view/group_table.h"
#include "views.h"

namespace millrace::parity {

namespace {

struct Options {
  EventOptions events = {.events = 30'000, .seed = 1, .keys = 3'000};
  std::uint64_t workers = 3;
  std::string view;
  std::string library;
  std::string worker;
};

constexpr std::size_t kRowsPerStream = 16'384;  // as the operator gives them
constexpr std::size_t kReasonBytesMax = 500;
constexpr std::uint64_t kPartialMemory = std::uint64_t{2} << 20;
constexpr std::uint64_t kMergeMemory = std::uint64_t{4} << 30;

/// What the server does with the events of one view.
class Embedded {
 public:
  static Result<std::unique_ptr<Embedded>> make(std::string_view select) {
    auto out = std::make_unique<Embedded>();
    MR_TRY(out->database_, sql::Database::open({.threads = 1}));
    MR_TRY(const auto tree, sql::parse_select(select));
    const StreamDefinition stream = event_stream();
    MR_TRY(out->view_, view::compile_view(*out->database_, select, tree, std::span(&stream, 1)));
    MR_TRY(out->finalizer_, view::Finalizer::make(*out->database_, out->view_));
    for (std::size_t i = 0; i < out->view_.inputs.size(); ++i) {
      MR_TRY(auto evaluator, view::Evaluator::make(*out->database_, out->view_, i, stream));
      out->evaluators_.push_back(std::move(evaluator));
    }
    return out;
  }
  [[nodiscard]] const std::vector<Type>& key_types() const { return view_.plan.keys; }

  Result<Outcome> run(std::span<const StreamBatch> events) {
    Outcome out;
    view::GroupTable groups(view_.plan);
    const auto skip = [&](const view::FailedRow& row) {
      out.skipped.emplace_back(static_cast<std::int32_t>(row.partition.value),
                               static_cast<std::int64_t>(row.offset.value),
                               format::shortened(row.reason, kReasonBytesMax), row.raw);
    };
    std::uint64_t count = 0;
    for (const StreamBatch& batch : events) {
      for (const auto& evaluator : evaluators_)
        MR_RETURN_IF_ERROR(evaluator->run(std::span(&batch, 1), groups, count, skip));
    }
    std::ranges::sort(out.skipped);
    groups.for_each_sorted(
        [&](std::string_view key, std::string_view state) { out.states.emplace_back(key, state); });
    MR_TRY(const auto rows, finalizer_->rows(groups, true));
    std::vector<Column> columns;
    for (const auto& output : view_.outputs) columns.push_back({output.name, output.type});
    const auto views = rows->views();
    for (std::size_t begin = 0; begin < rows->rows(); begin += kRowsPerStream) {
      const std::size_t end = std::min(begin + kRowsPerStream, rows->rows());
      MR_TRY(const auto batch, op::make_arrays(columns, {views, rows->rows()}, begin, end));
      op::append_arrow_stream(batch, out.rows);
    }
    return out;
  }

 private:
  std::shared_ptr<sql::Database> database_;
  view::CompiledView view_;
  std::unique_ptr<view::Finalizer> finalizer_;
  std::vector<std::unique_ptr<view::Evaluator>> evaluators_;
};

/// The events as tasks of an engine get them: batches of rows of any partitions in any order.
std::vector<op::OwnedBatch> deal(std::span<const StreamBatch> events, Random& random) {
  auto columns = event_stream().columns;
  for (const auto& column : hidden_columns()) columns.push_back(column);
  std::vector<Type> types;
  for (const auto& column : columns) types.push_back(column.type);
  struct Piece {
    const StreamBatch* batch;
    std::size_t begin;
    std::size_t end;
  };
  std::vector<Piece> pieces;
  for (const StreamBatch& batch : events) {
    for (std::size_t begin = 0; begin < batch.columns->rows();) {
      const std::size_t most = std::size_t{1} << below(random, 13);
      const std::size_t end = std::min(begin + 1 + below(random, most), batch.columns->rows());
      pieces.push_back({&batch, begin, end});
      begin = end;
    }
  }
  std::ranges::shuffle(pieces, random);
  std::vector<op::OwnedBatch> out;
  for (std::size_t i = 0; i < pieces.size();) {
    ColumnBatch rows(types);
    for (std::size_t together = 1 + below(random, 4); together != 0 && i < pieces.size();
         --together, ++i) {
      const Piece& piece = pieces[i];
      std::vector<std::uint32_t> order(piece.end - piece.begin);
      std::iota(order.begin(), order.end(), static_cast<std::uint32_t>(piece.begin));
      std::ranges::shuffle(order, random);
      const auto views = piece.batch->columns->views();
      for (const std::uint32_t row : order) {
        for (std::size_t c = 0; c < views.size(); ++c)
          rows.column(c).push_from(views[c], row, rows.arena());
        rows.column(views.size()).push(static_cast<std::int32_t>(piece.batch->partition.value));
        rows.column(views.size() + 1)
            .push(static_cast<std::int64_t>(piece.batch->base_offset.value + row));
        rows.column(views.size() + 2).push(piece.batch->arrival_us);
      }
    }
    const auto views = rows.views();
    auto batch = op::make_arrays(columns, {views, rows.rows()}, 0, rows.rows());
    MR_CHECK(batch.has_value(), "events are no arrays: {}", batch.error().message);
    out.push_back(*std::move(batch));
  }
  return out;
}

/// What an engine does between the operator's steps: it gives out tasks, keeps what was flushed,
/// gives the rows since the last flush again to whoever died, and merges in any order.
class Engine {
 public:
  Engine(std::vector<std::unique_ptr<Transport>> mappers, std::unique_ptr<Transport> reducer,
         Random& random)
      : mappers_(std::move(mappers)), reducer_(std::move(reducer)), random_(random) {}

  [[nodiscard]] std::uint64_t killed() const { return killed_; }
  [[nodiscard]] std::uint64_t early() const { return early_; }

  /// Lists of states, each flushed by some task.
  Status map(std::span<const op::OwnedBatch> batches) {
    struct Epoch {
      std::vector<const op::OwnedBatch*> batches;
      Emitted emitted;
    };
    std::vector<Epoch> epochs(mappers_.size());
    const auto give = [&](std::size_t task, const op::OwnedBatch& batch) -> Status {
      MR_TRY(auto emitted, mappers_[task]->partial(batch));
      auto& all = epochs[task].emitted;
      early_ += emitted.states.size();
      // Of a key there may be several: each batch of early states is a list of its own.
      all.states.insert(all.states.end(), emitted.states.begin(), emitted.states.end());
      all.skipped.insert(all.skipped.end(), emitted.skipped.begin(), emitted.skipped.end());
      return {};
    };
    const auto commit = [&](std::size_t task) -> Status {
      MR_TRY(auto states, mappers_[task]->flush());
      auto& epoch = epochs[task];
      lists_.push_back(std::move(states));
      if (!epoch.emitted.states.empty()) lists_.push_back(std::move(epoch.emitted.states));
      skipped_.insert(skipped_.end(), epoch.emitted.skipped.begin(), epoch.emitted.skipped.end());
      epoch = {};
      return {};
    };
    for (const op::OwnedBatch& batch : batches) {
      const std::size_t task = below(random_, mappers_.size());
      epochs[task].batches.push_back(&batch);
      MR_RETURN_IF_ERROR(give(task, batch));
      if (below(random_, 40) == 0) {
        MR_TRY(const bool was_killed, mappers_[task]->kill_and_restart());
        if (was_killed) {
          ++killed_;
          epochs[task].emitted = {};
          for (const auto* again : epochs[task].batches) MR_RETURN_IF_ERROR(give(task, *again));
        }
      }
      if (below(random_, 8) == 0) MR_RETURN_IF_ERROR(commit(task));
    }
    for (std::size_t task = 0; task < mappers_.size(); ++task) MR_RETURN_IF_ERROR(commit(task));
    return {};
  }

  /// A tree of merges of any shape over the lists.
  Result<Outcome> reduce(std::vector<std::vector<State>> lists) {
    while (lists.size() > 1) {
      std::ranges::shuffle(lists, random_);
      const std::size_t together = std::min<std::size_t>(2 + below(random_, 7), lists.size());
      std::vector<std::vector<State>> part(
          std::make_move_iterator(lists.end() - static_cast<std::ptrdiff_t>(together)),
          std::make_move_iterator(lists.end()));
      lists.resize(lists.size() - together);
      for (const auto& list : part) MR_RETURN_IF_ERROR(reducer_->merge(list));
      if (below(random_, 10) == 0) {
        MR_TRY(const bool was_killed, reducer_->kill_and_restart());
        if (was_killed) {
          ++killed_;
          for (const auto& list : part) MR_RETURN_IF_ERROR(reducer_->merge(list));
        }
      }
      MR_TRY(auto merged, reducer_->flush());
      lists.push_back(std::move(merged));
    }
    Outcome out;
    out.skipped = skipped_;
    std::ranges::sort(out.skipped);
    // The last list may be the only one: what it has of a key is one only after a merge.
    if (!lists.empty()) MR_RETURN_IF_ERROR(reducer_->merge(lists.front()));
    MR_TRY(out.states, reducer_->flush());
    MR_RETURN_IF_ERROR(reducer_->merge(out.states));
    MR_TRY(out.rows, reducer_->finalize());
    return out;
  }
  [[nodiscard]] const std::vector<std::vector<State>>& lists() const { return lists_; }

 private:
  std::vector<std::unique_ptr<Transport>> mappers_;
  std::unique_ptr<Transport> reducer_;
  Random& random_;
  std::vector<std::vector<State>> lists_;
  std::vector<Skipped> skipped_;
  std::uint64_t killed_ = 0;
  std::uint64_t early_ = 0;
};

using Open = std::function<Result<std::unique_ptr<Transport>>(const std::string& plan,
                                                              std::uint64_t memory_bytes)>;

Result<std::unique_ptr<Engine>> make_engine(const Open& open, std::uint64_t workers,
                                            const std::string& plan, const std::string& digest,
                                            Random& random) {
  std::vector<std::unique_ptr<Transport>> mappers;
  for (std::uint64_t i = 0; i < workers; ++i) {
    MR_TRY(auto mapper, open(plan, kPartialMemory));
    mappers.push_back(std::move(mapper));
  }
  MR_TRY(auto reducer, open(plan, kMergeMemory));
  MR_TRY(const auto hello, reducer->hello());
  // That this very file computes, and not some other code.
  const auto build = boost::json::parse(hello).as_object().at("build").as_string();
  if (std::string_view(build) != digest) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "build {} says hello, the file is {}",
                std::string_view(build), digest);
  }
  return std::make_unique<Engine>(std::move(mappers), std::move(reducer), random);
}

class Kit {
 public:
  explicit Kit(Options options) : options_(std::move(options)), random_(options_.events.seed) {}

  int run() {
    const auto events = make_events(options_.events);
    const auto batches = deal(events, random_);
    std::printf("%llu events of seed %llu: %zu batches as they came, %zu as they are dealt\n",
                static_cast<unsigned long long>(options_.events.events),
                static_cast<unsigned long long>(options_.events.seed), events.size(),
                batches.size());
    for (const ParityView& view : kViews) {
      if (options_.view.empty() || options_.view == view.name) check_view(view, events, batches);
    }
    std::printf("%d passed, %d failed\n", passed_, failed_);
    return failed_ == 0 && passed_ != 0 ? 0 : 1;
  }

 private:
  void report(std::string_view name, const std::string& trouble, const std::string& facts) {
    (trouble.empty() ? passed_ : failed_) += 1;
    std::printf("%-7s %s: %s\n", trouble.empty() ? "equal" : "DIFFERS", std::string(name).c_str(),
                (trouble.empty() ? facts : trouble).c_str());
    std::fflush(stdout);
  }

  void check_view(const ParityView& view, std::span<const StreamBatch> events,
                  std::span<const op::OwnedBatch> batches) {
    auto embedded = Embedded::make(view.select);
    if (!embedded) return report(view.name, embedded.error().text(), {});
    const auto expected = (*embedded)->run(events);
    if (!expected) return report(view.name, expected.error().text(), {});
    const std::string plan = op::write_plan({.view = std::string(view.name),
                                             .select = std::string(view.select),
                                             .streams = {event_stream()},
                                             .program = MR_VERSION});
    const auto check = [&](std::string_view door, const std::string& path, const Open& open) {
      const std::string name = fmt::format("{} by {}", view.name, door);
      const auto started = std::chrono::steady_clock::now();
      auto engine = make_engine(open, options_.workers, plan, digest_of(path), random_);
      if (!engine) return report(name, engine.error().text(), {});
      if (auto mapped = (*engine)->map(batches); !mapped)
        return report(name, mapped.error().text(), {});
      const auto got = (*engine)->reduce((*engine)->lists());
      if (!got) return report(name, got.error().text(), {});
      const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - started);
      report(name, difference(*expected, *got, (*embedded)->key_types()),
             fmt::format("{} states, {} bytes of rows, {} skipped; {} lists, {} early states, {} "
                         "killed, {} ms",
                         got->states.size(), got->rows.size(), got->skipped.size(),
                         (*engine)->lists().size(), (*engine)->early(), (*engine)->killed(),
                         spent.count()));
      if (view.name == kViews.front().name || view.name == kSelfChecked)
        check_itself(name, **engine, *expected, (*embedded)->key_types());
    };
    check("library", options_.library, [&](const std::string& text, std::uint64_t memory) {
      return open_library(options_.library, text, memory);
    });
    check("worker", options_.worker, [&](const std::string& text, std::uint64_t memory) {
      return start_worker(options_.worker, text, memory);
    });
  }

  /// Wrong states must be found: one list left out, one twice, one with another count in a state.
  void check_itself(std::string_view name, Engine& engine, const Outcome& expected,
                    std::span<const Type> types) {
    const auto expect_found = [&](const char* what, std::vector<std::vector<State>> lists) {
      const auto got = engine.reduce(std::move(lists));
      const bool found = !got || !difference(expected, *got, types).empty();
      report(fmt::format("{}, {}", name, what), found ? "" : "a wrong state was not found",
             "found");
    };
    auto lists = engine.lists();
    std::ranges::sort(lists, {}, [](const auto& list) { return list.size(); });
    auto missing = lists;
    missing.pop_back();
    expect_found("a list left out", std::move(missing));
    auto twice = lists;
    twice.push_back(lists.back());
    expect_found("a list merged twice", std::move(twice));
    auto changed = lists;
    changed.back().front().second[1] = static_cast<char>(changed.back().front().second[1] ^ 1);
    expect_found("a bit of a state changed", std::move(changed));
  }

  const std::string& digest_of(const std::string& path) {
    auto& digest = digests_[path];
    if (digest.empty()) {
      std::ifstream file(path, std::ios::binary);
      digest = op::sha256(std::string(std::istreambuf_iterator<char>(file), {}));
    }
    return digest;
  }

  static constexpr std::string_view kSelfChecked = "by_key";

  Options options_;
  Random random_;
  std::map<std::string, std::string> digests_;
  int passed_ = 0;
  int failed_ = 0;
};

int usage() {
  std::fputs(
      "usage: millrace_parity --library FILE --worker FILE [--events N] [--keys N] [--seed N]\n"
      "                       [--workers N] [--view NAME]\n",
      stderr);
  return 2;
}

}  // namespace

int run(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, std::uint64_t*> numbers = {{"--events", &options.events.events},
                                                              {"--keys", &options.events.keys},
                                                              {"--seed", &options.events.seed},
                                                              {"--workers", &options.workers}};
  const std::map<std::string_view, std::string*> texts = {
      {"--library", &options.library}, {"--worker", &options.worker}, {"--view", &options.view}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    const std::string_view value = argv[i + 1];
    if (const auto text = texts.find(argv[i]); text != texts.end()) {
      *text->second = value;
      continue;
    }
    const auto number = numbers.find(argv[i]);
    if (number == numbers.end()) return usage();
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), *number->second);
    if (error != std::errc() || end != value.data() + value.size() || *number->second == 0)
      return usage();
  }
  if (options.library.empty() || options.worker.empty()) return usage();
  return Kit(std::move(options)).run();
}

}  // namespace millrace::parity

int main(int argc, char** argv) { return millrace::parity::run(argc, argv); }
