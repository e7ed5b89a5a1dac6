#include "cli/server_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/terminal_text.h"

namespace shoal {

void add_server_options(CLI::App& command, ServerOptions& options) {
  options.url = default_server_url();
  options.api_key = default_api_key();
  command.add_option("--url", options.url, "the coordinator, or in the environment: SHOAL_URL")
      ->type_name("URL")
      ->default_str(options.url);
  command.add_option("--api-key", options.api_key, "its key, or in the environment: SHOAL_API_KEY")
      ->type_name("KEY");
}

void report_note(const char* command, const std::string& what) {
  std::fprintf(stderr, "shoal %s: %s\n", command, terminal_safe(what).c_str());
}

int report_failure(const char* command, const std::string& what, int status) {
  report_note(command, what);
  return status;
}

Result<std::string> get_text(HttpClient& client, const std::string& path) {
  Result<HttpClient::Response> response = client.get(path);
  if (!response) return fail(response.error());
  if (response->status != 200) return fail(ErrorCode::Unavailable, error_message_of(*response));
  return std::move(response->body);
}

}  // namespace shoal
