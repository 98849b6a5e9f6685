#include "cli/progress.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/units.h"

namespace forebay::cli {
namespace {

constexpr Duration kWindow = 10s;    // of the rate: short enough to show a stall, long enough not to jump
constexpr Duration kMinWindow = 1s;  // less says nothing about the time left
constexpr std::size_t kMaxPoints = 256;
constexpr std::size_t kMaxFailures = 100;

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

void Progress::found(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  now_.total_bytes += bytes;
  ++now_.total_objects;
}

void Progress::resized(std::uint64_t was, std::uint64_t is) {
  const std::lock_guard lock(mutex_);
  now_.total_bytes += is - was;  // modulo 2^64: right for shrinking too
}

void Progress::listed() {
  const std::lock_guard lock(mutex_);
  now_.listed = true;
}

void Progress::advanced(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  now_.bytes += bytes;
}

void Progress::objectDone() {
  const std::lock_guard lock(mutex_);
  ++now_.objects;
}

void Progress::failed(std::string name, Error error, std::uint64_t missing, bool object) {
  const std::lock_guard lock(mutex_);
  now_.failed_bytes += missing;
  now_.failed_objects += object ? 1 : 0;
  ++now_.failures;
  if (failures_.size() < kMaxFailures) failures_.push_back({std::move(name), std::move(error)});
}

std::vector<LoadFailure> Progress::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

ProgressSample Progress::sample(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (points_.empty()) points_.push_back({start_, 0});
  points_.push_back({now, now_.bytes});
  // One point may be older than the window: the rate then covers all of it.
  while (points_.size() > 2 && (now - points_[1].when >= kWindow || points_.size() > kMaxPoints)) points_.pop_front();
  ProgressSample sample = now_;
  sample.elapsed = now - start_;
  const Duration span = now - points_.front().when;
  if (span > Duration{0}) sample.rate = static_cast<double>(now_.bytes - points_.front().bytes) / seconds(span);
  const std::uint64_t settled = now_.bytes + now_.failed_bytes;
  const std::uint64_t left = now_.total_bytes > settled ? now_.total_bytes - settled : 0;
  if (now_.listed && left == 0) {
    sample.time_left = Duration{0};
  } else if (now_.listed && span >= kMinWindow && sample.rate >= 1) {
    constexpr double kYear = 365.0 * 86'400;
    const double wait = static_cast<double>(left) / sample.rate;
    if (wait < kYear) sample.time_left = std::chrono::milliseconds(static_cast<std::int64_t>(wait * 1000));
  }
  return sample;
}

std::string progressLine(const ProgressSample& sample, unsigned width) {
  // Floored: 100% is said only of everything.
  const std::uint64_t whole = sample.total_bytes;
  const bool all = sample.complete();
  std::uint64_t percent = 0;
  if (whole != 0)
    percent = static_cast<std::uint64_t>(static_cast<double>(sample.bytes) / static_cast<double>(whole) * 100);
  percent = all ? 100 : std::min<std::uint64_t>(percent, 99);
  const char* more = sample.listed ? "" : "+";
  std::string text =
      fmt::format("{:3}%  {} of {}{}  {}/{}{} objects  {}", percent, humanSize(sample.bytes), humanSize(whole), more,
                  humanCount(sample.objects), humanCount(sample.total_objects), more, humanRate(sample.rate));
  if (!sample.listed) {
    text += "  listing";
  } else if (all) {
    text += "  done";
  } else if (sample.time_left) {
    text += fmt::format("  {} left", humanDuration(*sample.time_left));
  } else if (sample.elapsed >= kMinWindow && sample.rate < 1) {
    text += "  stalled";
  }
  if (sample.failures != 0) text += fmt::format("  {} failed", humanCount(sample.failures));
  constexpr std::size_t kBar = 20;
  if (text.size() + kBar + 3 <= width) {
    const std::size_t filled = percent * kBar / 100;
    text = fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(kBar - filled, '-'), text);
  }
  if (text.size() > width) text.resize(width);
  return text;
}

std::string progressJson(const ProgressSample& sample, std::string_view event) {
  JsonWriter json;
  json.beginObject().field("event", event).field("bytes", sample.bytes).field("total_bytes", sample.total_bytes);
  json.field("objects", sample.objects).field("total_objects", sample.total_objects).field("listed", sample.listed);
  json.field("failures", sample.failures).field("failed_objects", sample.failed_objects);
  json.field("failed_bytes", sample.failed_bytes).field("elapsed_ms", toMs(sample.elapsed));
  json.field("bytes_per_second", static_cast<std::uint64_t>(sample.rate)).key("time_left_ms");
  if (sample.time_left) {
    json.value(toMs(*sample.time_left));
  } else {
    json.null();
  }
  json.endObject();
  return std::move(json).take();
}

ProgressReporter::ProgressReporter(Terminal& terminal, Progress& progress)
    : terminal_(terminal), progress_(progress), line_(terminal.isTerminal() && !terminal.json()) {
  thread_ = std::thread([this] { serve(); });
}

void ProgressReporter::serve() {
  const auto interval = line_ ? Duration(200ms) : Duration(1s);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval, [this] { return stopping_; })) print();
}

void ProgressReporter::print() {
  const ProgressSample sample = progress_.sample(std::chrono::steady_clock::now());
  if (line_) {
    // The last column stays free: some terminals wrap when it is written.
    terminal_.out(fmt::format("\r\x1b[K{}", progressLine(sample, std::max(terminal_.width(), 2U) - 1)));
  } else {
    terminal_.out(progressJson(sample, "progress") + "\n");
    (void)terminal_.flush();
  }
}

void ProgressReporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (line_) terminal_.out("\r\x1b[K");
}

}  // namespace forebay::cli
