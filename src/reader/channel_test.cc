#include "reader/channel_fixture.h"

namespace forebay::reader::channel_test {
namespace {

class ChannelCallTest : public ChannelTest {};

TEST_F(ChannelCallTest, connectsWhenItIsFirstAskedAndBringsTheAnswer) {
  answerEverything();
  start();
  EXPECT_FALSE(loop.in([&] { return channel->stats().connected; }));
  loop.in([&] {
    ask();
    EXPECT_TRUE(answers.empty()) << "never inside the call";
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers, ElementsAre("map 7"));
    EXPECT_EQ(channel->remote()->name, "node-1");
    EXPECT_EQ(channel->stats().outstanding, 0U);
    EXPECT_GT(node.last_header.deadline_ms, 20'000U);
    EXPECT_LE(node.last_header.deadline_ms, 30'000U);
  });
}

TEST_F(ChannelCallTest, bringsAnswersInWhateverOrderTheyCome) {
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 3; }));
  loop.in([&] {
    for (std::size_t i = 3; i-- > 0;) answerMap(node.kept[i], i);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, ElementsAre("map 2", "map 1", "map 0"));
}

TEST_F(ChannelCallTest, bringsTheNodesErrorAsItIs) {
  node.on_request = [](Bytes, Reply reply) {
    EXPECT_TRUE(reply.fail({.code = Code::NotFound, .message = "mount x: not served here", .retry_after_ms = 9}));
  };
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre("NotFound: mount x: not served here"));
}

TEST_F(ChannelCallTest, hearsOfARequestThatTheNodeForgot) {
  node.on_request = [](Bytes, Reply) {};
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("dropped the request"));
}

TEST_F(ChannelCallTest, isToldWhichRequestsANodeDoesNotKnowAndStaysConnected) {
  answerEverything();
  start();
  loop.in([&] {
    channel->call(static_cast<MessageType>(0x700), wire::pb::MapRequest(), soon(),
                  [&](Result<Answer> answer) { answers.push_back(answer ? "?" : answer.error().text()); });
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Unsupported"), "map 7"));
  EXPECT_EQ(loop.in([&] { return channel->stats().reconnects; }), 0U);
}

TEST_F(ChannelCallTest, refusesWhatIsBeyondItsOwnBound) {
  channel_options.max_in_flight = 2;
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1 && node.kept.size() == 2; }));
  EXPECT_THAT(answers[0], HasSubstr("Busy"));
}

