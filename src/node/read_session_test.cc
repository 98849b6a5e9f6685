// Ranges as a client or a peer reads them: a real Server and Channel around ReadSession, ChunkService and an arena.
#include "node/read_session.h"

#include "base/checksum.h"
#include "io/server.h"
#include "node/node_fixture.h"
#include "reader/channel.h"

namespace forebay::node {
namespace {

using wire::ReadOutcome;

// Hears about one read of one object.
struct Reader : reader::ReadObserver {
  void room(std::uint16_t, std::uint32_t offset, std::uint32_t length, io::BulkTarget& target) override {
    target.add(MutableBytes(memory).subspan(offset, length));
  }
  void arrived(std::uint16_t, const wire::ReadDataView& view) override { bytes += view.head().length; }
  void filling(std::uint16_t) override { ++fillings; }
  void finished(std::uint16_t item, const reader::ItemResult& result) override {
    outcomes[item] = result.outcome;
    errors[item] = result.error.text();
  }
  void done(Status said) override {
    status = std::move(said);
    over = true;
  }
  std::string text(std::size_t offset, std::size_t length) const {
    return std::string(textOf(Bytes(memory).subspan(offset, length)));
  }

  std::vector<std::byte> memory = std::vector<std::byte>(kMiB);  // of one chunk
  std::uint64_t bytes = 0;
  int fillings = 0;
  std::map<int, ReadOutcome> outcomes;
  std::map<int, std::string> errors;
  Status status;
  bool over = false;
};

class ReadSessionTest : public NodeFixture, public io::RequestHandler {
 protected:
  explicit ReadSessionTest(std::size_t members = 1, std::uint64_t arena_bytes = kArena)
      : NodeFixture(members, arena_bytes) {}
  void SetUp() override { connect({.name = "client"}); }
  void takeDown() override {
    channel.reset();
    server.reset();
  }
  void connect(const io::Introduction& as) {
    loop.in([&] {
      channel.reset();
      io::ServerOptions options;
      options.connection.self = {.name = "n0", .peer = true, .node_id = self, .map_version = [] { return 1; }};
      server = std::make_unique<io::Server>(loop.reactor(), options, *this);
      const auto address = *server->listen(*io::Address::parse("127.0.0.1:0"));
      reader::ChannelOptions to;
      to.connection.self = as;
      channel = std::make_unique<reader::Channel>(loop.reactor(), address, to);
    });
  }
  void request(const io::Request&, Bytes, io::Reply) override {}
  void read(const io::Request& request, const wire::ReadView& read, io::Reply reply) override {
    sessions.serve({loop.reactor(), mounts, *arena, *chunks, plans, {}}, request, read, std::move(reply));
  }

  static wire::ReadItem item(std::uint32_t chunk, std::uint32_t offset, std::uint32_t length, std::uint16_t flags = 0) {
    return {.object = 0, .flags = flags, .range = {.chunk = chunk, .offset = offset, .length = length}};
  }
  reader::RequestId start(Reader& reader, const core::Plan& plan, std::vector<wire::ReadItem> items) {
    const wire::ReadObject object = wire::ReadObject::of(plan);
    return channel->read({.objects = {&object, 1}, .items = items, .map_version = 1}, reader, io::Reactor::now() + 30s);
  }
  void ask(Reader& reader, const core::Plan& plan, std::vector<wire::ReadItem> items) {
    loop.in([&] { start(reader, plan, std::move(items)); });
    ASSERT_TRUE(loop.until([&] { return reader.over; }));
    EXPECT_TRUE(reader.status) << reader.status.error().text();
  }
  SharedPlan write(const std::string& path, const std::string& content) {
    return loop.in([&] {
      origin->objects[path] = {content};
      return planOf(path);
    });
  }
  std::uint64_t hits() const { return mount->metrics->hits.value(); }

