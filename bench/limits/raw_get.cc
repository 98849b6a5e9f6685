// The limit of cold reads: GETs of the same bytes by libcurl, into memory that is used again, with nothing around them.
//
//   forebay_limit_raw_get --url http://127.0.0.1:1/account/bench/cold.bin --bytes 536870912 --connections 4
//   forebay_limit_raw_get --url http://127.0.0.1:1/account/bench/small/ --count 60 --range 4096
//
// The first form gets one object in ranges, several at a time, by one thread and libcurl's multi interface. The second
// gets the first range of each of many objects (0000000, 0000001, ... below the URL), one after the other over one
// connection; latencies are theirs, to their first byte. Prints one line of JSON.
#include <CLI/CLI.hpp>
#include <cstring>

#include "limits/get.h"

namespace forebay::bench {
namespace {

struct Arguments {
  std::string url;
  std::uint64_t bytes = 0, first = 0, count = 0;
  std::size_t connections = 4, range = 8 * kMiB;
};

// Where a GET's bytes go: to memory, at `at` on.
Get::Take into(std::byte* at) {
  return [at](Bytes bytes) mutable {
    std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
    return true;
  };
}

void wholeObject(const Arguments& arguments) {
  const Memory memory(arguments.bytes);
  CURLM* const multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(arguments.connections));
  std::vector<Get> gets(arguments.connections);
  std::uint64_t next = 0;
  std::size_t open = 0;
  const auto start = [&](Get& get) {
    if (next == arguments.bytes) return;
    const std::size_t length = std::min<std::uint64_t>(arguments.range, arguments.bytes - next);
    get.prepare(arguments.url, next, length, into(memory.data() + next));
    next += length;
    ++open;
    curl_multi_add_handle(multi, get.handle());
  };
  Meter meter({});
  for (Get& get : gets) start(get);
  while (open > 0) {
    int running = 0, left = 0;
    curl_multi_perform(multi, &running);
    while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
      char* user = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      auto& get = *reinterpret_cast<Get*>(user);
      get.ended(message->data.result);
      curl_multi_remove_handle(multi, get.handle());
      --open;
      start(get);
    }
    if (open > 0) curl_multi_poll(multi, nullptr, 0, 1'000, nullptr);
  }
  meter.stop();
  curl_multi_cleanup(multi);
  meter.print(arguments.bytes, arguments.bytes / arguments.range);
}

void manyObjects(const Arguments& arguments) {
  const Memory memory(arguments.range);
  Get get;
  // A client has its connection before it asks.
  get.prepare(fmt::format("{}{:07}", arguments.url, arguments.first), 0, arguments.range, into(memory.data()));
  get.perform();
  Meter meter({});
  for (std::uint64_t i = 1; i <= arguments.count; ++i) {
    get.prepare(fmt::format("{}{:07}", arguments.url, arguments.first + i), 0, arguments.range, into(memory.data()));
    const double asked = elapsed();
    get.perform();
    meter.took(get.firstByte() - asked);
  }
  meter.stop();
  meter.print(arguments.count * arguments.range, arguments.count);
}

int start(int argc, char** argv) {
  CLI::App app("The limit of cold reads");
  Arguments arguments;
  app.add_option("--url", arguments.url)->required();
  app.add_option("--bytes", arguments.bytes, "Of the one object")->check(CLI::Range(1ULL, 1ULL << 36));
  app.add_option("--count", arguments.count, "Objects below the URL")->check(CLI::Range(1U, 1'000'000U));
  app.add_option("--first", arguments.first, "The number of the first of them");
  app.add_option("--range", arguments.range)->check(CLI::Range(1U, 1U << 30));
  app.add_option("--connections", arguments.connections)->check(CLI::Range(1U, 64U));
  CLI11_PARSE(app, argc, argv);
  if ((arguments.bytes == 0) == (arguments.count == 0)) die("either --bytes or --count");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  arguments.bytes > 0 ? wholeObject(arguments) : manyObjects(arguments);
  return 0;
}

}  // namespace
}  // namespace forebay::bench

int main(int argc, char** argv) {
  return forebay::bench::start(argc, argv);
}
