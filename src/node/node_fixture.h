// For tests of what a node is made of: an origin that says what the test says, and the parts around it, in a loop.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "base/random.h"
#include "io/test_loop.h"
#include "node/chunks.h"
#include "node/names.h"

namespace forebay::node {

// Objects in memory. What is asked while it is held is answered when the test lets it go.
class ScriptedOrigin : public origin::Origin {
 public:
  struct Object {
    std::string content;
    std::string version = "v1";
  };
  explicit ScriptedOrigin(io::Reactor& reactor) : reactor_(reactor) {}

  void probe(TimePoint, origin::DoneCallback done) override {
    later([this, done = std::move(done)]() mutable { done(down ? fail(*down) : Status()); });
  }
  void head(std::string path, TimePoint, origin::Callback<origin::ObjectInfo> done) override {
    ++heads;
    later([this, path = std::move(path), done = std::move(done)]() mutable {
      if (down) return done(fail(*down));
      const auto known = objects.find(path);
      if (known == objects.end()) return done(fail(Code::NotFound, path + ": no such object"));
      done(origin::ObjectInfo{known->second.content.size(), known->second.version, 0});
    });
  }
  void get(std::string path, std::string version, std::uint64_t offset, std::uint64_t length, origin::ByteSink& sink,
           TimePoint, origin::DoneCallback done) override {
    ++gets;
    bytes += length;
    later([this, path = std::move(path), version = std::move(version), offset, length, &sink,
           done = std::move(done)]() mutable {
      if (down) return done(fail(*down));
      const auto known = objects.find(path);
      if (known == objects.end() || known->second.version != version) return done(fail(Code::Gone, path + ": changed"));
      send(bytesOf(known->second.content).subspan(offset, length), sink);
      done({});
    });
  }
  void open(std::string path, std::uint64_t most, origin::OpenSink& sink, TimePoint,
            origin::Callback<origin::ObjectInfo> done) override {
    ++opens;
    later([this, path = std::move(path), most, &sink, done = std::move(done)]() mutable {
      if (down) return done(fail(*down));
      const auto known = objects.find(path);
      if (known == objects.end()) return done(fail(Code::NotFound, path + ": no such object"));
      const Bytes from = bytesOf(known->second.content);
      const origin::ObjectInfo info{from.size(), known->second.version, 0};
      const Bytes first = from.first(std::min<std::uint64_t>(from.size(), most));
      sink.begins(info, first.size());
      send(first, sink);
      bytes += first.size();
      done(info);
    });
  }
  void list(std::string prefix, std::string next, std::uint32_t max, TimePoint, origin::NextPageCallback next_page,
            origin::Callback<origin::ListPage> done) override {
    ++lists;
    asked_max.push_back(max);
    later([this, prefix = std::move(prefix), next = std::move(next), max, next_page = std::move(next_page),
           done = std::move(done)]() mutable {
      if (down) return done(fail(*down));
      origin::ListPage page = pageOf(prefix, next, max);
      if (!reads_lists_slowly) return done(std::move(page));
      if (next_page && !page.next.empty()) next_page(page.next);
      read_slowly.emplace_back([page = std::move(page), done = std::move(done)]() mutable { done(std::move(page)); });
    });
  }
  std::string url() const override { return "test://"; }

  void hold() { holding_ = true; }
  void letGo() {
    holding_ = false;
    for (io::Task& task : std::exchange(held_, {})) reactor_.post(std::move(task));
  }
  std::size_t held() const { return held_.size(); }

  std::map<std::string, Object> objects;
  std::optional<Error> down;          // every call fails with it
  std::size_t portion = 10'007;       // of bytes: no border of anything
  bool reads_lists_slowly = false;    // knows the next page at once, and gives the page later
  std::vector<io::Task> read_slowly;  // those pages
  int heads = 0, gets = 0, opens = 0, lists = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> asked_max;

