// Warm reads by a client and a node of this process, and what each of them allocates meanwhile.
#include <forebay/forebay.h>
#include <future>
#include <gtest/gtest.h>

#include "cell_fixture.h"
#include "client/direct_client.h"
#include "counting.h"

namespace forebay {
namespace {

constexpr std::size_t kFiles = 64, kSize = 64 * kKiB;
constexpr int kRounds = 1'000;
// A node's timers allocate a little now and then, whatever is read.
constexpr std::uint64_t kBeside = 40;

class Allocations : public CellTest {
 protected:
  struct Counted {
    double node = 0, client = 0;  // of one round
  };

  void SetUp() override {
    CellTest::SetUp();
    for (std::size_t i = 0; i < kFiles; ++i) {
      texts_.push_back(randomText(kSize, i));
      write(name(i), texts_.back());
      rooms_.emplace_back(kSize, '?');
    }
    startCell(1);
    for (std::size_t i = 0; i < kFiles; ++i) {
      const auto found = stat(0, name(i), {.object_only = true});
      ASSERT_TRUE(found) << found.error().text();
      plans_.push_back(std::make_shared<const core::Plan>(found->plan));
      ASSERT_EQ(*read(0, found->plan, 0, kSize), texts_[i]);
    }
  }
  // A name that a string has no room for without memory of its own.
  static std::string name(std::size_t i) { return "a/directory/of/small/objects/" + std::to_string(i); }

  // What a round of `once` allocates when all that is to be kept is kept. `io`: the client's I/O thread.
  template <class Once>
  Counted count(pthread_t io, const Once& once) {
    for (int i = 0; i < kRounds; ++i) once();
    const auto client = [&] { return allocationsOf(pthread_self()) + (io == pthread_self() ? 0 : allocationsOf(io)); };
    const pthread_t loop = nodes[0].thread.native_handle();
    const std::uint64_t node_before = allocationsOf(loop), client_before = client();
    for (int i = 0; i < kRounds; ++i) once();
    const std::uint64_t by_client = client() - client_before, by_node = allocationsOf(loop) - node_before;
    const auto per_round = [](std::uint64_t all) {
      return static_cast<double>(all < kBeside ? 0 : all - kBeside) / kRounds;
    };
    Counted counted{.node = per_round(by_node), .client = per_round(by_client)};
    RecordProperty("node", std::to_string(counted.node));
    RecordProperty("client", std::to_string(counted.client));
    for (std::size_t i = 0; i < kFiles; ++i) EXPECT_TRUE(rooms_[i] == texts_[i] || rooms_[i].front() == '?') << i;
    return counted;
  }
  static pthread_t ioThread(client::CellReader& client) {
    std::promise<pthread_t> thread;
    client.post([&] { thread.set_value(pthread_self()); });
    return thread.get_future().get();
  }
  MutableBytes room(std::size_t i) { return std::as_writable_bytes(std::span(rooms_[i])); }

  // One range, as a mount reads it.
  Counted readsOf(std::uint32_t bytes) {
    NodeClient& client = *nodes[0].client;
    std::size_t next = 0;
    return count(ioThread(client), [&] {
      const std::size_t i = next++ % kFiles;
      const auto got = client::wait<std::size_t>(
          [&](auto done) { client.read(plans_[i], 0, room(i).first(bytes), deadline(), std::move(done)); });
      ASSERT_TRUE(got && *got == bytes);
      ASSERT_EQ(std::memcmp(rooms_[i].data(), texts_[i].data(), bytes), 0);
      std::ranges::fill(rooms_[i], '?');
    });
  }
  Counted batchesBy(client::CellReader& client) {
    return count(ioThread(client), [&] {
      std::vector<client::BatchItem> items;
      items.reserve(kFiles);
      for (std::size_t i = 0; i < kFiles; ++i) items.push_back({.plan = plans_[i], .length = kSize, .into = {room(i)}});
      const auto results = client::wait<client::CellReader::BatchResults>([&](auto done) {
        client.readBatch(
            std::move(items), false, deadline(),
            [done = std::move(done)](client::CellReader::BatchResults all) mutable { done(std::move(all)); }, 0);
      });
      ASSERT_TRUE(results);
      for (const auto& one : *results) ASSERT_TRUE(one && *one == kSize);
    });
  }

  std::vector<std::string> texts_, rooms_;
  std::vector<core::SharedPlan> plans_;
};

TEST_F(Allocations, aReadInPlaceMakesNone) {
  const Counted counted = readsOf(kSize);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_EQ(counted.client, 0);
}

TEST_F(Allocations, aLittleReadMakesNone) {
  const Counted counted = readsOf(2'000);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_EQ(counted.client, 0);
}

TEST_F(Allocations, aReadOverTheSocketMakesNone) {
  nodes[0].client->shareMemory(false);
  const Counted counted = readsOf(kSize);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_EQ(counted.client, 0);
}

// A client's are of the batch, not of its 64 ranges.
TEST_F(Allocations, aBatchMakesAFewInTheClient) {
  const Counted counted = batchesBy(*nodes[0].client);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_LE(counted.client, 20);
}

TEST_F(Allocations, aBatchOverTheSocketMakesAFewInTheClient) {
  nodes[0].client->shareMemory(false);
  const Counted counted = batchesBy(*nodes[0].client);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_LE(counted.client, 20);
}

TEST_F(Allocations, aDirectClientsBatchMakesAFewForEachRange) {
  client::DirectClient::Options options{.seeds = {}, .name = "test", .connect_by = deadline()};
  options.seeds.push_back(*io::Address::parse("127.0.0.1:" + std::to_string(ports[0])));
  const auto direct = client::DirectClient::connect(options);
  ASSERT_TRUE(direct) << direct.error().text();
  const Counted counted = batchesBy(**direct);
  if (!kCounted) return;
  EXPECT_EQ(counted.node, 0);
  EXPECT_LE(counted.client, 4 * kFiles);
}

// By name, as the library's users read small files: names are strings, in the question and in the answer.
TEST_F(Allocations, aBatchByNameMakesAFewForEachName) {
  forebay_options options = {};
  options.size = sizeof options;
  const std::string address = "unix:" + nodes[0].socket;
  options.node = address.c_str();
  forebay_client* library = nullptr;
  ASSERT_EQ(forebay_connect(&options, &library, nullptr), FOREBAY_OK);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kFiles; ++i) names.push_back("d/" + name(i));
  std::vector<forebay_piece> pieces;
  for (std::size_t i = 0; i < kFiles; ++i) pieces.push_back({.base = rooms_[i].data(), .length = kSize});
  std::vector<forebay_range> ranges(kFiles);
  // The library's I/O thread isn't seen here, but a thread that waits does its work (io/reactor.h: guests).
  const Counted counted = count(pthread_self(), [&] {
    for (std::size_t i = 0; i < kFiles; ++i) {
      ranges[i] = {};
      ranges[i].size = sizeof ranges[i];
      ranges[i].name = names[i].c_str();
      ranges[i].length = kSize;
      ranges[i].pieces = &pieces[i];
      ranges[i].piece_count = 1;
    }
    ASSERT_EQ(forebay_read_batch(library, ranges.data(), ranges.size(), nullptr, nullptr), FOREBAY_OK);
  });
  forebay_disconnect(library);
  if (!kCounted) return;
  EXPECT_LE(counted.node, 8 * kFiles);
  EXPECT_LE(counted.client, 12 * kFiles);
}

}  // namespace
}  // namespace forebay
