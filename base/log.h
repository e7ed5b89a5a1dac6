#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace shoal {

enum class LogLevel { Debug, Info, Warn, Error, Off };

// One key and its value, rendered at once. Ids print as their numbers, epochs as term.version.
struct LogField {
  std::string_view key;
  std::string value;
  bool quoted = false;

  LogField(std::string_view k, std::string_view v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, const char* v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  LogField(std::string_view k, double v);
  LogField(std::string_view k, Epoch v) : key(k), value(to_string(v)) {}
  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) LogField(std::string_view k, T v)
      : key(k), value(std::to_string(v)) {}
  template <typename T>
  requires(std::is_enum_v<T> && !std::is_same_v<T, Epoch>) LogField(std::string_view k, T v)
      : key(k), value(std::to_string(raw(v))) {}
};

using LogFields = std::initializer_list<LogField>;

// Where finished events go. Called from any thread, one call at a time.
using LogSink = void (*)(LogLevel level, std::string_view event, const LogField* fields,
                         std::size_t num_fields);

// Events are words_with_underscores; fields carry the values. stderr unless a sink is set. Never prompt text.
// Not for hot paths: those count instead.
void set_log_level(LogLevel level);
LogLevel log_level();
void set_log_sink(LogSink sink);  // nullptr: back to stderr

void log_event(LogLevel level, std::string_view event, LogFields fields);
inline void log_debug(std::string_view event, LogFields fields = {}) {
  log_event(LogLevel::Debug, event, fields);
}
inline void log_info(std::string_view event, LogFields fields = {}) {
  log_event(LogLevel::Info, event, fields);
}
inline void log_warn(std::string_view event, LogFields fields = {}) {
  log_event(LogLevel::Warn, event, fields);
}
inline void log_error(std::string_view event, LogFields fields = {}) {
  log_event(LogLevel::Error, event, fields);
}

const char* name_of(LogLevel level);

}  // namespace shoal
