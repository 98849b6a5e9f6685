// The limit of small reads from another process's RAM: requests and their answers over TCP on loopback, or with --unix
// over Unix sockets, nothing around them.
//
//   forebay_limit_raw_requests --memory 268435456 --length 65536 --batch 16 --depth 1 --connections 1 --count 4000
//
// A request names places of `length` bytes in a second process's memory; the answer is, for each, 8 bytes (the checksum
// and the length) and the bytes. One batch is one request on each connection, its places spread over them. With
// --checksum the bytes are verified: of whole granules the sender knows the checksum, of others it makes it, as Forebay
// does. With --file PATH the bytes are in that file of a tmpfs (of --memory bytes, which it is filled with): the answer
// is the 8 bytes alone, and the asker copies the places from the file, by pread or, with --mapped, from a mapping, and
// verifies nothing: nothing has left the machine's memory. Prints one line of JSON; latencies are of batches.
#include <CLI/CLI.hpp>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "limits/raw_server.h"

namespace forebay::bench {
namespace {

constexpr std::size_t kMostPlaces = 1'024;

struct Request {
  std::uint32_t count = 0, length = 0;
  std::uint64_t places[kMostPlaces] = {};

  // What is sent of it.
  std::size_t size() const { return offsetof(Request, places) + count * sizeof places[0]; }
};
struct AnswerHead {
  std::uint32_t checksum = 0, length = 0;
};

struct Arguments {
  std::size_t memory = 256 * kMiB, length = 64 * kKiB, batch = 16, connections = 1;
  std::uint64_t count = 4'000, warm = 200;  // batches
  std::size_t depth = 1;                    // batches on their way
  bool checksum = false, whole = false, unix_sockets = false;
  std::string file;
  bool mapped = false;

  // How many of a batch's places are asked on a connection.
  std::size_t share(std::size_t connection) const {
    return batch / connections + (connection < batch % connections ? 1 : 0);
  }
};

// Says of each place that it is in the file.
void serveFile(int fd, std::size_t places) {
  Request request{.count = static_cast<std::uint32_t>(places)};
  AnswerHead heads[kMostPlaces];
  while (receiveAll(fd, &request, request.size())) {
    for (std::size_t i = 0; i < request.count; ++i) heads[i] = {.checksum = 0, .length = request.length};
    iovec piece{heads, request.count * sizeof heads[0]};
    if (!sendAll(fd, {&piece, 1})) return;
  }
}

// The file that answers speak of.
class SharedFile {
 public:
  SharedFile(const std::string& path, std::size_t size, bool mapped)
      : fd_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ < 0 || ftruncate(fd_, static_cast<off_t>(size)) != 0)
      die(fmt::format("{}: {}", path, strerrordesc_np(errno)));
    constexpr std::size_t kPiece = kMiB;
    std::vector<std::uint64_t> words(kPiece / 8);
    for (std::size_t at = 0; at < size; at += kPiece) {
      for (std::size_t i = 0; i < words.size(); ++i) words[i] = wordAt(at + i * 8);
      if (pwrite(fd_, words.data(), kPiece, static_cast<off_t>(at)) != static_cast<ssize_t>(kPiece))
        die("can't fill the file");
    }
    if (!mapped) return;
    void* const at = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd_, 0);
    if (at == MAP_FAILED) die("can't map the file");
    data_ = static_cast<const std::byte*>(at);
  }
  void copy(std::uint64_t place, std::size_t length, std::byte* to) const {
    if (data_ != nullptr)
      std::memcpy(to, data_ + place, length);
    else if (pread(fd_, to, length, static_cast<off_t>(place)) != static_cast<ssize_t>(length))
      die("the file has become shorter");
  }

 private:
  int fd_;
  const std::byte* data_ = nullptr;
};

void serve(int fd, std::size_t places, const Memory& memory, std::span<const std::uint32_t> checksums, bool checksum) {
  Request request{.count = static_cast<std::uint32_t>(places)};
  const std::size_t size = request.size();
  AnswerHead heads[kMostPlaces];
  iovec pieces[2 * kMostPlaces];
  while (receiveAll(fd, &request, size)) {
    for (std::size_t i = 0; i < request.count; ++i) {
      const std::uint64_t place = request.places[i];
      std::uint32_t sum = 0;
      if (checksum)
        sum = request.length == kGranule ? checksums[place / kGranule] : crc32c(memory.bytes(place, request.length));
      heads[i] = {.checksum = sum, .length = request.length};
      pieces[2 * i] = {&heads[i], sizeof heads[i]};
      pieces[2 * i + 1] = {memory.data() + place, request.length};
    }
    if (!sendAll(fd, {pieces, 2 * std::size_t{request.count}})) return;
  }
}

class Asker {
 public:
  Asker(const Arguments& arguments, const RawServer& server, const SharedFile* file)
      : arguments_(arguments),
        server_(server),
        file_(file),
        buffers_(arguments.depth * arguments.batch * arguments.length) {}

