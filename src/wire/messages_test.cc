#include "wire/messages.h"

#include <gtest/gtest.h>

#include "wire/frame.h"
#include "wire/many_parts.h"
#include "wire/read.h"

namespace forebay::wire {
namespace {

core::Plan plan() {
  core::Plan p{.mount = 3,
               .path = "a/\xff b",
               .version = "v",
               .key = {},
               .size = 10,
               .chunk_bits = 20,
               .first_slot = 65'535,
               .mtime_ns = -5};
  p.key.bytes[0] = std::byte{0xfe};
  return p;
}

template <class M>
Result<M> there(const M& message) {
  std::vector<std::byte> bytes;
  TRY(serialize(message, bytes));
  return parse<M>(bytes);
}

TEST(Messages, carryPlansWhateverBytesTheirNamesHave) {
  const auto back = there(toMessage(plan()));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(fromMessage(*back), plan());
}

TEST(Messages, carryErrors) {
  const Error error{.code = Code::Busy, .message = "queue full", .retry_after_ms = 20};
  const auto back = there(toMessage(error));
  ASSERT_TRUE(back);
  EXPECT_EQ(fromMessage(*back).text(), error.text());
  EXPECT_EQ(fromMessage(*back).retry_after_ms, 20U);

  pb::Failure odd;
  odd.set_code(60'000);
  EXPECT_EQ(fromMessage(odd).code, Code::Internal);
  odd.set_code(0);
  EXPECT_EQ(fromMessage(odd).code, Code::Internal) << "a failure can't be Ok";
}

TEST(Messages, sayWhoElseKnowsANameOrAPage) {
  pb::ResolveReply names;
  for (const core::NodeId node : {7U, 0xffffffffU}) names.add_items()->add_ask(node);
  names.add_items()->set_miss(true);
  const auto back = there(names);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->items(0).ask(0), 7U);
  EXPECT_EQ(back->items(1).ask(0), 0xffffffffU);
  EXPECT_FALSE(back->items(1).miss());
  EXPECT_TRUE(back->items(2).miss());

  pb::ListReply page;
  for (std::size_t i = 0; i < kMaxReadPeers; ++i) page.add_ask(1);
  EXPECT_EQ(there(page)->ask_size(), static_cast<int>(kMaxReadPeers));
  page.add_ask(1);
  EXPECT_FALSE(there(page)) << "more than anybody names";
  for (std::size_t i = 0; i <= kMaxReadPeers; ++i) names.mutable_items(2)->add_ask(1);
  EXPECT_FALSE(there(names));
}

TEST(Messages, placesAreOfWholeObjects) {
  pb::ResolveReply good;
  good.set_slab(7);
  auto& item = *good.add_items();
  *item.mutable_plan() = toMessage(plan());
  item.mutable_plan()->set_size(5'000);
  item.set_placed_bytes(5'000);
  item.set_place(1 << 20);
  item.set_generation(3);
  ASSERT_TRUE(there(good));
  EXPECT_EQ(there(good)->items(0).generation(), 3U);
  const auto refused = [&](auto&& change) {
    auto bad = good;
    change(*bad.mutable_items(0));
    return !there(bad).has_value();
  };
  EXPECT_TRUE(refused([](auto& i) { i.set_placed_bytes(4'999); }));
  EXPECT_TRUE(refused([](auto& i) { i.clear_plan(); }));
  EXPECT_TRUE(refused([](auto& i) { i.set_place(kMaxSlab + 1); }));
  EXPECT_TRUE(refused([](auto& i) { i.mutable_failure()->set_code(1); }));
  EXPECT_TRUE(refused([](auto& i) {
    i.set_bytes(5'000);
    i.add_crcs(1);
  })) << "there, and here";
  EXPECT_TRUE(refused([](auto& i) {
    i.mutable_plan()->set_size(core::kRun + 1);
    i.set_placed_bytes(core::kRun + 1);
  })) << "more than one generation stands for";
}

TEST(Messages, thatAreNoneAreRefused) {
  EXPECT_EQ(parse<pb::Hello>(bytesOf("\xff\xff\xff")).error().code, Code::InvalidArgument);
}

TEST(Messages, withUnknownFieldsAreUnderstood) {
  std::vector<std::byte> bytes;
  pb::Hello hello;
  hello.set_name("n");
  ASSERT_TRUE(serialize(hello, bytes));
  for (const int b : {0xd8, 0x3e, 0x01}) bytes.push_back(static_cast<std::byte>(b));  // field 1003, varint 1
  const auto back = parse<pb::Hello>(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->name(), "n");
}

TEST(Messages, ofManyPartsAreTheSameAsOthers) {
  OfManyParts<pb::ListReply> made;
  for (int i = 0; i < 1'000; ++i) made->add_entries()->set_name(std::string(static_cast<std::size_t>(i % 50), 'x'));
  std::vector<std::byte> bytes;
  ASSERT_TRUE(serialize(*made, bytes));
  auto read = parseMany<pb::ListReply>(bytes);
  ASSERT_TRUE(read);
  OfManyParts<pb::ListReply> moved = std::move(*read);
  ASSERT_EQ(moved->entries_size(), 1'000);
  std::string name = std::move(*moved->mutable_entries(49)->mutable_name());  // outlives the message
  moved = {};
  EXPECT_EQ(name, std::string(49, 'x'));
  EXPECT_EQ(moved->entries_size(), 0);

  made->mutable_entries(7)->set_name(std::string(kMaxPath + 1, 'x'));
  ASSERT_TRUE(serialize(*made, bytes));
  EXPECT_EQ(parseMany<pb::ListReply>(bytes).error().code, Code::InvalidArgument);
  EXPECT_EQ(parseMany<pb::ListReply>(bytesOf("\xff\xff\xff")).error().code, Code::InvalidArgument);
}

TEST(Messages, thatDontFitAFrameAreRefusedWhereTheyAreMade) {
  pb::ListReply reply;
  for (int i = 0; i < 2'000; ++i) reply.add_entries()->set_name(std::string(1'000, 'x'));
  std::vector<std::byte> bytes;
  EXPECT_EQ(serialize(reply, bytes).error().code, Code::InvalidArgument);
}

TEST(Messages, whoseFieldsCantBeMeantAreRefused) {
  const auto refused = [](auto message) { return !there(message).has_value(); };
  pb::Plan good = toMessage(plan());
  ASSERT_FALSE(refused(good));

  auto bad = good;
  bad.set_key("short");
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.set_chunk_bits(19);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.set_size(kMaxObjectSize + 1);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.set_first_slot(65'536);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.set_path(std::string(kMaxPath + 1, 'x'));
  EXPECT_TRUE(refused(bad));

  pb::ResolveReply resolve;
  *resolve.add_items()->mutable_plan() = bad;
  EXPECT_TRUE(refused(resolve));
  pb::ResolveRequest request;
  request.add_paths(std::string(kMaxPath + 1, 'x'));
  EXPECT_TRUE(refused(request));
  pb::HelloReply hello;
  EXPECT_TRUE(refused(hello)) << "version 0";
  pb::MapReply map;
  map.add_members()->set_name(std::string(300, 'x'));
  EXPECT_TRUE(refused(map));
  pb::WhereReply where;
  where.add_chunks()->add_holders("a");
  EXPECT_TRUE(refused(where)) << "a holder without bytes";
  pb::EvictRequest evict;
  evict.add_paths(std::string(kMaxPath + 1, 'x'));
  EXPECT_TRUE(refused(evict));
  pb::RefreshRequest refresh;
  for (int i = 0; i <= kMaxPathsPerForget; ++i) refresh.add_paths("x");
  EXPECT_TRUE(refused(refresh));
  pb::EvictReply evicted;
  evicted.add_nodes()->set_name(std::string(300, 'x'));
  EXPECT_TRUE(refused(evicted));
  pb::AddMountRequest mount;
  for (int i = 0; i < 100; ++i) (*mount.mutable_options())[std::to_string(i)] = "x";
  EXPECT_TRUE(refused(mount));
}

}  // namespace
}  // namespace forebay::wire
