#pragma once

#include <string>
#include <vector>

namespace shoal {

// Columns of text, each as wide as its widest cell, two blanks between them.
class TextTable {
 public:
  enum class Align { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns.
  void add_row(std::vector<std::string> cells);

  // The title line and the rows, each ended by a newline. Cells are made safe for a terminal.
  std::string render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace shoal
