// The limit of reading chunks from another node's RAM: the same bytes over TCP on loopback, with nothing around them.
//
//   forebay_limit_raw_bulk --memory 268435456 --bytes 2147483648 --connections 1 --receive 262144 [--checksum]
//
// A second process sends its memory again and again, in units of 8 MiB; this one takes them into a few buffers of a
// unit that it uses again. With --checksum it verifies each granule of 64 KiB as soon as it is there, by the function
// that Forebay uses. The first units don't count. With --apart the sender runs on the first core that it may use, and
// the receiver on the last (bench/cores.py says why). Prints one line of JSON.
#include <CLI/CLI.hpp>
#include <atomic>
#include <barrier>
#include <optional>
#include <sched.h>

#include "limits/raw_server.h"

namespace forebay::bench {
namespace {

constexpr std::uint64_t kWarmBytes = 64 * kMiB;

struct Arguments {
  std::size_t memory = 256 * kMiB, unit = 8 * kMiB;
  std::uint64_t bytes = 2048 * kMiB;
  std::size_t connections = 1;
  std::size_t send = kMiB, receive = 256 * kKiB;  // of one call
  std::size_t buffers = 4;                        // all connections together
  bool checksum = false, wait_all = false, apart = false;

  std::uint64_t warmUnits() const { return kWarmBytes / unit; }
  std::uint64_t units() const { return warmUnits() + bytes / unit; }
};

// Connection i sends the units i, i + connections, and so on.
void sendUnits(const Arguments& arguments, int fd, std::size_t index, const Memory& memory) {
  for (std::uint64_t unit = index; unit < arguments.units(); unit += arguments.connections) {
    const std::uint64_t at = unit * arguments.unit % arguments.memory;
    for (std::size_t done = 0; done < arguments.unit; done += arguments.send) {
      iovec piece{memory.data() + at + done, std::min(arguments.send, arguments.unit - done)};
      if (!sendAll(fd, {&piece, 1})) return;
    }
  }
}

class Receiver {
 public:
  Receiver(const Arguments& arguments, const RawServer& server, std::size_t index, std::byte* buffers)
      : arguments_(arguments), server_(server), index_(index), buffers_(buffers) {}

  // `warm` is called once, where what counts begins.
  template <class Warm>
  void run(Warm&& warm) {
    const std::size_t buffers = std::max<std::size_t>(1, arguments_.buffers / arguments_.connections);
    bool counts = false;
    std::size_t buffer = 0;
    for (std::uint64_t unit = index_; unit < arguments_.units(); unit += arguments_.connections) {
      if (!counts && unit >= arguments_.warmUnits()) {
        warm();
        counts = true;
      }
      take(unit * arguments_.unit % arguments_.memory, buffers_ + buffer * arguments_.unit);
      buffer = (buffer + 1) % buffers;
    }
  }

 private:
  void take(std::uint64_t offset, std::byte* to) {
    std::size_t have = 0, verified = 0;
    while (have < arguments_.unit) {
      const std::size_t want = std::min(arguments_.receive, arguments_.unit - have);
      const ssize_t got = recv(server_.sockets()[index_], to + have, want, arguments_.wait_all ? MSG_WAITALL : 0);
      if (got <= 0) die("the sender hung up");
      have += static_cast<std::size_t>(got);
      for (; arguments_.checksum && have - verified >= kGranule; verified += kGranule)
        if (crc32c({to + verified, kGranule}) != server_.checksum(offset + verified)) die("wrong bytes");
    }
  }

  const Arguments& arguments_;
  const RawServer& server_;
  const std::size_t index_;
  std::byte* const buffers_;
};

// Of those in `allowed`, the first or the last: for this thread and what it starts.
void keepOn(const cpu_set_t& allowed, bool last) {
  int core = -1;
  for (int i = 0; i < CPU_SETSIZE && (core < 0 || last); ++i)
    if (CPU_ISSET(i, &allowed)) core = i;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) die("can't choose a core");
}

int run(const Arguments& arguments) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) die("which cores may be used can't be told");
  if (arguments.apart) keepOn(allowed, false);
  const RawServer server(arguments.memory, arguments.connections,
                         [&](int fd, std::size_t index, const Memory& memory, std::span<const std::uint32_t>) {
                           sendUnits(arguments, fd, index, memory);
                         });
  if (arguments.apart) keepOn(allowed, true);
  const std::size_t each = std::max<std::size_t>(1, arguments.buffers / arguments.connections) * arguments.unit;
  const Memory buffers(each * arguments.connections);
  std::optional<Meter> meter;
  std::barrier all_warm(static_cast<std::ptrdiff_t>(arguments.connections),
                        [&]() noexcept { meter.emplace(server.processes()); });
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < arguments.connections; ++i)
      threads.emplace_back([&, i] {
        Receiver(arguments, server, i, buffers.data() + i * each).run([&] { all_warm.arrive_and_wait(); });
      });
  }
  meter->stop();
  meter->print(arguments.bytes, arguments.bytes / arguments.unit);
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The limit of reading chunks from another node's RAM");
  Arguments arguments;
  app.add_option("--memory", arguments.memory, "Of the sender")
      ->check(CLI::Range(std::size_t{8} << 20, std::size_t{64} << 30));
  app.add_option("--bytes", arguments.bytes)->check(CLI::Range(1ULL << 20, 1ULL << 40));
  app.add_option("--connections", arguments.connections)->check(CLI::Range(1U, 8U));
  app.add_option("--unit", arguments.unit)->check(CLI::Range(1U << 16, 1U << 26));
  app.add_option("--send", arguments.send)->check(CLI::Range(1U << 12, 1U << 26));
  app.add_option("--receive", arguments.receive)->check(CLI::Range(1U << 12, 1U << 26));
  app.add_option("--buffers", arguments.buffers)->check(CLI::Range(1U, 64U));
  app.add_flag("--checksum", arguments.checksum);
  app.add_flag("--apart", arguments.apart, "Sender and receiver on a core of their own");
  app.add_flag("--wait-all", arguments.wait_all, "Receive whole pieces only");
  CLI11_PARSE(app, argc, argv);
  if (arguments.memory % arguments.unit != 0 || arguments.unit % kGranule != 0) die("--unit must divide --memory");
  return run(arguments);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  return forebay::bench::start(argc, argv);
}
