#include "cli/table.h"

#include <algorithm>

#include "base/check.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxCellBytes = 200;

std::size_t width_of(const std::string& cell) {
  return static_cast<std::size_t>(
      std::ranges::count_if(cell, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void append_cell(std::string& line, const std::string& cell, std::size_t width, TextTable::Align align) {
  const std::string blanks(width - width_of(cell), ' ');
  line += align == TextTable::Align::Right ? blanks + cell : cell + blanks;
}

}  // namespace

void TextTable::add_row(std::vector<std::string> cells) {
  SHOAL_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = terminal_safe(cell.substr(0, kMaxCellBytes));
  rows_.push_back(std::move(cells));
}

std::string TextTable::render() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(width_of(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += "  ";
      append_cell(line, cell_of(i), widths[i], columns_[i].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i]; });
  return text;
}

}  // namespace shoal
