// Reads a file as programs do: the same for a mount's file and for the native one that limits it.
//
//   forebay_limit_file_reads --path FILE [--how read|map] [--processes N] [--passes N] [--piece BYTES]
//
// `read`: pread in pieces, into memory that lasts. `map`: each pass maps the file, takes a word of every cache line,
// and unmaps it. The processes begin together; the bytes are those of all of them. Prints one line of JSON.
#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits/measure.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string path, how = "read";
  unsigned processes = 1, passes = 1;
  std::size_t piece = kMiB;
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

// One process's part. The file is opened for each pass, as a program does that loads it.
void pass(const Arguments& arguments, const Memory& memory) {
  const int fd = open(arguments.path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about{};
  if (fd < 0 || fstat(fd, &about) != 0) die(fmt::format("{}: {}", arguments.path, strerrordesc_np(errno)));
  const auto size = static_cast<std::size_t>(about.st_size);
  if (arguments.how == "map")
    walk(arguments, fd, size);
  else
    readAll(arguments, fd, size, memory);
  close(fd);
}

void run(const Arguments& arguments) {
  struct stat about{};
  if (stat(arguments.path.c_str(), &about) != 0) die(fmt::format("{}: {}", arguments.path, strerrordesc_np(errno)));
  int go[2], ready[2];
  if (pipe(go) != 0 || pipe(ready) != 0) die("no pipe");
  std::vector<pid_t> children;
  for (unsigned i = 0; i < arguments.processes; ++i) {
    const pid_t child = fork();
    if (child < 0) die("no process");
    if (child == 0) {
      const Memory memory(arguments.how == "map" ? 4096 : arguments.piece);
      char byte = 0;
      close(go[1]);
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      if (read(go[0], &byte, 1) != 0) _exit(1);  // its end is the beginning
      for (unsigned n = 0; n < arguments.passes; ++n) pass(arguments, memory);
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
  const auto bytes = static_cast<std::uint64_t>(about.st_size) * arguments.processes * arguments.passes;
  meter.print(bytes, std::uint64_t{arguments.processes} * arguments.passes);
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  forebay::bench::Arguments arguments;
  CLI::App app("Reads or maps a file, by several processes at once");
  app.add_option("--path", arguments.path)->required();
  app.add_option("--how", arguments.how)->check(CLI::IsMember({"read", "map"}));
  app.add_option("--processes", arguments.processes)->check(CLI::Range(1, 64));
  app.add_option("--passes", arguments.passes)->check(CLI::Range(1, 1'000));
  app.add_option("--piece", arguments.piece)->check(CLI::Range(4'096, 64 << 20));
  CLI11_PARSE(app, argc, argv);
  forebay::bench::run(arguments);
}
