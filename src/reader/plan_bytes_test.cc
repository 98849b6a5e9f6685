#include "reader/plan_bytes.h"

#include "reader/channel_fixture.h"

namespace forebay::reader::channel_test {
namespace {

// Objects of one request, each into a memory of its own.
class Receiver : public PlanBytes {
 public:
  bool place(std::size_t item, const wire::pb::Resolved& said, io::BulkTarget& target) override {
    if (unwanted.contains(item)) return false;
    std::vector<std::byte>& memory = memories[item];
    memory.resize(said.bytes());
    const std::size_t half = memory.size() / 2;  // in two pieces
    target.add(MutableBytes(memory).first(half));
    target.add(MutableBytes(memory).subspan(half));
    return true;
  }
  void lost() override {
    PlanBytes::lost();
    ++losses;
  }
  std::set<std::size_t> unwanted;
  std::map<std::size_t, std::vector<std::byte>> memories;
  int losses = 0;
};

class PlanBytesTest : public ChannelTest {
 protected:
  static constexpr std::size_t kObjects = 500;

  // Sizes from 1 byte to 16 KiB, one after the other in `data`: about as much as it holds.
  PlanBytesTest() {
    std::size_t at = 0;
    for (std::size_t i = 0; i < kObjects; ++i) {
      const std::size_t size = i == 7 ? 200'000 : 1 + i * 13 % 1'500;
      objects.push_back(Bytes(data).subspan(at, size));
      at += size;
    }
    node.on_request = [this](Bytes body, Reply reply) {
      const auto asked = wire::parse<wire::pb::ResolveRequest>(body);
      ASSERT_TRUE(asked);
      const wire::pb::ResolveReply answer = answerOf(objects);
      if (asked->bytes_up_to() == 0 && !unasked) {
        EXPECT_TRUE(reply.send(MessageType::ResolveReply, answer));
        return;
      }
      for (const auto& [from, to] : said) data[from] = to;  // the checksums are made
      EXPECT_TRUE(reply.send(MessageType::ResolveReply, answer, std::span(objects).first(objects.size() - missing),
                             std::make_shared<int>(1)));
    };
  }
  static wire::pb::ResolveReply answerOf(std::span<const Bytes> objects) {
    wire::pb::ResolveReply answer;
    for (const Bytes object : objects) {
      auto& item = *answer.add_items();
      item.mutable_plan()->set_key(std::string(16, 'k'));
      item.mutable_plan()->set_size(object.size());
      item.mutable_plan()->set_chunk_bits(20);
      item.set_bytes(static_cast<std::uint32_t>(object.size()));
      for (std::size_t at = 0; at < object.size(); at += core::kGranule)
        item.add_crcs(crc32c(object.subspan(at, std::min<std::size_t>(core::kGranule, object.size() - at))));
    }
    return answer;
  }
  void resolve(bool with_bytes = true) {
    wire::pb::ResolveRequest request;
    request.add_paths("f");
    if (with_bytes) request.set_bytes_up_to(1'000'000);
    channel->call(
        MessageType::ResolveRequest, request, soon(),
        [this](Result<Answer> answer) {
          answers.push_back(answer ? "answer of " + std::to_string(answer->from) : answer.error().text());
        },
        0, with_bytes ? receiver : nullptr);
  }

