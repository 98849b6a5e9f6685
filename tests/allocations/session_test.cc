// A mount's session, without a kernel and a node: what a warm read allocates in the thread that handles it.
#include "frontend/fuse/session.h"

#include <gtest/gtest.h>

#include "counting.h"
#include "frontend/fuse/request_builder.h"

namespace forebay::fuse {
namespace {

// A client that keeps one read, for the test to answer.
class OneReadClient final : public client::Client {
 public:
  void lookup(std::string path, bool, TimePoint, client::Callback<client::Attributes> done) override {
    done(client::Attributes{.plan = {.path = std::move(path), .version = "v", .size = 1 << 20}});
  }
  void list(std::string, std::string, std::uint32_t, TimePoint, client::Callback<client::DirectoryPage>) override {}
  void read(const core::SharedPlan&, std::uint64_t, MutableBytes into, TimePoint,
            client::Callback<std::size_t> done) override {
    length = into.size();
    kept = std::move(done);
  }
  void region(const core::Plan&, const client::RegionWish&, TimePoint, client::Callback<io::Descriptor>) override {}
  void where(std::string, TimePoint, client::Callback<client::Where>) override {}

  std::size_t length = 0;
  client::Callback<std::size_t> kept;
};

// The last answer.
class OneAnswerChannel final : public Channel {
 public:
  int send(unsigned, std::span<const iovec> parts) override {
    ++sent;
    if (parts.size() > 1 && parts[1].iov_len <= sizeof body) std::memcpy(body, parts[1].iov_base, parts[1].iov_len);
    return 0;
  }
  template <class T>
  T as() const {
    T out{};
    std::memcpy(&out, body, sizeof out);
    return out;
  }
  std::size_t sent = 0;
  std::byte body[512] = {};
};

TEST(SessionAllocations, aWarmReadMakesNone) {
  OneReadClient client;
  OneAnswerChannel channel;
  Metrics metrics;
  const auto session = Session::create(client, {.mount_point = "/mnt/test"}, metrics, channel);
  const auto send = [&](RequestBuilder request) { session->handle(0, request.build()); };
  send(RequestBuilder(FUSE_INIT, 1).add(fuse_init_in{.major = 7, .minor = 40}));
  send(RequestBuilder(FUSE_LOOKUP, 2).name("file"));
  const std::uint64_t node = channel.as<fuse_entry_out>().nodeid;
  send(RequestBuilder(FUSE_OPEN, 3, node).add(fuse_open_in{}));
  const std::uint64_t handle = channel.as<fuse_open_out>().fh;

  std::vector<std::vector<std::byte>> reads;
  for (std::uint64_t i = 0; i < 100; ++i)
    reads.push_back(RequestBuilder(FUSE_READ, 10 + i, node)
                        .add(fuse_read_in{.fh = handle, .offset = i * 4096, .size = 4096})
                        .build());
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < reads.size(); ++i) {
    if (i == 1) before = allocationsOf(pthread_self());  // the first makes the buffer
    session->handle(0, reads[i]);
    client.kept(client.length);
  }
  EXPECT_EQ(allocationsOf(pthread_self()) - before, 0U);
  EXPECT_EQ(channel.sent, 3 + reads.size());
  session->stop();
}

}  // namespace
}  // namespace forebay::fuse
