#include "origin/dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace forebay::origin {
namespace {

namespace fs = std::filesystem;

class VectorSink : public OpenSink {
 public:
  void begins(const ObjectInfo& info, std::uint64_t length) override { begun.emplace_back(info.size, length); }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> begun;
  MutableBytes room() override { return room_; }
  void wrote(std::size_t n) override {
    text.append(reinterpret_cast<const char*>(room_.data()), n);
    if (after_piece) after_piece();
  }
  std::string text;
  std::function<void()> after_piece;

 private:
  std::vector<std::byte> room_ = std::vector<std::byte>(300'000);
};

class DirOriginTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "forebay-dir-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root = pattern;
    reactor = std::move(*io::Reactor::create());
    pool = std::make_unique<io::WorkerPool>(*reactor, 2, 64);
    origin = std::move(*makeDirOrigin(root.string(), *reactor, *pool, origin_metrics));
  }
  void TearDown() override {
    pool.reset();
    origin.reset();
    fs::remove_all(root);
  }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path, std::ios::binary) << text;
  }
  template <class T, class Call>
  Result<T> wait(Call call) {
    Result<T> got = fail(Code::Internal, "never called");
    call([&](Result<T> result) {
      got = std::move(result);
      reactor->stop();
    });
    reactor->run();
    restartLoop();
    return got;
  }
  // A reactor runs once: make everything anew on the same directory.
  void restartLoop() {
    pool.reset();
    origin.reset();
    reactor = std::move(*io::Reactor::create());
    pool = std::make_unique<io::WorkerPool>(*reactor, 2, 64);
    origin = std::move(*makeDirOrigin(root.string(), *reactor, *pool, origin_metrics));
  }
  Result<ObjectInfo> head(const std::string& path) {
    return wait<ObjectInfo>([&](auto done) { origin->head(path, kNever, std::move(done)); });
  }
  Result<ListPage> list(const std::string& prefix, const std::string& next = "", std::uint32_t max = 1000) {
    return wait<ListPage>([&](auto done) { origin->list(prefix, next, max, kNever, {}, std::move(done)); });
  }
  Status get(const std::string& path, const std::string& version, std::uint64_t offset, std::uint64_t length,
             VectorSink& sink) {
    return wait<void>([&](auto done) { origin->get(path, version, offset, length, sink, kNever, std::move(done)); });
  }

  fs::path root;
  Metrics metrics;
  OriginMetrics origin_metrics{metrics, "m"};
  std::unique_ptr<io::Reactor> reactor;
  std::unique_ptr<io::WorkerPool> pool;
  std::unique_ptr<Origin> origin;
};

std::vector<std::string> names(const ListPage& page) {
  std::vector<std::string> all;
  for (const auto& entry : page.entries) all.push_back(entry.name + (entry.directory ? "/" : ""));
  return all;
}

