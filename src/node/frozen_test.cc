// Names and bytes of a frozen mount, and nodes whose manifests differ.
#include <filesystem>
#include <fstream>

#include "node/manifest_agreement.h"
#include "node/node_fixture.h"

namespace forebay::node {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class TextSink : public origin::OpenSink {
 public:
  void begins(const origin::ObjectInfo& info, std::uint64_t length) override { begun = {info.version, length}; }
  MutableBytes room() override { return room_; }
  void wrote(std::size_t n) override { text.append(reinterpret_cast<const char*>(room_.data()), n); }
  std::pair<std::string, std::uint64_t> begun;
  std::string text;

 private:
  std::vector<std::byte> room_ = std::vector<std::byte>(4096);
};

// A mount whose manifest was made of what the test writes with freeze(); the origin may change afterwards.
class FrozenTest : public NodeFixture {
 protected:
  FrozenTest() : NodeFixture(3) {  // names of other nodes too: all are answered here
    std::string pattern = (fs::temp_directory_path() / "forebay-frozen-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  void takeDown() override { pool.reset(); }
  ~FrozenTest() override { fs::remove_all(directory); }

  void freeze(std::map<std::string, std::string> objects) {
    const std::string file = (directory / "m").string();
    {
      std::ofstream out(file, std::ios::binary);
      auto writer = ManifestWriter::begin([&](std::string_view text) { out << text; }, "test://", "monday");
      for (const auto& [path, content] : objects)
        EXPECT_TRUE(
            writer->add({.path = path, .size = content.size(), .version = "v1", .mtime_ns = 7, .checksum = {}}));
      writer->finish();
    }
    auto manifest = Manifest::load(file);
    ASSERT_TRUE(manifest);
    loop.in([&] {
      for (const auto& [path, content] : objects) origin->objects[path] = {content, "v1"};
      pool = std::make_unique<io::WorkerPool>(loop.reactor(), 1, 4);
      mount->consistency = {.kind = Consistency::Kind::Frozen, .bound = Duration{0}};
      mount->manifest = *manifest;
      mount->origin = std::make_unique<FrozenOrigin>(std::move(mount->origin), *manifest, loop.reactor(), *pool);
    });
  }
  std::string resolve(const std::string& path, ResolveOptions options = {.ask_owner = true}) {
    std::optional<std::string> said;
    loop.in([&] {
      names->resolve(*mount, path, options, kNever, [&](Result<NameService::Resolved> resolved) {
        if (!resolved)
          said = resolved.error().text();
        else if (resolved->answer->kind == NameAnswer::Kind::Object)
          said = resolved->answer->plan.version + " of " + std::to_string(resolved->answer->plan.size);
        else
          said = resolved->answer->kind == NameAnswer::Kind::Absent ? "absent" : "directory";
        if (resolved) ttl = resolved->ttl;
      });
    });
    EXPECT_TRUE(loop.until([&] { return said.has_value(); }));
    return *said;
  }
  std::vector<std::string> list(const std::string& path) {
    std::optional<Result<NameService::Listed>> listed;
    loop.in([&] {
      names->list(*mount, path, "", {.max = 100, .ask_owner = true}, kNever,
                  [&](auto page) { listed = std::move(page); });
    });
    EXPECT_TRUE(loop.until([&] { return listed.has_value(); }));
    std::vector<std::string> keys;
    if (!*listed) return {listed->error().text()};
    for (const auto* entry : (*listed)->page->entries) keys.push_back(keyOf(*entry));
    return keys;
  }
  std::string get(const std::string& path, const std::string& version) {
    std::optional<Status> status;
    sink = {};
    loop.in([&] {
      mount->origin->get(path, version, 0, origin->objects.contains(path) ? origin->objects[path].content.size() : 1,
                         sink, kNever, [&](Status s) { status = std::move(s); });
    });
    EXPECT_TRUE(loop.until([&] { return status.has_value(); }));
    return *status ? sink.text : status->error().text();
  }
  int namesAsked() {
    return loop.in([&] { return origin->heads + origin->lists + origin->opens; });
  }

  fs::path directory;
  std::unique_ptr<io::WorkerPool> pool;
  TextSink sink;
  Duration ttl{0};
};

TEST_F(FrozenTest, namesAreAnsweredFromTheManifestAlone) {
  freeze({{"a", "x"}, {"a/b", "yy"}, {"d/e/f", "zzz"}});
  EXPECT_EQ(resolve("a"), "directory");
  EXPECT_EQ(resolve("a", {.object_only = true, .ask_owner = true}), "v1 of 1");
  EXPECT_EQ(resolve("a/b", {.object_only = true, .ask_owner = true, .fill_up_to = 4096}), "v1 of 2");
  EXPECT_EQ(resolve("d/e/f", {.revalidate = true, .ask_owner = true}), "v1 of 3");
  EXPECT_GT(ttl, std::chrono::hours(24 * 365));
  EXPECT_EQ(resolve("d/none"), "absent");
  EXPECT_GT(ttl, std::chrono::hours(24 * 365));
  EXPECT_THAT(list(""), testing::ElementsAre("a/", "d/"));
  EXPECT_THAT(list("d/e"), testing::ElementsAre("f"));
  EXPECT_THAT(list("none"), testing::ElementsAre(HasSubstr("NotFound")));
  EXPECT_EQ(namesAsked(), 0);
}

TEST_F(FrozenTest, whatChangesAtTheOriginIsNotSeenInNames) {
  freeze({{"a", "x"}});
  loop.in([&] {
    origin->objects["a"] = {"changed", "v2"};
    origin->objects["new"] = {"new", "v1"};
  });
  EXPECT_EQ(resolve("a"), "v1 of 1");
  loop.in([&] { names->forget(mount->id, "a"); });
  EXPECT_EQ(resolve("a"), "v1 of 1");
  EXPECT_EQ(resolve("new"), "absent");
  EXPECT_EQ(namesAsked(), 0);
}

TEST_F(FrozenTest, anObjectThatChangedOrVanishedIsAnErrorThatNamesItAndBothVersions) {
  freeze({{"a", "x"}, {"b", "y"}});
  EXPECT_EQ(get("a", "v1"), "x");
  loop.in([&] {
    origin->objects["a"] = {"changed", "v2"};
    origin->objects.erase("b");
  });
  EXPECT_THAT(get("a", "v1"), AllOf(HasSubstr("Gone: 'a' changed since the manifest was made"),
                                    HasSubstr("the manifest (monday) has version 'v1', the origin has 'v2'")));
  EXPECT_THAT(get("b", "v1"), HasSubstr("'b' vanished since the manifest was made"));
}

TEST_F(FrozenTest, manyQuestionsAtOnceNeedNoMoreOfThePoolThanOne) {
  freeze({{"a", "x"}, {"b", "y"}});
  int answered = 0;
  loop.in([&] {
    for (int i = 0; i < 3'000; ++i)
      names->resolve(*mount, "name-" + std::to_string(i), {}, kNever,
                     [&](auto resolved) { answered += resolved ? 1 : 0; });
  });
  ASSERT_TRUE(loop.until([&] { return answered == 3'000; }));
}

TEST_F(FrozenTest, openingGivesTheManifestsVersionOrAnError) {
  freeze({{"a", "text"}});
  const auto open = [&] {
    std::optional<Result<origin::ObjectInfo>> info;
    sink = {};
    loop.in([&] { mount->origin->open("a", 3, sink, kNever, [&](auto opened) { info = std::move(opened); }); });
    EXPECT_TRUE(loop.until([&] { return info.has_value(); }));
    return std::move(*info);
  };
  EXPECT_EQ(open()->size, 4U);
  EXPECT_EQ(sink.text, "tex");
  EXPECT_EQ(sink.begun, (std::pair<std::string, std::uint64_t>("v1", 3)));
  loop.in([&] { origin->objects["a"] = {"other", "v2"}; });
  EXPECT_EQ(open().error().code, Code::Gone);
}

TEST_F(FrozenTest, aProbeAsksForAByteAndBearsAChangedObject) {
  freeze({{"a", ""}, {"b", "y"}});
  const auto probe = [&] {
    std::optional<Status> status;
    loop.in([&] { mount->origin->probe(kNever, [&](Status s) { status = std::move(s); }); });
    EXPECT_TRUE(loop.until([&] { return status.has_value(); }));
    return *status;
  };
  EXPECT_TRUE(probe());
  EXPECT_EQ(loop.in([&] { return origin->bytes; }), 1U);
  loop.in([&] { origin->objects["b"] = {"z", "v2"}; });
  EXPECT_TRUE(probe());
  loop.in([&] { origin->down = Error{Code::PermissionDenied, "no", 0}; });
  EXPECT_EQ(probe().error().code, Code::PermissionDenied);
}

TEST_F(FrozenTest, aRefusedMountAnswersNoName) {
  freeze({{"a", "x"}});
  loop.in([&] { mount->refusal = {Code::InvalidArgument, "the manifests differ", 0}; });
  EXPECT_EQ(resolve("a"), "InvalidArgument: the manifests differ");
  EXPECT_THAT(list(""), testing::ElementsAre("InvalidArgument: the manifests differ"));
}

TEST(ManifestAgreementTest, whoServesGoesOnAndOfEqualsTheSmallerDigestServes) {
  using Claim = ManifestClaim;
  const auto blocked = [](const Claim& mine, const Claim& other) { return disagreement(mine, {other}).has_value(); };
  struct Case {
    const char* what;
    Claim mine, other;
    bool blocked;
  };
  const Case cases[] = {
      {"the same", {"n", "a", false}, {"o", "a", true}, false},
      {"a newcomer, and one that serves", {"n", "a", false}, {"o", "b", true}, true},
      {"one that serves, and a newcomer", {"n", "b", true}, {"o", "a", false}, false},
      {"two newcomers, this one first", {"n", "a", false}, {"o", "b", false}, false},
      {"two newcomers, the other first", {"n", "b", false}, {"o", "a", false}, true},
      {"two that serve, the other first", {"n", "b", true}, {"o", "a", true}, true},
      {"a newcomer, and one without a manifest", {"n", "a", false}, {"o", "", true}, true},
      {"one that serves, and one without a manifest", {"n", "a", true}, {"o", "", true}, false},
  };
  for (const Case& c : cases) EXPECT_EQ(blocked(c.mine, c.other), c.blocked) << c.what;
  // Of two that differ never both serve for long, and never neither.
  for (const bool a : {true, false})
    for (const bool b : {true, false})
      EXPECT_NE(blocked({"n", "a", a}, {"o", "b", b}), blocked({"o", "b", b}, {"n", "a", a}));
}

}  // namespace
}  // namespace forebay::node
