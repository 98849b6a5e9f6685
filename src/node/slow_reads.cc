#include "node/slow_reads.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

#include "base/log.h"
#include "io/reactor.h"

namespace forebay::node {
namespace {

std::string seconds(Duration d) {
  return fmt::format("{:.3f} s", std::chrono::duration<double>(d).count());
}

// Stages in order: each ends where the next begins. One whose end isn't known is part of the one after it; one that
// ended before the read came (it joined a fetch that was under way) took none of its time.
class Stages {
 public:
  Stages(TimePoint start, TimePoint end) : at_(start), end_(end) {}
  void until(TimePoint when, std::string_view name) {
    if (when == TimePoint{}) return;
    const TimePoint upto = std::clamp(when, at_, end_);
    if (upto > at_) text_ += fmt::format("{}{} {}", text_.empty() ? "" : ", ", name, seconds(upto - at_));
    at_ = upto;
  }
  std::string finish(std::string_view name) && {
    until(end_, name);
    return std::move(text_);
  }

 private:
  TimePoint at_;
  const TimePoint end_;
  std::string text_;
};

std::string stagesOf(const SlowRead& read, const std::string& source) {
  Stages stages(read.arrived, read.ended);
  if (!read.fetched) return std::move(stages).finish("send");
  stages.until(read.trace.first_asked, "queued");
  if (read.trace.attempts > 1)
    stages.until(read.trace.asked, fmt::format("{} earlier attempts", read.trace.attempts - 1));
  stages.until(read.trace.placed, "waiting for room");
  stages.until(read.trace.first_byte, "first byte of " + source);
  stages.until(read.ready, "receive");
  return std::move(stages).finish(read.error == nullptr ? "send" : read.trace.attempts > 0 ? source : "waiting");
}

}  // namespace

std::string SlowReads::asker(core::NodeId node) const {
  return node == core::kNoNode ? "a client" : fmt::format("node {}", name_of_(node));
}

std::string SlowReads::describe(const SlowRead& read) const {
  const std::string source = read.trace.from == core::kNoNode ? fmt::format("the origin {}", read.mount.url)
                                                              : fmt::format("node {}", name_of_(read.trace.from));
  const std::uint64_t start = (std::uint64_t{read.range.chunk} << read.plan.chunk_bits) + read.range.offset;
  return fmt::format("{:?}: bytes {} to {} took {} for {}{} ({})", read.mount.name + "/" + read.plan.path, start,
                     start + read.range.length, seconds(read.ended - read.arrived), asker(read.asker),
                     read.error == nullptr ? "" : fmt::format(" and ended with {}", read.error->text()),
                     stagesOf(read, source));
}

void SlowReads::log(const std::string& line) {
  const auto left_out = limiter_.admit(io::Reactor::now());
  if (!left_out) return;
  const std::string others = *left_out == 0 ? "" : fmt::format("; {} other slow reads weren't logged", *left_out);
  log::warn("slow", "{}{}", line, others);
}

void SlowReads::report(const SlowRead& read) {
  read.mount.metrics->slow_reads.add();
  log(describe(read));
}

void SlowReads::reportNames(Mount& mount, const std::string& path, std::size_t names, core::NodeId asked_by,
                            Duration took) {
  mount.metrics->slow_reads.add();
  const std::string others = names > 1 ? fmt::format(" and {} other names", names - 1) : "";
  log(fmt::format("{:?}{}: {} to find what is there, for {}", mount.name + "/" + path, others, seconds(took),
                  asker(asked_by)));
}

}  // namespace forebay::node
