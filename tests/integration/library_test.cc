// The client library's C ABI (include/forebay/forebay.h) as a program sees it, against a cell of this process.
#include <condition_variable>
#include <forebay/forebay.h>
#include <poll.h>
#include <set>

#include "cell_fixture.h"

namespace forebay {
namespace {

struct Failure : forebay_error {
  Failure() : forebay_error{} { size = sizeof(forebay_error); }
};

forebay_call callWith(forebay_queue* queue, std::uint32_t timeout_ms = 0) {
  forebay_call call = {};
  call.size = sizeof call;
  call.queue = queue;
  call.timeout_ms = timeout_ms;
  return call;
}

forebay_range rangeOf(forebay_object* object, const char* name, std::uint64_t offset, std::uint64_t length) {
  forebay_range range = {};
  range.size = sizeof range;
  range.object = object;
  range.name = name;
  range.offset = offset;
  range.length = length;
  return range;
}

// Ranges that own their memory: each has its bytes in one piece.
struct Ranges {
  std::deque<std::string> names;
  std::deque<std::string> bytes;
  std::deque<forebay_piece> pieces;
  std::vector<forebay_range> all;

  void add(std::string name, std::uint64_t length) {
    forebay_range range = rangeOf(nullptr, names.emplace_back(std::move(name)).c_str(), 0, UINT64_MAX);
    std::string& room = bytes.emplace_back(length, '?');
    range.pieces = &pieces.emplace_back(forebay_piece{room.data(), room.size()});
    range.piece_count = 1;
    all.push_back(range);
  }
};

class LibraryTest : public CellTest {
 protected:
  void TearDown() override {
    for (forebay_object* object : objects) forebay_close(object);
    forebay_disconnect(library);
    EXPECT_EQ(forebay_queue_free(queue), FOREBAY_OK);
    CellTest::TearDown();
  }
  void connect(std::size_t node = 0) {
    forebay_options options = {};
    options.size = sizeof options;
    const std::string address = "unix:" + nodes[node].socket;
    options.node = address.c_str();
    ASSERT_EQ(forebay_connect(&options, &library, &error), FOREBAY_OK) << error.message;
    ASSERT_EQ(forebay_queue_new(64, &queue, &error), FOREBAY_OK);
  }
  forebay_object* open(const char* name) {
    forebay_object* object = nullptr;
    EXPECT_EQ(forebay_open(library, name, 0, &object, nullptr, &error), FOREBAY_OK) << error.message;
    if (object != nullptr) objects.push_back(object);
    return object;
  }
  forebay_completion next() {
    forebay_completion completion = {};
    completion.size = sizeof completion;
    while (forebay_drain(queue, &completion, 1) == 0) {
      pollfd wake{.fd = forebay_queue_fd(queue), .events = POLLIN, .revents = 0};
      EXPECT_EQ(poll(&wake, 1, 60'000), 1) << "nothing was told";
      if (wake.revents == 0) break;
    }
    return completion;
  }
  forebay_code readBatch(std::vector<forebay_range>& ranges) {
    return forebay_read_batch(library, ranges.data(), ranges.size(), nullptr, &error);
  }

  Failure error;
  forebay_client* library = nullptr;
  forebay_queue* queue = nullptr;
  std::vector<forebay_object*> objects;
};

TEST_F(LibraryTest, aReadIsAsPreadSaysAtTheEndAndBeyond) {
  const std::string text = randomText(2'500'000, 1);
  write("f", text);
  write("empty", "");
  startCell(1, "chunk_size = \"1MiB\"\n");
  connect();
  forebay_object* const f = open("d/f");
  ASSERT_EQ(forebay_object_bytes(f), text.size());
  std::string buffer(text.size() + 100, '?');
  std::uint64_t got = 7;
  ASSERT_EQ(forebay_read(f, 0, buffer.data(), buffer.size(), &got, nullptr, &error), FOREBAY_OK) << error.message;
  EXPECT_EQ(got, text.size());
  EXPECT_TRUE(buffer == text + std::string(100, '?'));
  ASSERT_EQ(forebay_read(f, text.size(), buffer.data(), 10, &got, nullptr, &error), FOREBAY_OK);
  EXPECT_EQ(got, 0U);
  got = 7;
  ASSERT_EQ(forebay_read(f, 5, nullptr, 0, &got, nullptr, &error), FOREBAY_OK);
  EXPECT_EQ(got, 0U);
  forebay_object* const empty = open("d/empty");
  EXPECT_EQ(forebay_object_bytes(empty), 0U);
  got = 7;
  ASSERT_EQ(forebay_read(empty, 0, buffer.data(), 10, &got, nullptr, &error), FOREBAY_OK) << error.message;
  EXPECT_EQ(got, 0U);
}

// A thread that waits does the I/O thread's work meanwhile, but never runs what others gave a callback for.
TEST_F(LibraryTest, callbacksRunOnTheClientsThreadWhileOthersWait) {
  write("f", "some bytes");
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  struct Told {
    std::atomic<int> count = 0, elsewhere = 0;
    std::mutex mutex;
    std::set<std::thread::id> threads;
  } told;
  std::atomic<bool> over = false;
  std::vector<std::thread> waiting;
  for (int t = 0; t < 2; ++t) {
    waiting.emplace_back([&] {
      char bytes[10];
      std::uint64_t got = 0;
      while (!over) EXPECT_EQ(forebay_read(f, 0, bytes, 10, &got, nullptr, nullptr), FOREBAY_OK);
    });
  }
  constexpr int kCalls = 2'000;
  char bytes[10];
  std::uint64_t got = 0;
  for (int i = 0; i < kCalls; ++i) {
    forebay_call call = callWith(nullptr, 60'000);
    call.user = &told;
    call.callback = [](const forebay_completion* completion) {
      auto& to = *static_cast<Told*>(completion->user);
      if (completion->code != FOREBAY_OK) ++to.elsewhere;
      const std::lock_guard lock(to.mutex);
      to.threads.insert(std::this_thread::get_id());
      ++to.count;
    };
    ASSERT_EQ(forebay_read(f, 0, bytes, 10, &got, &call, &error), FOREBAY_OK) << error.message;
    while (told.count <= i) std::this_thread::yield();
  }
  over = true;
  std::set<std::thread::id> ours = {std::this_thread::get_id()};
  for (std::thread& thread : waiting) ours.insert(thread.get_id());
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(told.elsewhere, 0);
  ASSERT_EQ(told.threads.size(), 1U) << "the client's I/O thread";
  EXPECT_FALSE(ours.contains(*told.threads.begin()));
}

TEST_F(LibraryTest, aFailingNameHarmsNoOther) {
  write("a", "alpha");
  write("empty", "");
  startCell(2);
  connect();
  const std::string too_long = "d/" + std::string(1'025, 'x');
  Ranges ranges;
  for (const char* name : {"d/a", "d/none", "nomount/a", "d/a\xff", "d/empty", "d"}) ranges.add(name, 5);
  ranges.add(too_long, 5);
  ranges.add("d/a", 3);  // too little room
  ranges.add("d/a", 5);
  EXPECT_EQ(readBatch(ranges.all), FOREBAY_NOT_FOUND) << error.message;
  const std::vector<forebay_code> expected = {
      FOREBAY_OK,        FOREBAY_NOT_FOUND, FOREBAY_NOT_FOUND,        FOREBAY_NOT_FOUND, FOREBAY_OK,
      FOREBAY_NOT_FOUND, FOREBAY_NOT_FOUND, FOREBAY_INVALID_ARGUMENT, FOREBAY_OK};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(ranges.all[i].code, expected[i]) << i;
  EXPECT_EQ(ranges.bytes.front(), "alpha");
  EXPECT_EQ(ranges.bytes.back(), "alpha");

  const char* names[] = {"d/a", "d/none", too_long.c_str(), "d/empty"};
  forebay_attributes attributes[4] = {};
  attributes[0].size = sizeof attributes[0];
  EXPECT_EQ(forebay_stat(library, names, 4, attributes, nullptr, &error), FOREBAY_NOT_FOUND);
  EXPECT_EQ(attributes[0].bytes, 5U);
  EXPECT_EQ(attributes[1].code, FOREBAY_NOT_FOUND);
  EXPECT_EQ(attributes[2].code, FOREBAY_NOT_FOUND);
  EXPECT_EQ(attributes[3].code, FOREBAY_OK);
}

TEST_F(LibraryTest, aRangeIsScatteredOverItsPieces) {
  const std::string text = randomText(2'100'000, 2);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  connect();
  std::string head(1, '?'), middle(1'500'000, '?'), tail(700'000, '?');
  const forebay_piece pieces[] = {
      {head.data(), 1}, {nullptr, 0}, {middle.data(), middle.size()}, {tail.data(), tail.size()}};
  std::vector<forebay_range> ranges = {rangeOf(open("d/f"), nullptr, 1'000, UINT64_MAX)};
  ranges[0].pieces = pieces;
  ranges[0].piece_count = 4;
  ASSERT_EQ(readBatch(ranges), FOREBAY_OK) << error.message;
  ASSERT_EQ(ranges[0].got, text.size() - 1'000);
  EXPECT_TRUE((head + middle + tail).substr(0, ranges[0].got) == text.substr(1'000));
}

TEST_F(LibraryTest, aBatchOfThousandsOfRangesIsReadWhole) {
  const std::string text = randomText(1'000'000, 3);
  write("f", text);
  startCell(3);
  connect();
  forebay_object* const f = open("d/f");
  constexpr std::size_t kRanges = 9'000;  // more groups than are open at a time
  std::vector<std::string> room(kRanges, std::string(100, '?'));
  std::vector<forebay_piece> pieces(kRanges);
  std::vector<forebay_range> ranges;
  for (std::size_t i = 0; i < kRanges; ++i) {
    pieces[i] = {room[i].data(), 100};
    ranges.push_back(rangeOf(f, nullptr, i * 107, 100));
    ranges[i].pieces = &pieces[i];
    ranges[i].piece_count = 1;
  }
  ASSERT_EQ(readBatch(ranges), FOREBAY_OK) << error.message;
  for (std::size_t i = 0; i < kRanges; ++i) ASSERT_EQ(room[i], text.substr(i * 107, 100)) << i;
}

// Three components of 250 bytes and one of 271: with versions and plans a thousand of them fill more than one body.
TEST_F(LibraryTest, namesOfTheGreatestLengthAreSplitByTheirBytes) {
  const std::string deep = std::string(250, 'a') + "/" + std::string(250, 'b') + "/" + std::string(250, 'c') + "/" +
                           std::string(250, 'd') + "/";
  startCell(1);
  connect();
  Ranges ranges;
  for (int i = 0; i < 1'200; ++i) {
    std::string name = deep + std::to_string(10'000 + i);
    name.resize(1'024, 'e');
    if (i < 300) write(name, "text " + std::to_string(i));
    ranges.add("d/" + name, 10);
  }
  EXPECT_EQ(readBatch(ranges.all), FOREBAY_NOT_FOUND) << error.message;
  for (std::size_t i = 0; i < 1'200; ++i) {
    ASSERT_EQ(ranges.all[i].code, i < 300 ? FOREBAY_OK : FOREBAY_NOT_FOUND) << i;
    if (i < 300) ASSERT_EQ(ranges.bytes[i].substr(0, ranges.all[i].got), "text " + std::to_string(i));
  }
}

TEST_F(LibraryTest, aDirectoryIsListedPageByPageAndForeignCursorsAreRefused) {
  std::string expected;
  for (int i = 100; i < 130; ++i) {
    write("many/" + std::to_string(i), "text");
    expected += std::to_string(i) + " ";
  }
  startCell(2);
  connect();
  std::string seen, cursor;
  do {
    forebay_page* page = nullptr;
    ASSERT_EQ(forebay_list(library, "d/many", cursor.c_str(), 7, &page, nullptr, &error), FOREBAY_OK) << error.message;
    for (std::size_t i = 0; i < forebay_page_count(page); ++i) {
      forebay_entry entry = {};
      entry.size = sizeof entry;
      ASSERT_EQ(forebay_page_entry(page, i, &entry), FOREBAY_OK);
      seen += std::string(entry.name) + " ";
    }
    cursor = forebay_page_cursor(page);
    forebay_page_free(page);
  } while (!cursor.empty());
  EXPECT_EQ(seen, expected);
  forebay_page* page = nullptr;
  for (const char* foreign : {"x", "0", "zz", "-1", "ff", "0g"})
    EXPECT_EQ(forebay_list(library, "d/many", foreign, 7, &page, nullptr, &error), FOREBAY_INVALID_ARGUMENT) << foreign;
}

TEST_F(LibraryTest, whatIsPrefetchedIsntFetchedAgain) {
  const std::string text = randomText(5'000'000, 4);
  write("f", text);
  startCell(2, "chunk_size = \"1MiB\"\n");
  connect();
  std::vector<forebay_range> ranges = {rangeOf(nullptr, "d/f", 0, UINT64_MAX)};
  forebay_call call = callWith(queue);
  ASSERT_EQ(forebay_prefetch(library, ranges.data(), 1, &call, &error), FOREBAY_OK);
  const forebay_completion told = next();
  ASSERT_EQ(told.code, FOREBAY_OK) << told.message;
  EXPECT_EQ(told.id, call.id);
  EXPECT_EQ(ranges[0].got, text.size());
  const auto before = cellStatus().origin_gets();
  std::string buffer(text.size(), '?');
  std::uint64_t got = 0;
  ASSERT_EQ(forebay_read(open("d/f"), 0, buffer.data(), buffer.size(), &got, nullptr, &error), FOREBAY_OK);
  EXPECT_TRUE(buffer == text);
  EXPECT_EQ(cellStatus().origin_gets(), before);
}

TEST_F(LibraryTest, theFirstBytesOfAnUnknownNameCostOneRequest) {
  const std::string text = randomText(262'144, 11);
  write("f", text);
  startCell(1);
  connect();
  Ranges ranges;
  ranges.add("d/f", 4'096);
  ranges.all[0].length = 4'096;
  ASSERT_EQ(readBatch(ranges.all), FOREBAY_OK) << error.message;
  EXPECT_TRUE(ranges.bytes[0] == text.substr(0, 4'096));
  EXPECT_EQ(cellStatus().origin_heads(), 0U);
  EXPECT_EQ(cellStatus().origin_gets(), 1U);
  EXPECT_EQ(cellStatus().origin_bytes(), text.size());
}

TEST_F(LibraryTest, aFullQueueIsBusyAndTellsEachCallOnce) {
  write("f", "text");
  startCell(1);
  connect();
  forebay_queue* small = nullptr;
  ASSERT_EQ(forebay_queue_new(2, &small, &error), FOREBAY_OK);
  forebay_object* const f = open("d/f");
  char room[3][4];
  std::uint64_t got[3] = {};
  forebay_call call = callWith(small);
  std::vector<std::uint64_t> ids, told;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(forebay_read(f, 0, room[i], 4, &got[i], &call, &error), FOREBAY_OK) << error.message;
    ids.push_back(call.id);
  }
  EXPECT_EQ(forebay_read(f, 0, room[2], 4, &got[2], &call, &error), FOREBAY_BUSY);
  forebay_completion completions[3] = {};
  completions[0].size = sizeof completions[0];
  while (told.size() < 2) {
    const std::size_t n = forebay_drain(small, completions, 3);
    for (std::size_t i = 0; i < n; ++i) told.push_back(completions[i].id);
    std::this_thread::yield();
  }
  EXPECT_EQ(told, ids);
  EXPECT_EQ(forebay_read(f, 0, room[2], 4, &got[2], &call, &error), FOREBAY_OK);
  while (forebay_drain(small, completions, 3) == 0) std::this_thread::yield();
  EXPECT_EQ(forebay_queue_free(small), FOREBAY_OK);
}

// With its node away a call waits for it: so cancel, deadline and disconnect meet calls that are surely open.
TEST_F(LibraryTest, aCancelledCallIsToldOnceAndItsMemoryLeftAlone) {
  const std::string text = randomText(3'000'000, 5);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  connect();
  forebay_object* const f = open("d/f");
  stopNode(0);
  for (int i = 0; i < 20; ++i) {
    std::vector<forebay_range> ranges;
    auto room = std::make_unique<std::string>(text.size(), '?');
    const forebay_piece piece{room->data(), room->size()};
    for (int r = 0; r < 600; ++r)
      ranges.push_back(rangeOf(r % 2 == 0 ? f : nullptr, r % 2 == 0 ? nullptr : "d/f", 0, 1));
    for (auto& range : ranges) {
      range.pieces = &piece;
      range.piece_count = 1;
    }
    forebay_call call = callWith(queue);
    ASSERT_EQ(forebay_read_batch(library, ranges.data(), ranges.size(), &call, &error), FOREBAY_OK);
    forebay_cancel(library, call.id);
    forebay_cancel(library, call.id);
    const forebay_completion told = next();
    EXPECT_EQ(told.id, call.id);
    EXPECT_EQ(told.code, FOREBAY_CANCELLED) << told.message;
    room.reset();  // the sanitizers see who still writes
  }
  forebay_cancel(library, 1ULL << 60);  // of nobody
}

TEST_F(LibraryTest, callsThatAreCancelledWhileBytesArriveEndEitherWay) {
  const std::string text = randomText(20'000'000, 6);
  write("f", text);
  startCell(2, "chunk_size = \"1MiB\"\n");
  connect();
  forebay_object* const f = open("d/f");
  Random random(7);
  for (int i = 0; i < 60; ++i) {
    auto room = std::make_unique<std::string>(text.size(), '?');
    std::uint64_t got = 0;
    forebay_call call = callWith(queue);
    ASSERT_EQ(forebay_read(f, 0, room->data(), room->size(), &got, &call, &error), FOREBAY_OK);
    for (std::uint64_t n = random.below(20'000); n > 0; --n) std::this_thread::yield();
    forebay_cancel(library, call.id);
    const forebay_completion told = next();
    if (told.code == FOREBAY_OK) {
      EXPECT_TRUE(got == text.size() && *room == text);
    } else {
      EXPECT_EQ(told.code, FOREBAY_CANCELLED) << told.message;
    }
  }
}

TEST_F(LibraryTest, aCallWhoseNodeStaysAwayEndsByItsDeadline) {
  write("f", "text");
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  stopNode(0);
  char room[4];
  std::uint64_t got = 0;
  forebay_call waits = callWith(nullptr, 200);
  const TimePoint start = io::Reactor::now();
  const forebay_code code = forebay_read(f, 0, room, 4, &got, &waits, &error);
  EXPECT_TRUE(code == FOREBAY_UNAVAILABLE || code == FOREBAY_DEADLINE_EXCEEDED) << error.message;
  EXPECT_LT(io::Reactor::now() - start, 20s);
}

TEST_F(LibraryTest, aNodeThatGoesAwayAndComesBackIsAPause) {
  const std::string text = randomText(4'000'000, 8);
  write("f", text);
  startCell(1, "chunk_size = \"1MiB\"\n");
  connect();
  forebay_object* const f = open("d/f");
  for (int round = 0; round < 3; ++round) {
    stopNode(0);
    std::string room(text.size(), '?');
    std::uint64_t got = 0;
    forebay_call call = callWith(queue);
    ASSERT_EQ(forebay_read(f, 0, room.data(), room.size(), &got, &call, &error), FOREBAY_OK);
    startNode(0);
    const forebay_completion told = next();
    ASSERT_EQ(told.code, FOREBAY_OK) << told.message;
    EXPECT_TRUE(room == text);
  }
}

TEST_F(LibraryTest, disconnectingEndsOpenCallsAndLeavesHandlesToBeClosed) {
  write("f", "text");
  startCell(1);
  connect();
  forebay_object* const f = open("d/f");
  stopNode(0);
  char room[16][4];
  std::uint64_t got[16] = {};
  forebay_call call = callWith(queue);
  for (int i = 0; i < 16; ++i)
    ASSERT_EQ(forebay_read(f, 0, room[i], 4, &got[i], &call, &error), FOREBAY_OK) << error.message;
  std::vector<forebay_range> ranges(700, rangeOf(nullptr, "d/f", 0, 0));
  ASSERT_EQ(forebay_read_batch(library, ranges.data(), ranges.size(), &call, &error), FOREBAY_OK);
  EXPECT_EQ(forebay_queue_free(queue), FOREBAY_BUSY);
  EXPECT_EQ(forebay_disconnect(std::exchange(library, nullptr)), FOREBAY_OK);
  forebay_completion completions[20] = {};
  completions[0].size = sizeof completions[0];
  ASSERT_EQ(forebay_drain(queue, completions, 20), 17U);
  for (int i = 0; i < 17; ++i) EXPECT_EQ(completions[i].code, FOREBAY_CANCELLED) << completions[i].message;
  EXPECT_EQ(forebay_read(f, 0, room[0], 4, &got[0], nullptr, &error), FOREBAY_CANCELLED);
}

TEST_F(LibraryTest, aCallbackMayAskButNotWait) {
  write("f", "text");
  startCell(1);
  connect();
  struct Seen {
    std::mutex mutex;
    std::condition_variable told;
    forebay_client* library;
    forebay_object* object = nullptr;
    forebay_object* second = nullptr;
    forebay_code waited = FOREBAY_OK, disconnected = FOREBAY_OK, asked = FOREBAY_INTERNAL;
    int calls = 0;
    static void opened(const forebay_completion* completion) {
      Seen& seen = *static_cast<Seen*>(completion->user);
      const std::lock_guard lock(seen.mutex);
      if (++seen.calls == 1) {
        seen.waited = forebay_open(seen.library, "d/f", 0, &seen.second, nullptr, nullptr);
        seen.disconnected = forebay_disconnect(seen.library);
        forebay_call call = callWith(nullptr);
        call.callback = opened;
        call.user = &seen;
        seen.asked = forebay_open(seen.library, "d/f", FOREBAY_REVALIDATE, &seen.second, &call, nullptr);
      }
      seen.told.notify_one();
    }
  } seen;
  seen.library = library;
  forebay_call call = callWith(nullptr);
  call.callback = Seen::opened;
  call.user = &seen;
  ASSERT_EQ(forebay_open(library, "d/f", 0, &seen.object, &call, &error), FOREBAY_OK);
  std::unique_lock lock(seen.mutex);
  seen.told.wait(lock, [&] { return seen.calls == 2; });
  EXPECT_EQ(seen.waited, FOREBAY_INVALID_ARGUMENT);
  EXPECT_EQ(seen.disconnected, FOREBAY_INVALID_ARGUMENT);
  EXPECT_EQ(seen.asked, FOREBAY_OK);
  objects = {seen.object, seen.second};
}

TEST_F(LibraryTest, anOpenVersionThatLeftTheOriginIsGoneAndOthersGoOn) {
  const std::string before = randomText(3'000'000, 9), other = randomText(3'000'000, 10);
  write("f", before);
  write("other", other);
  startCell(2, "consistency = \"open\"\nchunk_size = \"1MiB\"\n");
  connect();
  forebay_object* const f = open("d/f");
  write("f", randomText(4'000'000, 11));
  std::string first(before.size(), '?'), second(other.size(), '?');
  const forebay_piece pieces[] = {{first.data(), first.size()}, {second.data(), second.size()}};
  std::vector<forebay_range> ranges = {rangeOf(f, nullptr, 0, UINT64_MAX), rangeOf(nullptr, "d/other", 0, UINT64_MAX)};
  for (std::size_t i = 0; i < 2; ++i) {
    ranges[i].pieces = &pieces[i];
    ranges[i].piece_count = 1;
  }
  EXPECT_EQ(readBatch(ranges), FOREBAY_GONE) << error.message;
  EXPECT_EQ(ranges[0].code, FOREBAY_GONE);
  EXPECT_EQ(ranges[1].code, FOREBAY_OK);
  EXPECT_TRUE(second == other);
}

}  // namespace
}  // namespace forebay
