#include "base/log.h"

#include <atomic>
#include <memory>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace forebay::log {
namespace {

std::atomic<int> g_level{static_cast<int>(Level::Info)};

std::shared_ptr<spdlog::logger> make(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("forebay", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::info);
  return logger;
}

// Leaked on purpose: threads may still log while static destructors run.
std::atomic<std::shared_ptr<spdlog::logger>>& current() {
  static auto* logger =
      new std::atomic<std::shared_ptr<spdlog::logger>>(make(std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  return *logger;
}

spdlog::level::level_enum toSpdlog(Level level) {
  switch (level) {
    case Level::Debug:
      return spdlog::level::debug;
    case Level::Info:
      return spdlog::level::info;
    case Level::Warn:
      return spdlog::level::warn;
    case Level::Error:
      return spdlog::level::err;
    case Level::Off:
      break;
  }
  return spdlog::level::off;
}

}  // namespace

void setLevel(Level level) {
  g_level.store(static_cast<int>(level), std::memory_order_relaxed);
}
Level level() {
  return static_cast<Level>(g_level.load(std::memory_order_relaxed));
}

void setFile(const std::string& path) {
  current().store(make(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path)));
}

void write(Level level, std::string_view component, std::string_view message) {
  current().load()->log(toSpdlog(level), "{}: {}", component, message);
}

}  // namespace forebay::log
