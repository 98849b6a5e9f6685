// The reader of the rows cold.fill and cold.ttfb: a client attached to a node, which has none of the bytes yet, by the
// C ABI.
//
//   forebay_bench_cold_reads --node unix:SOCKET --object bench/cold.bin --server PID
//   forebay_bench_cold_reads --node unix:SOCKET --object bench/small/ --count 60 --length 4096
//
// The first form brings an object into the node's arena, and no byte here. The second reads the start of each of many
// objects (0000000, 0000001, ... below the name) by name, one after the other. Prints one line of JSON, as the limits
// do (bench/limits/measure.h).
#include <CLI/CLI.hpp>
#include <csignal>

#include "attached.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string node, object;
  std::vector<pid_t> servers;
  std::uint64_t first = 0, count = 0;
  std::size_t length = 4'096;
};

void fill(forebay_client* client, const Arguments& arguments) {
  forebay_error error = noError();
  forebay_object* object = nullptr;
  if (forebay_open(client, arguments.object.c_str(), 0, &object, nullptr, &error) != FOREBAY_OK) die(error.message);
  forebay_range range = {};
  range.size = sizeof range;
  range.object = object;
  range.length = UINT64_MAX;
  Meter meter(arguments.servers);
  if (forebay_prefetch(client, &range, 1, nullptr, &error) != FOREBAY_OK) die(error.message);
  meter.stop();
  if (range.got != forebay_object_bytes(object)) die("not all of it is in the cell");
  meter.print(range.got, 1);
  forebay_close(object);
}

void read(forebay_client* client, const std::string& name, const Memory& memory) {
  forebay_error error = noError();
  forebay_piece piece = {.base = memory.data(), .length = memory.size()};
  forebay_range range = {};
  range.size = sizeof range;
  range.name = name.c_str();
  range.length = memory.size();
  range.pieces = &piece;
  range.piece_count = 1;
  if (forebay_read_batch(client, &range, 1, nullptr, &error) != FOREBAY_OK) die(error.message);
  if (range.got != memory.size()) die("a short read");
}

void firstBytes(forebay_client* client, const Arguments& arguments) {
  const Memory memory(arguments.length);
  // The node has its connections to the origin before it is asked, as the limit has.
  read(client, fmt::format("{}{:07}", arguments.object, arguments.first), memory);
  Meter meter(arguments.servers);
  for (std::uint64_t i = 1; i <= arguments.count; ++i) {
    const std::string name = fmt::format("{}{:07}", arguments.object, arguments.first + i);
    const double asked = elapsed();
    read(client, name, memory);
    meter.took(elapsed() - asked);
  }
  meter.stop();
  meter.print(arguments.count * arguments.length, arguments.count);
}

int run(const Arguments& arguments) {
  const Attached client(arguments.node);
  arguments.count == 0 ? fill(client, arguments) : firstBytes(client, arguments);
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The reader of the bench's rows cold.fill and cold.ttfb");
  Arguments arguments;
  app.add_option("--node", arguments.node)->required();
  app.add_option("--server", arguments.servers, "A process whose CPU time counts");
  app.add_option("--object", arguments.object, "MOUNT/PATH, or what names start with")->required();
  app.add_option("--count", arguments.count, "Objects")->check(CLI::Range(1U, 1'000'000U));
  app.add_option("--first", arguments.first, "The number of the first of them");
  app.add_option("--length", arguments.length)->check(CLI::Range(1U, 1U << 26));
  CLI11_PARSE(app, argc, argv);
  return run(arguments);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
