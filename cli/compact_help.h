#pragma once

#include <memory>

namespace CLI {
class FormatterBase;
}

namespace shoal {

// Options of this group share one line of --help; --help-all gives each its own.
inline constexpr const char* kRareOptions = "rare";

// Help that fits one screen: what the command does, how it is called, a line for each option with its
// default, an example.
std::shared_ptr<CLI::FormatterBase> compact_help();

}  // namespace shoal
