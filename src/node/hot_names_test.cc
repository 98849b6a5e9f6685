// Hot names: an owner that names others who know them, those who are named, and who follows.
#include "io/server.h"
#include "node/node_fixture.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

core::NameAsker peer(core::NodeId node) {
  return {.node = node, .may_ask = true};
}

class HotNamesTest : public NodeFixture {
 protected:
  NameService::Resolved resolve(const std::string& path, ResolveOptions options = {}, TimePoint deadline = kNever) {
    std::optional<Result<NameService::Resolved>> resolved;
    loop.in(
        [&] { names->resolve(*mount, path, options, deadline, [&](auto answer) { resolved = std::move(answer); }); });
    EXPECT_TRUE(loop.until([&] { return resolved.has_value(); }));
    EXPECT_TRUE(*resolved) << resolved->error().text();
    return *resolved ? std::move(**resolved) : NameService::Resolved{};
  }
  NameService::Listed list(const std::string& path, ListOptions options = {}) {
    std::optional<Result<NameService::Listed>> page;
    loop.in([&] { names->list(*mount, path, "", options, kNever, [&](auto listed) { page = std::move(listed); }); });
    EXPECT_TRUE(loop.until([&] { return page.has_value(); }));
    EXPECT_TRUE(*page) << page->error().text();
    return *page ? std::move(**page) : NameService::Listed{};
  }
  void write(const std::string& path, std::string content, std::string version = "v1") {
    loop.in([&] { origin->objects[path] = {std::move(content), std::move(version)}; });
  }
  std::uint64_t inStead() { return metrics.counter("forebay_name_in_stead_total", "").value(); }
};

using Nodes = std::vector<core::NodeId>;

// ---- an owner

TEST_F(HotNamesTest, anOwnerSendsAPageTwiceAndThenNamesThoseWhoHaveIt) {
  write("d/f", "x");
  EXPECT_NE(list("d", {.asker = peer(1)}).page, nullptr);
  EXPECT_NE(list("d", {.asker = peer(2)}).page, nullptr);
  const auto third = list("d", {.asker = peer(3)});
  EXPECT_EQ(third.page, nullptr);
  EXPECT_THAT(third.ask, testing::UnorderedElementsAre(1, 2));
  EXPECT_EQ(list("d", {.asker = {.may_ask = true}}).ask.size(), 2U) << "a client of its own follows, too";
  EXPECT_NE(list("d").page, nullptr) << "who doesn't say that it can ask others gets the page";
  EXPECT_NE(list("d", {.asker = {.node = 3, .may_ask = true, .insist = true}}).page, nullptr);
  EXPECT_EQ(metrics.counter("forebay_name_asks_total", "").value(), 2U);
  EXPECT_EQ(origin->lists, 1);
}

TEST_F(HotNamesTest, thoseWhoWaitForOneFetchAreSentToTheFirstOfThem) {
  write("d/f", "x");
  std::vector<Nodes> asks;
  loop.in([&] {
    origin->hold();
    for (core::NodeId node = 1; node <= 10; ++node)
      names->list(*mount, "d", "", {.asker = peer(node)}, kNever, [&](auto listed) { asks.push_back(listed->ask); });
    origin->letGo();
  });
  ASSERT_TRUE(loop.until([&] { return asks.size() == 10; }));
  EXPECT_EQ(std::ranges::count(asks, Nodes()), 2);
  EXPECT_EQ(origin->lists, 1);
}

TEST_F(HotNamesTest, anOwnerGivesAPlanManyTimesBeforeItNamesOthers) {
  write("f", "text");
  for (core::NodeId node = 1; node <= 64; ++node)
    ASSERT_NE(resolve("f", {.asker = peer(node)}).answer, nullptr) << node;
  const auto next = resolve("f", {.asker = peer(65)});
  EXPECT_EQ(next.answer, nullptr);
  EXPECT_EQ(next.ask.size(), 4U);
  EXPECT_NE(resolve("f", {.object_only = true, .asker = peer(65)}).answer, nullptr)
      << "the other view is another answer";
  EXPECT_NE(resolve("f", {.revalidate = true, .asker = peer(66)}).answer, nullptr);
}

