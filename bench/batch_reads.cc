// The reader of the row small.batch: an attached client reads many small objects whole, in batches, by the C ABI.
//
//   forebay_bench_batch_reads --node unix:SOCKET --below bench/d/ --count 10000 --size 65536 --batch 1000 --server PID
//
// The objects are 0000000, 0000001, ... below the name, each its number as 8 bytes (little-endian) again and again.
// They are read by name, or with --opened as objects that are open. Every read's first bytes are compared, all of
// them with --verify. Prints one line of JSON, as the limits do (bench/limits/measure.h); latencies are of batches.
#include <CLI/CLI.hpp>
#include <csignal>

#include "attached.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string node, below;
  std::vector<pid_t> servers;
  std::uint64_t count = 10'000, passes = 1;
  std::size_t size = 64 * kKiB, batch = 1'000;
  bool opened = false, verify = false;
};

class Reader {
 public:
  Reader(const Arguments& arguments, forebay_client* client)
      : arguments_(arguments), client_(client), memory_(arguments.batch * arguments.size), pieces_(arguments.batch) {
    for (std::uint64_t i = 0; i < arguments.count; ++i) names_.push_back(fmt::format("{}{:07}", arguments.below, i));
    for (std::size_t i = 0; i < pieces_.size(); ++i)
      pieces_[i] = {.base = memory_.data() + i * arguments.size, .length = arguments.size};
    if (arguments.opened) open();
  }
  ~Reader() {
    for (forebay_object* object : objects_) forebay_close(object);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void run() {
    read(0);  // doesn't count
    Meter meter(arguments_.servers);
    for (std::uint64_t pass = 0; pass < arguments_.passes; ++pass) {
      for (std::uint64_t first = 0; first < arguments_.count; first += arguments_.batch) {
        const double asked = elapsed();
        read(first);
        meter.took(elapsed() - asked);
      }
    }
    meter.stop();
    const std::uint64_t reads = arguments_.count * arguments_.passes;
    meter.print(reads * arguments_.size, reads);
  }

 private:
  void open() {
    for (const std::string& name : names_) {
      forebay_error error = noError();
      forebay_object* object = nullptr;
      if (forebay_open(client_, name.c_str(), 0, &object, nullptr, &error) != FOREBAY_OK) die(error.message);
      objects_.push_back(object);
    }
  }

  void read(std::uint64_t first) {
    ranges_.assign(std::min<std::uint64_t>(arguments_.batch, arguments_.count - first), {});
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      ranges_[i].size = sizeof(forebay_range);
      if (arguments_.opened)
        ranges_[i].object = objects_[first + i];
      else
        ranges_[i].name = names_[first + i].c_str();
      ranges_[i].length = arguments_.size;
      ranges_[i].pieces = &pieces_[i];
      ranges_[i].piece_count = 1;
    }
    forebay_error error = noError();
    if (forebay_read_batch(client_, ranges_.data(), ranges_.size(), nullptr, &error) != FOREBAY_OK) die(error.message);
    for (std::size_t i = 0; i < ranges_.size(); ++i) check(i, first + i);
  }

  void check(std::size_t place, std::uint64_t number) const {
    if (ranges_[place].got != arguments_.size) die("a short read");
    const std::byte* const at = memory_.data() + place * arguments_.size;
    const std::size_t upto = arguments_.verify ? arguments_.size : 8;
    for (std::size_t offset = 0; offset < upto; offset += 8)
      if (loadLe<std::uint64_t>(at + offset) != number) die(fmt::format("wrong bytes of object {}", number));
  }

  const Arguments& arguments_;
  forebay_client* const client_;
  const Memory memory_;
  std::vector<std::string> names_;
  std::vector<forebay_object*> objects_;
  std::vector<forebay_piece> pieces_;
  std::vector<forebay_range> ranges_;
};

int run(const Arguments& arguments) {
  const Attached client(arguments.node);
  Reader(arguments, client).run();
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The reader of the bench's row small.batch");
  Arguments arguments;
  app.add_option("--node", arguments.node)->required();
  app.add_option("--server", arguments.servers, "A process whose CPU time counts");
  app.add_option("--below", arguments.below, "What the objects' names start with")->required();
  app.add_option("--count", arguments.count, "Objects")->check(CLI::Range(1U, 1'000'000U));
  app.add_option("--size", arguments.size, "Of an object")->check(CLI::Range(8U, 1U << 26));
  app.add_option("--batch", arguments.batch)->check(CLI::Range(1U, 4096U));
  app.add_option("--passes", arguments.passes)->check(CLI::Range(1U, 1'000U));
  app.add_flag("--opened", arguments.opened, "Objects that are open, not names");
  app.add_flag("--verify", arguments.verify, "Compare all bytes: for a pass that isn't timed");
  CLI11_PARSE(app, argc, argv);
  return run(arguments);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
