// The reader of the rows small.requests and open.batch: opens the objects d/0000000 to d/COUNT-1 in batches through one
// node, and reads them whole.
//
//   forebay_bench_small_objects --mount M --node unix:SOCKET --count 10000 --size 65536 --batch 1000
//
// Object i is its index, as 8 bytes (little-endian), again and again: every byte is compared. Two passes; prints one
// line of JSON: for each pass the seconds spent on opening and on reading, and how many objects failed or came wrong.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <iostream>

#include "client/node_client.h"
#include "io/reactor.h"

namespace forebay::bench {
namespace {

constexpr Duration kDeadline = std::chrono::minutes(2);

struct Arguments {
  std::string mount, node;
  std::size_t count = 10'000, size = 65'536, batch = 1'000;
};

struct Pass {
  double open_s = 0, read_s = 0;
  std::size_t failed = 0, wrong = 0;
  std::string error;  // the first
};

double since(TimePoint start) {
  return std::chrono::duration<double>(io::Reactor::now() - start).count();
}

bool right(std::span<const std::byte> bytes, std::uint64_t index) {
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8)
    if (loadLe<std::uint64_t>(bytes.data() + at) != index) return false;
  return true;
}

void runBatch(client::NodeClient& client, const Arguments& a, std::size_t first, Pass& pass) {
  std::vector<std::string> paths;
  for (std::size_t i = first; i < std::min(first + a.batch, a.count); ++i) paths.push_back(fmt::format("d/{:07}", i));
  const auto failed = [&](std::size_t n, const Error& error) {
    pass.failed += n;
    if (pass.error.empty()) pass.error = error.text();
  };
  TimePoint start = io::Reactor::now();
  const auto plans = client::wait<std::vector<Result<client::Attributes>>>([&](auto done) {
    client.resolveAll(a.mount, paths, {.object_only = true, .fill_up_to = static_cast<std::uint32_t>(a.size)},
                      start + kDeadline, std::move(done));
  });
  pass.open_s += since(start);
  if (!plans) return failed(paths.size(), plans.error());
  if (a.size == 0) return;
  std::vector<std::vector<std::byte>> bytes(paths.size(), std::vector<std::byte>(a.size));
  std::vector<client::BatchItem> items;
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!(*plans)[i]) {
      failed(1, (*plans)[i].error());
      continue;
    }
    items.push_back({.plan = std::make_shared<const core::Plan>((*plans)[i]->plan),
                     .offset = 0,
                     .length = a.size,
                     .into = {bytes[i]}});
    which.push_back(i);
  }
  start = io::Reactor::now();
  const auto results = client::wait<client::NodeClient::BatchResults>([&](auto done) {
    client.readBatch(std::move(items), false, start + kDeadline,
                     [done = std::move(done)](client::NodeClient::BatchResults r) mutable { done(std::move(r)); });
  });
  pass.read_s += since(start);
  for (std::size_t i = 0; i < results->size(); ++i) {
    if (!(*results)[i])
      failed(1, (*results)[i].error());
    else if (*(*results)[i] != a.size || !right(bytes[which[i]], first + which[i]))
      ++pass.wrong;
  }
}

int run(const Arguments& a) {
  const auto address = io::Address::parse(a.node);
  auto client = address ? client::NodeClient::create(*address, "bench-small") : fail(address.error());
  if (!client) {
    std::cerr << client.error().text() << "\n";
    return 1;
  }
  for (int pass = 0; pass < 2; ++pass) {
    Pass result;
    for (std::size_t first = 0; first < a.count; first += a.batch) runBatch(**client, a, first, result);
    if (!result.error.empty()) std::cerr << result.error << "\n";
    std::cout << fmt::format(R"({{"open_s": {:.4f}, "read_s": {:.4f}, "failed": {}, "wrong": {}}})", result.open_s,
                             result.read_s, result.failed, result.wrong)
              << std::endl;
    std::string line;
    if (pass == 0 && !std::getline(std::cin, line)) return 1;  // the row counts requests between the passes
  }
  return 0;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  forebay::bench::Arguments arguments;
  CLI::App app("Opens and reads many small objects in batches");
  app.add_option("--mount", arguments.mount)->required();
  app.add_option("--node", arguments.node)->required();
  app.add_option("--count", arguments.count);
  app.add_option("--size", arguments.size);
  app.add_option("--batch", arguments.batch)->check(CLI::Range(1, 4096));
  CLI11_PARSE(app, argc, argv);
  return forebay::bench::run(arguments);
}
