// A keeper under a clock of the test's own: nothing here waits for time.
#include "origin/credential_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/http_scripted_server.h"

namespace forebay::origin {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::HasSubstr;

struct Asked {
  int fetches = 0;
  Callback<Credential> done;
};

class FakeSource final : public CredentialSource {
 public:
  explicit FakeSource(std::shared_ptr<Asked> asked) : asked_(std::move(asked)) {}
  void fetch(TimePoint, Callback<Credential> done) override {
    ++asked_->fetches;
    EXPECT_FALSE(asked_->done) << "two attempts at once";
    asked_->done = std::move(done);
  }
  const std::string& description() const override { return description_; }

 private:
  const std::string description_ = "an identity";
  std::shared_ptr<Asked> asked_;
};

class CredentialKeeperTest : public testing::Test {
 protected:
  void SetUp() override { make({}); }
  void TearDown() override {
    loop_.in([&] { keeper_.reset(); });
  }
  void make(KeeperOptions options) {
    options.clock = [this] { return now_; };
    options.seed = 1;
    loop_.in([&] {
      keeper_ = std::make_unique<CredentialKeeper>(std::make_unique<FakeSource>(asked_), options, loop_.reactor());
    });
  }
  void get(TimePoint deadline = kNever) {
    loop_.in([&] { keeper_->get(deadline, [this](Result<CredentialPtr> c) { got_.push_back(std::move(c)); }); });
  }
  void tick() {
    loop_.in([&] { keeper_->tick(); });
  }
  void give(std::string token, Duration life = hours(1)) {
    Credential credential;
    credential.bearer = Secret(std::move(token));
    credential.lifetime = life;
    answer(std::move(credential));
  }
  void answer(Result<Credential> result) {
    loop_.in([&] { std::exchange(asked_->done, {})(std::move(result)); });
    settle();
  }
  void settle() {
    loop_.in([] {});
  }
  CredentialPtr current() {
    CredentialPtr result;
    loop_.in([&] { result = keeper_->current(); });
    return result;
  }
  // Lets a timer that is due by the real clock run, whatever the load.
  void untilAsked(int fetches) {
    while (true) {
      int seen = 0;
      loop_.in([&] { seen = asked_->fetches; });
      if (seen >= fetches) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  io::LoopThread loop_;
  TimePoint now_{hours(10)};
  std::shared_ptr<Asked> asked_ = std::make_shared<Asked>();
  std::unique_ptr<CredentialKeeper> keeper_;
  std::vector<Result<CredentialPtr>> got_;
};

TEST_F(CredentialKeeperTest, oneAttemptServesAllWhoWait) {
  for (int i = 0; i < 100; ++i) get();
  untilAsked(1);
  EXPECT_TRUE(got_.empty());
  give("t1");
  ASSERT_EQ(got_.size(), 100U);
  for (const auto& result : got_) EXPECT_EQ((*result)->bearer.reveal(), "t1");
  EXPECT_EQ(current()->bearer.reveal(), "t1");
  EXPECT_EQ(asked_->fetches, 1);
}

TEST_F(CredentialKeeperTest, theOldOneIsUsedWhileRenewingFailsAndNotAfterItsEnd) {
  get();
  untilAsked(1);
  give("old");
  now_ += minutes(56);
  tick();
  EXPECT_EQ(asked_->fetches, 2) << "ahead of its end";
  answer(fail(Code::Unavailable, "nobody answers"));
  EXPECT_EQ(current()->bearer.reveal(), "old");
  now_ += minutes(4);
  EXPECT_EQ(current(), nullptr);
  get();
  EXPECT_EQ(got_.size(), 1U) << "what may pass is waited for";
  tick();
  give("new");
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_EQ((*got_[1])->bearer.reveal(), "new");
}

TEST_F(CredentialKeeperTest, aRefusalIsToldToAllAndToWhoeverComesUntilTheNextAttempt) {
  get();
  untilAsked(1);
  answer(fail(Code::PermissionDenied, "an identity: the endpoint answers 400 invalid_client"));
  ASSERT_EQ(got_.size(), 1U);
  EXPECT_EQ(got_[0].error().code, Code::Unauthenticated);
  get();
  settle();
  ASSERT_EQ(got_.size(), 2U);
  EXPECT_THAT(got_[1].error().message, HasSubstr("invalid_client"));
  EXPECT_EQ(asked_->fetches, 1) << "nobody hammers an endpoint that refuses";
  now_ += minutes(10);
  tick();
  give("t");
  EXPECT_NE(current(), nullptr);
}

TEST_F(CredentialKeeperTest, oneThatTheStoreRefusedIsReplacedOnceHoweverManySaySo) {
  get();
  untilAsked(1);
  give("t1");
  const CredentialPtr first = current();
  now_ += minutes(5);
  for (int i = 0; i < 50; ++i) loop_.in([&] { keeper_->refuse(*first); });
  EXPECT_EQ(current(), nullptr);
  untilAsked(2);
  give("t2");
  loop_.in([&] { keeper_->refuse(*first); });
  EXPECT_EQ(current()->bearer.reveal(), "t2") << "somebody who is late must not cost another";
  EXPECT_EQ(asked_->fetches, 2);
}

TEST_F(CredentialKeeperTest, waitingIsBoundedInTimeAndNumber) {
  make({.max_waiting = 2});
  loop_.in([&] {  // together: the first doesn't end before the last has come
    for (const TimePoint deadline : {now_ + 1ms, kNever, kNever})
      keeper_->get(deadline, [this](Result<CredentialPtr> c) { got_.push_back(std::move(c)); });
  });
  for (std::size_t ended = 0; ended < 2;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    loop_.in([&] { ended = got_.size(); });
  }
  std::vector<Code> codes;
  for (const auto& result : got_) codes.push_back(result.error().code);
  EXPECT_THAT(codes, testing::UnorderedElementsAre(Code::Busy, Code::DeadlineExceeded));
}

TEST_F(CredentialKeeperTest, whatHasEndedWhenItArrivesIsNotUsed) {
  get();
  untilAsked(1);
  give("t", Duration{});
  EXPECT_EQ(current(), nullptr);
  std::string trouble;
  loop_.in([&] { trouble = keeper_->trouble(); });
  EXPECT_THAT(trouble, HasSubstr("clock"));
}

TEST_F(CredentialKeeperTest, mayBeDestroyedByWhoWaits) {
  loop_.in([&] {
    keeper_->get(kNever, [this](Result<CredentialPtr>) { keeper_.reset(); });
    keeper_->get(kNever, [](Result<CredentialPtr>) { ADD_FAILURE() << "it is gone"; });
  });
  untilAsked(1);
  give("t");
  EXPECT_EQ(keeper_, nullptr);
}

}  // namespace
}  // namespace forebay::origin
