#include "cli/table_layout.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::cli {
namespace {

/// No column is made narrower, unless it is alone.
constexpr std::size_t kNarrowest = 5;
/// Of the borders and blanks of a column, and of the last border.
constexpr std::size_t kAround = 3;

bool right_aligned(std::string_view type) {
  if (type.ends_with("[]")) return false;
  return type.ends_with("INT") || type == "INTEGER" || type == "UINTEGER" || type == "DOUBLE" ||
         type == "FLOAT" || type.starts_with("DECIMAL");
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

/// A value as it is shown; a text that looks like the sign of NULL stands in quotes.
std::string shown(std::string_view json, const TableLayout& layout) {
  if (json == "null") return layout.null;
  auto text = printable(cell_text(json));
  if (text == layout.null && json.starts_with('"')) return "'" + text + "'";
  return text;
}

class Fitting {
 public:
  Fitting(const ResultTable& table, const TableLayout& layout) : table_(table), layout_(layout) {
    for (std::size_t c = 0; c < table.columns().size(); ++c) {
      names_.push_back(printable(table.columns()[c].name));
      widths_.push_back(display_width(names_.back()));
      chosen_.push_back(c);
    }
    for (std::size_t row = 0; row < table.rows(); ++row) {
      for (std::size_t c = 0; c < names_.size(); ++c) {
        texts_.push_back(shown(table.cell(row, c), layout));
        widths_[c] = std::max(widths_[c], display_width(texts_.back()));
      }
    }
    if (layout.width_max != 0) fit();
  }

  [[nodiscard]] std::string text() const {
    std::string out;
    rule("┌", "┬", "┐", out);
    line([&](std::size_t c) { return cell(names_[c], c, Look::kName); }, out);
    rule("├", "┼", "┤", out);
    for (std::size_t row = 0; row < table_.rows(); ++row) {
      const bool is_new = layout_.is_new && layout_.is_new(row);
      line(
          [&](std::size_t c) {
            const bool null = table_.cell(row, c) == "null";
            return cell(texts_[row * names_.size() + c], c,
                        null ? Look::kNull : (is_new ? Look::kNew : Look::kPlain));
          },
          out);
    }
    rule("└", "┴", "┘", out);
    const std::size_t left_out = names_.size() - chosen_.size();
    if (left_out != 0) {
      out += clipped(fmt::format("{} of {} columns do not fit here; \\x shows all", left_out,
                                 names_.size()),
                     layout_.width_max) +
             "\n";
    }
    return out;
  }

 private:
  enum class Look : std::uint8_t { kPlain, kName, kNull, kNew };
  static constexpr std::size_t kGap = SIZE_MAX;  // the place of columns that are left out

  [[nodiscard]] std::size_t total() const {
    std::size_t out = 1;
    for (const auto c : chosen_) out += width_of(c) + kAround;
    return out + (has_gap() ? 1 + kAround : 0);
  }
  [[nodiscard]] std::size_t width_of(std::size_t column) const { return widths_[column]; }
  [[nodiscard]] bool has_gap() const { return chosen_.size() < names_.size(); }

  void fit() {
    leave_out();
    // The widest gives way first.
    while (total() > layout_.width_max) {
      const auto widest =
          *std::ranges::max_element(chosen_, {}, [&](auto c) { return widths_[c]; });
      const std::size_t floor = chosen_.size() == 1 ? 1 : kNarrowest;
      if (widths_[widest] <= floor) return;
      std::size_t next = floor;
      for (const auto c : chosen_) {
        if (c != widest) next = std::max(next, std::min(widths_[c], widths_[widest] - 1));
      }
      const std::size_t over = total() - layout_.width_max;
      widths_[widest] -= std::min(over, widths_[widest] - std::min(next, widths_[widest] - 1));
    }
  }

  /// Columns from the middle, until the others fit when they are as narrow as can be.
  void leave_out() {
    const auto least = [&] {
      std::size_t out = 1 + (has_gap() ? 1 + kAround : 0);
      for (const auto c : chosen_) out += std::min(widths_[c], kNarrowest) + kAround;
      return out;
    };
    while (chosen_.size() > 1 && least() > layout_.width_max)
      chosen_.erase(chosen_.begin() + static_cast<std::ptrdiff_t>(chosen_.size() / 2));
  }

  /// The columns in order, and the gap between them.
  [[nodiscard]] std::vector<std::size_t> places() const {
    auto out = chosen_;
    if (!has_gap()) return out;
    std::size_t at = 0;
    while (at < out.size() && out[at] == at) ++at;
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), kGap);
    return out;
  }

