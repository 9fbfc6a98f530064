// The main function of the SQL cases: the program is also the node's SQL workers, and the node that
// is killed.
#include <gtest/gtest.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "sql/query_worker.h"
#include "tests/sql/session.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "sql-worker")
    return millrace::sql::query_worker_main(argc, argv);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("test"));
  spdlog::set_level(spdlog::level::warn);
  if (argc == 3 && std::string_view(argv[1]) == "node-host")
    return millrace::sql_cases::node_host_main({argv, static_cast<std::size_t>(argc)});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
