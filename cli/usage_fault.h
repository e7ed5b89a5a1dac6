#pragma once

#include <string>

namespace CLI {
class App;
class Error;
}  // namespace CLI

namespace shoal {

// What is wrong with a command line, for stderr: "shoal run: there is no option --tempature; did you mean
// "--temperature"?" and where to read on. For CLI::App::failure_message.
std::string usage_fault(const CLI::App* app, const CLI::Error& error);

}  // namespace shoal
