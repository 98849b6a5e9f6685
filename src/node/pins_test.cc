// What a node holds for clients, and until when.
#include "node/pins.h"

#include <filesystem>

#include "node/node_fixture.h"
#include "reader/channel.h"

namespace forebay::node {
namespace {

// A server on a Unix socket; a client of this process asks, and the replies stay open.
class PinsTest : public NodeFixture, public io::RequestHandler {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "forebay-pins-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    loop.in([&] {
      pins_ = std::make_unique<Pins>(loop.reactor(), *arena);
      io::ServerOptions options;
      options.connection.self = {.name = "n0", .peer = true, .node_id = self};
      server_ = std::make_unique<io::Server>(loop.reactor(), options, *this);
      ASSERT_TRUE(server_->listen(io::Address::unixPath((dir_ / "s").string())));
    });
    load();
  }
  void takeDown() override {
    channels_.clear();
    replies_.clear();
    server_.reset();
    pins_.reset();
    std::filesystem::remove_all(dir_);
  }
  void request(const io::Request& request, Bytes, io::Reply reply) override {
    asked_.push_back(Pins::Who::of(request.from));
    replies_.push_back(std::move(reply));
  }
  void read(const io::Request&, const wire::ReadView&, io::Reply) override {}
  void left(const io::RemoteInfo& from) override {
    pins_->left(from);
    ++left_;
  }

  // The number of a connection, whose first request is open.
  std::size_t connect() {
    const std::size_t before = loop.in([&] {
      channels_.push_back(std::make_unique<reader::Channel>(
          loop.reactor(), io::Address::unixPath((dir_ / "s").string()), reader::ChannelOptions{}));
      channels_.back()->call(wire::MessageType::StatusRequest, wire::pb::StatusRequest(), io::Reactor::now() + 60s,
                             [](const Result<reader::Answer>&) {});
      return replies_.size();
    });
    EXPECT_TRUE(loop.until([&] { return replies_.size() > before; }));
    return before;
  }
  void load() {
    loop.in([&] {
      origin->objects["f"] = {randomText(100'000, 1)};
      plan_ = planOf("f");
      auto got = arena->reserve(io::Reactor::now(), *plan_, {.chunk = 0, .runs = {0, 1}});
      ASSERT_TRUE(got) << got.error().text();
      const std::vector<std::uint32_t> crcs(got->granules());
      got->commit(crcs);
    });
  }
  Status pin(std::size_t connection, std::uint64_t id) {
    return loop.in([&] {
      return pins_->pin(asked_[connection], id, *arena->view(io::Reactor::now(), plan_->key, 0, 0, 1'000),
                        replies_[connection]);
    });
  }
  void unpin(std::size_t connection, std::uint64_t id) {
    loop.in([&] { pins_->unpin(asked_[connection], {&id, 1}); });
  }
  std::uint64_t held() {
    return loop.in([&] { return arena->stats().client_pinned_bytes; });
  }
  wire::pb::NodeStatus report() {
    return loop.in([&] {
      wire::pb::NodeStatus status;
      pins_->report(status);
      return status;
    });
  }
  void disconnect(std::size_t connection) {
    const int before = left_;
    loop.in([&] { channels_[connection].reset(); });
    EXPECT_TRUE(loop.until([&] { return left_ > before; }));
  }

  std::filesystem::path dir_;
  SharedPlan plan_;
  std::unique_ptr<Pins> pins_;
  std::unique_ptr<io::Server> server_;
  std::vector<std::unique_ptr<reader::Channel>> channels_;
  std::vector<io::Reply> replies_;
  std::vector<Pins::Who> asked_;
  int left_ = 0;
};

TEST_F(PinsTest, areHeldUntilTheyAreGivenBackOnce) {
  const std::size_t client = connect();
  ASSERT_TRUE(pin(client, 7));
  ASSERT_TRUE(pin(client, 8));
  EXPECT_FALSE(pin(client, 8)) << "the number is taken";
  EXPECT_GT(held(), 0U);
  const auto status = report();
  ASSERT_EQ(status.pinning_size(), 1);
  EXPECT_EQ(status.pinning(0).pid(), static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(status.pinning(0).pins(), 2U);
  EXPECT_EQ(status.pinning(0).bytes(), 2'000U);
  EXPECT_TRUE(status.pinning(0).connected());
  unpin(client, 7);
  unpin(client, 7);
  unpin(client, 1'234);
  EXPECT_GT(held(), 0U);
  unpin(client, 8);
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(report().pinning_size(), 0);
  ASSERT_TRUE(pin(client, 8)) << "the number is free again";
}

TEST_F(PinsTest, areHeldForAProcessThatLostItsConnectionAndGivenBackOverAnother) {
  const std::size_t lost = connect(), other = connect();
  ASSERT_TRUE(pin(lost, 1));
  ASSERT_TRUE(pin(lost, 2));
  disconnect(lost);
  EXPECT_GT(held(), 0U) << "the process reads on";
  ASSERT_EQ(report().pinning_size(), 1);
  EXPECT_FALSE(report().pinning(0).connected());
  unpin(other, 1);
  EXPECT_EQ(report().pinning(0).pins(), 1U);
  unpin(other, 2);
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(report().pinning_size(), 0);
  disconnect(other);
}

TEST_F(PinsTest, ofAnotherProcessAreNotGivenBack) {
  const std::size_t client = connect(), other = connect();
  ASSERT_TRUE(pin(client, 1));
  asked_[other].pid += 1;
  unpin(other, 1);
  EXPECT_GT(held(), 0U);
  unpin(client, 1);
}

TEST_F(PinsTest, areNotMadeForWhoHasLeft) {
  const std::size_t client = connect();
  disconnect(client);
  EXPECT_FALSE(pin(client, 1));
  EXPECT_EQ(held(), 0U);
}

}  // namespace
}  // namespace forebay::node