  std::vector<Bytes> objects;
  std::map<std::size_t, std::byte> said;  // what `data` has in place of what the checksums are of
  std::size_t missing = 0;                // objects that the bulk hasn't, at its end
  bool unasked = false;
  std::shared_ptr<Receiver> receiver = std::make_shared<Receiver>();
};

TEST_F(PlanBytesTest, comeWithTheAnswerIntoTheReceiversMemory) {
  start();
  loop.in([&] { resolve(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers, ElementsAre("answer of 17"));
    for (std::size_t i = 0; i < kObjects; ++i) {
      ASSERT_TRUE(receiver->came(i)) << i;
      ASSERT_TRUE(std::ranges::equal(receiver->memories[i], objects[i])) << i;
    }
    EXPECT_EQ(channel->stats().corrupt, 0U);
    EXPECT_GT(channel->stats().bytes_in, 200'000U);
  });
}

TEST_F(PlanBytesTest, thatNobodyWantsAreDroppedInBetween) {
  for (std::size_t i = 0; i < kObjects; i += i % 5 + 1) receiver->unwanted.insert(i);
  receiver->unwanted.insert(7);
  start();
  loop.in([&] { resolve(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    for (std::size_t i = 0; i < kObjects; ++i) {
      ASSERT_EQ(receiver->came(i), !receiver->unwanted.contains(i)) << i;
      if (receiver->came(i)) ASSERT_TRUE(std::ranges::equal(receiver->memories[i], objects[i])) << i;
    }
    EXPECT_EQ(channel->stats().corrupt, 0U) << "what was dropped isn't held to be damaged";
  });
}

TEST_F(PlanBytesTest, thatDontMatchAreCountedAndTheAnswerIsGood) {
  const auto at = static_cast<std::size_t>(objects[7].data() - data.data()) + 100'000;
  said[at] = ~data[at];
  start();
  loop.in([&] { resolve(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers, ElementsAre("answer of 17"));
    EXPECT_TRUE(receiver->damaged(7));
    for (std::size_t i = 0; i < kObjects; ++i) EXPECT_EQ(receiver->came(i), i != 7) << i;
    EXPECT_EQ(channel->stats().corrupt, 1U);
  });
}

TEST_F(PlanBytesTest, thatAreFewerThanTheAnswerSaysEndTheConnection) {
  missing = 1;
  start();
  loop.in([&] { resolve(); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers[0], HasSubstr("Unavailable"));
    EXPECT_THAT(answers[0], HasSubstr("of bulk"));
    EXPECT_FALSE(receiver->came(0));
  });
}

TEST_F(PlanBytesTest, thatWerentAskedForFailTheCallAlone) {
  unasked = true;
  start();
  loop.in([&] { resolve(false); });
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers[0], HasSubstr("Corrupt"));
    EXPECT_TRUE(channel->stats().connected);
  });
}

TEST_F(PlanBytesTest, whoseSenderDiesHalfwayAreLost) {
  HandPlayedNode hand;
  address = hand.address();
  loop.in([&] {
    channel = std::make_unique<Channel>(loop.reactor(), address, channel_options);
    resolve();
  });
  hand.accept();
  const std::uint64_t id = hand.hear();
  std::vector<std::byte> body;
  const auto reply = answerOf(objects);
  ASSERT_TRUE(wire::serialize(reply, body));
  hand.say(MessageType::ResolveReply, id, body, static_cast<std::uint32_t>(wire::planBytes(reply)));
  hand.write(Bytes(data).first(100'000));
  ASSERT_TRUE(loop.until([&] { return receiver->came(3); }));
  const int before = loop.in([&] { return receiver->losses; });
  hand = {};
  ASSERT_TRUE(loop.until([&] { return answers.size() == 1; }));
  loop.in([&] {
    EXPECT_THAT(answers[0], HasSubstr("Unavailable"));
    EXPECT_EQ(receiver->losses, before + 1);
    EXPECT_FALSE(receiver->came(3));
  });
}

TEST_F(PlanBytesTest, ofACallThatWasCancelledTouchNoMemory) {
  HandPlayedNode hand;
  address = hand.address();
  RequestId request = 0;
  loop.in([&] {
    channel = std::make_unique<Channel>(loop.reactor(), address, channel_options);
    resolve();
  });
  hand.accept();
  const std::uint64_t id = hand.hear();
  request = id;
  std::vector<std::byte> body;
  const auto reply = answerOf(objects);
  ASSERT_TRUE(wire::serialize(reply, body));
  hand.say(MessageType::ResolveReply, id, body, static_cast<std::uint32_t>(wire::planBytes(reply)));
  hand.write(Bytes(data).first(50'000));
  ASSERT_TRUE(loop.until([&] { return receiver->came(3); }));
  loop.in([&] {
    channel->cancel(request);
    for (auto& [item, memory] : receiver->memories) memory.assign(memory.size(), std::byte{0});
  });
  hand.write(Bytes(data).subspan(50'000, 300'000));
  loop.in([&] { ask(); });
  hand.hear();  // the Cancel
  hand.hear();  // what was asked after it
  loop.in([&] {
    EXPECT_TRUE(answers.empty());
    for (const auto& [item, memory] : receiver->memories)
      ASSERT_EQ(memory, std::vector<std::byte>(memory.size())) << item;
  });
}

}  // namespace
}  // namespace forebay::reader::channel_test
