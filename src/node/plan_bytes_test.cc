#include "node/plan_bytes.h"

#include "base/checksum.h"
#include "node/node_fixture.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

using testing::Each;

class PlanBytesTest : public NodeFixture {
 protected:
  using NodeFixture::NodeFixture;

  static std::vector<std::uint32_t> crcsOf(std::string_view content) {
    std::vector<std::uint32_t> crcs;
    for (std::size_t at = 0; at < content.size(); at += core::kGranule)
      crcs.push_back(crc32c(bytesOf(content.substr(at, core::kGranule))));
    return crcs;
  }
  // The first `runs` of an object are in the arena, or all of them.
  void hold(const std::string& path, const std::string& content, std::uint32_t runs = UINT32_MAX) {
    origin->objects[path] = {content};
    const auto plan = planOf(path);
    const std::uint32_t all = core::runsOf(0, static_cast<std::uint32_t>(content.size())).end;
    auto place = arena->reserve(io::Reactor::now(), *plan, {.chunk = 0, .runs = {0, std::min(runs, all)}});
    ASSERT_TRUE(place);
    std::uint32_t at = 0;
    for (const MutableBytes span : place->spans()) {
      std::memcpy(span.data(), content.data() + at, span.size());
      at += static_cast<std::uint32_t>(span.size());
    }
    place->commit(crcsOf(std::string_view(content).substr(0, at)));
  }
  // What the arena has of an object; nothing if that isn't all.
  std::string held(const std::string& path) {
    const auto plan = planOf(path);
    const auto view = arena->view(io::Reactor::now(), plan->key, 0, 0, static_cast<std::uint32_t>(plan->size));
    std::string text;
    if (!view) return text;
    for (const auto& piece : view->pieces()) text += textOf(piece.bytes);
    return text;
  }
};

// ---- who answers

class SendingTest : public PlanBytesTest {
 protected:
  SendingTest() : PlanBytesTest(3) {}

  std::shared_ptr<const NameAnswer> answerFor(const std::string& path) const {
    auto answer = std::make_shared<NameAnswer>();
    answer->kind = NameAnswer::Kind::Object;
    answer->plan = *planOf(path);
    return answer;
  }
  wire::pb::Resolved offered(SendingPlanBytes& bytes, const std::string& path) const {
    wire::pb::Resolved item;
    bytes.add(answerFor(path), item);
    return item;
  }
  SendingPlanBytes to(core::NodeId asker, std::uint32_t most) { return {{*arena, *chunks}, *mount, asker, most}; }
};

