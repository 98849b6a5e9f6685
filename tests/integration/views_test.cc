// Bytes of a node's memory in view of its clients, and read from it in place.
#include <fcntl.h>
#include <forebay/forebay.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cell_fixture.h"

namespace forebay {
namespace {

constexpr std::size_t kSmall = 64 * kKiB;

struct Failure : forebay_error {
  Failure() : forebay_error{} { size = sizeof(forebay_error); }
};

struct Seen {
  forebay_view* view = nullptr;
  const void* base = nullptr;
  std::uint64_t bytes = 0;
  bool pinned() const { return forebay_view_pinned(view) != 0; }
  std::string_view text() const { return {static_cast<const char*>(base), bytes}; }
};

class ViewsTest : public CellTest {
 protected:
  void SetUp() override {
    CellTest::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "only root's node has a tmpfs for sure";
  }
  void TearDown() override {
    for (const Seen& seen : seen_) forebay_view_release(seen.view);
    for (forebay_object* object : objects_) forebay_close(object);
    forebay_disconnect(library_);
    CellTest::TearDown();
  }
  void writeMany(const std::string& directory, int count, std::size_t size) {
    for (int i = 0; i < count; ++i) write(directory + "/" + std::to_string(i), textOf(directory, i, size));
  }
  static std::string textOf(const std::string& directory, int i, std::size_t size) {
    return randomText(size, 1'000 * directory.size() + static_cast<std::uint64_t>(i));
  }
  forebay_client* connectTo(const std::string& address, std::uint32_t flags = 0) {
    forebay_options options = {};
    options.size = sizeof options;
    options.node = address.c_str();
    options.flags = flags;
    forebay_client* made = nullptr;
    EXPECT_EQ(forebay_connect(&options, &made, &error_), FOREBAY_OK) << error_.message;
    return made;
  }
  void connect() { library_ = connectTo("unix:" + nodes[0].socket); }
  forebay_object* open(const std::string& name, forebay_client* by = nullptr) {
    forebay_object* object = nullptr;
    EXPECT_EQ(forebay_open(by == nullptr ? library_ : by, name.c_str(), 0, &object, nullptr, &error_), FOREBAY_OK)
        << name << ": " << error_.message;
    if (object != nullptr) objects_.push_back(object);
    return object;
  }
  Seen look(forebay_object* object, std::uint64_t offset, std::uint64_t length) {
    Seen seen;
    EXPECT_EQ(forebay_view_bytes(object, offset, length, &seen.view, &seen.base, &seen.bytes, nullptr, &error_),
              FOREBAY_OK)
        << error_.message;
    return seen;
  }
  // Until the end of the test.
  const Seen& keep(forebay_object* object, std::uint64_t offset, std::uint64_t length) {
    return seen_.emplace_back(look(object, offset, length));
  }
  std::string read(forebay_object* object, std::uint64_t offset, std::uint64_t length) {
    std::string bytes(length, '?');
    std::uint64_t got = 0;
    EXPECT_EQ(forebay_read(object, offset, bytes.data(), length, &got, nullptr, &error_), FOREBAY_OK) << error_.message;
    bytes.resize(got);
    return bytes;
  }
  wire::pb::NodeStatus status() {
    const auto reply = client::wait<wire::pb::StatusReply>(
        [&](auto done) { nodes[0].client->status(false, deadline(), std::move(done)); });
    EXPECT_TRUE(reply);
    return reply ? reply->nodes(0) : wire::pb::NodeStatus();
  }
  bool until(const std::function<bool(const wire::pb::NodeStatus&)>& good) {
    for (int i = 0; i < 1'000; ++i) {
      if (good(status())) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  bool untilNothingIsPinned() {
    return until([](const auto& node) { return node.pinned_bytes() == 0 && node.pinning_size() == 0; });
  }
  void evictAll() {
    const auto reply = client::wait<wire::pb::EvictReply>(
        [&](auto done) { nodes[0].client->evict("d", std::vector<std::string>{""}, deadline(), std::move(done)); });
    ASSERT_TRUE(reply) << reply.error().text();
  }
  void restartWith(const std::string& of_node) {
    stopNode(0);
    texts[0].insert(std::string("[node]\n").size(), of_node);
    startNode(0);
  }

  Failure error_;
  forebay_client* library_ = nullptr;
  std::vector<forebay_object*> objects_;
  std::vector<Seen> seen_;
};

TEST_F(ViewsTest, smallObjectsAreSeenInTheNodesMemoryAndStayWhatTheyAre) {
  writeMany("s", 60, kSmall);
  writeMany("other", 150, kMiB);
  startCell(1);
  connect();
  for (int i = 0; i < 60; ++i) {
    const Seen& seen = keep(open("d/s/" + std::to_string(i)), 0, kSmall);
    EXPECT_TRUE(seen.pinned()) << i;
  }
  const auto right = [&] {
    for (int i = 0; i < 60; ++i)
      if (seen_[static_cast<std::size_t>(i)].text() != textOf("s", i, kSmall)) return false;
    return true;
  };
  EXPECT_TRUE(right());
  evictAll();
  EXPECT_TRUE(right()) << "what is in view doesn't leave";
  for (int i = 0; i < 150; ++i) ASSERT_EQ(read(open("d/other/" + std::to_string(i)), 7, 100).size(), 100U);
  evictAll();
  for (int i = 0; i < 150; ++i)
    ASSERT_TRUE(read(open("d/other/" + std::to_string(i)), 0, kMiB) == textOf("other", i, kMiB)) << i;
  EXPECT_TRUE(right()) << "others came in the place of others";
  const auto node = status();
  EXPECT_GE(node.pinned_bytes(), 60 * kSmall);
  ASSERT_EQ(node.pinning_size(), 1);
  EXPECT_EQ(node.pinning(0).pid(), static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(node.pinning(0).bytes(), 60 * kSmall);
  EXPECT_EQ(node.pinning(0).pins(), 60U);
  for (const Seen& seen : std::exchange(seen_, {})) forebay_view_release(seen.view);
  EXPECT_TRUE(untilNothingIsPinned());
}

TEST_F(ViewsTest, partsAreSeenWhereTheyLieInOnePieceAndCopiedOtherwise) {
  const std::string text = randomText(40 * kMiB + 12'345, 1);
  write("large", text);
  startCell(1, "chunk_size = \"4MiB\"\n");
  connect();
  forebay_object* const large = open("d/large");
  Random random(2);
  int pinned = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t at = random.below(text.size());
    const std::uint64_t length = 1 + random.below(i % 3 == 0 ? 9 * kMiB : 100'000);
    const Seen seen = look(large, at, length);
    ASSERT_TRUE(seen.text() == std::string_view(text).substr(at, length)) << at << " " << length;
    pinned += seen.pinned() ? 1 : 0;
    forebay_view_release(seen.view);
  }
  EXPECT_GT(pinned, 0);
  const Seen end = look(large, text.size() - 3, 100), beyond = look(large, text.size(), 100);
  EXPECT_EQ(end.text(), text.substr(text.size() - 3));
  EXPECT_EQ(beyond.bytes, 0U);
  forebay_view_release(end.view);
  forebay_view_release(beyond.view);
  EXPECT_TRUE(untilNothingIsPinned());
}

TEST_F(ViewsTest, beyondTheBoundThereAreCopies) {
  writeMany("m", 60, kMiB);
  startCell(1);
  connect();
  const std::uint64_t most = status().pinned_cap();
  EXPECT_GT(most, 20 * kMiB);
  std::size_t pinned = 0;
  for (int i = 0; i < 60; ++i) {
    const Seen& seen = keep(open("d/m/" + std::to_string(i)), 0, kMiB);
    pinned += seen.pinned() ? 1 : 0;
    EXPECT_TRUE(seen.text() == textOf("m", i, kMiB)) << i;
    EXPECT_EQ(seen.pinned(), pinned == static_cast<std::size_t>(i) + 1) << "first they are pinned, then none is";
  }
  EXPECT_EQ(pinned, most / kMiB);
  EXPECT_LE(status().pinned_bytes(), most);
  evictAll();
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(seen_[static_cast<std::size_t>(i)].text() == textOf("m", i, kMiB)) << i;
  forebay_view_release(seen_.front().view);
  seen_.erase(seen_.begin());
  ASSERT_TRUE(until([&](const auto& node) { return node.pinned_bytes() + kMiB <= most; }));
  EXPECT_TRUE(keep(open("d/m/0"), 0, kMiB).pinned()) << "there is room again";
}

TEST_F(ViewsTest, aNodeThatStartsAnewLeavesOldViewsAloneAndGivesNewOnes) {
  writeMany("s", 3, kSmall);
  startCell(1);
  connect();
  forebay_object* const object = open("d/s/0");
  const Seen old = look(object, 0, kSmall);
  ASSERT_TRUE(old.pinned());
  stopNode(0);
  EXPECT_TRUE(old.text() == textOf("s", 0, kSmall)) << "the node ended";
  startNode(0);
  EXPECT_TRUE(read(object, 0, kSmall) == textOf("s", 0, kSmall));
  // The library asks the new node for its memory when it needs it.
  bool pinned = false;
  for (int i = 0; i < 500 && !pinned; ++i) {
    const Seen seen = look(open("d/s/1"), 0, kSmall);
    EXPECT_TRUE(seen.text() == textOf("s", 1, kSmall));
    pinned = seen.pinned();
    forebay_view_release(seen.view);
    if (!pinned) std::this_thread::sleep_for(10ms);
  }
  ASSERT_TRUE(pinned);
  ASSERT_TRUE(untilNothingIsPinned());
  EXPECT_TRUE(keep(open("d/s/2"), 0, kSmall).pinned());
  EXPECT_TRUE(old.text() == textOf("s", 0, kSmall));
  forebay_view_release(old.view);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(status().pinning(0).pins(), 1U) << "the new node's pin isn't the old one's";
  evictAll();
  EXPECT_TRUE(seen_.back().text() == textOf("s", 2, kSmall));
}

TEST_F(ViewsTest, aViewOutlivesItsClientAndItsMemoryIsHeld) {
  writeMany("s", 1, kSmall);
  startCell(1);
  connect();
  const Seen seen = keep(open("d/s/0"), 0, kSmall);
  ASSERT_TRUE(seen.pinned());
  forebay_disconnect(std::exchange(library_, nullptr));
  ASSERT_TRUE(until([](const auto& node) { return node.pinning_size() == 1 && !node.pinning(0).connected(); }));
  evictAll();
  EXPECT_TRUE(seen.text() == textOf("s", 0, kSmall));
}

TEST_F(ViewsTest, whatIsReleasedJustBeforeTheEndIsGivenBack) {
  writeMany("s", 1, kSmall);
  startCell(1);
  for (int i = 0; i < 20; ++i) {
    connect();
    forebay_object* const object = open("d/s/0");
    const Seen seen = look(object, 0, kSmall);
    ASSERT_TRUE(seen.pinned());
    forebay_view_release(seen.view);
    forebay_disconnect(std::exchange(library_, nullptr));
  }
  EXPECT_TRUE(untilNothingIsPinned());
}

TEST_F(ViewsTest, whoMayNotMapGetsCopies) {
  writeMany("s", 1, kSmall);
  write("large", randomText(3 * kMiB, 5));
  startCell(1);
  const auto expect_copies = [&](forebay_client* by, const char* who) {
    forebay_object* const small = open("d/s/0", by);
    for (int i = 0; i < 3; ++i) {
      const Seen seen = look(small, 0, kSmall);
      EXPECT_TRUE(seen.text() == textOf("s", 0, kSmall)) << who;
      EXPECT_FALSE(seen.pinned()) << who;
      EXPECT_TRUE(read(small, 5, 50'000) == textOf("s", 0, kSmall).substr(5, 50'000)) << who;
      forebay_view_release(seen.view);
    }
    EXPECT_EQ(status().pinning_size(), 0) << who;
    forebay_disconnect(by);
  };
  expect_copies(connectTo("127.0.0.1:" + std::to_string(ports[0])), "over TCP");
  expect_copies(connectTo("unix:" + nodes[0].socket, FOREBAY_NO_SHARED_MEMORY), "that doesn't want it");
  restartWith("max_pinned = 0\n");
  expect_copies(connectTo("unix:" + nodes[0].socket), "of a node that lets nobody");
}

// Its mapping is the parent's alone, and what it has inherited keeps nothing.
TEST_F(ViewsTest, aForkedChildHasNoViewAndEndsNone) {
  writeMany("s", 1, kSmall);
  startCell(1);
  connect();
  const Seen seen = keep(open("d/s/0"), 0, kSmall);
  ASSERT_TRUE(seen.pinned());
  const pid_t child = fork();
  if (child == 0) {
    const auto page = reinterpret_cast<std::uintptr_t>(seen.base) & ~std::uintptr_t{4'095};
    const bool there = ::msync(reinterpret_cast<void*>(page), 4'096, MS_ASYNC) == 0;
    forebay_view_release(seen.view);
    _exit(there ? 1 : 0);
  }
  int ended = -1;
  ASSERT_EQ(waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(status().pinning_size(), 1);
  EXPECT_TRUE(seen.text() == textOf("s", 0, kSmall));
}

// Reads in place of small objects and parts that leave all the time.
TEST_F(ViewsTest, bytesAreRightWhileTheNodeEvictsWhatIsReadInPlace) {
  constexpr int kObjects = 300;
  constexpr std::size_t kSize = 200'000;
  writeMany("e", kObjects, kSize);
  startCell(1);
  connect();
  std::vector<std::string> texts_of;
  std::vector<forebay_object*> open_objects;
  for (int i = 0; i < kObjects; ++i) {
    texts_of.push_back(textOf("e", i, kSize));
    open_objects.push_back(open("d/e/" + std::to_string(i)));
  }
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0, reads = 0, views = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t) + 1);
      std::vector<std::string> rooms(16, std::string(kSize, '?'));
      while (!over) {
        std::vector<forebay_range> ranges(rooms.size());
        std::vector<forebay_piece> pieces(rooms.size());
        std::vector<std::size_t> which(rooms.size());
        for (std::size_t i = 0; i < rooms.size(); ++i) {
          which[i] = random.below(kObjects);
          pieces[i] = {rooms[i].data(), kSize};
          ranges[i].size = sizeof(forebay_range);
          ranges[i].object = open_objects[which[i]];
          ranges[i].offset = random.below(kSize);
          ranges[i].length = kSize, ranges[i].pieces = &pieces[i], ranges[i].piece_count = 1;
        }
        if (forebay_read_batch(library_, ranges.data(), ranges.size(), nullptr, nullptr) != FOREBAY_OK) ++wrong;
        for (std::size_t i = 0; i < rooms.size(); ++i) {
          const std::string_view expected = std::string_view(texts_of[which[i]]).substr(ranges[i].offset);
          if (std::string_view(rooms[i]).substr(0, ranges[i].got) != expected) ++wrong;
          ++reads;
        }
        Seen seen;
        if (forebay_view_bytes(open_objects[which[0]], 0, kSize, &seen.view, &seen.base, &seen.bytes, nullptr,
                               nullptr) != FOREBAY_OK ||
            seen.text() != texts_of[which[0]])
          ++wrong;
        views += seen.pinned() ? 1 : 0;
        forebay_view_release(seen.view);
      }
    });
  }
  const TimePoint end = io::Reactor::now() + 3s;
  while (io::Reactor::now() < end) evictAll();
  over = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(reads, 100);
  EXPECT_GT(views, 0);
  EXPECT_TRUE(untilNothingIsPinned());
}

// ---- clients in processes of their own

// A program, run by the tests below: it keeps objects in view until it is killed.
TEST(ViewHolder, DISABLED_holds) {
  const char* const node = std::getenv("FOREBAY_TEST_NODE");
  ASSERT_NE(node, nullptr);
  Failure error;
  forebay_options options = {};
  options.size = sizeof options;
  options.node = node;
  forebay_client* client = nullptr;
  ASSERT_EQ(forebay_connect(&options, &client, &error), FOREBAY_OK) << error.message;
  for (int i = 0; i < 5; ++i) {
    forebay_object* object = nullptr;
    Seen seen;
    ASSERT_EQ(forebay_open(client, ("d/s/" + std::to_string(i)).c_str(), 0, &object, nullptr, &error), FOREBAY_OK);
    ASSERT_EQ(forebay_view_bytes(object, 0, kSmall, &seen.view, &seen.base, &seen.bytes, nullptr, &error), FOREBAY_OK);
    ASSERT_TRUE(seen.pinned());
  }
  if (std::getenv("FOREBAY_TEST_FORK") != nullptr && fork() == 0) {
    // A child with the parent's socket, until the test lets it go.
    char byte = 0;
    (void)!::read(STDIN_FILENO, &byte, 1);
    _exit(0);
  }
  for (;;) pause();
}

class ViewHolders : public ViewsTest {
 protected:
  void TearDown() override {
    if (holder_ > 0) endHolder();
    if (input_ >= 0) ::close(input_);
    ViewsTest::TearDown();
  }
  void startHolder(bool forks) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    input_ = ends[1];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    const std::string node = "FOREBAY_TEST_NODE=unix:" + nodes[0].socket;
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
    environment.push_back(const_cast<char*>(node.c_str()));
    if (forks) environment.push_back(const_cast<char*>("FOREBAY_TEST_FORK=1"));
    environment.push_back(nullptr);
    const char* const words[] = {"holder", "--gtest_also_run_disabled_tests", "--gtest_filter=ViewHolder.*", nullptr};
    ASSERT_EQ(posix_spawn(&holder_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(words), environment.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[0]);
    ASSERT_TRUE(until([](const auto& of) { return of.pinning_size() == 1 && of.pinning(0).pins() == 5; }));
  }
  void endHolder() {
    ::kill(holder_, SIGKILL);
    ASSERT_EQ(waitpid(holder_, nullptr, 0), holder_);
    holder_ = 0;
  }
  pid_t holder_ = 0;
  int input_ = -1;
};

TEST_F(ViewHolders, aProcessThatIsKilledHoldsNothing) {
  writeMany("s", 5, kSmall);
  startCell(1);
  startHolder(false);
  EXPECT_EQ(status().pinning(0).pid(), static_cast<std::uint32_t>(holder_));
  EXPECT_TRUE(status().pinning(0).connected());
  endHolder();
  EXPECT_TRUE(untilNothingIsPinned());
}

TEST_F(ViewHolders, aChildThatInheritedTheSocketHoldsNothingForADeadParent) {
  writeMany("s", 5, kSmall);
  startCell(1);
  startHolder(true);
  std::this_thread::sleep_for(100ms);  // it has forked
  const std::uint64_t connections = status().connections();
  endHolder();
  EXPECT_TRUE(untilNothingIsPinned());
  EXPECT_EQ(status().connections(), connections) << "the child has the socket";
}

TEST_F(ViewHolders, aStuckOneIsSeenWhileOthersReadOn) {
  writeMany("s", 5, kSmall);
  writeMany("other", 150, kMiB);
  startCell(1);
  startHolder(false);
  ::kill(holder_, SIGSTOP);
  connect();
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 150; ++i)
      ASSERT_TRUE(read(open("d/other/" + std::to_string(i)), 0, kMiB) == textOf("other", i, kMiB)) << i;
  const auto node = status();
  ASSERT_EQ(node.pinning_size(), 1);
  EXPECT_EQ(node.pinning(0).pid(), static_cast<std::uint32_t>(holder_));
  EXPECT_EQ(node.pinning(0).bytes(), 5 * kSmall);
  EXPECT_GT(node.pinning(0).oldest_ms(), 0U);
  ::kill(holder_, SIGCONT);
}

}  // namespace
}  // namespace forebay