TEST_F(HotNamesTest, whoKnowsAnOlderAnswerIsntNamedForANewerOne) {
  write("d/f", "x");
  for (core::NodeId node = 1; node <= 3; ++node) (void)list("d", {.asker = peer(node)});
  loop.in([&] { names->refresh(mount->id, ""); });
  EXPECT_NE(list("d", {.asker = peer(4)}).page, nullptr);
  EXPECT_NE(list("d", {.asker = peer(5)}).page, nullptr);
  EXPECT_THAT(list("d", {.asker = peer(6)}).ask, testing::UnorderedElementsAre(4, 5));
}

TEST_F(HotNamesTest, whatMayNotBeUsedTwiceIsGivenByItsOwnerAlone) {
  loop.in([&] { mount->consistency.bound = 0ms; });
  write("d/f", "x");
  for (core::NodeId node = 1; node <= 4; ++node) EXPECT_NE(list("d", {.asker = peer(node)}).page, nullptr);
  EXPECT_EQ(origin->lists, 4);
}

// ---- one who was named

TEST_F(HotNamesTest, whoIsNamedAnswersFromWhatItKnowsForTheRestOfItsTime) {
  write("d/f", "text");
  ASSERT_NE(list("d").page, nullptr);
  ASSERT_NE(resolve("d").answer, nullptr);
  const int asked = origin->heads + origin->lists;
  const auto page = list("d", {.no_fetch = true});
  ASSERT_NE(page.page, nullptr);
  EXPECT_EQ(page.page->entries.size(), 1U);
  EXPECT_LT(page.ttl, 1000s);
  EXPECT_NE(resolve("d", {.no_fetch = true}).answer, nullptr);
  const auto entry = resolve("d/f", {.no_fetch = true});  // of the listing
  ASSERT_NE(entry.answer, nullptr);
  EXPECT_EQ(entry.answer->plan.size, 4U);
  EXPECT_LT(entry.ttl, 1000s);
  EXPECT_EQ(inStead(), 3U);
  EXPECT_EQ(origin->heads + origin->lists, asked);
}

TEST_F(HotNamesTest, whatIsntKnownIsAMissAndAskedOfNobody) {
  write("d/f", "text");
  EXPECT_EQ(list("d", {.no_fetch = true}).page, nullptr);
  EXPECT_EQ(resolve("d/f", {.no_fetch = true}).answer, nullptr);
  ASSERT_NE(resolve("d/f").answer, nullptr);
  loop.in([&] { names->forget(mount->id, "d/f"); });
  EXPECT_EQ(resolve("d/f", {.no_fetch = true}).answer, nullptr);
  EXPECT_EQ(origin->heads, 1);
  EXPECT_EQ(inStead(), 0U);
}

TEST_F(HotNamesTest, whatIsOnItsWayIsWaitedForButNotForLong) {
  write("d/f", "text");
  std::optional<bool> known, late;
  loop.in([&] {
    origin->hold();
    names->list(*mount, "d", "", {}, kNever, [](auto) {});
    names->list(*mount, "d", "", {.no_fetch = true}, kNever, [&](auto found) { known = found && found->page; });
    names->list(*mount, "d", "", {.no_fetch = true}, io::Reactor::now() + 1ms,
                [&](auto found) { late = found && found->page; });
  });
  ASSERT_TRUE(loop.until([&] { return late.has_value(); }));
  EXPECT_FALSE(*late);
  loop.in([&] { origin->letGo(); });
  ASSERT_TRUE(loop.until([&] { return known.has_value(); }));
  EXPECT_TRUE(*known);
  EXPECT_EQ(origin->lists, 1);
}

TEST_F(HotNamesTest, aFetchThatFailsIsAMissForThoseWhoWereSentHere) {
  std::optional<bool> missed;
  loop.in([&] {
    origin->down = Error{Code::Unavailable, "the origin is down", 0};
    names->resolve(*mount, "f", {}, kNever, [](auto) {});
    names->resolve(*mount, "f", {.no_fetch = true}, kNever, [&](auto found) { missed = found && !found->answer; });
  });
  ASSERT_TRUE(loop.until([&] { return missed.has_value(); }));
  EXPECT_TRUE(*missed);
}

