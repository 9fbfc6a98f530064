#include "tests/sql/ways.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "base/ascii_case.h"
#include "serving/view_reader.h"
#include "sql/statement.h"
#include "tests/sql/generated_rows.h"
#include "tests/sql/session.h"

namespace millrace::sql_cases {

std::string_view name(Way way) {
  switch (way) {
    case Way::kBatchOnly:
      return "batch_only";
    case Way::kSpeedOnly:
      return "speed_only";
    case Way::kCutAndMerged:
      return "cut_and_merged";
    case Way::kKilledAndBegunAgain:
      return "killed_and_begun_again";
  }
  return "";
}

namespace {

constexpr std::size_t kChunksMax = 8;
constexpr int kCutsMax = 2;

bool is_select(std::string_view sql) {
  const auto begin = sql.find_first_not_of(" \n\t(");
  const auto word = begin == std::string_view::npos ? sql : sql.substr(begin);
  return same_name(word.substr(0, 6), "SELECT") || same_name(word.substr(0, 4), "WITH") ||
         same_name(word.substr(0, 4), "FROM") || same_name(word.substr(0, 6), "VALUES");
}

std::string view_name(const ViewCase& view) { return fmt::format("v{}", view.line); }

}  // namespace

/// One way through one file.
class CaseRunner::Run {
 public:
  Run(CaseRunner& runner, Way way, std::uint64_t seed)
      : runner_(runner),
        file_(runner.file_),
        way_(way),
        seed_(seed),
        random_(seed ^ static_cast<std::uint64_t>(way)),
        folder_(runner.folder_ / fmt::format("node-{}", runner.runs_)) {}

  std::vector<std::string> run() {
    const auto status = steps();
    if (!status) report(0, status.error().text());
    node_.reset();
    std::filesystem::remove_all(folder_);
    return std::move(failures_);
  }

 private:
  void report(int line, std::string_view what) {
    failures_.push_back(fmt::format("{}:{}: {} (MILLRACE_TEST_SEED={}): {}", file_.path, line,
                                    name(way_), seed_, what));
  }
  std::size_t below(std::size_t end) { return random_() % end; }
  bool coin() { return below(2) == 0; }

  Status open_local() {
    MR_TRY(auto session, LocalSession::open(folder_));
    node_ = std::move(session);
    session_ = node_.get();
    return {};
  }
  /// Also ends the one before, by SIGKILL.
  Status open_hosted() {
    hosted_.reset();
    MR_TRY(hosted_, HostedSession::open(folder_));
    session_ = hosted_.get();
    return {};
  }

  Status steps() {
    MR_RETURN_IF_ERROR(way_ == Way::kKilledAndBegunAgain ? open_hosted() : open_local());
    MR_RETURN_IF_ERROR(create_streams());
    switch (way_) {
      case Way::kBatchOnly:
        MR_RETURN_IF_ERROR(batch_only());
        break;
      case Way::kSpeedOnly:
        create_views(file_.views.size());
        MR_RETURN_IF_ERROR(feed_all());
        break;
      case Way::kCutAndMerged:
        MR_RETURN_IF_ERROR(cut_and_merged());
        break;
      case Way::kKilledAndBegunAgain:
        MR_RETURN_IF_ERROR(killed_and_begun_again());
        break;
    }
    MR_RETURN_IF_ERROR(node_->wait_until_live());
    if (runner_.reference_ == nullptr) {
      MR_TRY(runner_.reference_, Reference::load(runner_.folder_, file_, runner_.inputs_, *node_));
    }
    for (const auto& view : created_) check(*view);
    if (way_ == Way::kSpeedOnly) {
      for (const auto& refused : file_.refused) check(refused);
    }
    return {};
  }

  Status create_streams() {
    for (const auto& stream : file_.streams) {
      MR_RETURN_IF_ERROR(run_at(stream));
      if (runner_.inputs_.size() == file_.streams.size()) continue;
      MR_TRY(auto statement, sql::parse_statement(stream.sql));
      StreamInput input{std::get<sql::CreateStream>(statement).definition, {}};
      for (const auto& given : file_.inputs) {
        if (!same_name(given.stream, input.definition.name)) continue;
        input.lines.insert(input.lines.end(), given.lines.begin(), given.lines.end());
        const auto generated = generated_rows(input.definition, given.generated, given.seed);
        input.lines.insert(input.lines.end(), generated.begin(), generated.end());
      }
      runner_.inputs_.push_back(std::move(input));
    }
    for (const auto& given : file_.inputs) {
      const auto has_name = [&](const StreamInput& input) {
        return same_name(input.definition.name, given.stream);
      };
      if (std::ranges::none_of(runner_.inputs_, has_name))
        report(given.line, fmt::format("the file has no stream {}", given.stream));
    }
    for (const auto& derived : file_.derived) MR_RETURN_IF_ERROR(run_at(derived));
    for (const auto& table : file_.tables) MR_RETURN_IF_ERROR(run_at(table));
    if (way_ == Way::kBatchOnly || way_ == Way::kSpeedOnly) MR_RETURN_IF_ERROR(change_tables());
    fed_.assign(runner_.inputs_.size(), 0);
    return {};
  }

