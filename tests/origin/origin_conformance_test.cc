// The same promises of Origin, kept against every object store that is there (store.h says which).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/random.h"
#include "io/http_scripted_server.h"
#include "store.h"

namespace forebay::origin {
namespace {

using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;

class StringSink final : public ByteSink {
 public:
  explicit StringSink(std::size_t size) : bytes(size, 0) {}
  MutableBytes room() override { return std::as_writable_bytes(std::span(bytes)).subspan(filled); }
  void wrote(std::size_t n) override { filled += n; }
  std::string bytes;
  std::size_t filled = 0;
};

std::string contentOf(const std::string& name, std::size_t size) {
  Random random(hash64(name));
  std::string bytes(size, 0);
  for (char& c : bytes) c = static_cast<char>(random.below(256));
  return bytes;
}

// Names that trouble somebody; components of at most 255 bytes, because versitygw keeps objects as files.
std::vector<std::string> oddNames() {
  std::string longest;
  while (longest.size() < 1000) longest += std::string(254, static_cast<char>('a' + longest.size() % 26)) + '/';
  longest += "zzzz";  // 1,024 bytes
  return {"plain",
          "with space",
          " ",
          "é/ünï/日本",
          "100%",
          "%2F%20",
          "a+b",
          "a&b=c",
          "q?x#y",
          "quo'te\"<>",
          "semi;colon:@",
          "a..b",
          "tab\there",
          "emoji-\xF0\x9F\x8F\x9E",
          "back`tick^|{}",
          "~tilde!*()",
          "dir/sub/deep/x",
          longest};
}

class Conformance : public testing::TestWithParam<StoreKind> {
 protected:
  Conformance() : metrics_(registry_, "m") {}
  void SetUp() override {
    store_ = storeOf(GetParam());
    ASSERT_TRUE(store_);
    container_ = fmt::format("t{:x}", systemRandom());
    store_->makeContainer(container_);
    loop_.in([&] {
      client_ = std::move(*io::HttpClient::create(loop_.reactor(), {}));
      pool_ = std::make_unique<io::WorkerPool>(loop_.reactor(), 1, 1);
    });
    open("");
  }
  void TearDown() override {
    loop_.in([&] {
      origin_.reset();
      client_.reset();
      pool_.reset();
    });
  }
  void open(const std::string& prefix) { openWith(store_->url(container_, prefix), store_->config()); }
  void openWith(const OriginUrl& url, const OriginConfig& config) {
    loop_.in([&] {
      auto origin = makeOrigin(url, config, loop_.reactor(), *client_, *pool_, metrics_);
      ASSERT_TRUE(origin) << origin.error().text();
      origin_ = std::move(*origin);
    });
  }
  std::string put(const std::string& name, std::size_t size) {
    std::string bytes = contentOf(name, size);
    store_->put(container_, name, bytes);
    return bytes;
  }

  template <class T, class F>
  T await(F call) {
    io::Awaited<T> result;
    loop_.in([&] { call(io::Reactor::now() + 30s, [&](T value) { result.give(std::move(value)); }); });
    return result.wait();
  }
  Status probe() {
    return await<Status>([&](TimePoint t, auto done) { origin_->probe(t, done); });
  }
  Result<ObjectInfo> head(const std::string& name) {
    return await<Result<ObjectInfo>>([&](TimePoint t, auto done) { origin_->head(name, t, done); });
  }
  Result<std::string> get(const std::string& name, const std::string& version, std::uint64_t offset,
                          std::uint64_t length) {
    StringSink sink(length);
    Status status =
        await<Status>([&](TimePoint t, auto done) { origin_->get(name, version, offset, length, sink, t, done); });
    if (!status) return std::unexpected(std::move(status.error()));
    EXPECT_EQ(sink.filled, length);
    return std::move(sink.bytes);
  }
  Result<ListPage> list(const std::string& prefix, const std::string& next, std::uint32_t max) {
    return await<Result<ListPage>>([&](TimePoint t, auto done) { origin_->list(prefix, next, max, t, {}, done); });
  }
  // All pages. A directory's name ends with '/'.
  std::map<std::string, ObjectInfo> listAll(const std::string& prefix, std::uint32_t max,
                                            std::size_t* pages = nullptr) {
    std::map<std::string, ObjectInfo> all;
    std::string next;
    for (std::size_t n = 1;; ++n) {
      auto page = list(prefix, next, max);
      EXPECT_TRUE(page) << page.error().text();
      if (!page || n > 1000) return all;
      for (ListEntry& entry : page->entries) {
        const std::string name = entry.name + (entry.directory ? "/" : "");
        EXPECT_TRUE(all.emplace(name, entry.info).second) << name << " came twice";
      }
      next = page->next;
      if (pages != nullptr) *pages = n;
      if (next.empty()) return all;
    }
  }