TEST_F(ChannelCallTest, isRefusedBeyondTheNodesBoundWithATimeToComeBack) {
  server_options.max_requests = 2;
  start();
  loop.in([&] {
    for (int i = 0; i < 3; ++i) ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Busy"));
  loop.in([&] { node.kept.clear(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 3; }));
  loop.in([&] { ask(); });
  EXPECT_TRUE(loop.until([&] { return node.kept.size() == 1; })) << "there is room again";
}

TEST_F(ChannelCallTest, givesUpAtTheDeadlineAndTellsTheNode) {
  start();
  bool gone = false;
  node.on_request = [&](Bytes, Reply reply) {
    reply.whenGone([&] { gone = true; });
    node.kept.push_back(std::move(reply));
  };
  loop.in([&] { ask(io::Reactor::now() + 20ms); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("DeadlineExceeded"));
  if (loop.in([&] { return node.seen > 0; })) {  // it may have been over before the connection was made
    ASSERT_TRUE(loop.until([&] { return gone; }));
    loop.in([&] {
      EXPECT_FALSE(node.kept[0].alive());
      EXPECT_EQ(node.kept[0].send(MessageType::MapReply, wire::pb::MapReply()).error().code, Code::Cancelled);
      EXPECT_EQ(server->openRequests(), 0U);
    });
  }
}

TEST_F(ChannelCallTest, doesNotSendWhatIsAlreadyTooLate) {
  answerEverything();
  start();
  loop.in([&] { ask(io::Reactor::now() - 1ms); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("DeadlineExceeded"));
  EXPECT_EQ(node.seen, 0);
}

TEST_F(ChannelCallTest, forgetsWhatIsCancelled) {
  start();
  RequestId id = 0;
  loop.in([&] { id = ask(); });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 1; }));
  loop.in([&] { channel->cancel(id); });
  ASSERT_TRUE(loop.until([&] { return !node.kept[0].alive(); }));
  loop.in([&] {
    answerEverything();
    channel->cancel(id);  // twice is fine
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers, ElementsAre("map 7"));
}

TEST_F(ChannelCallTest, failsWhatIsOpenWhenTheNodeDiesAndFindsItAgain) {
  start();
  loop.in([&] {
    ask();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 2; }));
  loop.in([&] { server.reset(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Unavailable"), HasSubstr("Unavailable")));
  EXPECT_FALSE(loop.in([&] { return node.kept[0].alive(); }));

  loop.in([&] {
    answers.clear();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Unavailable"));

  answerEverything();
  serve(address);
  ASSERT_TRUE(loop.until([&] {
    if (channel->stats().outstanding == 0) ask();
    return answers.back() == "map 7";
  }));
  EXPECT_EQ(loop.in([&] { return channel->stats().reconnects; }), 1U);
}

TEST_F(ChannelCallTest, saysHowLongItWaitsBeforeItTriesANodeAgain) {
  channel_options.min_backoff = 10s;
  channel_options.max_backoff = 20s;
  start();
  loop.in([&] {
    server.reset();
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  std::uint32_t retry_after_ms = 0;
  loop.in([&] {
    channel->call(MessageType::MapRequest, wire::pb::MapRequest(), soon(),
                  [&](Result<Answer> answer) { retry_after_ms = answer.error().retry_after_ms; });
  });
  ASSERT_TRUE(loop.until([&] { return retry_after_ms > 0; }));
  EXPECT_GE(retry_after_ms, 4'000U);
  EXPECT_LE(retry_after_ms, 10'001U);
}

TEST_F(ChannelCallTest, tellsWhyVersionsDontMeet) {
  channel_options.connection.self.min_version = 2;
  channel_options.connection.self.max_version = 2;
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  EXPECT_THAT(answers[0], HasSubstr("Unsupported"));
  EXPECT_THAT(answers[0], HasSubstr("upgrade the older one"));
}

TEST_F(ChannelCallTest, letsBothSidesHearOfNewerMaps) {
  answerEverything();
  std::vector<std::uint64_t> heard;
  channel_options.on_map_version = [&](std::uint64_t version) { heard.push_back(version); };
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    node_map = 8;
    channel->call(
        MessageType::MapRequest, wire::pb::MapRequest(), soon(), [&](Result<Answer>) { answers.emplace_back(""); }, 9);
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(heard, ElementsAre(5, 8));
  EXPECT_EQ(node.heard_map, 9U);
}

TEST_F(ChannelCallTest, closedFailsWhatIsOpenAndWhatComesAfter) {
  start();
  loop.in([&] { ask(); });
  ASSERT_TRUE(loop.until([&] { return node.kept.size() == 1; }));
  loop.in([&] {
    channel->close();
    EXPECT_EQ(answers.size(), 1U);
    ask();
  });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 2; }));
  EXPECT_THAT(answers, ElementsAre(HasSubstr("Cancelled"), HasSubstr("Cancelled")));
  EXPECT_TRUE(loop.until([&] { return !node.kept[0].alive(); }));
}

TEST_F(ChannelCallTest, mayBeDestroyedInsideACallback) {
  answerEverything();
  start();
  bool answered = false;
  loop.in([&] {
    for (int i = 0; i < 3; ++i)
      channel->call(MessageType::MapRequest, wire::pb::MapRequest(), soon(), [&](Result<Answer>) {
        EXPECT_FALSE(answered) << "what was open is dropped";
        answered = true;
        channel.reset();
      });
  });
  EXPECT_TRUE(loop.until([&] { return answered && server->connections() == 0; }));
}

}  // namespace
}  // namespace forebay::reader::channel_test