  /// Only the first call does anything.
  Status change_tables() {
    for (; next_change_ < file_.changes.size(); ++next_change_)
      MR_RETURN_IF_ERROR(run_at(file_.changes[next_change_]));
    return {};
  }

  Status run_at(const Statement& statement) {
    auto done = session_->run(statement.sql);
    if (!done)
      return std::unexpected(std::move(done).error().within("{}:{}", file_.path, statement.line));
    return {};
  }

  /// Creates the views up to the `end`-th.
  void create_views(std::size_t end) {
    for (; next_view_ < end; ++next_view_) {
      const auto& view = file_.views[next_view_];
      const auto done = session_->run(
          fmt::format("CREATE MATERIALIZED VIEW {} AS\n{}", view_name(view), view.select));
      if (done) {
        created_.push_back(&view);
      } else {
        report(view.line, done.error().text());
      }
    }
  }

  /// Posts each stream's rows up to that part of all in random portions. A stream of two rows or
  /// more has some on both sides of every part but 0 and 1.
  Status feed(double part) {
    for (std::size_t i = 0; i < fed_.size(); ++i) {
      const auto& input = runner_.inputs_[i];
      const std::size_t rows = input.lines.size();
      std::size_t end = rows;
      if (part < 1 && rows >= 2) {
        end = std::clamp(static_cast<std::size_t>(part * static_cast<double>(rows)), std::size_t{1},
                         rows - 1);
      }
      while (fed_[i] < end) {
        const std::size_t count =
            std::min(end - fed_[i], 1 + below(std::max<std::size_t>(rows / kChunksMax * 2, 1)));
        std::string lines;
        for (std::size_t k = 0; k < count; ++k) lines += input.lines[fed_[i] + k] + "\n";
        MR_RETURN_IF_ERROR(session_->post(input.definition.name, lines));
        fed_[i] += count;
      }
    }
    return {};
  }
  Status feed_all() { return feed(1); }

  /// Ascending parts of the input, none next to its ends: a filter may take the rows there.
  std::vector<double> cuts() {
    std::vector<double> out;
    for (std::size_t i = 1 + below(kCutsMax); i > 0; --i)
      out.push_back(static_cast<double>(5 + below(91)) / 100);
    std::ranges::sort(out);
    return out;
  }

  Status batch_only() {
    if (coin()) {
      create_views(file_.views.size());
      MR_RETURN_IF_ERROR(feed_all());
      return session_->run_batch(coin());
    }
    // The views are built from the history.
    MR_RETURN_IF_ERROR(feed_all());
    MR_RETURN_IF_ERROR(session_->run_batch(false));
    create_views(file_.views.size());
    return session_->wait_until_live();
  }

  Status cut_and_merged() {
    create_views(below(file_.views.size() + 1));
    for (const double cut : cuts()) {
      MR_RETURN_IF_ERROR(feed(cut));
      MR_RETURN_IF_ERROR(session_->run_batch(below(4) == 0));
      create_views(file_.views.size());
      MR_RETURN_IF_ERROR(session_->wait_until_live());
      MR_RETURN_IF_ERROR(change_tables());
      MR_RETURN_IF_ERROR(session_->wait_until_live());
    }
    return feed_all();
  }

  Status killed_and_begun_again() {
    create_views(below(file_.views.size() + 1));
    bool first = true;
    for (const double cut : cuts()) {
      MR_RETURN_IF_ERROR(feed(cut));
      if (first) MR_RETURN_IF_ERROR(session_->run_batch(false));
      create_views(file_.views.size());
      MR_RETURN_IF_ERROR(session_->wait_until_live());
      MR_RETURN_IF_ERROR(change_tables());
      if (!first || coin()) {
        MR_RETURN_IF_ERROR(session_->begin_batch());
        std::this_thread::sleep_for(std::chrono::milliseconds(below(30)));
      }
      MR_RETURN_IF_ERROR(open_hosted());
      first = false;
    }
    MR_RETURN_IF_ERROR(session_->wait_until_live());
    // The last of the process is not said to it.
    MR_RETURN_IF_ERROR(feed_all());
    hosted_.reset();
    return open_local();
  }