// ---- one who is sent to others

// A node that answers as the test says.
class ScriptedNode : public io::RequestHandler {
 public:
  ScriptedNode(io::Reactor& reactor, const std::string& name) {
    io::ServerOptions options;
    options.connection.self = {.name = name, .peer = true, .node_id = core::nodeIdOf(name), .map_version = {}};
    server_ = std::make_unique<io::Server>(reactor, options, *this);
    address = server_->listen(*io::Address::parse("127.0.0.1:0"))->text();
  }
  void request(const io::Request& request, Bytes body, io::Reply reply) override {
    if (request.header.type == wire::MessageType::ListRequest) {
      lists.push_back(*wire::parse<wire::pb::ListRequest>(body));
      (void)reply.send(wire::MessageType::ListReply, page(lists.back()));
      return;
    }
    resolves.push_back(*wire::parse<wire::pb::ResolveRequest>(body));
    wire::pb::ResolveReply answer;
    for (int i = 0; i < resolves.back().paths_size(); ++i) *answer.add_items() = item(resolves.back());
    (void)reply.send(wire::MessageType::ResolveReply, answer);
  }
  void read(const io::Request&, const wire::ReadView&, io::Reply) override {}
  void die() { server_.reset(); }

  std::string address;
  std::function<wire::pb::Resolved(const wire::pb::ResolveRequest&)> item;
  std::function<wire::pb::ListReply(const wire::pb::ListRequest&)> page;
  std::vector<wire::pb::ResolveRequest> resolves;
  std::vector<wire::pb::ListRequest> lists;

 private:
  std::unique_ptr<io::Server> server_;
};

class SentOnTest : public HotNamesTest {
 protected:
  SentOnTest() {
    loop.in([&] {
      std::vector<core::Member> members{{.id = self, .name = "n0", .address = "127.0.0.1:1", .domain = "n0"}};
      for (const char* name : {"n1", "n2"}) {
        nodes.push_back(std::make_unique<ScriptedNode>(loop.reactor(), name));
        members.push_back({.id = core::nodeIdOf(name), .name = name, .address = nodes.back()->address, .domain = name});
      }
      cell->step(io::Reactor::now(), core::NewMap{*core::SlotMap::build(2, members)});
    });
    for (int i = 0; path.empty(); ++i) {
      const std::string some = "f" + std::to_string(i);
      const core::Owners owners = cell->map().owners(core::slotOfPath("m", some));
      // After n1 this node is to ask, which then asks the origin: n2 is asked only where it is named.
      if (owners.primary() == core::nodeIdOf("n1") && owners.all()[1] == self) path = some;
    }
    owner().item = [this](const auto& r) {
      return r.may_ask() && !r.insist() ? sentOn<wire::pb::Resolved>() : plan("owner");
    };
    owner().page = [](const auto& r) {
      return r.may_ask() && !r.insist() ? sentOn<wire::pb::ListReply>() : listing("owner");
    };
    other().item = [this](const auto&) { return plan("other"); };
    other().page = [](const auto&) { return listing("other"); };
  }
  void takeDown() override { nodes.clear(); }

