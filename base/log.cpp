#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "base/json_text.h"
#include "base/printable.h"

namespace shoal {
namespace {

std::atomic<LogSink> g_sink{nullptr};
std::mutex g_sink_mutex;

// A word stands as it is; anything else in quotes, with JSON's escapes.
void append_value(std::string& line, std::string_view text) {
  const bool is_word =
      !text.empty() && text.find_first_of(" \"=\\") == std::string_view::npos && is_printable(text);
  if (is_word) {
    line += text;
  } else {
    append_json_string(line, text);
  }
}

std::string line_of(LogLevel level, std::string_view event, const LogFields& fields) {
  std::string line = std::string(name_of(level)) + " " + std::string(event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (field.quoted) {
      append_value(line, field.value);
    } else {
      line += field.value;
    }
  }
  return line;
}

constexpr std::array kLevels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                             spdlog::level::err, spdlog::level::off};

spdlog::level::level_enum level_of(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

// One line and one flush an event, whatever threads log. Never destroyed: threads may log while the process
// ends.
spdlog::logger& stderr_logger() {
  static spdlog::logger& logger = [&]() -> spdlog::logger& {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc));
    auto* made = new spdlog::logger("shoal", std::move(sink));
    made->set_level(spdlog::level::info);
    return *made;
  }();
  return logger;
}

}  // namespace

LogField::LogField(std::string_view k, double v) : key(k) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  value = text;
}

void set_log_level(LogLevel level) { stderr_logger().set_level(level_of(level)); }
LogLevel log_level() {
  return static_cast<LogLevel>(std::ranges::find(kLevels, stderr_logger().level()) - kLevels.begin());
}
void set_log_sink(LogSink sink) { g_sink = sink; }

void log_event(LogLevel level, std::string_view event, LogFields fields) {
  if (!stderr_logger().should_log(level_of(level))) return;
  if (const LogSink sink = g_sink.load()) {
    const std::lock_guard lock(g_sink_mutex);
    sink(level, event, fields.begin(), fields.size());
    return;
  }
  stderr_logger().log(level_of(level), line_of(level, event, fields));
}

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warn:
      return "warn";
    case LogLevel::Error:
      return "error";
    case LogLevel::Off:
      return "off";
  }
  return "?";
}

}  // namespace shoal