 private:
  void send(Bytes from, origin::ByteSink& sink) const {
    while (!from.empty()) {
      const auto room = sink.room();
      const std::size_t n = std::min({room.size(), from.size(), portion});
      std::memcpy(room.data(), from.data(), n);
      sink.wrote(n);
      from = from.subspan(n);
    }
  }
  void later(io::Task task) {
    if (holding_)
      held_.push_back(std::move(task));
    else
      reactor_.post(std::move(task));
  }
  origin::ListPage pageOf(const std::string& prefix, const std::string& next, std::uint32_t max) const {
    origin::ListPage page;
    std::string last;
    for (auto at = objects.lower_bound(prefix); at != objects.end() && at->first.starts_with(prefix); ++at) {
      const std::string rest = at->first.substr(prefix.size());
      const std::size_t slash = rest.find('/');
      const std::string name = rest.substr(0, slash);
      const bool directory = slash != std::string::npos;
      const std::string key = directory ? name + "/" : name;
      if ((!next.empty() && key <= next) || key == last) continue;
      if (page.entries.size() == max) {
        page.next = last;
        return page;
      }
      last = key;
      page.entries.push_back({.name = name, .directory = directory, .info = {}});
      if (!directory) page.entries.back().info = {at->second.content.size(), at->second.version, 0};
    }
    return page;
  }

  io::Reactor& reactor_;
  bool holding_ = false;
  std::vector<io::Task> held_;
};

inline std::string randomText(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

// One node of a cell of `members`, without its doors. Everything happens in the loop: use loop.in().
class NodeFixture : public testing::Test {
 protected:
  static constexpr std::uint64_t kArena = 32 * kMiB;

  explicit NodeFixture(std::size_t members = 1, std::uint64_t arena_bytes = kArena) {
    loop.in([&] { build(members, arena_bytes); });
  }
  void TearDown() override {
    loop.in([&] {
      takeDown();
      chunks.reset();
      names.reset();
      openings.reset();
      channels.reset();
      mounts.clear();
    });
  }
  virtual void takeDown() {}

  void build(std::size_t count, std::uint64_t arena_bytes) {
    std::vector<core::Member> members;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = "n" + std::to_string(i);
      members.push_back({.id = core::nodeIdOf(name), .name = name, .address = "127.0.0.1:1", .domain = name});
    }
    cell = std::make_unique<core::ChunkServer>(self, *core::SlotMap::build(1, members), core::ServerLimits{}, 1);
    arena = *store::Arena::create({.capacity_bytes = arena_bytes, .directory = {}, .eviction = {}}, metrics);
    channels = std::make_unique<reader::Channels>(loop.reactor(), reader::ChannelOptions{});
    auto made = std::make_unique<Mount>();
    made->name = "m";
    made->consistency = {.kind = Consistency::Kind::Bounded, .bound = 1000s};
    made->chunk_bits = 20;
    made->secret.resize(32);
    made->metrics = std::make_unique<MountMetrics>(metrics, "m");
    auto scripted = std::make_unique<ScriptedOrigin>(loop.reactor());
    origin = scripted.get();
    made->origin = std::move(scripted);
    mount = *mounts.add(std::move(made));
    EXPECT_TRUE(arena->addMount(mount->id, {}));
    openings = std::make_unique<Openings>(self, *cell, *arena);
    names = std::make_unique<NameService>(NameService::Deps{.reactor = loop.reactor(),
                                                            .self = self,
                                                            .cell = *cell,
                                                            .channels = *channels,
                                                            .mounts = mounts,
                                                            .metrics = metrics,
                                                            .limits = {},
                                                            .page_limits = {},
                                                            .seed = 1,
                                                            .openings = openings.get()});
    chunks = std::make_unique<ChunkService>(
        ChunkService::Deps{.reactor = loop.reactor(),
                           .cell = *cell,
                           .channels = *channels,
                           .arena = *arena,
                           .mounts = mounts,
                           .pull_map = {},
                           .gone = [this](const core::Plan& plan) { names->forget(plan.mount, plan.path); }});
  }

  SharedPlan planOf(const std::string& path) const {
    const auto& object = origin->objects.at(path);
    return std::make_shared<const core::Plan>(mount->plan(path, {object.content.size(), object.version, 0}));
  }

  io::TestLoop loop;
  Metrics metrics;
  const core::NodeId self = core::nodeIdOf("n0");
  Mounts mounts;
  Mount* mount = nullptr;
  ScriptedOrigin* origin = nullptr;
  std::unique_ptr<store::Arena> arena;
  std::unique_ptr<core::ChunkServer> cell;
  std::unique_ptr<reader::Channels> channels;
  std::unique_ptr<Openings> openings;
  std::unique_ptr<NameService> names;
  std::unique_ptr<ChunkService> chunks;
};

}  // namespace forebay::node