  CheckedPlans plans;
  ReadSessions sessions;
  std::unique_ptr<io::Server> server;
  std::unique_ptr<reader::Channel> channel;
};

TEST_F(ReadSessionTest, rangesOfEveryAlignmentAreTheOriginsBytes) {
  const std::string text = randomText(2 * kMiB + 300'001, 1);
  const auto plan = write("f", text);
  Random random(2);
  for (int i = 0; i < 60; ++i) {
    const auto chunk = static_cast<std::uint32_t>(random.below(3));
    const std::uint32_t size = plan->chunkLength(chunk);
    const auto offset = static_cast<std::uint32_t>(random.below(size));
    const auto length = static_cast<std::uint32_t>(1 + random.below(size - offset));
    Reader reader;
    ask(reader, *plan, {item(chunk, offset, length)});
    ASSERT_EQ(reader.outcomes[0], ReadOutcome::Ok) << reader.errors[0];
    ASSERT_TRUE(reader.text(offset, length) == text.substr(chunk * kMiB + offset, length)) << chunk << " " << offset;
  }
  EXPECT_EQ(origin->bytes, text.size());  // each byte once
}

TEST_F(ReadSessionTest, aSmallReadCostsARunNotAChunk) {
  loop.in([&] { mount->chunk_bits = 23; });
  const auto plan = write("f", randomText(8 * kMiB, 1));
  Reader reader;
  ask(reader, *plan, {item(0, 300'000, 4'096)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Ok);
  EXPECT_EQ(origin->bytes, core::kRun);
}

TEST_F(ReadSessionTest, manyReadersOfAMissingRangeCostOneFill) {
  const std::string text = randomText(kMiB, 1);
  const auto plan = write("f", text);
  std::vector<Reader> readers(8);
  loop.in([&] {
    for (Reader& reader : readers) start(reader, *plan, {item(0, 0, kMiB)});
  });
  for (Reader& reader : readers) {
    ASSERT_TRUE(loop.until([&] { return reader.over; }));
    EXPECT_TRUE(reader.text(0, kMiB) == text);
  }
  EXPECT_EQ(origin->gets, 1);
  EXPECT_EQ(origin->bytes, kMiB);
}

TEST_F(ReadSessionTest, aBatchsItemsEndEachInItsWay) {
  const auto plan = write("f", randomText(2 * kMiB, 1));
  Reader warm;
  ask(warm, *plan, {item(0, 0, 1'000)});
  Reader reader;
  ask(reader, *plan, {item(0, 10, 100), item(1, 0, 1'000, wire::kNoFill), item(1, 500'000, 1'000)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Ok);
  EXPECT_EQ(reader.outcomes[1], ReadOutcome::Miss);
  EXPECT_EQ(reader.outcomes[2], ReadOutcome::Ok);
  EXPECT_EQ(hits(), 1U);
}

TEST_F(ReadSessionTest, warmingBringsTheBytesInAndSendsNone) {
  const auto plan = write("f", randomText(kMiB, 1));
  Reader reader;
  ask(reader, *plan, {item(0, 0, kMiB, wire::kNoBytes)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Ok);
  EXPECT_EQ(reader.bytes, 0U);
  EXPECT_EQ(loop.in([&] { return arena->present(plan->key, 0).count(); }), 4U);
}

TEST_F(ReadSessionTest, aVersionThatLeftTheOriginIsGone) {
  const auto plan = write("f", "one");
  loop.in([&] { origin->objects["f"] = {"three", "v2"}; });
  Reader reader;
  ask(reader, *plan, {item(0, 0, 3)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Gone);
}

TEST_F(ReadSessionTest, anOriginsErrorReachesTheReaderAndTheNextReadTriesAgain) {
  const auto plan = write("f", "text");
  loop.in([&] { origin->down = Error{Code::Unavailable, "the origin is down", 0}; });
  Reader reader;
  ask(reader, *plan, {item(0, 0, 4)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Error);
  EXPECT_EQ(reader.errors[0], "Unavailable: the origin is down");
  loop.in([&] { origin->down.reset(); });
  Reader again;
  ask(again, *plan, {item(0, 0, 4)});
  EXPECT_EQ(again.text(0, 4), "text");
}

TEST_F(ReadSessionTest, aPlanThatThisMountDidntMakeIsRefused) {
  core::Plan plan = *write("f", "text");
  plan.size = 5;
  Reader forged;
  ask(forged, plan, {item(0, 0, 5)});
  EXPECT_EQ(forged.outcomes[0], ReadOutcome::Error);
  EXPECT_THAT(forged.errors[0], testing::HasSubstr("PermissionDenied"));
  EXPECT_EQ(origin->gets, 0);
  EXPECT_EQ(plans.size(), 0U);
}

TEST_F(ReadSessionTest, aPlanIsCheckedOnceAndOneThatOnlyHasItsKeyIsNotTakenForIt) {
  core::Plan plan = *write("f", "text");
  for (int i = 0; i < 3; ++i) {
    Reader reader;
    ask(reader, plan, {item(0, 0, 4)});
    EXPECT_EQ(reader.outcomes[0], ReadOutcome::Ok);
  }
  EXPECT_EQ(plans.size(), 1U);
  plan.path = "another";
  Reader forged;
  ask(forged, plan, {item(0, 0, 4)});
  EXPECT_THAT(forged.errors[0], testing::HasSubstr("PermissionDenied"));
}

TEST_F(ReadSessionTest, checkedPlansAreBounded) {
  loop.in([&] {
    for (std::size_t i = 0; i < CheckedPlans::kMost + 100; ++i) {
      const core::Plan plan = mount->plan("f" + std::to_string(i), {4, "v1", 0});
      EXPECT_NE(plans.check(wire::ReadObject::of(plan), mounts).plan, nullptr);
    }
    EXPECT_EQ(plans.size(), CheckedPlans::kMost);
  });
}

TEST_F(ReadSessionTest, aReaderThatLeavesWhileItWaitsLeavesNothingBehind) {
  const auto plan = write("f", randomText(kMiB, 1));
  Reader reader;
  loop.in([&] { origin->hold(); });
  const auto id = loop.in([&] { return start(reader, *plan, {item(0, 0, kMiB)}); });
  ASSERT_TRUE(loop.until([&] { return origin->held() == 1; }));
  EXPECT_EQ(loop.in([&] { return cell->waiters(); }), 1U);
  loop.in([&] { channel->cancel(id); });
  ASSERT_TRUE(loop.until([&] { return cell->waiters() == 0; }));
  EXPECT_FALSE(reader.over);
  loop.in([&] { origin->letGo(); });  // paid for: it is kept
  ASSERT_TRUE(loop.until([&] { return arena->present(plan->key, 0).count() == 4; }));
}

TEST_F(ReadSessionTest, theNodeMayEndWhileReadersWait) {
  const auto plan = write("f", randomText(kMiB, 1));
  Reader reader;
  loop.in([&] {
    origin->hold();
    start(reader, *plan, {item(0, 0, kMiB)});
  });
  ASSERT_TRUE(loop.until([&] { return origin->held() == 1; }));
}  // the fixture takes everything down in the node's order

TEST_F(ReadSessionTest, runsThatCameByAnotherWayAreNotFetchedAgain) {
  const std::string text = randomText(kMiB, 1);
  const auto plan = write("f", text);
  struct Quiet : Waiter {
    void ready(std::uint32_t to) override { upto = to; }
    void refused(core::Refusal, const Error& why) override { error = why.text(); }
    std::uint32_t upto = 0;
    std::string error;
  } waiter;
  loop.in([&] {
    chunks->want(plan, {0, 0, kMiB}, {.must_answer = true}, waiter);  // none of it is here at this moment
    auto place = arena->reserve(io::Reactor::now(), *plan, {.chunk = 0, .runs = {0, 2}});
    ASSERT_TRUE(place);
    const std::vector<std::uint32_t> crcs(8);
    place->commit(crcs);
  });
  ASSERT_TRUE(loop.until([&] { return waiter.upto == kMiB || !waiter.error.empty(); }));
  EXPECT_EQ(waiter.error, "");
  EXPECT_EQ(origin->bytes, kMiB / 2);
}

TEST_F(ReadSessionTest, withoutRoomReadersWaitUntilSomebodyLetsGo) {
  const std::string text = randomText(kMiB, 1);
  const auto plan = write("f", text);
  const auto other = write("other", randomText(40 * kMiB, 2));
  std::vector<store::Reservation> taken;
  loop.in([&] {
    for (std::uint32_t chunk = 0;; ++chunk) {
      auto place = arena->reserve(io::Reactor::now(), *other, {.chunk = chunk, .runs = {0, 4}});
      if (!place) break;
      taken.push_back(std::move(*place));
    }
  });
  Reader reader;
  loop.in([&] { start(reader, *plan, {item(0, 0, kMiB)}); });
  ASSERT_TRUE(loop.until([&] { return arena->stats().refused >= 3; }));  // tried, and tried again
  EXPECT_EQ(origin->gets, 0);
  loop.in([&] { taken.clear(); });
  ASSERT_TRUE(loop.until([&] { return reader.over; }));
  EXPECT_TRUE(reader.text(0, kMiB) == text);
}

// ---- a peer asks a node of a cell

class PeerReadTest : public ReadSessionTest {
 protected:
  PeerReadTest() : ReadSessionTest(2) {}
  void SetUp() override {
    connect({.name = "n1", .peer = true, .node_id = core::nodeIdOf("n1"), .map_version = [] { return 1; }});
  }
  SharedPlan ownedBy(bool by_this_node, const std::string& content = "text") {
    for (int i = 0;; ++i) {
      const auto plan = write("f" + std::to_string(i), content);
      if ((cell->map().owners(plan->first_slot).primary() == self) == by_this_node) return plan;
    }
  }
};

TEST_F(PeerReadTest, isServedByAnOwner) {
  const auto plan = ownedBy(true);
  Reader reader;
  ask(reader, *plan, {item(0, 0, 4)});
  EXPECT_EQ(reader.text(0, 4), "text");
}

TEST_F(PeerReadTest, isSentOnByAnotherNodeUnlessItHasTheBytes) {
  const auto plan = ownedBy(false);
  Reader reader;
  ask(reader, *plan, {item(0, 0, 4)});
  EXPECT_EQ(reader.outcomes[0], ReadOutcome::Moved);
  EXPECT_EQ(origin->gets, 0);
  loop.in([&] {
    auto place = arena->reserve(io::Reactor::now(), *plan, {.chunk = 0, .runs = {0, 1}, .transit = true});
    ASSERT_TRUE(place);
    std::memcpy(place->roomAt(0).data(), "text", 4);
    const std::uint32_t crcs[] = {crc32c(bytesOf("text"))};
    place->commit(crcs);
  });
  Reader again;
  ask(again, *plan, {item(0, 0, 4)});
  EXPECT_EQ(again.text(0, 4), "text");
}

class DirectReadTest : public PeerReadTest {
 protected:
  void SetUp() override { connect({.name = "client", .direct = true}); }
};

TEST_F(DirectReadTest, ofAHotChunkIsSentOnOnlyIfItIsMoreThanAGranule) {
  const std::string text = randomText(std::size_t{2} * core::kGranule, 5);
  const SharedPlan plan = ownedBy(true, text);
  const auto outcome = [&](std::uint32_t length) {
    Reader reader;
    ask(reader, *plan, {item(0, 0, length)});
    if (reader.outcomes[0] == ReadOutcome::Ok) EXPECT_TRUE(reader.text(0, length) == text.substr(0, length));
    return reader.outcomes[0];
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(outcome(2 * core::kGranule), ReadOutcome::Ok);
  loop.in(
      [&] { cell->step(io::Reactor::now(), core::Copied{core::chunkId(plan->key, 0), core::nodeIdOf("n1"), true}); });
  EXPECT_EQ(outcome(core::kGranule), ReadOutcome::Ok);
  EXPECT_EQ(outcome(4'096), ReadOutcome::Ok);
  EXPECT_EQ(outcome(core::kGranule + 1), ReadOutcome::Ask) << "the other one has it too";
}

TEST_F(PeerReadTest, hearsThatBytesAreOnTheirWayFromASlowOrigin) {
  const auto plan = ownedBy(true);
  Reader reader;
  loop.in([&] {
    origin->hold();
    start(reader, *plan, {item(0, 0, 4)});
  });
  ASSERT_TRUE(loop.until([&] { return reader.fillings >= 2; }));
  loop.in([&] { origin->letGo(); });
  ASSERT_TRUE(loop.until([&] { return reader.over; }));
  EXPECT_EQ(reader.text(0, 4), "text");
}

}  // namespace
}  // namespace forebay::node
