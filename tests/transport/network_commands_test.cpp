#include "transport/network_commands.h"

#include <doctest/doctest.h>

#include <vector>

namespace shoal {
namespace {

std::vector<LogLevel> g_logged;
void note(LogLevel level, std::string_view, const LogField*, std::size_t) { g_logged.push_back(level); }

}  // namespace

TEST_CASE("what cannot be sent at all is an error in the log, a peer without a way to it is not") {
  const LogLevel before = log_level();
  set_log_level(LogLevel::Debug);
  set_log_sink(note);
  log_failure({});
  log_failure(fail(ErrorCode::Unavailable, "device 3, data lane: no connection"));
  log_failure(fail(ErrorCode::InvalidArgument, "opens.depth: too deep"));
  set_log_sink(nullptr);
  set_log_level(before);
  CHECK(g_logged == std::vector<LogLevel>{LogLevel::Debug, LogLevel::Error});
}

}  // namespace shoal
