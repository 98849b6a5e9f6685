#include "node/names.h"

#include "base/checksum.h"
#include "io/server.h"
#include "node/node_fixture.h"
#include "wire/messages.h"

namespace forebay::node {
namespace {

std::string said(const Result<NameService::Resolved>& resolved) {
  if (!resolved) return resolved.error().text();
  switch (resolved->answer->kind) {
    case NameAnswer::Kind::Absent:
      return "absent";
    case NameAnswer::Kind::Directory:
      return "directory";
    case NameAnswer::Kind::Object:
      return resolved->answer->plan.version + " of " + std::to_string(resolved->answer->plan.size);
  }
  return "?";
}

class NamesTest : public NodeFixture {
 protected:
  void ask(const std::string& path, ResolveOptions options = {}, TimePoint deadline = kNever) {
    names->resolve(*mount, path, options, deadline, [this](Result<NameService::Resolved> resolved) {
      answers.push_back(said(resolved));
      ttls.push_back(resolved ? resolved->ttl : Duration{-1});
    });
  }
  std::string resolve(const std::string& path, ResolveOptions options = {}) {
    const std::size_t before = loop.in([&] { return answers.size(); });
    loop.in([&] { ask(path, options); });
    EXPECT_TRUE(loop.until([&] { return answers.size() > before; }));
    return loop.in([&] { return answers.back(); });
  }
  Result<NameService::Listed> list(const std::string& path, std::string cursor = "", std::uint32_t max = 1000,
                                   bool raw = false) {
    std::optional<Result<NameService::Listed>> page;
    loop.in([&] {
      names->list(*mount, path, std::move(cursor), {.max = max, .raw = raw}, kNever,
                  [&](Result<NameService::Listed> listed) { page = std::move(listed); });
    });
    EXPECT_TRUE(loop.until([&] { return page.has_value(); }));
    return std::move(*page);
  }
  void write(const std::string& path, std::string content, std::string version = "v1") {
    loop.in([&] { origin->objects[path] = {std::move(content), std::move(version)}; });
  }

