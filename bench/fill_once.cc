// The readers of the row fill.once: many connections, spread over the nodes of a cell, that each read one object whole.
//
//   forebay_bench_fill_once --mount M --path P --readers 64 --truth FILE --node unix:SOCKET --node ...
//
// Reader i belongs to node i mod N. They all resolve the name first; then the program prints "ready" and the number of
// readers of each node in one line of JSON, and takes one node's number a line from stdin: its readers start. When all
// have ended it prints one line of JSON: how many bytes each part of them got, and whether they are those of FILE.
#include <CLI/CLI.hpp>
#include <condition_variable>
#include <csignal>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <iostream>
#include <mutex>

#include "client/node_client.h"

namespace forebay::bench {
namespace {

constexpr Duration kDeadline = std::chrono::minutes(2);  // the row fails long before

struct Arguments {
  std::string mount, path, truth;
  std::vector<std::string> nodes;
  unsigned readers = 64;
};

struct Reader {
  std::shared_ptr<client::NodeClient> client;
  core::SharedPlan plan;
  std::vector<std::byte> bytes;
  std::optional<Result<std::size_t>> result;
};

// Ends in the destructor of the clients: no callback comes after it.
class Readers {
 public:
  static Result<std::unique_ptr<Readers>> connect(const Arguments& arguments) {
    std::unique_ptr<Readers> made(new Readers);
    made->nodes_ = arguments.nodes.size();
    made->readers_.resize(arguments.readers);
    for (std::size_t i = 0; i < made->readers_.size(); ++i) {
      Reader& reader = made->readers_[i];
      const auto address = TRY(io::Address::parse(arguments.nodes[i % made->nodes_]));
      reader.client = TRY(client::NodeClient::create(address, fmt::format("bench-{}", i)));
      const auto known = TRY(client::wait<client::Attributes>([&](auto done) {
        reader.client->resolve(arguments.mount, arguments.path, {}, io::Reactor::now() + kDeadline, std::move(done));
      }));
      if (known.directory) return fail(Code::InvalidArgument, arguments.path + " is a directory");
      reader.plan = std::make_shared<const core::Plan>(known.plan);
      reader.bytes.resize(known.plan.size);
    }
    return made;
  }
  ~Readers() {
    for (Reader& reader : readers_) reader.client.reset();
  }
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  std::vector<std::size_t> perNode() const {
    std::vector<std::size_t> counts(nodes_);
    for (std::size_t i = 0; i < readers_.size(); ++i) ++counts[i % nodes_];
    return counts;
  }

  void start(std::size_t node) {
    for (std::size_t i = node; i < readers_.size(); i += nodes_) {
      Reader& reader = readers_[i];
      reader.client->read(reader.plan, 0, reader.bytes, io::Reactor::now() + kDeadline,
                          [this, &reader](Result<std::size_t> result) {
                            const std::lock_guard lock(mutex_);
                            reader.result = std::move(result);
                            ++ended_;
                            ended_one_.notify_one();
                          });
    }
  }

  void waitForAll() {
    std::unique_lock lock(mutex_);
    ended_one_.wait(lock, [this] { return ended_ == readers_.size(); });
  }

  // After waitForAll().
  std::string outcome(std::span<const std::byte> truth) const {
    std::uint64_t bytes = 0;
    unsigned failed = 0, wrong = 0;
    std::string why;
    for (const Reader& reader : readers_) {
      if (!*reader.result) {
        ++failed;
        why = reader.result->error().message;
      } else {
        bytes += **reader.result;
        if (**reader.result != truth.size() || !std::ranges::equal(reader.bytes, truth)) ++wrong;
      }
    }
    return fmt::format(R"({{"readers":{},"bytes":{},"failed":{},"wrong":{}}})", readers_.size(), bytes, failed, wrong) +
           (why.empty() ? "" : "\n" + why);
  }

 private:
  Readers() = default;
  std::size_t nodes_ = 0;
  std::vector<Reader> readers_;
  std::mutex mutex_;
  std::condition_variable ended_one_;
  std::size_t ended_ = 0;
};

std::vector<std::byte> contentsOf(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Status run(const Arguments& arguments) {
  const auto readers = TRY(Readers::connect(arguments));
  fmt::print("{{\"ready\":[{}]}}\n", fmt::join(readers->perNode(), ","));
  std::fflush(stdout);
  std::vector<bool> started(arguments.nodes.size());
  std::size_t node = 0;
  while (std::ranges::count(started, false) > 0 && std::cin >> node) {
    if (node >= started.size() || started[node]) return fail(Code::InvalidArgument, fmt::format("start {}?", node));
    started[node] = true;
    readers->start(node);
  }
  if (std::ranges::count(started, false) > 0) return fail(Code::Cancelled, "stdin ended before all readers started");
  readers->waitForAll();
  fmt::print("{}\n", readers->outcome(contentsOf(arguments.truth)));
  return {};
}

int start(int argc, char** argv) {
  CLI::App app("The readers of the bench's row fill.once");
  Arguments arguments;
  app.add_option("--mount", arguments.mount)->required();
  app.add_option("--path", arguments.path)->required();
  app.add_option("--truth", arguments.truth, "File with the object's bytes")->required();
  app.add_option("--node", arguments.nodes, "Once for each node")->required();
  app.add_option("--readers", arguments.readers)->check(CLI::Range(1U, 1024U));
  CLI11_PARSE(app, argc, argv);
  const Status status = run(arguments);
  if (status) return 0;
  fmt::print(stderr, "fill_once: {}\n", status.error().text());
  return 1;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
