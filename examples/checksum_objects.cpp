// Checksums of many small objects: names come on stdin, one MOUNT/PATH a line; "CRC-32 BYTES NAME" goes to stdout, in
// the order of the names.
//
//   checksum_objects [--direct HOST:PORT]... < names
//
// Objects are read in batches of 256. Two batches are on their way at a time, so that the next one arrives while one is
// being checksummed: their handlers run in queue.drainWithin(), in this thread, and no lock is needed.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <forebay/forebay.hpp>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kBatch = 256, kOpen = 2;

// As in zlib and zip: polynomial 0x04C11DB7, reflected.
std::uint32_t crc32(const std::vector<char>& bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < made.size(); ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit) made[i] = made[i] >> 1 ^ (made[i] & 1 ? 0xEDB88320U : 0);
    }
    return made;
  }();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ crc >> 8;
  return ~crc;
}

struct Sample {
  std::string name, line;
  std::vector<char> bytes;
};

class Checksums {
 public:
  Checksums(forebay::Client& client, forebay::Queue& queue, std::vector<std::string> names)
      : client_(client), queue_(queue), samples_(names.size()) {
    for (std::size_t i = 0; i < names.size(); ++i) samples_[i].name = std::move(names[i]);
  }

  int run() {
    while (bad_.empty() && (next_ < samples_.size() || open_ > 0)) {
      while (bad_.empty() && next_ < samples_.size() && open_ < kOpen) startBatch();
      queue_.drainWithin(std::chrono::seconds(1));
    }
    while (open_ > 0) queue_.drainWithin(std::chrono::seconds(1));  // their memory is the library's until then
    for (const Sample& sample : samples_)
      if (!sample.line.empty()) std::cout << sample.line << '\n';
    if (bad_.empty()) return 0;
    std::cerr << bad_ << '\n';
    return 1;
  }

 private:
  void startBatch() {
    const std::size_t first = next_, end = std::min(samples_.size(), first + kBatch);
    next_ = end;
    std::vector<std::string> names;
    for (std::size_t i = first; i < end; ++i) names.push_back(samples_[i].name);
    // The sizes first, in one request, so that each object has its room: the answers stay known to the node.
    auto all = client_.stat(std::move(names));
    if (!all) return fail("stat", all.error().message);
    forebay::Batch batch;
    for (std::size_t i = first; i < end; ++i) {
      const forebay::Attributes& one = (*all)[i - first];
      if (one.code != forebay::Code::Ok || one.directory)
        return fail(samples_[i].name, one.directory ? "a directory" : forebay::codeName(one.code));
      samples_[i].bytes.resize(one.bytes);
      batch.add(samples_[i].name, samples_[i].bytes);
    }
    const auto told = [this, first](forebay::Result<void> outcome, forebay::Batch read) {
      --open_;
      if (!outcome) return fail("read", outcome.error().message);
      for (std::size_t i = 0; i < read.size(); ++i) finish(samples_[first + i], read.bytes(i));
    };
    const auto call = client_.read(std::move(batch), told, {std::chrono::minutes(2), &queue_});
    if (!call) return fail("read", call.error().message);
    ++open_;
  }

  void finish(Sample& sample, std::uint64_t bytes) {
    sample.bytes.resize(bytes);
    std::array<char, 48> head{};
    std::snprintf(head.data(), head.size(), "%08x %llu ", crc32(sample.bytes), static_cast<unsigned long long>(bytes));
    sample.line = head.data() + sample.name;
    sample.bytes = {};
  }
  void fail(const std::string& what, const std::string& why) {
    if (bad_.empty()) bad_ = what + ": " + why;
  }

  forebay::Client& client_;
  forebay::Queue& queue_;
  std::vector<Sample> samples_;
  std::size_t next_ = 0, open_ = 0;
  std::string bad_;
};

}  // namespace

int main(int argc, char** argv) {
  forebay::ConnectOptions options;
  for (int i = 1; i + 1 < argc && std::strcmp(argv[i], "--direct") == 0; i += 2)
    options.direct.emplace_back(argv[i + 1]);
  auto client = forebay::Client::connect(options);
  auto queue = forebay::Queue::make(2 * kOpen);
  if (!client || !queue) {
    std::cerr << (client ? queue.error() : client.error()).message << '\n';
    return 1;
  }
  std::vector<std::string> names;
  for (std::string line; std::getline(std::cin, line);)
    if (!line.empty()) names.push_back(line);
  return Checksums(*client, *queue, std::move(names)).run();
}