TEST_F(DirOriginTest, readsRangesOfAVersion) {
  const std::string text(1'000'000, 'x');
  write("a/b.bin", text + "end");
  const auto info = head("a/b.bin");
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(info->size, 1'000'003U);
  VectorSink whole, part;
  EXPECT_TRUE(get("a/b.bin", info->version, 0, info->size, whole));
  EXPECT_EQ(whole.text, text + "end");
  EXPECT_TRUE(get("a/b.bin", info->version, 999'999, 4, part));
  EXPECT_EQ(part.text, "xend");
  EXPECT_EQ(origin_metrics.bytes.value(), 1'000'007U);
}

TEST_F(DirOriginTest, aRewrittenFileIsAnotherVersionAndTheOldOneIsGone) {
  write("f", "old bytes");
  const auto old = head("f");
  write("f", "new bytes!");
  const auto now = head("f");
  ASSERT_TRUE(old && now);
  EXPECT_NE(old->version, now->version);
  VectorSink sink;
  const auto status = get("f", old->version, 0, 9, sink);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::Gone);
  EXPECT_EQ(sink.text, "");
}

TEST_F(DirOriginTest, aFileThatShrinksOrVanishesWhileReadGivesNoMix) {
  write("f", std::string(900'000, 'a'));
  const auto info = head("f");
  VectorSink sink;
  sink.after_piece = [&] { fs::resize_file(root / "f", 10); };
  const auto shrunk = get("f", info->version, 0, 900'000, sink);
  ASSERT_FALSE(shrunk);
  EXPECT_EQ(shrunk.error().code, Code::Gone);
  EXPECT_EQ(sink.text, std::string(300'000, 'a'));
  fs::remove(root / "f");
  EXPECT_EQ(get("f", info->version, 0, 1, sink).error().code, Code::Gone);
  EXPECT_EQ(head("f").error().code, Code::NotFound);
}

TEST_F(DirOriginTest, nothingAboveTheRootIsReached) {
  write("in/file", "x");
  fs::create_symlink("/etc", root / "out");
  fs::create_symlink("in/file", root / "link");
  for (const char* path : {"../etc/passwd", "out/passwd", "in/../in/file", "/etc/passwd", "in//file", "in/", "", "."})
    EXPECT_EQ(head(path).error().code, Code::NotFound) << path;
  EXPECT_EQ(head("link")->size, 1U);
  EXPECT_EQ(names(*list("")), (std::vector<std::string>{"in/", "link"}));
  EXPECT_EQ(list("out/").error().code, Code::NotFound);
}

TEST_F(DirOriginTest, listsInPagesSortedAndWithoutWhatIsNoFile) {
  for (const char* name : {"b", "a b", "z%", "\xc3\xa4", "d/x"}) write(name, "1");
  fs::create_directory(root / "empty");
  ASSERT_EQ(mkfifo((root / "pipe").c_str(), 0600), 0);
  const auto first = list("", "", 3);
  ASSERT_TRUE(first);
  EXPECT_EQ(names(*first), (std::vector<std::string>{"a b", "b", "d/"}));
  const auto rest = list("", first->next, 10);
  EXPECT_EQ(names(*rest), (std::vector<std::string>{"empty/", "z%", "\xc3\xa4"}));
  EXPECT_EQ(rest->next, "");
  EXPECT_EQ(first->entries[1].info.version, head("b")->version);
  EXPECT_TRUE(list("empty/")->entries.empty());
  EXPECT_EQ(list("nowhere/").error().code, Code::NotFound);
}

TEST_F(DirOriginTest, aRootThatIsNoDirectoryIsSaidAtOnce) {
  write("file", "x");
  EXPECT_EQ(makeDirOrigin("relative", *reactor, *pool, origin_metrics).error().code, Code::InvalidArgument);
  EXPECT_EQ(makeDirOrigin(root.string() + "/none", *reactor, *pool, origin_metrics).error().code, Code::NotFound);
  EXPECT_EQ(makeDirOrigin(root.string() + "/file", *reactor, *pool, origin_metrics).error().code, Code::NotFound);
}

TEST_F(DirOriginTest, opensAFileWithItsFirstBytes) {
  const std::string text(700'000, 'x');
  write("d/f", text);
  write("empty", "");
  for (const auto& [path, most, length] : std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t>>{
           {"d/f", 1'000'000, 700'000}, {"d/f", 10, 10}, {"empty", 10, 0}}) {
    VectorSink sink;
    const auto info = wait<ObjectInfo>([&](auto done) { origin->open(path, most, sink, kNever, std::move(done)); });
    ASSERT_TRUE(info) << info.error().text();
    ASSERT_EQ(sink.begun.size(), 1U);
    EXPECT_EQ(sink.begun[0], std::pair(info->size, length));
    EXPECT_EQ(sink.text, text.substr(0, length));
  }
  VectorSink sink;
  for (const char* path : {"none", "d", "../d/f"}) {
    const auto info = wait<ObjectInfo>([&](auto done) { origin->open(path, 10, sink, kNever, std::move(done)); });
    ASSERT_FALSE(info) << path;
    EXPECT_EQ(info.error().code, Code::NotFound) << path;
  }
}

}  // namespace
}  // namespace forebay::origin
