// The main function of this module's tests: a node starts its SQL workers from its own program
// file.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "sql/query_worker.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "sql-worker")
    return millrace::sql::query_worker_main(argc, argv);
  spdlog::set_level(spdlog::level::warn);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
