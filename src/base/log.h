// Log lines for the person who runs a node: to stderr, one line each, "time level component: message".
//
//   log::warn("origin", "{}: retry {} in {} ms: {}", url, n, wait_ms, error.text());
//
// Thread-safe. Secrets never reach a log: what may hold one goes through the redacting formatters of its owner.
#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>

namespace forebay::log {

enum class Level : int { Debug = 0, Info = 1, Warn = 2, Error = 3, Off = 4 };

void setLevel(Level level);
Level level();
// Lines go to this file (append) instead of stderr. For a process in the background.
void setFile(const std::string& path);
void write(Level level, std::string_view component, std::string_view message);

template <class... A>
void debug(std::string_view component, fmt::format_string<A...> format, A&&... args) {
  if (level() <= Level::Debug) write(Level::Debug, component, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
void info(std::string_view component, fmt::format_string<A...> format, A&&... args) {
  if (level() <= Level::Info) write(Level::Info, component, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
void warn(std::string_view component, fmt::format_string<A...> format, A&&... args) {
  if (level() <= Level::Warn) write(Level::Warn, component, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
void error(std::string_view component, fmt::format_string<A...> format, A&&... args) {
  if (level() <= Level::Error) write(Level::Error, component, fmt::format(format, std::forward<A>(args)...));
}

}  // namespace forebay::log