  std::vector<std::string> answers;
  std::vector<Duration> ttls;
};

TEST_F(NamesTest, manyWhoAskAtOnceCostOneQuestion) {
  write("a/b", "text");
  loop.in([&] {
    origin->hold();
    for (int i = 0; i < 5; ++i) ask("a/b");
    EXPECT_EQ(origin->held(), 2U);  // a HEAD, and a look below
    origin->letGo();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 5; }));
  EXPECT_THAT(answers, testing::Each("v1 of 4"));
  EXPECT_EQ(resolve("a/b"), "v1 of 4");
  EXPECT_EQ(origin->heads, 1);
}

TEST_F(NamesTest, aPrefixWinsOverAnObjectOfItsNameButNotInTheObjectView) {
  write("a", "x");
  write("a/b", "y");
  EXPECT_EQ(resolve("a"), "directory");
  EXPECT_EQ(resolve("a", {.object_only = true}), "v1 of 1");
  EXPECT_EQ(resolve(""), "directory");
}

TEST_F(NamesTest, whatCantBeAPosixNameIsAskedOfNobody) {
  EXPECT_THAT(resolve("a//b"), testing::HasSubstr("NotFound"));
  EXPECT_THAT(resolve("../b"), testing::HasSubstr("NotFound"));
  EXPECT_THAT(resolve(std::string(2'000, 'a')), testing::HasSubstr("NotFound"));
  EXPECT_EQ(origin->heads, 0);
}

TEST_F(NamesTest, absenceIsRememberedForLessTimeThanPresence) {
  EXPECT_EQ(resolve("new"), "absent");
  EXPECT_GT(ttls.back(), 0s);
  EXPECT_LE(ttls.back(), 5s);
  write("new", "text");
  EXPECT_EQ(resolve("new"), "absent");  // still believed
  EXPECT_EQ(origin->heads, 1);
  EXPECT_EQ(resolve("new", {.revalidate = true}), "v1 of 4");
  EXPECT_GT(ttls.back(), 900s);
}

TEST_F(NamesTest, anAnswerIsUsedUntilItsTimeIsOver) {
  loop.in([&] { mount->consistency.bound = 1ms; });
  write("f", "one");
  EXPECT_EQ(resolve("f"), "v1 of 3");
  write("f", "three", "v2");
  ASSERT_TRUE(loop.until([&, asked = io::Reactor::now()] { return io::Reactor::now() - asked > 1ms; }));
  EXPECT_EQ(resolve("f"), "v2 of 5");
}

TEST_F(NamesTest, whoRevalidatesHearsOfNothingThatWasAskedBefore) {
  write("f", "one");
  loop.in([&] {
    origin->hold();
    ask("f");
    ask("f", {.revalidate = true});
    EXPECT_EQ(origin->heads, 1);  // the second needs a question that starts after it
    origin->letGo();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_EQ(origin->heads, 2);
}

TEST_F(NamesTest, whatTurnedOutWrongIsAskedAnew) {
  write("f", "one");
  EXPECT_EQ(resolve("f"), "v1 of 3");
  write("f", "three", "v2");
  loop.in([&] { names->forget(mount->id, "f"); });
  EXPECT_EQ(resolve("f"), "v2 of 5");
}

TEST_F(NamesTest, anErrorIsToldAndNotKept) {
  write("f", "one");
  loop.in([&] { origin->down = Error{Code::Unavailable, "the origin is down", 0}; });
  EXPECT_EQ(resolve("f"), "Unavailable: the origin is down");
  loop.in([&] { origin->down.reset(); });
  EXPECT_EQ(resolve("f"), "v1 of 3");
}

TEST_F(NamesTest, aDeadlineEndsTheWaitOfOneAndTheAnswerIsKeptForOthers) {
  write("f", "one");
  loop.in([&] {
    origin->hold();
    ask("f", {}, io::Reactor::now() + 1ms);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], testing::HasSubstr("DeadlineExceeded"));
  loop.in([&] { origin->letGo(); });
  EXPECT_EQ(resolve("f"), "v1 of 3");
  EXPECT_EQ(origin->heads, 1);
}

TEST_F(NamesTest, aListingAnswersTheQuestionsAboutItsNames) {
  write("d/a", "1");
  write("d/b/c", "2");
  const auto page = list("d");
  ASSERT_TRUE(page);
  ASSERT_EQ(page->page->entries.size(), 2U);
  EXPECT_EQ(resolve("d/a"), "v1 of 1");
  EXPECT_EQ(resolve("d/b"), "directory");
  EXPECT_EQ(origin->heads, 0);
  EXPECT_EQ(origin->lists, 1);
  EXPECT_TRUE(list("d"));
  EXPECT_EQ(origin->lists, 1);
}

TEST_F(NamesTest, aDirectoryThatIsNotThereIsNotFound) {
  const auto page = list("none");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, Code::NotFound);
  EXPECT_TRUE(list(""));  // an empty bucket is no error
}

TEST_F(NamesTest, aPageThatNoFrameCarriesIsAskedForAgainWithHalfTheNames) {
  for (int i = 0; i < 2'000; ++i) write("d/" + std::to_string(10'000 + i) + std::string(240, 'x'), "");
  std::set<std::string> seen;
  std::string cursor;
  do {
    const auto page = list("d", cursor, 8'000);
    ASSERT_TRUE(page);
    for (const auto* entry : page->page->entries) EXPECT_TRUE(seen.insert(entry->name).second) << entry->name;
    cursor = page->page->next_cursor;
  } while (!cursor.empty());
  EXPECT_EQ(seen.size(), 2'000U);
  EXPECT_EQ(origin->asked_max[0], 5'000U);
}

TEST_F(NamesTest, whoAsksForASecondPageFindsTheThirdOnItsWay) {
  for (int i = 0; i < 22'000; ++i) write("d/" + std::to_string(100'000 + i), "");
  const auto lists = [&] { return loop.in([&] { return origin->lists; }); };
  const auto first = list("d", "", 5'000);
  ASSERT_TRUE(first);
  EXPECT_EQ(lists(), 1) << "many only look at the first";
  const auto second = list("d", first->page->next_cursor, 5'000);
  ASSERT_TRUE(second);
  EXPECT_TRUE(loop.until([&] { return origin->lists == 3; }));
  EXPECT_TRUE(list("d", second->page->next_cursor, 5'000));
  EXPECT_TRUE(loop.until([&] { return origin->lists == 4; }));
  std::string cursor = second->page->next_cursor;
  for (int page = 0; page < 3 && !cursor.empty(); ++page) cursor = list("d", cursor, 5'000)->page->next_cursor;
  EXPECT_EQ(cursor, "");
  EXPECT_EQ(lists(), 5) << "each once";
}

TEST_F(NamesTest, theNextPageIsAskedForWhileThisOneIsRead) {
  for (int i = 0; i < 22'000; ++i) write("d/" + std::to_string(100'000 + i), "");
  const auto first = list("d", "", 5'000);
  ASSERT_TRUE(first);
  std::optional<Result<NameService::Listed>> second;
  loop.in([&] {
    origin->reads_lists_slowly = true;
    names->list(*mount, "d", first->page->next_cursor, {.max = 5'000}, kNever,
                [&](auto page) { second.emplace(std::move(page)); });
  });
  EXPECT_TRUE(loop.until([&] { return origin->lists == 3; })) << "the third";
  EXPECT_FALSE(loop.in([&] { return second.has_value(); }));
  EXPECT_EQ(loop.in([&] { return origin->lists; }), 3) << "nobody has asked for the third: it asks for no fourth";
  const auto let_read = [&] {
    loop.in([&] {
      for (io::Task& page : std::exchange(origin->read_slowly, {})) page();
    });
  };
  let_read();
  ASSERT_TRUE(loop.until([&] { return second.has_value(); }));
  loop.in([&] { origin->reads_lists_slowly = false; });
  let_read();
  std::string cursor = (*second)->page->next_cursor;
  int pages = 2;
  for (; !cursor.empty(); ++pages) cursor = list("d", cursor, 5'000)->page->next_cursor;
  EXPECT_EQ(pages, 5);
  EXPECT_EQ(loop.in([&] { return origin->lists; }), 5) << "each once";
}

TEST_F(NamesTest, noPageComesTwiceWhoeverAsksForHowMuchInWhichView) {
  for (int i = 0; i < 5'500; ++i) write("d/" + std::to_string(10'000 + i), "");
  const auto names_in = [&](std::uint32_t max, bool raw) {
    std::vector<std::string> seen;
    std::string cursor;
    do {
      const auto page = list("d", cursor, max, raw);
      EXPECT_TRUE(page);
      EXPECT_LE(page->page->entries.size(), max);
      for (const auto* entry : page->page->entries) seen.push_back(entry->name);
      cursor = page->page->next_cursor;
    } while (!cursor.empty());
    return seen;
  };
  const auto all = names_in(5'000, false);
  EXPECT_EQ(all.size(), 5'500U);
  EXPECT_EQ(names_in(777, false), all);
  EXPECT_EQ(names_in(1'000, true), all);
  EXPECT_EQ(names_in(5'000, true), all);
  EXPECT_EQ(origin->lists, 2);
}

TEST_F(NamesTest, aHugeDirectorysPlansComeFromItsPagesAndTakeNoRoomOfTheirOwn) {
  for (int i = 0; i < 4'000; ++i) write("d/" + std::to_string(10'000 + i), "x");
  ASSERT_TRUE(list("d"));
  const std::size_t before = loop.in([&] { return names->bytes(); });
  EXPECT_LT(before, 1'000'000U);
  EXPECT_EQ(resolve("d/12345"), "v1 of 1");
  EXPECT_EQ(resolve("d/12345", {.object_only = true}), "v1 of 1");
  EXPECT_EQ(origin->heads, 0);
}

TEST_F(NamesTest, aListedObjectWhosePrefixMayStillComeIsAskedFor) {
  // Given a page that ends between an object and the prefix of its name
  write("d/a", "x");
  for (int i = 0; i < 6'000; ++i) write("d/a-" + std::to_string(10'000 + i), "");
  write("d/a/b", "y");
  ASSERT_TRUE(list("d"));
  EXPECT_EQ(resolve("d/a"), "directory");
  EXPECT_EQ(resolve("d/a", {.object_only = true}), "v1 of 1");
}

TEST_F(NamesTest, aPageThatHoldsWhatTurnedOutWrongIsDroppedToo) {
  write("d/a", "1");
  write("d/b", "2");
  ASSERT_TRUE(list("d"));
  write("d/a", "new", "v2");
  EXPECT_EQ(list("d")->page->entries[0]->info.version, "v1");
  loop.in([&] { names->forget(mount->id, "d/a"); });
  EXPECT_EQ(list("d")->page->entries[0]->info.version, "v2");
  // and what the origin says of a name is stronger than a page
  write("d/b", "newer", "v3");
  EXPECT_EQ(resolve("d/b", {.revalidate = true}), "v3 of 5");
  EXPECT_EQ(list("d")->page->entries[1]->info.version, "v3");
}

TEST_F(NamesTest, aCursorThatNobodyMadeIsRefused) {
  const auto page = list("d", "rubbish");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, Code::InvalidArgument);
}

// ---- small objects: plan and bytes by one request

constexpr ResolveOptions kOpen{.object_only = true, .fill_up_to = 256 * kKiB};

TEST_F(NamesTest, anOpenedObjectIsInTheArenaAndCostOneRequest) {
  const std::string text = randomText(100'000, 1);
  write("d/f", text);
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask("d/f", kOpen);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, testing::Each("v1 of 100000"));
  EXPECT_EQ(origin->opens, 1);
  EXPECT_EQ(origin->heads + origin->gets + origin->lists, 0);
  loop.in([&] {
    const auto view = arena->view(io::Reactor::now(), planOf("d/f")->key, 0, 0, 100'000);
    ASSERT_TRUE(view);
    std::string got;
    std::uint32_t crc = 0;
    for (const auto& piece : view->pieces()) got += textOf(piece.bytes);
    EXPECT_EQ(got, text);
    ASSERT_EQ(view->granules(), 2U);
    for (std::uint32_t i = 0; i < 2; ++i) {
      crc = crc32c(
          bytesOf(text).subspan(std::size_t{i} * core::kGranule,
                                std::min<std::size_t>(core::kGranule, 100'000 - std::size_t{i} * core::kGranule)));
      EXPECT_EQ(view->crc(i), crc);
    }
  });
  EXPECT_EQ(resolve("d/f", kOpen), "v1 of 100000");
  EXPECT_EQ(origin->opens, 1);
}

TEST_F(NamesTest, ofALargerObjectWholeRunsAreKept) {
  write("f", randomText(900'000, 2));
  EXPECT_EQ(resolve("f", {.object_only = true, .fill_up_to = 600'000}), "v1 of 900000");
  const auto present = loop.in([&] { return arena->present(planOf("f")->key, 0); });
  EXPECT_EQ(present.count(), 3U) << "part of a run can't be kept: all of it is brought";
  write("g", randomText(900'000, 3));
  EXPECT_EQ(resolve("g", {.object_only = true, .fill_up_to = 4'096}), "v1 of 900000");
  EXPECT_EQ(loop.in([&] { return arena->present(planOf("g")->key, 0).count(); }), 1U);
}

TEST_F(NamesTest, whatIsEmptyOrAbsentIsOpenedToo) {
  write("empty", "");
  EXPECT_EQ(resolve("empty", kOpen), "v1 of 0");
  EXPECT_EQ(resolve("none", kOpen), "absent");
  EXPECT_EQ(resolve("none", kOpen), "absent");
  EXPECT_EQ(origin->opens, 2);
}

TEST_F(NamesTest, anObjectWhoseBytesAreHereIsOpenedWithoutASecondCopy) {
  write("f", randomText(100'000, 4));
  EXPECT_EQ(resolve("f", kOpen), "v1 of 100000");
  EXPECT_EQ(resolve("f", {.object_only = true, .revalidate = true, .fill_up_to = 256 * kKiB}), "v1 of 100000");
  EXPECT_EQ(origin->opens, 2);
  EXPECT_EQ(loop.in([&] { return arena->stats().objects; }), 1U);
}

TEST_F(NamesTest, aFullArenaGivesThePlanWithoutTheBytes) {
  loop.in([&] { arena->removeMount(mount->id); });
  write("f", randomText(100'000, 5));
  EXPECT_EQ(resolve("f", kOpen), "v1 of 100000");
  EXPECT_EQ(loop.in([&] { return arena->stats().objects; }), 0U);
}

TEST_F(NamesTest, thousandsThatAreOpenedAtOnceTakeTurnsAtTheOrigin) {
  for (int i = 0; i < 1'000; ++i) write("f" + std::to_string(i), "x");
  loop.in([&] {
    origin->hold();
    for (int i = 0; i < 1'000; ++i) ask("f" + std::to_string(i), kOpen);
    EXPECT_EQ(origin->held(), Openings::kMaxAtOrigin);
    origin->letGo();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1'000; }));
  EXPECT_THAT(answers, testing::Each("v1 of 1"));
  EXPECT_EQ(origin->opens, 1'000);
}

// ---- a node that isn't every name's owner

class NamesOfACellTest : public NamesTest {
 protected:
  NamesOfACellTest() {
    loop.in([&] { cell->step(io::Reactor::now(), core::NewMap{twoNodes()}); });
  }
  static std::shared_ptr<const core::SlotMap> twoNodes() {
    std::vector<core::Member> members;
    for (const char* name : {"n0", "n1"})
      members.push_back({.id = core::nodeIdOf(name), .name = name, .address = "127.0.0.1:1", .domain = name});
    return *core::SlotMap::build(2, members);
  }
  std::string nameOfOther() const {
    for (int i = 0;; ++i) {
      std::string path = "f" + std::to_string(i);
      if (cell->map().owners(core::slotOfPath("m", path)).primary() != self) return path;
    }
  }
};

TEST_F(NamesOfACellTest, theOriginIsAskedHereWhenTheOwnerCantBeReached) {
  const std::string path = nameOfOther();
  write(path, "text");
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v1 of 4");
  EXPECT_EQ(origin->heads, 1);
}

// An owner in this process, that says what the test says.
class OwnerTest : public NamesOfACellTest, public io::RequestHandler {
 protected:
  OwnerTest() {
    loop.in([&] {
      io::ServerOptions options;
      options.connection.self = {.name = "n1", .peer = true, .node_id = core::nodeIdOf("n1"), .map_version = {}};
      server = std::make_unique<io::Server>(loop.reactor(), options, *this);
      const auto address = *server->listen(*io::Address::parse("127.0.0.1:0"));
      auto members = cell->map().members();
      std::vector<core::Member> known(members.begin(), members.end());
      for (auto& member : known)
        if (member.name == "n1") member.address = address.text();
      cell->step(io::Reactor::now(), core::NewMap{*core::SlotMap::build(3, known)});
    });
  }
  void takeDown() override { server.reset(); }

  void request(const io::Request&, Bytes body, io::Reply reply) override {
    auto asked = wire::parse<wire::pb::ResolveRequest>(body);
    ASSERT_TRUE(asked);
    questions.push_back(*asked);
    wire::pb::ResolveReply answer;
    for (const std::string& path : asked->paths()) {
      auto& item = *answer.add_items();
      item.set_ttl_ms(ttl_ms);
      if (failure && (only_fails.empty() || only_fails == path))
        *item.mutable_failure() = wire::toMessage(*failure);
      else
        *item.mutable_plan() = wire::toMessage(mount->plan(path, {7, version, 0}));
    }
    (void)reply.send(wire::MessageType::ResolveReply, answer);
  }
  void read(const io::Request&, const wire::ReadView&, io::Reply) override {}

  std::unique_ptr<io::Server> server;
  std::vector<wire::pb::ResolveRequest> questions;
  std::optional<Error> failure;
  std::string only_fails;  // this name; empty: all
  std::string version = "v1";
  std::uint32_t ttl_ms = 600'000;
};

TEST_F(OwnerTest, anotherNodesNameIsAskedOfItsOwnerOnce) {
  const std::string path = nameOfOther();
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v1 of 7");
  EXPECT_LE(ttls.back(), 600s);  // what the owner has left of it
  EXPECT_GT(ttls.back(), 500s);
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v1 of 7");
  EXPECT_EQ(questions.size(), 1U);
  EXPECT_EQ(origin->heads, 0);
}

TEST_F(OwnerTest, absenceIsBelievedOfAnOwnerForItsTime) {
  failure = Error{Code::NotFound, "nothing of that name", 0};
  ttl_ms = 4'000;
  const std::string path = nameOfOther();
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "absent");
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "absent");
  EXPECT_EQ(questions.size(), 1U);
}

TEST_F(OwnerTest, anOwnerThatDoesntKnowInTimeIsPassedOverAndNotHeldToBeLost) {
  failure = Error{Code::DeadlineExceeded, "not yet", 0};
  const std::string path = nameOfOther();
  write(path, "text");
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v1 of 4");
  EXPECT_EQ(questions.size(), 1U);
  EXPECT_EQ(origin->heads, 1);
  EXPECT_TRUE(loop.in([&] { return cell->peers().usable(io::Reactor::now(), core::nodeIdOf("n1")); }));
}

TEST_F(OwnerTest, aPlanThatTurnedOutWrongIsntTakenFromTheOwnersMemoryAgain) {
  const std::string path = nameOfOther();
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v1 of 7");
  EXPECT_FALSE(questions[0].revalidate());
  version = "v2";
  loop.in([&] { names->forget(mount->id, path); });
  EXPECT_EQ(resolve(path, {.ask_owner = true}), "v2 of 7");
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_TRUE(questions[1].revalidate());
}

// Names of the other node, and one of this.
class BatchTest : public OwnerTest {
 protected:
  void askAll(int count) {
    for (int i = 0; static_cast<int>(others.size()) < count; ++i) {
      const std::string path = "f" + std::to_string(i);
      const bool here = cell->map().owners(core::slotOfPath("m", path)).primary() == self;
      write(path, "text");
      if (!here) others.push_back(path);
    }
    loop.in([&] {
      const NameService::Batch batch(*names);
      for (const std::string& path : others) ask(path, {.object_only = true, .ask_owner = true, .fill_up_to = 1});
    });
    ASSERT_TRUE(loop.until([&] { return answers.size() == others.size(); }));
  }
  std::vector<std::string> others;
};

TEST_F(BatchTest, namesOfOneOwnerAreOneQuestion) {
  askAll(1'000);
  EXPECT_THAT(answers, testing::Each("v1 of 7"));
  ASSERT_EQ(questions.size(), 1U);
  EXPECT_EQ(questions[0].paths_size(), 1'000);
  EXPECT_EQ(questions[0].fill_up_to(), 1U);
  EXPECT_EQ(origin->opens + origin->heads, 0);
}

TEST_F(BatchTest, aQuestionHoldsNoMoreThanItsAnswerCan) {
  askAll(2'500);
  EXPECT_EQ(questions.size(), 3U);
}

TEST_F(BatchTest, anOwnersFailureIsThatOfItsName) {
  failure = Error{Code::PermissionDenied, "not yours", 0};
  only_fails = nameOfOther();
  askAll(3);
  EXPECT_THAT(answers, testing::UnorderedElementsAre("PermissionDenied: not yours", "v1 of 7", "v1 of 7"));
}

TEST_F(BatchTest, whatTheOwnerDoesntKnowInTimeIsAskedForHere) {
  failure = Error{Code::DeadlineExceeded, "not yet", 0};
  only_fails = nameOfOther();
  askAll(3);
  EXPECT_THAT(answers, testing::UnorderedElementsAre("v1 of 4", "v1 of 7", "v1 of 7"));
  EXPECT_EQ(origin->opens, 1);
}

TEST_F(BatchTest, anOwnerThatDiesIsReplacedForEachOfItsNames) {
  loop.in([&] { server.reset(); });
  askAll(100);
  EXPECT_THAT(answers, testing::Each("v1 of 4"));
  EXPECT_EQ(origin->opens, 100);
}

}  // namespace
}  // namespace forebay::node