TEST_F(SendingTest, smallObjectsThatAreHereWholeAreSent) {
  loop.in([&] {
    const std::string large = randomText(300'000, 1);
    hold("small", "text");
    hold("large", large);
    hold("part", randomText(700'000, 2), 1);
    origin->objects["away"] = {"text"};
    origin->objects["empty"] = {""};
    auto bytes = to(core::kNoNode, 800'000);
    EXPECT_EQ(offered(bytes, "small").bytes(), 4U);
    const auto item = offered(bytes, "large");
    EXPECT_EQ(item.bytes(), large.size());
    EXPECT_EQ(std::vector<std::uint32_t>(item.crcs().begin(), item.crcs().end()), crcsOf(large));
    for (const char* path : {"part", "away", "empty"}) EXPECT_EQ(offered(bytes, path).bytes(), 0U) << path;
    auto less = to(core::kNoNode, 299'999);
    EXPECT_EQ(offered(less, "large").bytes(), 0U) << "larger than was asked for";
    EXPECT_EQ(offered(less, "small").bytes(), 4U);
    auto none = to(core::kNoNode, 0);
    EXPECT_EQ(offered(none, "small").bytes(), 0U);
    wire::pb::Resolved item_of_directory;
    auto directory = std::make_shared<NameAnswer>(*answerFor("small"));
    directory->kind = NameAnswer::Kind::Directory;
    bytes.add(directory, item_of_directory);
    EXPECT_EQ(item_of_directory.bytes(), 0U);
  });
}

TEST_F(SendingTest, noMoreAreSentThanAFrameHolds) {
  loop.in([&] {
    auto bytes = to(core::kNoNode, kMiB);
    std::uint64_t sent = 0;
    for (int i = 0; i < 10; ++i) {
      hold("f" + std::to_string(i), randomText(600'000, 1));
      sent += offered(bytes, "f" + std::to_string(i)).bytes();
    }
    EXPECT_EQ(sent, 6 * 600'000U);
    hold("small", "text");
    EXPECT_EQ(offered(bytes, "small").bytes(), 4U) << "a smaller one still fits";
    auto many = to(core::kNoNode, kMiB);
    const auto answer = answerFor("small");
    sent = 0;
    for (int i = 0; i < 2'000; ++i) {
      wire::pb::Resolved item;
      many.add(answer, item);
      sent += item.bytes();
    }
    EXPECT_EQ(sent, io::Connection::kMaxBulkPieces * 4) << "in as many pieces as a frame has";
  });
}

TEST_F(SendingTest, aHotObjectIsLeftToOthersThatHaveIt) {
  loop.in([&] {
    int i = 0;
    const auto mine = [&] {
      return cell->map().owners(core::slotOfPath("m", "f" + std::to_string(i))).primary() == self;
    };
    while (!mine()) ++i;
    const std::string path = "f" + std::to_string(i);
    hold(path, "text");
    auto first = to(core::nodeIdOf("n1"), kMiB), second = to(core::kNoNode, kMiB),
         third = to(core::nodeIdOf("n2"), kMiB);
    EXPECT_EQ(offered(first, path).bytes(), 4U);
    EXPECT_EQ(offered(second, path).bytes(), 4U);
    EXPECT_EQ(offered(third, path).bytes(), 0U) << "n1 was sent it";
  });
}

// ---- who asks

// Another node, played by the test: it owns all names that are asked for here, and sends their bytes.
class ArrivingTest : public PlanBytesTest, public io::RequestHandler {
 protected:
  static constexpr std::size_t kObjects = 300;

  explicit ArrivingTest(std::uint64_t arena_bytes = kArena) : PlanBytesTest(2, arena_bytes) {
    loop.in([&] {
      io::ServerOptions options;
      options.connection.self = {.name = "n1", .peer = true, .node_id = core::nodeIdOf("n1"), .map_version = {}};
      server = std::make_unique<io::Server>(loop.reactor(), options, *this);
      const auto address = *server->listen(*io::Address::parse("127.0.0.1:0"));
      auto members = cell->map().members();
      std::vector<core::Member> known(members.begin(), members.end());
      for (auto& member : known)
        if (member.name == "n1") member.address = address.text();
      cell->step(io::Reactor::now(), core::NewMap{*core::SlotMap::build(2, known)});
      names = std::make_unique<NameService>(NameService::Deps{.reactor = loop.reactor(),
                                                              .self = self,
                                                              .cell = *cell,
                                                              .channels = *channels,
                                                              .mounts = mounts,
                                                              .metrics = metrics,
                                                              .limits = {},
                                                              .page_limits = {},
                                                              .seed = 1,
                                                              .openings = openings.get(),
                                                              .arena = arena.get()});
    });
    for (std::size_t i = 0; paths.size() < kObjects; ++i) {
      const std::string path = "f" + std::to_string(i);
      if (cell->map().owners(core::slotOfPath("m", path)).primary() == self) continue;
      paths.push_back(path);
      origin->objects[path] = {randomText(1 + i * 97 % 20'000, i)};
    }
  }
  void takeDown() override { server.reset(); }

  void request(const io::Request&, Bytes body, io::Reply reply) override {
    const auto asked = wire::parse<wire::pb::ResolveRequest>(body);
    ASSERT_TRUE(asked);
    questions.push_back(*asked);
    wire::pb::ResolveReply answer;
    std::vector<Bytes> bulk;
    for (const std::string& path : asked->paths()) {
      auto& item = *answer.add_items();
      item.set_ttl_ms(600'000);
      auto plan = planOf(path);
      *item.mutable_plan() = wire::toMessage(*plan);
      if (path == forged) item.mutable_plan()->set_key(std::string(16, 'k'));
      if (asked->bytes_up_to() < plan->size) continue;
      std::string& content = sent.emplace_back(origin->objects.at(path).content);
      item.set_bytes(static_cast<std::uint32_t>(content.size()));
      for (const std::uint32_t crc : crcsOf(content)) item.add_crcs(crc);
      if (path == damaged) content.back() = static_cast<char>(~content.back());
      bulk.push_back(bytesOf(content));
    }
    EXPECT_TRUE(reply.send(wire::MessageType::ResolveReply, answer, bulk, nullptr));
  }
  void read(const io::Request&, const wire::ReadView& read, io::Reply reply) override {
    ++reads;
    ASSERT_EQ(read.items(), 1U);
    const std::string& content = origin->objects.at(std::string(read.object(0).path)).content;
    const Bytes bulk[] = {bytesOf(content)};
    const auto crcs = crcsOf(content);
    EXPECT_TRUE(reply.data(
        {.flags = wire::kLastOfItem | wire::kLastOfRequest, .length = static_cast<std::uint32_t>(content.size())},
        {.checksums = crcs, .peers = {}, .message = {}}, bulk));
  }
  void resolveAll(std::uint32_t fill_up_to = kMiB) {
    loop.in([&] {
      const NameService::Batch batch(*names);
      for (const std::string& path : paths)
        names->resolve(*mount, path, {.object_only = true, .ask_owner = true, .fill_up_to = fill_up_to}, kNever,
                       [this](Result<NameService::Resolved> found) { answers.push_back(found.has_value()); });
    });
    ASSERT_TRUE(loop.until([&] { return answers.size() == paths.size(); }));
    EXPECT_THAT(answers, Each(true));
  }
  // The names of those that aren't here, or are here wrong.
  std::vector<std::string> notHeld() {
    return loop.in([&] {
      std::vector<std::string> wrong;
      for (const std::string& path : paths)
        if (held(path) != origin->objects.at(path).content) wrong.push_back(path);
      return wrong;
    });
  }
  // As whoever reads it here does.
  std::string fetched(const std::string& path) {
    struct OneWaiter : Waiter {
      void ready(std::uint32_t upto) override { got = upto; }
      void refused(core::Refusal, const Error& error) override { why = error.text(); }
      std::uint32_t got = 0;
      std::string why;
    } waiter;
    const auto plan = planOf(path);
    const auto size = static_cast<std::uint32_t>(plan->size);
    loop.in([&] { chunks->want(plan, {0, 0, size}, {.must_answer = true, .deadline = kNever}, waiter); });
    EXPECT_TRUE(loop.until([&] { return waiter.got >= size || !waiter.why.empty(); }));
    return loop.in([&] { return waiter.why.empty() ? held(path) : waiter.why; });
  }

  std::unique_ptr<io::Server> server;
  std::vector<std::string> paths;
  std::vector<wire::pb::ResolveRequest> questions;
  std::deque<std::string> sent;
  std::string damaged, forged;
  std::vector<bool> answers;
  int reads = 0;
};

TEST_F(ArrivingTest, theBytesOfABatchAreHereWithItsPlans) {
  resolveAll();
  EXPECT_EQ(questions.size(), 1U);
  EXPECT_THAT(notHeld(), testing::IsEmpty());
  std::uint64_t bytes = 0;
  for (const std::string& path : paths) bytes += origin->objects.at(path).content.size();
  EXPECT_EQ(mount->metrics->peer_bytes.value(), bytes);
  EXPECT_EQ(mount->metrics->direct_bytes.value(), bytes);
  EXPECT_EQ(loop.in([&] { return arena->stats().pinned_bytes; }), 0U);
  EXPECT_GT(loop.in([&] { return arena->stats().transit_bytes; }), 0U) << "they are a peer's";
}

TEST_F(ArrivingTest, theyArentAskedForByWhoReadsNothing) {
  resolveAll(0);
  EXPECT_EQ(questions[0].bytes_up_to(), 0U);
  EXPECT_EQ(notHeld().size(), kObjects);
}

TEST_F(ArrivingTest, damagedOnesAreReadAgain) {
  damaged = paths[17];
  resolveAll();
  EXPECT_THAT(notHeld(), testing::ElementsAre(damaged));
  EXPECT_EQ(reads, 0);
  EXPECT_EQ(fetched(damaged), origin->objects.at(damaged).content);
  EXPECT_EQ(reads, 1);
}

TEST_F(ArrivingTest, onesWithoutAKeyOfTheMountAreDropped) {
  forged = paths[17];
  resolveAll();
  EXPECT_THAT(notHeld(), testing::ElementsAre(forged));
  core::ObjectKey key;
  key.bytes.fill(std::byte{'k'});
  EXPECT_EQ(loop.in([&] { return arena->present(key, 0).count(); }), 0U);
}

TEST_F(ArrivingTest, whatIsHereOrOnItsWayStaysAsItIs) {
  const std::string& here = paths[3];
  const std::string& coming = paths[4];
  store::Reservation place;
  loop.in([&] {
    hold(here, std::string(origin->objects.at(here).content));
    auto reserved = arena->reserve(io::Reactor::now(), *planOf(coming), {.chunk = 0, .runs = {0, 1}});
    ASSERT_TRUE(reserved);
    place = std::move(*reserved);
  });
  resolveAll();
  EXPECT_THAT(notHeld(), testing::ElementsAre(coming));
  loop.in([&] { place.abandon(); });
  EXPECT_EQ(fetched(coming), origin->objects.at(coming).content);
}

class SmallArenaTest : public ArrivingTest {
 protected:
  SmallArenaTest() : ArrivingTest(store::kMinArena) {}
};

TEST_F(SmallArenaTest, namesAreAnsweredWhenThereIsNoRoomForTheirBytes) {
  std::deque<store::Reservation> all;
  loop.in([&] {
    for (int i = 0;; ++i) {
      const std::string path = "room" + std::to_string(i);
      origin->objects[path] = {std::string(kMiB, 'x')};
      for (std::uint32_t run = 0; run < 4; ++run) {
        auto place = arena->reserve(io::Reactor::now(), *planOf(path), {.chunk = 0, .runs = {run, run + 1}});
        if (place) all.push_back(std::move(*place));
        if (!place) return;
      }
    }
  });
  resolveAll();
  EXPECT_GT(notHeld().size(), kObjects / 2);
  loop.in([&] { all.clear(); });
  for (const std::string& path : {paths.front(), paths.back()})
    EXPECT_EQ(fetched(path), origin->objects.at(path).content);
}

}  // namespace
}  // namespace forebay::node