  void run() {
    std::optional<Meter> meter;
    std::deque<double> sent;
    std::uint64_t asked = 0;
    for (std::uint64_t ended = 0; ended < arguments_.warm + arguments_.count; ++ended) {
      if (ended == arguments_.warm) {
        meter.emplace(server_.processes());
        meter->reserve(arguments_.count);
      }
      for (; asked < arguments_.warm + arguments_.count && asked - ended < arguments_.depth; ++asked) {
        sent.push_back(elapsed());
        ask();
      }
      take(ended % arguments_.depth);
      if (meter) meter->took(elapsed() - sent.front());
      sent.pop_front();
    }
    meter->stop();
    meter->print(arguments_.count * arguments_.batch * arguments_.length, arguments_.count * arguments_.batch);
  }

 private:
  void ask() {
    for (std::size_t c = 0; c < arguments_.connections; ++c) {
      request_.count = static_cast<std::uint32_t>(arguments_.share(c));
      request_.length = static_cast<std::uint32_t>(arguments_.length);
      for (std::size_t i = 0; i < request_.count; ++i)
        request_.places[i] = random_.below(arguments_.memory / arguments_.length) * arguments_.length;
      if (file_ != nullptr) places_[c].assign(request_.places, request_.places + request_.count);
      iovec piece{&request_, request_.size()};
      if (request_.count > 0 && !sendAll(server_.sockets()[c], {&piece, 1})) die("the server hung up");
    }
  }

  void take(std::size_t buffer) {
    std::byte* to = buffers_.data() + buffer * arguments_.batch * arguments_.length;
    for (std::size_t c = 0; c < arguments_.connections; ++c) {
      if (file_ != nullptr) {
        to = takePlaces(c, to);
        continue;
      }
      const std::size_t step = arguments_.whole ? arguments_.share(c) : 1;
      for (std::size_t left = arguments_.share(c); left > 0;
           left -= std::min(left, step), to += step * arguments_.length)
        takeSome(server_.sockets()[c], std::min(left, step), to);
    }
  }

  std::byte* takePlaces(std::size_t connection, std::byte* to) const {
    AnswerHead heads[kMostPlaces];
    const std::vector<std::uint64_t>& places = places_[connection];
    if (!receiveAll(server_.sockets()[connection], heads, places.size() * sizeof heads[0])) die("the server hung up");
    for (std::size_t i = 0; i < places.size(); ++i, to += arguments_.length)
      file_->copy(places[i], heads[i].length, to);
    return to;
  }

  void takeSome(int fd, std::size_t count, std::byte* to) {
    AnswerHead heads[kMostPlaces];
    iovec pieces[2 * kMostPlaces];
    for (std::size_t i = 0; i < count; ++i) {
      pieces[2 * i] = {&heads[i], sizeof heads[i]};
      pieces[2 * i + 1] = {to + i * arguments_.length, arguments_.length};
    }
    if (!receiveAll(fd, std::span(pieces, 2 * count))) die("the server hung up");
    for (std::size_t i = 0; arguments_.checksum && i < count; ++i)
      if (crc32c({to + i * arguments_.length, arguments_.length}) != heads[i].checksum) die("wrong bytes");
  }

  const Arguments& arguments_;
  const RawServer& server_;
  const SharedFile* const file_;
  const Memory buffers_;
  std::vector<std::uint64_t> places_[8];  // of the batch on its way, by connection
  Request request_;
  Random random_{1};
};

int start(int argc, char** argv) {
  CLI::App app("The limit of small reads from another process's RAM");
  Arguments arguments;
  app.add_option("--memory", arguments.memory, "Of the server")
      ->check(CLI::Range(std::size_t{8} << 20, std::size_t{64} << 30));
  app.add_option("--length", arguments.length)->check(CLI::Range(512U, 1U << 16));
  app.add_option("--batch", arguments.batch)->check(CLI::Range(std::size_t{1}, kMostPlaces));
  app.add_option("--connections", arguments.connections)->check(CLI::Range(1U, 8U));
  app.add_option("--depth", arguments.depth, "Batches on their way")->check(CLI::Range(1U, 64U));
  app.add_option("--count", arguments.count, "Batches")->check(CLI::Range(1U, 100'000'000U));
  app.add_option("--warm", arguments.warm, "Batches before those that count")->check(CLI::Range(0U, 1'000'000U));
  app.add_flag("--checksum", arguments.checksum);
  app.add_flag("--unix", arguments.unix_sockets, "Unix sockets, not TCP");
  app.add_option("--file", arguments.file, "Copy from this file, which is made");
  app.add_flag("--mapped", arguments.mapped, "From a mapping of it");
  app.add_flag("--whole", arguments.whole, "Receive a whole answer by one call, not place by place");
  CLI11_PARSE(app, argc, argv);
  const bool in_file = !arguments.file.empty();
  if (in_file && (arguments.depth != 1 || arguments.memory % kMiB != 0)) die("--file: one batch at a time, whole MiB");
  std::optional<SharedFile> file;
  if (in_file) file.emplace(arguments.file, arguments.memory, arguments.mapped);
  const RawServer server(
      in_file ? 8 * kMiB : arguments.memory, arguments.connections,
      [&](int fd, std::size_t connection, const Memory& memory, std::span<const std::uint32_t> checksums) {
        if (in_file) return serveFile(fd, arguments.share(connection));
        serve(fd, arguments.share(connection), memory, checksums, arguments.checksum);
      },
      arguments.unix_sockets);
  Asker(arguments, server, file ? &*file : nullptr).run();
  return 0;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  return forebay::bench::start(argc, argv);
}
