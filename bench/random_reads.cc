// The reader of the row cold.rand64k: reads of one length at given offsets of an object, several at once, by the
// library.
//
//   forebay_bench_random_reads --object MOUNT/PATH --truth FILE --length 65536 --in-flight 8 --node unix:SOCKET
//
// Takes offsets from stdin, one a line. Prints one line of JSON: how many reads, their bytes, how many failed and how
// many gave other bytes than FILE has there.
#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <forebay/forebay.h>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace forebay::bench {
namespace {

struct Arguments {
  std::string object, truth, node;
  std::size_t length = 65'536;
  unsigned in_flight = 8;
};

struct Outcome {
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<unsigned> failed = 0, wrong = 0;
  std::mutex mutex;
  std::string why;  // the last failure
};

void readAll(forebay_object* object, int truth, const Arguments& arguments, const std::vector<std::uint64_t>& offsets,
             std::atomic<std::size_t>& next, Outcome& outcome) {
  std::vector<char> got(arguments.length), expected(arguments.length);
  for (std::size_t i = next++; i < offsets.size(); i = next++) {
    forebay_error error = {};
    error.size = sizeof error;
    std::uint64_t bytes = 0;
    if (forebay_read(object, offsets[i], got.data(), got.size(), &bytes, nullptr, &error) != FOREBAY_OK) {
      ++outcome.failed;
      const std::lock_guard lock(outcome.mutex);
      outcome.why = error.message;
      continue;
    }
    outcome.bytes += bytes;
    const ssize_t there = pread(truth, expected.data(), expected.size(), static_cast<off_t>(offsets[i]));
    if (there != static_cast<ssize_t>(bytes) || std::memcmp(got.data(), expected.data(), bytes) != 0) ++outcome.wrong;
  }
}

int failed(const char* what, const char* why) {
  fmt::print(stderr, "random_reads: {}: {}\n", what, why);
  return 1;
}

int run(const Arguments& arguments) {
  const int truth = open(arguments.truth.c_str(), O_RDONLY | O_CLOEXEC);
  if (truth < 0) return failed(arguments.truth.c_str(), std::strerror(errno));
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t offset = 0; std::cin >> offset;) offsets.push_back(offset);
  forebay_error error = {};
  error.size = sizeof error;
  forebay_options options = {};
  options.size = sizeof options;
  options.node = arguments.node.c_str();
  forebay_client* client = nullptr;
  if (forebay_connect(&options, &client, &error) != FOREBAY_OK) return failed("connect", error.message);
  forebay_object* object = nullptr;
  if (forebay_open(client, arguments.object.c_str(), 0, &object, nullptr, &error) != FOREBAY_OK)
    return failed(arguments.object.c_str(), error.message);
  Outcome outcome;
  std::atomic<std::size_t> next = 0;
  {
    std::vector<std::jthread> readers;
    for (unsigned i = 0; i < arguments.in_flight; ++i)
      readers.emplace_back([&] { readAll(object, truth, arguments, offsets, next, outcome); });
  }
  forebay_close(object);
  forebay_disconnect(client);
  close(truth);
  fmt::print("{{\"reads\":{},\"bytes\":{},\"failed\":{},\"wrong\":{}}}\n", offsets.size(), outcome.bytes.load(),
             outcome.failed.load(), outcome.wrong.load());
  if (!outcome.why.empty()) fmt::print(stderr, "{}\n", outcome.why);
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The reader of the bench's row cold.rand64k");
  Arguments arguments;
  app.add_option("--object", arguments.object, "MOUNT/PATH")->required();
  app.add_option("--truth", arguments.truth, "File with the object's bytes")->required();
  app.add_option("--node", arguments.node)->required();
  app.add_option("--length", arguments.length)->check(CLI::Range(1U, 1U << 24));
  app.add_option("--in-flight", arguments.in_flight)->check(CLI::Range(1U, 256U));
  CLI11_PARSE(app, argc, argv);
  return run(arguments);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