  std::optional<Store> store_;
  std::string container_;
  Metrics registry_;
  OriginMetrics metrics_;
  io::LoopThread loop_;
  std::unique_ptr<io::HttpClient> client_;
  std::unique_ptr<io::WorkerPool> pool_;
  std::unique_ptr<Origin> origin_;
};

TEST_P(Conformance, objectsOfEverySizeReadBack) {
  for (const std::size_t size : {0UL, 1UL, 65'536UL, 1'000'001UL, 8UL * 1024 * 1024 + 1}) {
    const std::string name = fmt::format("of-{}", size);
    const std::string bytes = put(name, size);
    const auto info = head(name);
    ASSERT_TRUE(info) << info.error().text();
    EXPECT_EQ(info->size, size);
    EXPECT_GT(info->mtime_ns, 1'700'000'000'000'000'000);
    const auto whole = get(name, info->version, 0, size);
    ASSERT_TRUE(whole) << whole.error().text();
    EXPECT_TRUE(*whole == bytes);
    if (size < 10) continue;
    for (const auto& [offset, length] :
         {std::pair{1UL, size - 2}, std::pair{size - 1, 1UL}, std::pair{size / 2, 7UL}}) {
      const auto part = get(name, info->version, offset, length);
      ASSERT_TRUE(part) << part.error().text();
      EXPECT_TRUE(*part == bytes.substr(offset, length)) << offset << " " << length;
    }
  }
}

TEST_P(Conformance, bytesAndRequestsAreCountedExactly) {
  put("x", 100'000);
  const auto info = head("x");
  ASSERT_TRUE(info);
  ASSERT_TRUE(get("x", info->version, 0, 100'000));
  ASSERT_TRUE(get("x", info->version, 5, 10));
  EXPECT_EQ(metrics_.heads.value(), 1U);
  EXPECT_EQ(metrics_.gets.value(), 2U);
  EXPECT_EQ(metrics_.bytes.value(), 100'010U);
  EXPECT_EQ(metrics_.retries.value() + metrics_.errors.value(), 0U);
}

TEST_P(Conformance, oddNamesAreReadAndListedAsTheyAre) {
  std::set<std::string> top;
  for (const std::string& name : oddNames()) {
    const std::string bytes = put(name, 10);
    const auto info = head(name);
    ASSERT_TRUE(info) << name << ": " << info.error().text();
    const auto read = get(name, info->version, 0, 10);
    ASSERT_TRUE(read) << name << ": " << read.error().text();
    EXPECT_EQ(*read, bytes) << name;
    const auto slash = name.find('/');
    top.insert(slash == std::string::npos ? name : name.substr(0, slash + 1));
  }
  std::set<std::string> listed;
  for (const auto& [name, info] : listAll("", 1000)) listed.insert(name);
  EXPECT_EQ(listed, top);
  // Directories with odd names can be listed too
  EXPECT_TRUE(listAll("é/ünï/", 10).contains("日本"));
}

// What object stores may hold and emulators on file systems can't.
class AnyNameConformance : public Conformance {};

TEST_P(AnyNameConformance, namesThatNoFileSystemHoldsAreReadAndListedToo) {
  const std::vector<std::string> names = {"up/../x", "up/./y", "up//z", "up/folder/", "up/\x01\x02", "up/\xEF\xBF\xBF"};
  for (const std::string& name : names) {
    const std::string bytes = put(name, 10);
    const auto info = head(name);
    ASSERT_TRUE(info) << name << ": " << info.error().text();
    EXPECT_EQ(*get(name, info->version, 0, 10), bytes) << name;
  }
  std::set<std::string> listed;
  for (const auto& [name, info] : listAll("up/", 100)) listed.insert(name);
  EXPECT_EQ(listed, (std::set<std::string>{"../", "./", "/", "folder/", "\x01\x02", "\xEF\xBF\xBF"}));
  // A name that ends with '/' is an object of its own below its directory
  EXPECT_THAT(listAll("up/folder/", 100), testing::ElementsAre(testing::Key("")));
}

TEST_P(Conformance, aListSaysTheSameAsLookingUp) {
  for (int i = 0; i < 5; ++i) put(fmt::format("d/{}", i), static_cast<std::size_t>(i) * 1000);
  const auto all = listAll("d/", 100);
  ASSERT_EQ(all.size(), 5U);
  for (const auto& [name, info] : all) {
    const auto again = head("d/" + name);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(info.size, again->size);
    EXPECT_EQ(info.version, again->version) << "a listing must give versions that can be read";
    EXPECT_EQ(info.mtime_ns / 1'000'000'000, again->mtime_ns / 1'000'000'000);
  }
}

TEST_P(Conformance, pagesJoinWithoutGapsOrRepeats) {
  std::set<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    put(fmt::format("many/f{:03}", i), 1);
    expected.insert(fmt::format("f{:03}", i));
    if (i % 3 != 0) continue;
    for (int j = 0; j < 3; ++j) put(fmt::format("many/f{:03}.d/{}", i, j), 1);
    expected.insert(fmt::format("f{:03}.d/", i));
  }
  for (const std::uint32_t max : {7U, 1000U}) {
    std::size_t pages = 0;
    std::set<std::string> listed;
    for (const auto& [name, info] : listAll("many/", max, &pages)) listed.insert(name);
    EXPECT_EQ(listed, expected) << max;
    if (max == 7) EXPECT_GE(pages, 80U / 7);
  }
  EXPECT_TRUE(listAll("nothing/here/", 10).empty());
}

TEST_P(Conformance, anOldVersionIsGone) {
  put("x", 1000);
  const auto old = head("x");
  ASSERT_TRUE(old);
  store_->put(container_, "x", contentOf("other", 1000));
  const auto now = head("x");
  ASSERT_TRUE(now);
  ASSERT_NE(old->version, now->version);
  EXPECT_EQ(get("x", old->version, 0, 1000).error().code, Code::Gone);
  EXPECT_EQ(get("never-was", old->version, 0, 10).error().code, Code::Gone);
  EXPECT_TRUE(get("x", now->version, 0, 1000));
  // Beyond its end: not the object of the plan. Azurite answers 206 with an impossible range instead of 416.
  EXPECT_THAT(get("x", now->version, 1000, 10).error().code, AnyOf(Eq(Code::Gone), Eq(Code::Corrupt)));
}

TEST_P(Conformance, whatIsNotThereIsNotFound) {
  EXPECT_EQ(head("absent").error().code, Code::NotFound);
  EXPECT_EQ(head("absent/below").error().code, Code::NotFound);
}

TEST_P(Conformance, aPrefixIsAWorldOfItsOwn) {
  put("out", 1);
  const std::string bytes = put("in side/a/b", 20);
  open("in side");
  EXPECT_TRUE(probe());
  EXPECT_THAT(listAll("", 10), testing::ElementsAre(testing::Key("a/")));
  const auto info = head("a/b");
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(*get("a/b", info->version, 0, 20), bytes);
  EXPECT_EQ(head("out").error().code, Code::NotFound);
}

TEST_P(Conformance, probeTellsAtOnceWhatIsWrong) {
  EXPECT_TRUE(probe());
  openWith(store_->url(container_ + "-absent", ""), store_->config());
  const Status absent = probe();
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Code::NotFound) << absent.error().text();
  EXPECT_THAT(absent.error().message, HasSubstr("doesn't exist"));

  OriginConfig wrong = store_->config();
  wrong.azure.account_key = Secret("d3JvbmcgaXMgd3Jvbmc=");
  wrong.s3.secret_access_key = Secret("wrong-is-wrong");
  openWith(store_->url(container_, ""), wrong);
  const Status refused = probe();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().code, AnyOf(Eq(Code::Unauthenticated), Eq(Code::PermissionDenied)));
  EXPECT_THAT(refused.error().message, HasSubstr("from the test"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("wrong-is-wrong")));
  EXPECT_EQ(head("x").error().code, refused.error().code == Code::Unauthenticated && store_->azure
                                        ? Code::Unauthenticated
                                        : Code::PermissionDenied)
      << "a HEAD has no body to say more in";
}

TEST_P(Conformance, manyReadersAtOnceGetTheirOwnBytes) {
  constexpr std::size_t kObjects = 200;
  std::vector<std::string> contents, versions;
  for (std::size_t i = 0; i < kObjects; ++i) {
    contents.push_back(put(fmt::format("o/{}", i), 5000 + i));
    versions.push_back(head(fmt::format("o/{}", i))->version);
  }
  std::vector<std::unique_ptr<StringSink>> sinks;
  std::vector<io::Awaited<Status>> done(kObjects);
  loop_.in([&] {
    for (std::size_t i = 0; i < kObjects; ++i) {
      sinks.push_back(std::make_unique<StringSink>(contents[i].size()));
      origin_->get(fmt::format("o/{}", i), versions[i], 0, contents[i].size(), *sinks[i], io::Reactor::now() + 60s,
                   [&done, i](Status s) { done[i].give(std::move(s)); });
    }
  });
  for (std::size_t i = 0; i < kObjects; ++i) {
    const Status status = done[i].wait();
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_TRUE(sinks[i]->bytes == contents[i]) << i;
  }
}

std::string nameOf(const testing::TestParamInfo<StoreKind>& info) {
  switch (info.param) {
    case StoreKind::FakeAzure:
      return "FakeAzure";
    case StoreKind::FakeS3:
      return "FakeS3";
    case StoreKind::Azure:
      return "Azure";
    case StoreKind::S3:
      return "S3";
  }
  return "";
}
// The fake store always; real ones where the environment names them.
std::vector<StoreKind> storesHere() {
  std::vector<StoreKind> kinds = {StoreKind::FakeAzure, StoreKind::FakeS3};
  for (StoreKind kind : {StoreKind::Azure, StoreKind::S3})
    if (storeOf(kind)) kinds.push_back(kind);
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Stores, Conformance, testing::ValuesIn(storesHere()), nameOf);
INSTANTIATE_TEST_SUITE_P(Stores, AnyNameConformance, testing::Values(StoreKind::FakeAzure, StoreKind::FakeS3), nameOf);

}  // namespace
}  // namespace forebay::origin
