// A node in a folder of its own, for tests that need all of it: opened, fed, asked, and opened
// again.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "server/node.h"
#include "serving/view_reader.h"

namespace millrace::server {

class NodeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "millrace-node-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    config_.log_segment_bytes = 1 << 20;
    config_.lake_commit_interval_ms = 3'600'000;  // commits happen when a test wants them
    config_.batch_interval_ms = 3'600'000;
  }
  void TearDown() override {
    node_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    node_.reset();
    auto node = Node::open(folder_ / "data", config_);
    ASSERT_TRUE(node) << node.error().text();
    node_ = std::move(*node);
  }
  serving::StatementResult sql(std::string_view text) {
    auto result = node_->statements().run(text);
    EXPECT_TRUE(result) << text << ": " << result.error().text();
    return result ? std::move(*result) : serving::StatementResult{};
  }
  /// The error of a statement that must be refused.
  Error refused(std::string_view text) {
    auto result = node_->statements().run(text);
    EXPECT_FALSE(result) << text;
    return result ? Error{} : result.error();
  }
  std::string rows(std::string_view select) {
    std::string out;
    for (const auto& batch : sql(select).batches) out += text_of(*batch);
    return out;
  }
  std::string sorted_rows(const std::string& select) { return rows(select + " ORDER BY ALL"); }
  std::shared_ptr<speed::ViewState> view(std::string_view name = "v") {
    return node_->speed().find_view(name);
  }
  ingest::IngestReply post(std::string_view stream, std::string_view lines) {
    std::promise<Result<ingest::IngestReply>> promise;
    node_->ingest().submit(
        node_->speed().find_stream(stream), PaddedBytes::copy_of(lines),
        format::JsonFraming::kLines, "test",
        [&](Result<ingest::IngestReply> reply) { promise.set_value(std::move(reply)); });
    auto reply = promise.get_future().get();
    EXPECT_TRUE(reply) << reply.error().text();
    return reply ? std::move(*reply) : ingest::IngestReply{};
  }
  /// Returns when the lake has the events that are in the stream now.
  void commit_to_lake(std::string_view stream) {
    const auto state = node_->speed().find_stream(stream);
    const auto edge = state->cut_edge();
    std::atomic<bool> cancel{false};
    const auto done = node_->lake_writer().wait_for(state->definition().id, edge.commit, cancel);
    ASSERT_TRUE(done) << done.error().text();
  }
  /// Runs the batch layer and waits for the end of that run.
  serving::BatchRunSummary run_batch(bool full = false) {
    const auto run = node_->batch().request(full, "test");
    for (;;) {
      for (const auto& summary : node_->batch().state().last) {
        if (summary.run == run) {
          EXPECT_FALSE(summary.error) << summary.error->text();
          return summary;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  serving::ViewRows all_rows(std::string_view view) {
    auto rows = serving::read_all(*node_->speed().find_view(view));
    EXPECT_TRUE(rows) << rows.error().text();
    return rows ? std::move(*rows) : serving::ViewRows{std::make_shared<ColumnBatch>(), {}, false};
  }
  /// A row per line, its values by '|', doubles by their bits: equal texts are equal bits.
  static std::string text_of(const ColumnBatch& rows) {
    std::string out;
    const auto views = rows.views();
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      for (const auto& view : views) {
        if (view.type.kind == TypeKind::kDouble && view.valid(row)) {
          out += fmt::format("{:016x}|", std::bit_cast<std::uint64_t>(view.as<double>()[row]));
        } else {
          out += value_text(view, row).value_or("NULL") + "|";
        }
      }
      out += "\n";
    }
    return out;
  }

  std::filesystem::path folder_;
  Config config_;
  std::unique_ptr<Node> node_;
};

}  // namespace millrace::server
