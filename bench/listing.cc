// The reader of the row list.1m: an attached client lists a directory from its first page to its last, by the C ABI.
//
//   forebay_bench_listing --node unix:SOCKET --directory bench/d --server PID
//
// Takes name, size and time of each entry. Prints one line of JSON, as the limits do (bench/limits/measure.h): a
// request is a name, bytes are the objects' sizes, latencies are of pages.
#include <CLI/CLI.hpp>
#include <csignal>

#include "attached.h"

namespace forebay::bench {
namespace {

void list(forebay_client* client, const std::string& directory, const std::vector<pid_t>& servers) {
  std::uint64_t names = 0, bytes = 0;
  std::string cursor, last;
  Meter meter(servers);
  do {
    forebay_error error = noError();
    forebay_page* page = nullptr;
    const double asked = elapsed();
    if (forebay_list(client, directory.c_str(), cursor.c_str(), 0, &page, nullptr, &error) != FOREBAY_OK)
      die(error.message);
    meter.took(elapsed() - asked);
    for (std::size_t i = 0; i < forebay_page_count(page); ++i) {
      forebay_entry entry = {};
      entry.size = sizeof entry;
      if (forebay_page_entry(page, i, &entry) != FOREBAY_OK) die("no such entry");
      if (last >= entry.name) die("names are out of order");
      last = entry.name;
      bytes += entry.bytes;
      ++names;
    }
    cursor = forebay_page_cursor(page);
    forebay_page_free(page);
  } while (!cursor.empty());
  meter.stop();
  meter.print(bytes, names);
}

int start(int argc, char** argv) {
  CLI::App app("The reader of the bench's row list.1m");
  std::string node, directory;
  std::vector<pid_t> servers;
  app.add_option("--node", node)->required();
  app.add_option("--server", servers, "A process whose CPU time counts");
  app.add_option("--directory", directory, "MOUNT/PATH")->required();
  CLI11_PARSE(app, argc, argv);
  list(Attached(node), directory, servers);
  return 0;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return forebay::bench::start(argc, argv);
}
