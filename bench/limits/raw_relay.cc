// The limit of cold reads through another node: a process gets ranges of an object by libcurl and sends them on over
// TCP on loopback as they arrive, another takes them into its memory and makes their checksums, granule by granule.
//
//   forebay_limit_raw_relay --url http://127.0.0.1:1/account/bench/cold.bin --bytes 536870912 --connections 4
//
// Each connection has a thread on either side and every so many-th range. Prints one line of JSON.
#include <CLI/CLI.hpp>
#include <cstring>
#include <utility>

#include "limits/get.h"
#include "limits/raw_server.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string url;
  std::uint64_t bytes = 0;
  std::size_t connections = 4, range = 8 * kMiB, piece = 256 * kKiB;

  // Calls `each` for the ranges of a connection, until it says false.
  template <class Each>
  void ranges(std::size_t connection, Each&& each) const {
    for (std::uint64_t at = connection * range; at < bytes; at += connections * range)
      if (!each(at, std::min<std::uint64_t>(range, bytes - at))) return;
  }
};

// Bytes on their way: libcurl gives 16 KiB at a time, and a send for each of these would cost more than a copy.
class Passing {
 public:
  Passing(int to, std::size_t piece) : to_(to), memory_(piece) {}
  bool add(Bytes bytes) {
    while (!bytes.empty()) {
      const std::size_t now = std::min(bytes.size(), memory_.size() - have_);
      std::memcpy(memory_.data() + have_, bytes.data(), now);
      have_ += now;
      bytes = bytes.subspan(now);
      if (have_ == memory_.size() && !send()) return false;
    }
    return true;
  }
  bool send() {
    if (have_ == 0) return true;
    iovec piece{memory_.data(), std::exchange(have_, 0)};
    return sendAll(to_, {&piece, 1});
  }

 private:
  const int to_;
  const Memory memory_;
  std::size_t have_ = 0;
};

void relay(const Arguments& arguments, int to, std::size_t connection) {
  char go = 0;
  Passing passing(to, arguments.piece);
  Get get;
  if (!receiveAll(to, &go, 1)) return;
  arguments.ranges(connection, [&](std::uint64_t at, std::size_t length) {
    get.prepare(arguments.url, at, length, [&](Bytes bytes) { return passing.add(bytes); });
    get.perform();
    return passing.send();
  });
}

void take(const Arguments& arguments, int from, std::size_t connection, const Memory& memory,
          std::vector<std::uint32_t>& checksums) {
  iovec go{const_cast<char*>("g"), 1};
  if (!sendAll(from, {&go, 1})) die("the relay hung up");
  arguments.ranges(connection, [&](std::uint64_t at, std::size_t length) {
    for (const std::uint64_t end = at + length; at < end;) {
      const std::size_t now = std::min<std::uint64_t>(arguments.piece, end - at);
      if (!receiveAll(from, memory.data() + at, now)) die("the relay hung up");
      for (std::size_t done = 0; done < now; done += kGranule)
        checksums[(at + done) / kGranule] = crc32c(memory.bytes(at + done, std::min(kGranule, now - done)));
      at += now;
    }
    return true;
  });
}

void run(const Arguments& arguments) {
  const RawServer relays(kGranule, arguments.connections,
                         [&](int fd, std::size_t connection, const Memory&, std::span<const std::uint32_t>) {
                           relay(arguments, fd, connection);
                         });
  const Memory memory(arguments.bytes);
  std::vector<std::uint32_t> checksums(arguments.bytes / kGranule + 1);
  Meter meter(relays.processes());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < arguments.connections; ++i)
    threads.emplace_back([&, i] { take(arguments, relays.sockets()[i], i, memory, checksums); });
  for (std::thread& thread : threads) thread.join();
  meter.stop();
  meter.print(arguments.bytes, (arguments.bytes + arguments.range - 1) / arguments.range);
}

int start(int argc, char** argv) {
  CLI::App app("The limit of cold reads through another node");
  Arguments arguments;
  app.add_option("--url", arguments.url)->required();
  app.add_option("--bytes", arguments.bytes, "Of the object")->required()->check(CLI::Range(1ULL, 1ULL << 36));
  app.add_option("--range", arguments.range)->check(CLI::Range(1U << 16, 1U << 30));
  app.add_option("--piece", arguments.piece, "Of a send, and of a receive")->check(CLI::Range(1U << 16, 1U << 24));
  app.add_option("--connections", arguments.connections)->check(CLI::Range(1U, 64U));
  CLI11_PARSE(app, argc, argv);
  if (arguments.range % kGranule != 0 || arguments.piece % kGranule != 0) die("give --range and --piece in granules");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  run(arguments);
  return 0;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  return forebay::bench::start(argc, argv);
}
