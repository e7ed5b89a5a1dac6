#pragma once

#include <string>

#include "cli/http_client.h"

namespace CLI {
class App;
}

namespace shoal {

// --url and --api-key of every command that talks to a running coordinator.
struct ServerOptions {
  std::string url;
  std::string api_key;

  HttpClient client() const { return HttpClient(url, api_key); }
};
void add_server_options(CLI::App& command, ServerOptions& options);

// Prints "shoal COMMAND: what" to stderr and returns `status`.
int report_failure(const char* command, const std::string& what, int status = 1);

// The same where the command goes on.
void report_note(const char* command, const std::string& what);

// The body of a GET that was answered with 200, or why not in words.
Result<std::string> get_text(HttpClient& client, const std::string& path);

}  // namespace shoal
