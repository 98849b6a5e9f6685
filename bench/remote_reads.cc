// The reader of the rows read.remote.*, lat.remote.4k, read.local.shm and cold.read: a client of a cell that has no
// node of its own, or one beside a node (--node unix:PATH), reads one object by the C ABI, several batches at a time,
// into memory that it uses again.
//
//   forebay_bench_remote_reads --direct 127.0.0.1:7411 --object bench/warm.bin --length 65536 --batch 16 --depth 1
//                              --count 4000 --random --server PID
//
// Reads one batch after the other from the object's start, or at random places with --random. The object's bytes are
// wordAt() of their offsets (bench/limits/measure.h): every read's first ones are compared, all of them with --verify.
// The first batches don't count. Prints one line of JSON; `cpu_server` is that of the processes named by --server.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>
#include <forebay/forebay.h>
#include <optional>
#include <poll.h>

#include "base/random.h"
#include "limits/measure.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::vector<std::string> members;
  std::vector<pid_t> servers;
  std::string object, node;
  std::size_t length = 8 * kMiB, batch = 1, depth = 1;
  std::uint64_t count = 100, warm = 8;  // batches
  bool random = false, verify = false;
};

// A batch that is on its way, and its part of the memory.
struct Batch {
  std::byte* to = nullptr;
  std::vector<forebay_range> ranges;
  std::vector<forebay_piece> pieces;
  double sent = 0;
};

class Reader {
 public:
  Reader(const Arguments& arguments, forebay_client* client, forebay_object* object, forebay_queue* queue)
      : arguments_(arguments),
        client_(client),
        object_(object),
        queue_(queue),
        memory_(arguments.depth * arguments.batch * arguments.length),
        places_(forebay_object_bytes(object) / arguments.length),
        batches_(arguments.depth) {
    if (places_ == 0) die("the object is shorter than a read");
    for (std::size_t i = 0; i < batches_.size(); ++i) {
      batches_[i].to = memory_.data() + i * arguments.batch * arguments.length;
      batches_[i].ranges.resize(arguments.batch);
      batches_[i].pieces.resize(arguments.batch);
    }
  }

  void run() {
    std::optional<Meter> meter;
    const std::uint64_t all = arguments_.warm + arguments_.count;
    std::uint64_t asked = 0, ended = 0;
    const auto begin = [&] {
      meter.emplace(arguments_.servers);
      meter->reserve(arguments_.count);
    };
    if (arguments_.warm == 0) begin();
    while (asked < batches_.size() && asked < all) ask(batches_[asked++]);
    while (ended < all) {
      Batch& batch = next();
      if (meter) meter->took(elapsed() - batch.sent);
      check(batch);
      if (++ended == arguments_.warm) begin();
      if (asked < all) {
        ask(batch);
        ++asked;
      }
    }
    meter->stop();
    const std::uint64_t reads = arguments_.count * arguments_.batch;
    meter->print(reads * arguments_.length, reads);
  }

 private:
  void ask(Batch& batch) {
    for (std::size_t i = 0; i < arguments_.batch; ++i) {
      const std::uint64_t place = arguments_.random ? random_.below(places_) : next_place_++ % places_;
      batch.pieces[i] = {.base = batch.to + i * arguments_.length, .length = arguments_.length};
      batch.ranges[i] = {};
      batch.ranges[i].size = sizeof(forebay_range);
      batch.ranges[i].object = object_;
      batch.ranges[i].offset = place * arguments_.length;
      batch.ranges[i].length = arguments_.length;
      batch.ranges[i].pieces = &batch.pieces[i];
      batch.ranges[i].piece_count = 1;
    }
    batch.sent = elapsed();
    forebay_call call = {};
    call.size = sizeof call;
    call.queue = queue_;
    call.user = &batch;
    forebay_error error = {};
    error.size = sizeof error;
    // One batch at a time is what the waiting form is for.
    if (forebay_read_batch(client_, batch.ranges.data(), batch.ranges.size(), queue_ == nullptr ? nullptr : &call,
                           &error) != FOREBAY_OK)
      die(error.message);
  }

  // One that has ended.
  Batch& next() {
    if (queue_ == nullptr) return batches_[0];
    forebay_completion completion = {};
    completion.size = sizeof completion;
    while (forebay_drain(queue_, &completion, 1) == 0) {
      pollfd event{.fd = forebay_queue_fd(queue_), .events = POLLIN, .revents = 0};
      poll(&event, 1, -1);
    }
    if (completion.code != FOREBAY_OK) die(completion.message);
    return *static_cast<Batch*>(completion.user);
  }

  void check(const Batch& batch) const {
    for (std::size_t i = 0; i < batch.ranges.size(); ++i) {
      if (batch.ranges[i].got != arguments_.length) die("a short read");
      const std::byte* const at = batch.to + i * arguments_.length;
      const std::size_t upto = arguments_.verify ? arguments_.length : 8;
      for (std::size_t offset = 0; offset < upto; offset += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at + offset, sizeof word);
        if (word != wordAt(batch.ranges[i].offset + offset)) die("wrong bytes");
      }
    }
  }

  const Arguments& arguments_;
  forebay_client* const client_;
  forebay_object* const object_;
  forebay_queue* const queue_;  // null: one batch at a time
  const Memory memory_;
  const std::uint64_t places_;
  std::uint64_t next_place_ = 0;
  std::vector<Batch> batches_;
  Random random_{1};
};

int run(const Arguments& arguments) {
  std::vector<const char*> members;
  for (const std::string& member : arguments.members) members.push_back(member.c_str());
  forebay_error error = {};
  error.size = sizeof error;
  forebay_options options = {};
  options.size = sizeof options;
  options.node = arguments.node.empty() ? nullptr : arguments.node.c_str();
  options.direct = members.data();
  options.direct_count = members.size();
  forebay_client* client = nullptr;
  if (forebay_connect(&options, &client, &error) != FOREBAY_OK) die(error.message);
  forebay_object* object = nullptr;
  if (forebay_open(client, arguments.object.c_str(), 0, &object, nullptr, &error) != FOREBAY_OK) die(error.message);
  forebay_queue* queue = nullptr;
  if (arguments.depth > 1 && forebay_queue_new(arguments.depth, &queue, &error) != FOREBAY_OK) die(error.message);
  Reader(arguments, client, object, queue).run();
  if (queue != nullptr) forebay_queue_free(queue);
  forebay_close(object);
  forebay_disconnect(client);
  return 0;
}

int start(int argc, char** argv) {
  CLI::App app("The reader of the bench's rows read.remote.*, lat.remote.4k, read.local.shm and cold.read");
  Arguments arguments;
  auto* const direct = app.add_option("--direct", arguments.members, "A member of the cell");
  app.add_option("--node", arguments.node, "unix:PATH of this machine's node")->excludes(direct);
  app.add_option("--server", arguments.servers, "A process whose CPU time counts");
  app.add_option("--object", arguments.object, "MOUNT/PATH")->required();
  app.add_option("--length", arguments.length)->check(CLI::Range(8U, 1U << 26));
  app.add_option("--batch", arguments.batch)->check(CLI::Range(1U, 4096U));
  app.add_option("--depth", arguments.depth, "Batches on their way")->check(CLI::Range(1U, 256U));
  app.add_option("--count", arguments.count, "Batches")->check(CLI::Range(1U, 100'000'000U));
  app.add_option("--warm", arguments.warm, "Batches before those that count")->check(CLI::Range(0U, 1'000'000U));
  app.add_flag("--random", arguments.random);
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
