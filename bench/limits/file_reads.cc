// Reads a file as programs do: the same for a mount's file and for the native one that limits it.
//
//   forebay_limit_file_reads --path FILE [--how read|map|copy|random|small] [--processes N] [--passes N]
//                            [--piece BYTES] [--count N] [--seconds S] [--drop]
//
//   read     pread in pieces, into memory that lasts
//   map      each pass maps the file, takes a word of every cache line, and unmaps it
//   copy     maps the file once, its pages present, and in each pass copies it in pieces into memory that lasts
//   random   reads of one piece at random places, past the kernel's cache (O_DIRECT): --count, or what --seconds allow
//   small    opens, reads and closes the files f0, f1, ... of the directory, --count of them, each process its part
//
// --drop: the kernel forgets the file's pages before each pass. The processes begin together; the bytes are those of
// all of them. Prints one line of JSON.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits/measure.h"

namespace forebay::bench {
namespace {

constexpr std::uint64_t kSmallSize = 64 * kKiB;  // of a small file

struct Arguments {
  std::string path, how = "read";
  unsigned processes = 1, passes = 1;
  std::size_t piece = kMiB;
  std::uint64_t count = 10'000;
  double seconds = 0;  // of random reads; 0: --count of them
  bool drop = false;
};

void readAll(const Arguments& arguments, int fd, std::size_t size, const Memory& memory) {
  for (std::size_t at = 0; at < size;) {
    const ssize_t n = pread(fd, memory.data(), arguments.piece, static_cast<off_t>(at));
    if (n <= 0) die(fmt::format("{}: read at {}: {}", arguments.path, at, n < 0 ? strerrordesc_np(errno) : "its end"));
    at += static_cast<std::size_t>(n);
  }
}

std::uint64_t walk(const Arguments& arguments, int fd, std::size_t size) {
  void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) die(fmt::format("{}: mmap: {}", arguments.path, strerrordesc_np(errno)));
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 64 <= size; at += 64)
    sum += *reinterpret_cast<const volatile std::uint64_t*>(static_cast<const std::byte*>(map) + at);
  munmap(map, size);
  return sum;
}

// All of the file, its pages present.
Bytes mapped(const Arguments& arguments) {
  const int fd = open(arguments.path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about{};
  if (fd < 0 || fstat(fd, &about) != 0) die(fmt::format("{}: {}", arguments.path, strerrordesc_np(errno)));
  const auto size = static_cast<std::size_t>(about.st_size);
  void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (map == MAP_FAILED) die(fmt::format("{}: mmap: {}", arguments.path, strerrordesc_np(errno)));
  close(fd);
  return {static_cast<const std::byte*>(map), size};
}

void copy(const Arguments& arguments, Bytes from, const Memory& memory) {
  for (std::size_t at = 0; at < from.size(); at += arguments.piece)
    std::memcpy(memory.data(), from.data() + at, std::min(arguments.piece, from.size() - at));
}

// Random reads of all processes.
std::atomic<std::uint64_t>& randomReads() {
  static void* const shared =
      mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("no shared memory");
  return *static_cast<std::atomic<std::uint64_t>*>(shared);
}

void readRandom(const Arguments& arguments, int fd, std::size_t size, const Memory& memory, unsigned process) {
  std::uint64_t state = 0x9e3779b97f4a7c15 * (process + 1);
  const double began = elapsed();
  const auto more = [&](std::uint64_t n) {
    return arguments.seconds > 0 ? elapsed() - began < arguments.seconds : n < arguments.count;
  };
  std::uint64_t n = 0;
  for (; more(n); ++n) {
    state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    const std::uint64_t at = (state >> 20) % (size / arguments.piece) * arguments.piece;
    if (pread(fd, memory.data(), arguments.piece, static_cast<off_t>(at)) != static_cast<ssize_t>(arguments.piece))
      die(fmt::format("{}: read at {}: {}", arguments.path, at, strerrordesc_np(errno)));
  }
  randomReads() += n;
}

void readSmall(const Arguments& arguments, const Memory& memory, unsigned process) {
  for (std::uint64_t n = process; n < arguments.count; n += arguments.processes) {
    const std::string path = fmt::format("{}/f{}", arguments.path, n);
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, memory.data(), arguments.piece) != static_cast<ssize_t>(kSmallSize))
      die(fmt::format("{}: {}", path, strerrordesc_np(errno)));
    close(fd);
  }
}

