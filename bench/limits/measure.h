// What the limits and the readers that they limit share: memory of the same kind, clocks, and how outcomes are printed.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/types.h>
#include <vector>

#include "base/bytes.h"

namespace forebay::bench {

[[noreturn]] inline void die(std::string_view what) {
  fmt::print(stderr, "{}\n", what);
  std::exit(1);
}

// Memory that lasts, of 2 MiB pages where the machine gives them, every page of it touched: as the arena's is, and as a
// reader's should be.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : size_(bytes) {
    constexpr std::size_t kPage = 2 * kMiB;
    void* const at = mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) die(fmt::format("no {} bytes of memory", bytes));
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    data_ = static_cast<std::byte*>(at) + (kPage - address % kPage) % kPage;
    madvise(data_, bytes, MADV_HUGEPAGE);
    std::fill_n(data_, bytes, std::byte{1});
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  Bytes bytes(std::size_t offset, std::size_t length) const { return {data_ + offset, length}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_;
};

// The 8 bytes at `offset` (a multiple of 8) of what the rows read: they are nowhere else in it.
constexpr std::uint64_t wordAt(std::uint64_t offset) {
  return offset / 8 + 1;
}

inline double secondsOf(clockid_t clock) {
  timespec now{};
  if (clock_gettime(clock, &now) != 0) die("no such clock: has the process ended?");
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
inline double elapsed() {
  return secondsOf(CLOCK_MONOTONIC);
}
// CPU seconds of all threads, in user and kernel.
inline double cpuOfUs() {
  return secondsOf(CLOCK_PROCESS_CPUTIME_ID);
}
inline double cpuOf(const std::vector<pid_t>& processes) {
  double sum = 0;
  for (const pid_t process : processes) {
    clockid_t clock = 0;
    if (clock_getcpuclockid(process, &clock) != 0) die(fmt::format("no process {}", process));
    sum += secondsOf(clock);
  }
  return sum;
}

// A measurement, from its construction to print().
class Meter {
 public:
  explicit Meter(std::vector<pid_t> servers)
      : servers_(std::move(servers)), began_(elapsed()), cpu_reader_(cpuOfUs()), cpu_server_(cpuOf(servers_)) {}
  void took(double seconds) { latencies_.push_back(seconds); }
  void reserve(std::size_t count) { latencies_.reserve(count); }
  void stop() {
    seconds_ = elapsed() - began_;
    cpu_reader_ = cpuOfUs() - cpu_reader_;
    cpu_server_ = cpuOf(servers_) - cpu_server_;
  }
  // One line of JSON; after stop().
  void print(std::uint64_t bytes, std::uint64_t requests) {
    std::ranges::sort(latencies_);
    const auto at = [this](double share) {
      if (latencies_.empty()) return 0.0;
      return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))] * 1e6;
    };
    fmt::print(R"({{"bytes":{},"requests":{},"seconds":{:.6f},"cpu_reader":{:.6f},"cpu_server":{:.6f},)", bytes,
               requests, seconds_, cpu_reader_, cpu_server_);
    fmt::print(R"("p50_us":{:.1f},"p99_us":{:.1f}}})"
               "\n",
               at(0.5), at(0.99));
    std::fflush(stdout);
  }

 private:
  std::vector<pid_t> servers_;
  double began_, cpu_reader_, cpu_server_, seconds_ = 0;
  std::vector<double> latencies_;
};

}  // namespace forebay::bench
