// What the measures found, as one table for people and one JSON document for programs.
// Thread: any. Errors: kUnavailable where the file cannot be written.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace::bench {

struct Figure {
  int measure = 0;
  std::string what;      // "bulk JSON Lines, 4 connections"
  std::string reached;   // "1.21 M events/s"
  std::string roofline;  // "13.9 M events/s parse + aggregate, one core"; empty: none
  double ratio = 0;      // to the roofline; 0: none
  std::string target;
  bool met = false;
  /// The same and more as numbers, with units in their names.
  std::vector<std::pair<std::string, double>> numbers;
};

[[nodiscard]] std::string table_of(const std::vector<Figure>& figures);
Status write_json(const std::filesystem::path& file, const std::vector<Figure>& figures,
                  double scale);

}  // namespace millrace::bench