  void check(const ViewCase& view) {
    const auto state = node_->node().speed().find_view(view_name(view));
    if (state == nullptr) return report(view.line, "the view is gone");
    const auto rows = serving::read_all(*state);
    if (!rows) return report(view.line, rows.error().text());
    check_coverage(view, rows->coverage);
    Answer got;
    for (const auto& column : serving::columns_of(state->compiled())) {
      got.names.push_back(column.name);
      got.types.push_back(column.type.sql());
    }
    const auto columns = rows->rows->views();
    got.append({columns, rows->rows->rows()});
    Rules rules{.tolerance = view.tolerance, .bounds = view.bounds};
    if (view.rows) {
      if (const auto what = difference(got, literal(view, got), rules)) report(view.line, *what);
      return;
    }
    rules.names = view.reference.empty();
    const auto& expected =
        runner_.reference_->answer(view.reference.empty() ? view.select : view.reference);
    if (!expected) return report(view.line, "DuckDB: " + expected.error().text());
    if (const auto what = difference(got, *expected, rules)) report(view.line, *what);
  }

  static Answer literal(const ViewCase& view, const Answer& got) {
    Answer out;
    out.names = got.names;
    if (!view.rows->empty()) out.names.resize(view.rows->front().size());
    out.types = view.types;
    for (const auto& row : *view.rows) {
      auto& values = out.rows.emplace_back();
      for (const auto& value : row)
        values.push_back(value == "NULL" ? std::nullopt : std::optional(value));
      values.resize(out.names.size());
    }
    return out;
  }

  /// That the way was gone: where the cut is.
  void check_coverage(const ViewCase& view, const speed::Coverage& coverage) {
    if (coverage.skipped_rows != view.skipped_rows) {
      report(view.line, fmt::format("{} rows were skipped, expected {}", coverage.skipped_rows,
                                    view.skipped_rows));
    }
    const auto cut = coverage.cut_events();
    const auto end = coverage.events();
    const bool right = way_ == Way::kBatchOnly   ? cut == end
                       : way_ == Way::kSpeedOnly ? cut == 0
                                                 : end < 2 || (cut > 0 && cut < end);
    if (!right) report(view.line, fmt::format("the cut is at {} of {} events", cut, end));
  }

  void check(const RefusedCase& refused) {
    const bool select = is_select(refused.sql);
    const auto done = node_->run(
        select ? fmt::format("CREATE MATERIALIZED VIEW r{} AS\n{}", refused.line, refused.sql)
               : refused.sql);
    if (done) return report(refused.line, "this was not refused");
    const auto& error = done.error();
    // The SELECT stands in the second line.
    const auto place =
        error.place.line == 0
            ? "-"
            : fmt::format("{}:{}", error.place.line - (select ? 1U : 0U), error.place.column);
    if (error.id != refused.id || place != refused.place ||
        error.text().find(refused.words) == std::string::npos) {
      report(refused.line,
             fmt::format("refused with {} at {}, expected {} at {} and the words "
                         "\"{}\": {}",
                         error.id, place, refused.id, refused.place, refused.words, error.text()));
    }
  }

  CaseRunner& runner_;
  const CaseFile& file_;
  const Way way_;
  const std::uint64_t seed_;
  std::mt19937_64 random_;
  std::filesystem::path folder_;
  std::unique_ptr<LocalSession> node_;
  std::unique_ptr<HostedSession> hosted_;
  Session* session_ = nullptr;
  std::vector<std::size_t> fed_;  // rows of each stream
  std::size_t next_view_ = 0;
  std::size_t next_change_ = 0;
  std::vector<const ViewCase*> created_;
  std::vector<std::string> failures_;
};

CaseRunner::CaseRunner(CaseFile file, std::filesystem::path folder)
    : file_(std::move(file)), folder_(std::move(folder)) {}

std::vector<std::string> CaseRunner::run(Way way, std::uint64_t seed) {
  ++runs_;
  return Run(*this, way, seed).run();
}

}  // namespace millrace::sql_cases
