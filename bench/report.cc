#include "report.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "model/column_batch.h"

namespace millrace::bench {

std::string table_of(const std::vector<Figure>& figures) {
  std::vector<std::array<std::string, 7>> lines = {
      {"#", "measure", "reached", "roofline", "ratio", "target", "met"}};
  for (const auto& figure : figures) {
    lines.push_back({fmt::to_string(figure.measure), figure.what, figure.reached,
                     figure.roofline.empty() ? "-" : figure.roofline,
                     figure.ratio == 0 ? "-" : fmt::format("{:.2f}", figure.ratio), figure.target,
                     figure.target == "-" ? "-"
                     : figure.met         ? "yes"
                                          : "NO"});
  }
  std::array<std::size_t, 7> widths{};
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (std::size_t row = 0; row < lines.size(); ++row) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      out += fmt::format("{:<{}}", lines[row][i], i + 1 == widths.size() ? 0 : widths[i] + 2);
    }
    out += '\n';
    if (row == 0) {
      for (std::size_t i = 0; i < widths.size(); ++i) out += std::string(widths[i], '-') + "  ";
      out += '\n';
    }
  }
  return out;
}

Status write_json(const std::filesystem::path& file, const std::vector<Figure>& figures,
                  double scale) {
  std::string out = fmt::format("{{\"scale\": {}, \"figures\": [", scale);
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const auto& figure = figures[i];
    out += fmt::format("{}\n  {{\"measure\": {}, \"what\": ", i == 0 ? "" : ",", figure.measure);
    append_json_string(out, figure.what);
    out += ", \"target\": ";
    append_json_string(out, figure.target);
    out += fmt::format(", \"met\": {}, \"ratio\": {:.4f}", figure.met, figure.ratio);
    for (const auto& [name, value] : figure.numbers)
      out += fmt::format(", \"{}\": {:.6g}", name, value);
    out += '}';
  }
  out += "\n]}\n";
  std::ofstream stream(file);
  if (!(stream << out).flush()) {
    return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{} cannot be written",
                file.string());
  }
  return {};
}

}  // namespace millrace::bench
