// The C functions as a C program calls them: every array that is handed over is released, every
// error has a code and a text, a drained table is empty.
#include <gtest/gtest.h>

#include "op/arrow_c.h"
#include "op/millrace_op.h"
#include "op/sample_events.h"

namespace millrace::op {
namespace {

int released = 0;

/// A batch whose release is counted.
struct Exported {
  ArrowSchema schema;
  ArrowArray array;
  explicit Exported(const OwnedBatch& batch) {
    export_batch(batch, schema, array);
    real_schema = schema.release;
    real_array = array.release;
    schema.release = [](ArrowSchema* object) {
      ++released;
      real_schema(object);
    };
    array.release = [](ArrowArray* object) {
      ++released;
      real_array(object);
    };
  }
  static inline void (*real_schema)(ArrowSchema*) = nullptr;
  static inline void (*real_array)(ArrowArray*) = nullptr;
};

class CAbiTest : public testing::Test {
 protected:
  void SetUp() override {
    released = 0;
    const std::string plan = sample_plan();
    ASSERT_EQ(millrace_op_open(plan.data(), plan.size(), 0, &op_), MILLRACE_OP_OK)
        << millrace_op_error(nullptr);
  }
  void TearDown() override { millrace_op_close(op_); }

  millrace_op* op_ = nullptr;
};

TEST_F(CAbiTest, RowsGoInAndStatesComeOutUntilTheEnd) {
  EXPECT_EQ(millrace_op_abi(), MILLRACE_OP_ABI);
  EXPECT_NE(std::string_view(millrace_op_hello(op_)).find("\"abi\":1"), std::string_view::npos);
  Exported batch(sample_batch(0, 20));
  EXPECT_EQ(millrace_op_partial(op_, nullptr, &batch.schema, &batch.array), MILLRACE_OP_OK);
  EXPECT_EQ(released, 2);
  ArrowSchema schema;
  ArrowArray states;
  ASSERT_EQ(millrace_op_drain_states(op_, &schema, &states), MILLRACE_OP_OK);
  EXPECT_EQ(states.length, 4);
  EXPECT_STREQ(schema.children[0]->name, "key");
  EXPECT_STREQ(schema.children[1]->format, "z");
  EXPECT_EQ(millrace_op_merge(op_, &schema, &states), MILLRACE_OP_OK);
  EXPECT_EQ(states.release, nullptr);
  ArrowArray rows;
  ASSERT_EQ(millrace_op_finalize(op_, 1, &schema, &rows), MILLRACE_OP_OK);
  EXPECT_EQ(rows.length, 4);
  EXPECT_EQ(static_cast<const std::int64_t*>(rows.children[1]->buffers[1])[0], 5);
  rows.release(&rows);
  schema.release(&schema);
  EXPECT_EQ(millrace_op_finalize(op_, 1, &schema, &rows), MILLRACE_OP_END);
  EXPECT_EQ(millrace_op_drain_states(op_, &schema, &states), MILLRACE_OP_END);
  EXPECT_EQ(millrace_op_drain_skipped(op_, &schema, &states), MILLRACE_OP_END);
  EXPECT_STREQ(millrace_op_error(op_), "");
}

TEST_F(CAbiTest, WhatIsRefusedIsReleasedAndNamed) {
  Exported batch(sample_batch(0, 20));
  EXPECT_EQ(millrace_op_partial(op_, "other", &batch.schema, &batch.array),
            MILLRACE_OP_BAD_ARGUMENT);
  EXPECT_EQ(released, 2);
  EXPECT_NE(std::string_view(millrace_op_error(op_)).find("other"), std::string_view::npos);
  Exported no_states(sample_batch(0, 20));
  EXPECT_EQ(millrace_op_merge(op_, &no_states.schema, &no_states.array), MILLRACE_OP_BAD_ARGUMENT);
  EXPECT_EQ(released, 4);
  EXPECT_EQ(millrace_op_partial(op_, nullptr, nullptr, nullptr), MILLRACE_OP_BAD_ARGUMENT);
  millrace_op* none = nullptr;
  EXPECT_EQ(millrace_op_open("{", 1, 0, &none), MILLRACE_OP_BAD_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  EXPECT_NE(std::string_view(millrace_op_error(nullptr)).find("plan"), std::string_view::npos);
}

TEST_F(CAbiTest, AStateThatIsNoneIsToldApart) {
  OwnedBatch batch;
  batch.rows = 1;
  for (const char* name : {"key", "state"}) {
    batch.fields.push_back({name, {.kind = ArrowKind::kBinary, .bits = 32}});
    BinaryArrayBuilder builder;
    builder.append("\x55");
    batch.arrays.push_back(builder.finish());
  }
  Exported exported(batch);
  EXPECT_EQ(millrace_op_merge(op_, &exported.schema, &exported.array), MILLRACE_OP_BAD_STATE);
  ArrowSchema schema;
  ArrowArray states;
  EXPECT_EQ(millrace_op_drain_states(op_, &schema, &states), MILLRACE_OP_BAD_STATE);
}

TEST_F(CAbiTest, AFullTableSaysSo) {
  millrace_op_close(op_);
  const std::string plan = sample_plan();
  ASSERT_EQ(millrace_op_open(plan.data(), plan.size(), 1 << 20, &op_), MILLRACE_OP_OK);
  Exported batch(sample_batch(0, 20'000, 1 << 20));
  EXPECT_EQ(millrace_op_partial(op_, "e", &batch.schema, &batch.array), MILLRACE_OP_FULL);
  std::int64_t groups = 0;
  ArrowSchema schema;
  ArrowArray states;
  while (millrace_op_drain_states(op_, &schema, &states) == MILLRACE_OP_OK) {
    groups += states.length;
    states.release(&states);
    schema.release(&schema);
  }
  EXPECT_EQ(groups, 20'000);
}

}  // namespace
}  // namespace millrace::op