  ScriptedNode& owner() { return *nodes[0]; }
  ScriptedNode& other() { return *nodes[1]; }
  template <class Reply>
  static Reply sentOn() {
    Reply reply;
    reply.add_ask(core::nodeIdOf("n2"));
    return reply;
  }
  template <class Reply>
  static Reply miss() {
    Reply reply;
    reply.set_miss(true);
    return reply;
  }
  wire::pb::Resolved plan(const std::string& version) const {
    wire::pb::Resolved item;
    *item.mutable_plan() = wire::toMessage(mount->plan(path, {7, version, 0}));
    item.set_ttl_ms(version == "other" ? 7'000 : 9'000);
    return item;
  }
  static wire::pb::ListReply listing(const std::string& name) {
    wire::pb::ListReply reply;
    reply.add_entries()->set_name(name);
    reply.set_ttl_ms(9'000);
    return reply;
  }
  std::string nameOnPage() {
    const auto listed = list(path, {.raw = true, .ask_owner = true});
    return listed.page && listed.page->entries.size() == 1 ? listed.page->entries[0]->name : "";
  }
  std::string version(ResolveOptions options = {.ask_owner = true}) {
    const auto found = resolve(path, options);
    return found.answer ? found.answer->plan.version : "";
  }

  std::vector<std::unique_ptr<ScriptedNode>> nodes;
  std::string path;  // n1's
};

TEST_F(SentOnTest, whoIsNamedIsAskedAndItsAnswerIsTakenForItsTime) {
  const auto found = resolve(path, {.ask_owner = true});
  ASSERT_NE(found.answer, nullptr);
  EXPECT_EQ(found.answer->plan.version, "other");
  EXPECT_LE(found.ttl, 7s);
  ASSERT_EQ(other().resolves.size(), 1U);
  EXPECT_TRUE(other().resolves[0].no_fetch());
  EXPECT_FALSE(other().resolves[0].may_ask());
  EXPECT_EQ(nameOnPage(), "other");
  EXPECT_TRUE(other().lists.at(0).no_fetch());
  EXPECT_EQ(owner().resolves.size() + owner().lists.size(), 2U);
}

TEST_F(SentOnTest, whereTheNamedNodeHasForgottenTheOwnerAnswers) {
  other().item = [](const auto&) { return miss<wire::pb::Resolved>(); };
  other().page = [](const auto&) { return miss<wire::pb::ListReply>(); };
  EXPECT_EQ(version(), "owner");
  ASSERT_EQ(owner().resolves.size(), 2U);
  EXPECT_FALSE(owner().resolves[0].insist());
  EXPECT_TRUE(owner().resolves[1].insist());
  EXPECT_EQ(nameOnPage(), "owner");
  EXPECT_EQ(other().resolves.size() + other().lists.size(), 2U);
}

TEST_F(SentOnTest, whereTheNamedNodeIsDeadTheOwnerAnswers) {
  loop.in([&] { other().die(); });
  EXPECT_EQ(version(), "owner");
  EXPECT_EQ(nameOnPage(), "owner");
  EXPECT_EQ(origin->heads + origin->lists, 0);
}

TEST_F(SentOnTest, whoNamesOthersAgainAndAgainIsAskedAgainUntilItAnswers) {
  int times = 0;
  owner().item = [&](const auto&) { return ++times < 4 ? sentOn<wire::pb::Resolved>() : plan("owner"); };
  other().item = [](const auto&) { return miss<wire::pb::Resolved>(); };
  EXPECT_EQ(version(), "owner");
  EXPECT_EQ(other().resolves.size(), 1U) << "others are asked once";
}

TEST_F(SentOnTest, whatMustComeFromTheOriginIsAskedOfTheOwnerAlone) {
  EXPECT_EQ(version({.revalidate = true, .ask_owner = true}), "owner");
  EXPECT_FALSE(owner().resolves.at(0).may_ask());
  loop.in([&] { mount->consistency.bound = 0ms; });
  EXPECT_EQ(version({.object_only = true, .ask_owner = true}), "owner");
  EXPECT_FALSE(owner().resolves.at(1).may_ask());
  EXPECT_EQ(other().resolves.size(), 0U);
}

TEST_F(SentOnTest, anAnswerThatIsNoneIsAnErrorAndNoObject) {
  owner().item = [](const auto&) { return wire::pb::Resolved(); };
  std::optional<Error> error;
  loop.in([&] {
    names->resolve(*mount, path, {.ask_owner = true}, kNever, [&](auto found) {
      if (!found) error = found.error();
    });
  });
  ASSERT_TRUE(loop.until([&] { return error.has_value(); }));
  EXPECT_EQ(error->code, Code::Corrupt);
}

}  // namespace
}  // namespace forebay::node
