// The readers of the row copies.balance: one attached to each node, all reading whole objects by the same skewed choice
// at the same time.
//
//   forebay_bench_zipf_reads --mount bench --node unix:A --node unix:B --objects 1000 --size 1048576 --reads 4000
//
// Object i is MOUNT/NNNNNNN and is chosen with probability proportional to 1/(i+1) (Zipf, exponent 1.0). Its first 8
// bytes, and every 8 after, are i (little-endian). Prints one line of JSON: bytes read by each node's reader, and how
// many reads failed or gave other bytes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <forebay/forebay.h>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string mount;
  std::vector<std::string> nodes;
  std::size_t objects = 1'000, size = kMiB, reads = 4'000;  // reads: of each node's reader
  unsigned in_flight = 4;                                   // of each
};

struct Outcome {
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<unsigned> failed = 0, wrong = 0;
  std::mutex mutex;
  std::string why;  // the last failure
};

// The first object whose share of all probability, with those before it, is above a random share.
class Zipf {
 public:
  explicit Zipf(std::size_t objects) {
    double sum = 0;
    for (std::size_t i = 0; i < objects; ++i) upto_.push_back(sum += 1.0 / static_cast<double>(i + 1));
  }
  std::size_t choose(Random& random) const {
    const double share = static_cast<double>(random.below(1ULL << 53)) / static_cast<double>(1ULL << 53) * upto_.back();
    return static_cast<std::size_t>(std::ranges::upper_bound(upto_, share) - upto_.begin());
  }

 private:
  std::vector<double> upto_;
};

bool isObject(const std::vector<std::uint64_t>& words, std::size_t object) {
  return std::ranges::all_of(words, [&](std::uint64_t word) { return word == object; });
}

void read(forebay_client* client, const Arguments& arguments, const Zipf& zipf, std::uint64_t seed,
          std::atomic<std::size_t>& left, Outcome& outcome) {
  Random random(seed);
  std::vector<std::uint64_t> words(arguments.size / 8);
  while (left.fetch_sub(1) - 1 < arguments.reads) {  // below zero it wraps to more
    const std::size_t object = zipf.choose(random);
    const std::string name = fmt::format("{}/{:07}", arguments.mount, object);
    forebay_error error = {};
    error.size = sizeof error;
    forebay_range range = {};
    range.size = sizeof range;
    forebay_piece piece = {.base = words.data(), .length = words.size() * 8};
    range.name = name.c_str();
    range.length = piece.length;
    range.pieces = &piece;
    range.piece_count = 1;
    if (forebay_read_batch(client, &range, 1, nullptr, &error) != FOREBAY_OK || range.code != FOREBAY_OK) {
      ++outcome.failed;
      const std::lock_guard lock(outcome.mutex);
      outcome.why = error.message;
      continue;
    }
    outcome.bytes += range.got;
    if (range.got != piece.length || !isObject(words, object)) ++outcome.wrong;
  }
}

int run(const Arguments& arguments) {
  const Zipf zipf(arguments.objects);
  std::vector<forebay_client*> clients;
  for (const std::string& node : arguments.nodes) {
    forebay_error error = {};
    error.size = sizeof error;
    forebay_options options = {};
    options.size = sizeof options;
    options.node = node.c_str();
    if (forebay_connect(&options, &clients.emplace_back(nullptr), &error) != FOREBAY_OK) {
      fmt::print(stderr, "zipf_reads: {}: {}\n", node, error.message);
      return 1;
    }
  }
  std::vector<Outcome> outcomes(clients.size());
  std::vector<std::atomic<std::size_t>> left(clients.size());
  for (auto& count : left) count = arguments.reads;
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < clients.size() * arguments.in_flight; ++i)
      readers.emplace_back(
          [&, i, at = i % clients.size()] { read(clients[at], arguments, zipf, 1 + i, left[at], outcomes[at]); });
  }
  for (forebay_client* client : clients) forebay_disconnect(client);
  std::vector<std::uint64_t> bytes;
  unsigned failed = 0, wrong = 0;
  for (Outcome& outcome : outcomes) {
    bytes.push_back(outcome.bytes);
    failed += outcome.failed;
    wrong += outcome.wrong;
    if (!outcome.why.empty()) fmt::print(stderr, "{}\n", outcome.why);
  }
  fmt::print("{{\"bytes\":[{}],\"failed\":{},\"wrong\":{}}}\n", fmt::join(bytes, ","), failed, wrong);
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The readers of the bench's row copies.balance");
  Arguments arguments;
  app.add_option("--mount", arguments.mount)->required();
  app.add_option("--node", arguments.nodes, "One for each reader")->required()->expected(1)->take_all();
  app.add_option("--objects", arguments.objects)->check(CLI::Range(1U, 10'000'000U));
  app.add_option("--size", arguments.size)->check(CLI::Range(8U, 1U << 26));
  app.add_option("--reads", arguments.reads)->check(CLI::Range(1U, 100'000'000U));
  app.add_option("--in-flight", arguments.in_flight)->check(CLI::Range(1U, 64U));
  CLI11_PARSE(app, argc, argv);
  return run(arguments);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
