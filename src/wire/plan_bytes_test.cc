#include "wire/plan_bytes.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/read.h"

namespace forebay::wire {
namespace {

constexpr std::uint32_t kLarge = 2 * core::kGranule + 5;

// Items of `sizes`, 0 being a name that isn't there, and what their frame's bulk is.
class PlanBytes : public testing::Test {
 protected:
  explicit PlanBytes(std::vector<std::uint32_t> sizes = {10, 0, kLarge, core::kGranule, 3}) {
    for (const std::uint32_t size : sizes) {
      auto& item = *reply.add_items();
      if (size == 0) {
        *item.mutable_failure() = toMessage(Error{Code::NotFound, "nothing of that name", 0});
        continue;
      }
      item.mutable_plan()->set_key(std::string(16, 'k'));
      item.mutable_plan()->set_size(size);
      item.mutable_plan()->set_chunk_bits(20);
      item.set_bytes(size);
      const std::size_t from = bulk.size();
      for (std::uint32_t i = 0; i < size; ++i) bulk.push_back(static_cast<std::byte>(size + i * 7 + i / 255));
      for (std::size_t piece = 0, at = 0; piece < pieceCount(0, size); ++piece) {
        const std::size_t end = pieceEnd(0, size, piece);
        item.add_crcs(crc32c(Bytes(bulk).subspan(from + at, end - at)));
        at = end;
      }
    }
  }
  void feed(Bytes bytes, std::size_t portion) {
    verifier.start(reply);
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(portion, bytes.size())))
      verifier.feed(bytes.first(std::min(portion, bytes.size())));
  }
  std::string good() const {  // by item: g or -
    std::string text;
    for (std::size_t i = 0; i < 5; ++i) text += verifier.intact(i) ? 'g' : '-';
    return text;
  }

  pb::ResolveReply reply;
  std::vector<std::byte> bulk;
  PlanBytesVerifier verifier;
};

TEST_F(PlanBytes, areGoodInWhateverPortionsTheyCome) {
  std::vector<std::byte> bytes;
  ASSERT_TRUE(serialize(reply, bytes));
  ASSERT_TRUE(parse<pb::ResolveReply>(bytes));
  EXPECT_EQ(planBytes(reply), bulk.size());
  for (const std::size_t portion : {std::size_t{1}, std::size_t{9}, std::size_t{70'001}, bulk.size()}) {
    feed(bulk, portion);
    EXPECT_EQ(good(), "g-ggg") << portion;
    EXPECT_TRUE(verifier.intact());
  }
}

TEST_F(PlanBytes, thatDontMatchSayNothingOfOtherObjects) {
  for (const std::size_t at : {10UZ, 10UZ + core::kGranule, 10UZ + kLarge - 1}) {  // in each granule of the large one
    bulk[at] ^= std::byte{1};
    feed(bulk, 5'000);
    EXPECT_EQ(good(), "g--gg") << at;
    EXPECT_FALSE(verifier.intact());
    bulk[at] ^= std::byte{1};
  }
}

TEST_F(PlanBytes, thatHaventAllComeAreNoObject) {
  feed(Bytes(bulk).first(10 + kLarge - 1), 5'000);
  EXPECT_EQ(good(), "g----");
  feed(Bytes(bulk).first(10 + kLarge), 5'000);
  EXPECT_EQ(good(), "g-g--");
}

TEST_F(PlanBytes, beyondTheLastObjectAreNobodys) {
  bulk.insert(bulk.end(), 1'000, std::byte{1});
  feed(bulk, 333);
  EXPECT_EQ(good(), "g-ggg");
  verifier.start({});
  verifier.feed(bulk);
  EXPECT_EQ(good(), "-----") << "what was started before is forgotten";
}

TEST_F(PlanBytes, thatNoPlanCanHaveAreRefused) {
  const auto refused = [&](auto change) {
    pb::ResolveReply bad = reply;
    change(*bad.mutable_items(2));
    return !validate(bad);
  };
  using Item = pb::Resolved;
  EXPECT_FALSE(refused([](Item&) {}));
  EXPECT_TRUE(refused([](Item& item) { item.set_bytes(item.bytes() - 1); })) << "a part of an object";
  EXPECT_TRUE(refused([](Item& item) { item.add_crcs(1); }));
  EXPECT_TRUE(refused([](Item& item) { item.clear_crcs(); }));
  EXPECT_TRUE(refused([](Item& item) { item.clear_bytes(); })) << "checksums of nothing";
  EXPECT_TRUE(refused([](Item& item) { item.clear_plan(); }));
  EXPECT_TRUE(refused([](Item& item) { item.mutable_failure()->set_code(3); })) << "bytes of what failed";
  EXPECT_TRUE(refused([](Item& item) {
    item.mutable_plan()->set_size(kMiB + 1);
    item.set_bytes(kMiB + 1);
    for (int i = item.crcs_size(); i < 17; ++i) item.add_crcs(1);
  })) << "more than a chunk";
  EXPECT_TRUE(refused([](Item& item) {
    item.mutable_plan()->set_chunk_bits(23);
    item.mutable_plan()->set_size(kMaxBulk);
    item.set_bytes(kMaxBulk);
    for (int i = item.crcs_size(); i < 64; ++i) item.add_crcs(1);
  })) << "more than a frame holds, with the others";
}

}  // namespace
}  // namespace forebay::wire