  void rule(std::string_view left, std::string_view middle, std::string_view right,
            std::string& out) const {
    bool first = true;
    for (const auto c : places()) {
      out += first ? left : middle;
      out += repeated("─", (c == kGap ? 1 : widths_[c]) + 2);
      first = false;
    }
    out += right;
    out += '\n';
  }

  template <class CellOf>
  void line(const CellOf& cell_of, std::string& out) const {
    for (const auto c : places()) out += "│ " + (c == kGap ? "…" : cell_of(c)) + " ";
    out += "│\n";
  }

  [[nodiscard]] std::string cell(std::string_view whole, std::size_t column, Look look) const {
    const std::string text = clipped(whole, widths_[column]);
    const std::string fill(widths_[column] - display_width(text), ' ');
    std::string styled = text;
    if (layout_.terminal != nullptr) {
      if (look == Look::kName) styled = layout_.terminal->bold(text);
      if (look == Look::kNull) styled = layout_.terminal->dim(text);
      if (look == Look::kNew) styled = layout_.terminal->green(text);
    }
    return right_aligned(table_.columns()[column].type) ? fill + styled : styled + fill;
  }

  const ResultTable& table_;
  const TableLayout& layout_;
  std::vector<std::string> names_;
  std::vector<std::string> texts_;
  std::vector<std::size_t> widths_;
  std::vector<std::size_t> chosen_;
};

}  // namespace

std::string clipped(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t bytes = 0;
  std::size_t used = 0;
  while (bytes < text.size()) {
    std::size_t next = bytes + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) ++next;
    const std::size_t columns = display_width(text.substr(bytes, next - bytes));
    if (used + columns > width - 1) break;
    used += columns;
    bytes = next;
  }
  return std::string(text.substr(0, bytes)) + "…";
}

std::string fitted_table(const ResultTable& table, const TableLayout& layout) {
  return table.columns().empty() ? std::string() : Fitting(table, layout).text();
}

std::string expanded_text(const ResultTable& table, const TableLayout& layout) {
  std::size_t width = 0;
  std::vector<std::string> names;
  for (const auto& column : table.columns()) {
    names.push_back(printable(column.name));
    width = std::max(width, display_width(names.back()));
  }
  std::string out;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string head = fmt::format("─[ row {} ]", grouped(row + 1));
    out += head + repeated("─", std::max(display_width(head) + 2, width + 8) - display_width(head));
    out += '\n';
    for (std::size_t c = 0; c < names.size(); ++c) {
      const bool null = table.cell(row, c) == "null";
      auto text = shown(table.cell(row, c), layout);
      if (null && layout.terminal != nullptr) text = layout.terminal->dim(text);
      out += names[c] + std::string(width - display_width(names[c]), ' ') + " │ " + text + "\n";
    }
  }
  return out;
}

std::string markdown_text(const ResultTable& table, const TableLayout& layout) {
  const auto escaped = [](std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '|' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  };
  if (table.columns().empty()) return {};
  std::string out = "|";
  for (const auto& column : table.columns()) out += " " + escaped(printable(column.name)) + " |";
  out += "\n|";
  for (const auto& column : table.columns()) out += right_aligned(column.type) ? "---:|" : "---|";
  out += '\n';
  for (std::size_t row = 0; row < table.rows(); ++row) {
    out += "|";
    for (std::size_t c = 0; c < table.columns().size(); ++c)
      out += " " + escaped(shown(table.cell(row, c), layout)) + " |";
    out += '\n';
  }
  return out;
}

}  // namespace millrace::cli
