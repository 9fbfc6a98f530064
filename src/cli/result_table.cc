#include "cli/result_table.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "cli/terminal.h"
#include "model/column_batch.h"

namespace millrace::cli {
namespace {

namespace ondemand = simdjson::ondemand;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' ||
                           text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

std::unexpected<Error> not_an_answer(std::string_view why) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "the server's answer is not a table: {}",
              why);
}

bool right_aligned(std::string_view type) {
  if (type.ends_with("[]")) return false;
  return type.ends_with("INT") || type == "INTEGER" || type == "UINTEGER" || type == "DOUBLE" ||
         type == "FLOAT" || type.starts_with("DECIMAL");
}

/// Quoted where RFC 4180 asks for it.
std::string csv_field(std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

Result<ResultTable> ResultTable::parse(std::string_view answer) {
  ResultTable out;
  out.body_ = PaddedBytes::copy_of(answer);
  ondemand::parser parser;
  ondemand::document document;
  const auto fail_with = [](simdjson::error_code code) {
    return not_an_answer(simdjson::error_message(code));
  };
  if (const auto code =
          parser
              .iterate(out.body_.data(), out.body_.size(), out.body_.size() + PaddedBytes::kPadding)
              .get(document);
      code != simdjson::SUCCESS) {
    return fail_with(code);
  }
  ondemand::object object;
  if (const auto code = document.get_object().get(object); code != simdjson::SUCCESS)
    return fail_with(code);
  // Members in any order: the rows are cells once the columns are known.
  std::size_t width = 0;
  bool even = true;
  for (auto member : object) {
    std::string_view key;
    ondemand::value value;
    if (const auto code = member.unescaped_key().get(key); code != simdjson::SUCCESS)
      return fail_with(code);
    if (const auto code = member.value().get(value); code != simdjson::SUCCESS)
      return fail_with(code);
    if (key == "columns") {
      ondemand::array columns;
      if (const auto code = value.get_array().get(columns); code != simdjson::SUCCESS)
        return fail_with(code);
      for (auto element : columns) {
        ResultColumn column;
        std::string_view text;
        if (element["name"].get_string().get(text) != simdjson::SUCCESS)
          return not_an_answer("a column's name");
        column.name = text;
        if (element["type"].get_string().get(text) == simdjson::SUCCESS) column.type = text;
        out.columns_.push_back(std::move(column));
      }
    } else if (key == "rows") {
      ondemand::array rows;
      if (const auto code = value.get_array().get(rows); code != simdjson::SUCCESS)
        return fail_with(code);
      for (auto row : rows) {
        ondemand::array cells;
        if (const auto code = row.get_array().get(cells); code != simdjson::SUCCESS)
          return fail_with(code);
        std::size_t count = 0;
        for (auto cell : cells) {
          std::string_view raw;
          if (const auto code = simdjson::to_json_string(cell).get(raw);
              code != simdjson::SUCCESS) {
            return fail_with(code);
          }
          out.cells_.push_back(trimmed(raw));
          ++count;
        }
        even = even && (width == 0 || width == count);
        width = count;
      }
    } else if (key == "truncated") {
      if (value.get_bool().get(out.truncated_) != simdjson::SUCCESS)
        return not_an_answer("\"truncated\"");
    } else if (key == "coverage") {
      std::string_view raw;
      if (const auto code = simdjson::to_json_string(value).get(raw); code != simdjson::SUCCESS) {
        return fail_with(code);
      }
      out.coverage_ = trimmed(raw);
    }
  }
  if (!even || (!out.cells_.empty() && width != out.columns_.size())) {
    return not_an_answer("a row has another number of values than there are columns");
  }
  return out;
}

ResultTable ResultTable::of_cells(std::vector<ResultColumn> columns,
                                  std::vector<std::string> cells) {
  ResultTable out;
  out.columns_ = std::move(columns);
  out.owned_cells_ = std::move(cells);
  out.cells_.assign(out.owned_cells_.begin(), out.owned_cells_.end());
  return out;
}

std::string ResultTable::table_text(std::size_t rows_max) const {
  if (columns_.empty()) return {};
  const std::size_t shown = std::min(rows(), rows_max);
  std::vector<std::string> texts;
  std::vector<std::size_t> widths;
  for (const auto& column : columns_) widths.push_back(display_width(printable(column.name)));
  texts.reserve(shown * columns_.size());
  for (std::size_t row = 0; row < shown; ++row) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      texts.push_back(printable(cell_text(cell(row, c))));
      widths[c] = std::max(widths[c], display_width(texts.back()));
    }
  }

  std::string out;
  const auto rule = [&](std::string_view left, std::string_view middle, std::string_view right) {
    out += left;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c != 0) out += middle;
      out += repeated("─", widths[c] + 2);
    }
    out += right;
    out += '\n';
  };
  const auto line = [&](const auto& text_of) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string text = text_of(c);
      const std::string fill(widths[c] - display_width(text), ' ');
      const bool right = right_aligned(columns_[c].type);
      out += fmt::format("│ {}{} ", right ? fill : "", text);
      if (!right) out += fill;
    }
    out += "│\n";
  };
  rule("┌", "┬", "┐");
  line([&](std::size_t c) { return printable(columns_[c].name); });
  rule("├", "┼", "┤");
  for (std::size_t row = 0; row < shown; ++row) {
    line([&](std::size_t c) { return texts[row * columns_.size() + c]; });
  }
  rule("└", "┴", "┘");
  if (shown < rows()) out += fmt::format("{} of {} rows\n", grouped(shown), grouped(rows()));
  return out;
}

std::string ResultTable::json_lines_text() const {
  std::string out;
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      out += c == 0 ? '{' : ',';
      append_json_string(out, columns_[c].name);
      out += ':';
      out += cell(row, c);
    }
    out += "}\n";
  }
  return out;
}

std::string ResultTable::csv_text() const {
  if (columns_.empty()) return {};
  std::string out;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (c != 0) out += ',';
    out += csv_field(columns_[c].name);
  }
  out += "\r\n";
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c != 0) out += ',';
      if (cell(row, c) != "null") out += csv_field(cell_text(cell(row, c)));
    }
    out += "\r\n";
  }
  return out;
}

std::string cell_text(std::string_view json) {
  if (json == "null") return "NULL";
  if (json.empty() || json.front() != '"') return std::string(json);
  simdjson::padded_string padded(json);
  ondemand::parser parser;
  ondemand::document document;
  std::string_view text;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_string().get(text) != simdjson::SUCCESS) {
    return std::string(json);
  }
  return std::string(text);
}

}  // namespace millrace::cli