// One process's part. The file is opened for each pass, as a program does that loads it.
void pass(const Arguments& arguments, const Memory& memory, unsigned process) {
  if (arguments.how == "small") return readSmall(arguments, memory, process);
  const bool random = arguments.how == "random";
  const int fd = open(arguments.path.c_str(), O_RDONLY | O_CLOEXEC | (random ? O_DIRECT : 0));
  struct stat about{};
  if (fd < 0 || fstat(fd, &about) != 0) die(fmt::format("{}: {}", arguments.path, strerrordesc_np(errno)));
  const auto size = static_cast<std::size_t>(about.st_size);
  if (arguments.drop) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (random)
    readRandom(arguments, fd, size, memory, process);
  else if (arguments.how == "map")
    walk(arguments, fd, size);
  else
    readAll(arguments, fd, size, memory);
  close(fd);
}

void run(const Arguments& arguments) {
  struct stat about{};
  if (stat(arguments.path.c_str(), &about) != 0) die(fmt::format("{}: {}", arguments.path, strerrordesc_np(errno)));
  randomReads() = 0;  // before there are processes that share it
  int go[2], ready[2];
  if (pipe(go) != 0 || pipe(ready) != 0) die("no pipe");
  std::vector<pid_t> children;
  for (unsigned i = 0; i < arguments.processes; ++i) {
    const pid_t child = fork();
    if (child < 0) die("no process");
    if (child == 0) {
      const Memory memory(arguments.how == "map" ? 4096 : arguments.piece);
      const bool copies = arguments.how == "copy";
      const Bytes from = copies ? mapped(arguments) : Bytes();
      char byte = 0;
      close(go[1]);
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      if (read(go[0], &byte, 1) != 0) _exit(1);  // its end is the beginning
      for (unsigned n = 0; n < arguments.passes; ++n)
        copies ? copy(arguments, from, memory) : pass(arguments, memory, i);
      _exit(0);
    }
    children.push_back(child);
  }
  for (char byte = 0; const pid_t child : children)
    if (read(ready[0], &byte, 1) != 1) die(fmt::format("process {} didn't begin", child));
  Meter meter({});
  close(go[1]);
  for (const pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) die("a reader failed");
  }
  meter.stop();
  const std::uint64_t all = std::uint64_t{arguments.processes} * arguments.passes;
  if (arguments.how == "small")
    meter.print(arguments.count * arguments.passes * kSmallSize, arguments.count * arguments.passes);
  else if (arguments.how == "random")
    meter.print(randomReads() * arguments.piece, randomReads());
  else
    meter.print(static_cast<std::uint64_t>(about.st_size) * all, all);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  forebay::bench::Arguments arguments;
  CLI::App app("Reads or maps a file, by several processes at once");
  app.add_option("--path", arguments.path)->required();
  app.add_option("--how", arguments.how)->check(CLI::IsMember({"read", "map", "copy", "random", "small"}));
  app.add_option("--processes", arguments.processes)->check(CLI::Range(1, 64));
  app.add_option("--passes", arguments.passes)->check(CLI::Range(1, 1'000));
  app.add_option("--piece", arguments.piece)->check(CLI::Range(4'096, 64 << 20));
  app.add_option("--count", arguments.count);
  app.add_option("--seconds", arguments.seconds, "Of random reads, in place of --count")->check(CLI::Range(0.0, 600.0));
  app.add_flag("--drop", arguments.drop);
  CLI11_PARSE(app, argc, argv);
  forebay::bench::run(arguments);
}
