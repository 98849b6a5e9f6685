// The library beside a node: what the node holds whole is read from the node's own memory.
#include <forebay/forebay.h>
#include <poll.h>
#include <sys/wait.h>

#include "cell_fixture.h"

namespace forebay {
namespace {

constexpr std::size_t kSize = 5'000'001;

struct Failure : forebay_error {
  Failure() : forebay_error{} { size = sizeof(forebay_error); }
};

class SharedMemoryTest : public CellTest {
 protected:
  void SetUp() override {
    CellTest::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "only root's node has regions for sure";
    write("f", text_);
  }
  void TearDown() override {
    for (forebay_mapping* mapping : mappings_) forebay_unmap(mapping);
    for (forebay_object* object : objects_) forebay_close(object);
    forebay_disconnect(library_);
    CellTest::TearDown();
  }
  void connect(std::uint32_t flags = 0) {
    forebay_options options = {};
    options.size = sizeof options;
    const std::string address = "unix:" + nodes[0].socket;
    options.node = address.c_str();
    options.flags = flags;
    ASSERT_EQ(forebay_connect(&options, &library_, &error_), FOREBAY_OK) << error_.message;
  }
  forebay_object* open(const char* name, std::uint32_t flags = 0) {
    forebay_object* object = nullptr;
    EXPECT_EQ(forebay_open(library_, name, flags, &object, nullptr, &error_), FOREBAY_OK) << error_.message;
    if (object != nullptr) objects_.push_back(object);
    return object;
  }
  std::string read(forebay_object* object, std::uint64_t offset, std::uint64_t length) {
    std::string bytes(length, '?');
    std::uint64_t got = 0;
    EXPECT_EQ(forebay_read(object, offset, bytes.data(), length, &got, nullptr, &error_), FOREBAY_OK) << error_.message;
    bytes.resize(got);
    return bytes;
  }
  const std::byte* map(forebay_object* object) {
    forebay_mapping* mapping = nullptr;
    const void* base = nullptr;
    if (forebay_map(object, &mapping, &base, nullptr, &error_) != FOREBAY_OK) return nullptr;
    mappings_.push_back(mapping);
    return static_cast<const std::byte*>(base);
  }
  std::uint64_t served() {
    return nodes[0].node->metrics().counter("forebay_served_bytes_total", "", {{"mount", "d"}}).value();
  }
  // Reads until a read costs the node nothing: it is mapped in the background.
  bool untilMapped(forebay_object* object) {
    for (int i = 0; i < 2'000; ++i) {
      const std::uint64_t before = served();
      read(object, 0, kSize);
      if (served() == before) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  void evictAll() {
    const auto reply = client::wait<wire::pb::EvictReply>(
        [&](auto done) { nodes[0].client->evict("d", std::vector<std::string>{""}, deadline(), std::move(done)); });
    ASSERT_TRUE(reply) << reply.error().text();
  }

  const std::string text_ = randomText(kSize, 1);
  Failure error_;
  forebay_client* library_ = nullptr;
  std::vector<forebay_object*> objects_;
  std::vector<forebay_mapping*> mappings_;
};

TEST_F(SharedMemoryTest, whatTheNodeHoldsWholeIsReadWithoutAskingIt) {
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  ASSERT_TRUE(untilMapped(f));
  const std::uint64_t before = served();
  EXPECT_TRUE(read(f, 0, kSize) == text_);
  EXPECT_EQ(read(f, 4'097, 12'345), text_.substr(4'097, 12'345));
  EXPECT_EQ(read(f, kSize - 3, 100), text_.substr(kSize - 3));
  EXPECT_EQ(read(f, kSize, 100), "");
  EXPECT_EQ(read(f, UINT64_MAX, 100), "");
  EXPECT_EQ(served(), before);
}

// By name, by handle, scattered over pieces, in all forms; with ranges beside them that aren't mapped.
TEST_F(SharedMemoryTest, aBatchTakesWhatIsMappedFromThereAndAsksForTheRest) {
  write("small", "small bytes");
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  ASSERT_TRUE(untilMapped(f));
  forebay_queue* queue = nullptr;
  ASSERT_EQ(forebay_queue_new(4, &queue, &error_), FOREBAY_OK);
  for (const bool waits : {true, false}) {
    const std::uint64_t before = served();
    std::string a(10, '?'), b(200, '?'), c(11, '?'), d(100, '?'), e(7, '?');
    const forebay_piece scattered[] = {{a.data(), a.size()}, {nullptr, 0}, {b.data(), b.size()}};
    const forebay_piece small{c.data(), c.size()}, named{d.data(), d.size()}, little{e.data(), e.size()};
    std::vector<forebay_range> ranges(4);
    for (auto& range : ranges) range.size = sizeof range;
    ranges[0].object = f, ranges[0].offset = 70'000, ranges[0].length = 150;
    ranges[0].pieces = scattered, ranges[0].piece_count = 3;
    ranges[1].name = "d/small", ranges[1].length = 11, ranges[1].pieces = &small, ranges[1].piece_count = 1;
    ranges[2].name = "d/f", ranges[2].offset = 9, ranges[2].length = 100, ranges[2].pieces = &named;
    ranges[2].piece_count = 1;
    ranges[3].object = f, ranges[3].length = 8, ranges[3].pieces = &little,
    ranges[3].piece_count = 1;  // too little room
    forebay_call call = {};
    call.size = sizeof call;
    call.queue = waits ? nullptr : queue;
    forebay_code code = forebay_read_batch(library_, ranges.data(), ranges.size(), &call, &error_);
    if (!waits) {
      ASSERT_EQ(code, FOREBAY_OK);
      forebay_completion completion = {};
      completion.size = sizeof completion;
      pollfd wake{.fd = forebay_queue_fd(queue), .events = POLLIN, .revents = 0};
      ASSERT_EQ(poll(&wake, 1, 60'000), 1);
      ASSERT_EQ(forebay_drain(queue, &completion, 1), 1U);
      code = completion.code;
    }
    EXPECT_EQ(code, FOREBAY_INVALID_ARGUMENT) << "the last range has too little room";
    EXPECT_EQ(a + b.substr(0, 140), text_.substr(70'000, 150));
    EXPECT_EQ(b.substr(140), std::string(60, '?'));
    EXPECT_EQ(c, "small bytes");
    EXPECT_EQ(d, text_.substr(9, 100));
    EXPECT_EQ(e, "???????");
    const forebay_code expected[] = {FOREBAY_OK, FOREBAY_OK, FOREBAY_OK, FOREBAY_INVALID_ARGUMENT};
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(ranges[i].code, expected[i]) << i;
    EXPECT_EQ(ranges[0].got, 150U);
    EXPECT_LT(served() - before, 100U) << "only the small object isn't mapped";
  }
  EXPECT_EQ(forebay_queue_free(queue), FOREBAY_OK);
}

TEST_F(SharedMemoryTest, aClientThatDoesNotWantItAsksTheNodeForEveryByte) {
  startCell(1);
  connect(FOREBAY_NO_SHARED_MEMORY);
  forebay_object* const f = open("d/f");
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t before = served();
    EXPECT_TRUE(read(f, 0, kSize) == text_);
    EXPECT_EQ(served() - before, kSize);
    std::this_thread::sleep_for(5ms);
  }
}

TEST_F(SharedMemoryTest, unknownFlagsAreRefused) {
  startCell(1);
  forebay_options options = {};
  options.size = sizeof options;
  options.flags = 6;
  EXPECT_EQ(forebay_connect(&options, &library_, &error_), FOREBAY_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error_.message).find("flags"), std::string::npos);
}

TEST_F(SharedMemoryTest, aMappingIsWhatTheObjectWasWhateverHappensToNodeAndOrigin) {
  startCell(1, "consistency = \"open\"\n");
  connect();
  forebay_object* const f = open("d/f");
  const std::byte* const base = map(f);  // fetched for this: nobody has read it
  ASSERT_NE(base, nullptr) << error_.message;
  ASSERT_TRUE(untilMapped(f));
  const auto same = [&] { return std::memcmp(base, text_.data(), kSize) == 0; };
  EXPECT_TRUE(same());
  evictAll();
  EXPECT_TRUE(same()) << "evicted";
  EXPECT_TRUE(read(f, 0, kSize) == text_);
  const std::string newer = randomText(kSize, 2);
  write("f", newer);
  forebay_object* const next = open("d/f", FOREBAY_REVALIDATE);
  EXPECT_TRUE(read(next, 0, kSize) == newer);
  EXPECT_TRUE(same()) << "another version";
  EXPECT_TRUE(read(f, 0, kSize) == text_) << "the old version is mapped";
  stopNode(0);
  EXPECT_TRUE(same()) << "the node ended";
  EXPECT_TRUE(read(f, 100, 1'000) == text_.substr(100, 1'000)) << "no node is asked";
  startNode(0);
  EXPECT_TRUE(read(next, 5, 1'000) == newer.substr(5, 1'000));
  forebay_close(f);
  std::erase(objects_, f);
  forebay_disconnect(std::exchange(library_, nullptr));
  EXPECT_TRUE(same()) << "the client is gone";
}

TEST_F(SharedMemoryTest, whatOtherNodesOwnIsBroughtTogetherToBeMapped) {
  startCell(3);
  connect();
  forebay_object* const f = open("d/f");
  read(f, 0, 100'000);
  const std::byte* const base = map(f);
  ASSERT_NE(base, nullptr) << error_.message;
  EXPECT_EQ(std::memcmp(base, text_.data(), kSize), 0);
}

// A client may keep memory that the node would like to use; what that is counts, and comes back.
TEST_F(SharedMemoryTest, whatAClientKeepsOfEvictedObjectsCountsUntilItLetsGo) {
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  read(f, 0, kSize);
  ASSERT_NE(map(f), nullptr) << error_.message;
  evictAll();
  const auto outside = [&] {
    const auto status = client::wait<wire::pb::StatusReply>(
        [&](auto done) { nodes[0].client->status(false, deadline(), std::move(done)); });
    return status ? status->nodes(0).arena_used() : 0;
  };
  EXPECT_GE(outside(), kSize);
  forebay_unmap(mappings_.back());
  mappings_.pop_back();
  forebay_disconnect(std::exchange(library_, nullptr));  // with what it mapped by itself
  for (int i = 0; i < 500 && outside() >= kSize; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_LT(outside(), kSize);
}

TEST_F(SharedMemoryTest, aForkedChildReadsWhatWasMappedForItAndNothingElse) {
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  ASSERT_TRUE(untilMapped(f));
  const std::byte* const base = map(f);
  ASSERT_NE(base, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    std::uint64_t got = 0;
    const bool refused = forebay_read(f, 0, &byte, 1, &got, nullptr, nullptr) == FOREBAY_INVALID_ARGUMENT;
    const bool there = std::memcmp(base, text_.data(), kSize) == 0;
    _exit((refused ? 0 : 1) + (there ? 0 : 2));
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read(f, 0, 10), text_.substr(0, 10)) << "the parent goes on";
}

TEST_F(SharedMemoryTest, whatCanNotBeMappedSaysWhy) {
  write("small", "x");
  startCell(2);
  connect();
  read(open("d/small"), 0, 1);
  EXPECT_EQ(map(objects_.back()), nullptr);
  EXPECT_EQ(error_.code, FOREBAY_UNSUPPORTED) << error_.message;
  write("left", randomText(kSize, 3));
  forebay_object* const left = open("d/left");
  write("left", randomText(kSize, 4));
  EXPECT_EQ(map(left), nullptr);
  EXPECT_EQ(error_.code, FOREBAY_GONE) << error_.message;

  const std::string member = "127.0.0.1:" + std::to_string(ports[0]);
  const char* const members[] = {member.c_str()};
  forebay_options options = {};
  options.size = sizeof options;
  options.direct = members;
  options.direct_count = 1;
  forebay_client* direct = nullptr;
  ASSERT_EQ(forebay_connect(&options, &direct, &error_), FOREBAY_OK) << error_.message;
  forebay_object* object = nullptr;
  ASSERT_EQ(forebay_open(direct, "d/f", 0, &object, nullptr, &error_), FOREBAY_OK) << error_.message;
  objects_.push_back(object);
  EXPECT_EQ(map(object), nullptr);
  EXPECT_EQ(error_.code, FOREBAY_UNSUPPORTED) << error_.message;
  forebay_disconnect(direct);
}

// Readers beside each other, while objects come and go: bytes are right, whoever they come from.
TEST_F(SharedMemoryTest, manyThreadsReadWhileTheNodeEvicts) {
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0, reads = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t) + 1);
      std::string bytes(100'000, '?');
      while (!over) {
        const std::uint64_t at = random.below(kSize - bytes.size());
        std::uint64_t got = 0;
        if (forebay_read(f, at, bytes.data(), bytes.size(), &got, nullptr, nullptr) != FOREBAY_OK ||
            std::memcmp(bytes.data(), text_.data() + at, bytes.size()) != 0)
          ++wrong;
        ++reads;
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    evictAll();
    std::this_thread::sleep_for(20ms);
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(reads, 100);
}

}  // namespace
}  // namespace forebay
