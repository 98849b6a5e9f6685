// What forebay.hpp promises, against a cell that holds d/big (3,000,000 bytes), d/small (10 bytes) and d/empty of the
// mount `data`: every_form. Prints "N checks" and exits with 0, or names the checks that failed.
#include <algorithm>
#include <cstring>
#include <forebay/forebay.hpp>
#include <future>
#include <iostream>
#include <thread>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using forebay::Code;
using forebay::Result;

int checks = 0, failed = 0;
void check(bool good, const char* what, int line) {
  ++checks;
  if (good) return;
  ++failed;
  std::cerr << "line " << line << ": " << what << '\n';
}
#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)

static_assert(!std::is_copy_constructible_v<forebay::Client> && std::is_nothrow_move_constructible_v<forebay::Client>);
static_assert(!std::is_copy_constructible_v<forebay::Object> && std::is_nothrow_move_assignable_v<forebay::Object>);
static_assert(!std::is_copy_constructible_v<forebay::Queue> && std::is_nothrow_move_assignable_v<forebay::Queue>);
static_assert(!std::is_copy_constructible_v<forebay::Page>);
static_assert(!std::is_copy_constructible_v<forebay::View> && std::is_nothrow_move_assignable_v<forebay::View>);

void waiting(forebay::Client& client, std::string& big) {
  Result<forebay::Object> object = client.open("data/d/big");
  CHECK(object && object->bytes() == 3'000'000);
  CHECK(object->attributes().bytes == 3'000'000 && !object->attributes().version.empty());
  forebay::Object moved = *std::move(object);
  big.resize(moved.bytes());
  Result<std::uint64_t> got = moved.read(0, big);
  CHECK(got && *got == big.size());
  std::vector<char> tail(100, '?');
  got = moved.read(2'999'990, tail, {10s});
  CHECK(got && *got == 10 && std::equal(tail.begin(), tail.begin() + 10, big.end() - 10) && tail[10] == '?');
  CHECK(*moved.read(5'000'000, tail) == 0);

  const auto absent = client.open("data/d/none");
  CHECK(!absent && absent.error().code == Code::NotFound && !absent.error().message.empty());
  CHECK(client.stat("data/d")->directory);
  CHECK(client.stat("data/d/none").error().code == Code::NotFound);
  const auto all = client.stat(std::vector<std::string>{"data/d/none", "data/d/small"});
  CHECK(all && all->size() == 2 && (*all)[0].code == Code::NotFound && (*all)[1].bytes == 10);
  const auto one = client.stat(std::vector<std::string>{"data/d/none"});
  CHECK(one && (*one)[0].code == Code::NotFound);
  CHECK(client.stat(std::vector<std::string>()).error().code == Code::InvalidArgument);
  bool threw = false;
  try {
    client.open("data/d/none").value();
  } catch (const forebay::Failure& failure) {
    threw = failure.error().code == Code::NotFound && std::strstr(failure.what(), "NotFound") != nullptr;
  }
  CHECK(threw);
}

// Pinned or copied: this client may be anywhere.
void views(forebay::Client& client, const std::string& big) {
  const auto object = client.open("data/d/big");
  Result<forebay::View> seen = object->view(1'000, 50'000);
  CHECK(seen && seen->size() == 50'000 && std::memcmp(seen->data(), big.data() + 1'000, 50'000) == 0);
  const forebay::View moved = *std::move(seen);
  CHECK(moved.end() - moved.begin() == 50'000);
  const auto beyond = object->view(3'000'000, 10, {10s});
  CHECK(beyond && beyond->size() == 0 && !beyond->pinned());
  std::promise<bool> told;
  const auto call = object->view(2'999'990, 100, [&](Result<forebay::View> end) {
    told.set_value(end && end->size() == 10 && std::memcmp(end->data(), big.data() + 2'999'990, 10) == 0);
  });
  CHECK(call && told.get_future().get());
}

void listing(forebay::Client& client) {
  forebay::Listing names = client.list("data/d");
  std::string seen;
  while (names.next()) seen += std::string(names->name) + ':' + std::to_string(names->bytes) + ' ';
  CHECK(names.outcome() && seen == "big:3000000 empty:0 small:10 ");
  CHECK(!names.next());
  forebay::Listing none = client.list("data/none");
  CHECK(!none.next() && !none.outcome() && none.outcome().error().code == Code::NotFound);

  std::string cursor;
  std::size_t pages = 0, entries = 0;
  do {
    const auto page = client.page("data/d", cursor, 1);
    if (!page) return check(false, page.error().message.c_str(), __LINE__);
    for (const forebay::Entry entry : *page) entries += entry.name.empty() ? 0 : 1;
    cursor = page->cursor();
    ++pages;
  } while (!cursor.empty());
  CHECK(entries == 3 && pages >= 3);
}

void batches(forebay::Client& client, const std::string& big) {
  const auto object = client.open("data/d/big");
  std::string head(1, '?'), body(999, '?'), small(10, '?'), little(3, '?');
  forebay::Batch batch;
  batch.add(*object, 500, 1'000, {head, body});
  batch.add("data/d/small", small);
  batch.add("data/d/none", small);
  batch.add("data/d/small", little);  // too little room
  batch.add("data/d/small", 8, forebay::Batch::kToTheEnd, {little});
  const Result<void> all = client.read(batch);
  CHECK(!all && all.error().code == Code::NotFound);
  CHECK(batch.code(0) == Code::Ok && batch.bytes(0) == 1'000 && head + body == big.substr(500, 1'000));
  CHECK(batch.code(1) == Code::Ok && batch.bytes(1) == 10);
  CHECK(batch.code(2) == Code::NotFound && batch.code(3) == Code::InvalidArgument);
  CHECK(batch.code(4) == Code::Ok && little.substr(0, 2) == small.substr(8));
  batch.clear();
  CHECK(batch.empty() && client.read(batch).error().code == Code::InvalidArgument);
  batch.add("data/d/big", 0, forebay::Batch::kToTheEnd, {});
  CHECK(client.prefetch(batch) && batch.bytes(0) == big.size());
}

// On the I/O thread: with a handler that can only be moved, and one question that follows from another's answer.
void handlers(forebay::Client& client, const std::string& big) {
  auto room = std::make_unique<std::string>(big.size(), '?');
  std::promise<bool> told;
  auto done = told.get_future();
  const auto call = client.open("data/d/big", [&, room = std::move(room)](Result<forebay::Object> object) mutable {
    CHECK(client.open("data/d/big").error().code == Code::InvalidArgument);  // may not wait here
    std::string& into = *room;
    const forebay::Object& open = *object;
    const auto read = open.read(0, into, [&, keep = std::move(room)](Result<std::uint64_t> got) {
      told.set_value(got && *got == big.size() && *keep == big);
    });
    CHECK(static_cast<bool>(read));
  });
  CHECK(call && done.get());
  std::promise<std::pair<Code, bool>> stat;
  CHECK(static_cast<bool>(client.stat({"data/d/small"}, [&](Result<std::vector<forebay::Attributes>> all) {
    stat.set_value({all->front().code, all->front().bytes == 10});
  })));
  CHECK(stat.get_future().get() == std::make_pair(Code::Ok, true));
  CHECK(client.open("", [](Result<forebay::Object>) { CHECK(false); }).error().code == Code::InvalidArgument);
}

void queues(forebay::Client& client, const std::string& big) {
  auto made = forebay::Queue::make(2);
  forebay::Queue queue = *std::move(made);
  const auto here = std::this_thread::get_id();
  std::string room(big.size(), '?');
  forebay::Batch batch;
  batch.add("data/d/big", room);
  int ran = 0;
  const auto read = client.read(std::move(batch),
                                [&](Result<void> outcome, forebay::Batch back) {
                                  CHECK(outcome && back.size() == 1 && back.bytes(0) == big.size() && room == big);
                                  CHECK(std::this_thread::get_id() == here);
                                  ++ran;
                                  CHECK(client.stat("data/d/small")->bytes == 10);  // may wait here
                                },
                                {0s, &queue});
  const auto page = client.page("data/d", "", 0,
                                [&](Result<forebay::Page> got) {
                                  CHECK(got && got->size() == 3);
                                  ++ran;
                                },
                                {5s, &queue});
  CHECK(read && page && *read != *page);
  const auto full = client.open("data/d/big", [](Result<forebay::Object>) { CHECK(false); }, {5s, &queue});
  CHECK(!full && full.error().code == Code::Busy);
  while (ran < 2) queue.drainWithin(1s);
  CHECK(queue.drain() == 0);

  // What nobody drains goes with its queue.
  auto left = forebay::Queue::make(4);
  for (int i = 0; i < 4; ++i) {
    CHECK(static_cast<bool>(client.open("data/d/big", [](Result<forebay::Object>) { CHECK(false); }, {0s, &*left})));
  }
}

void cancelling(forebay::Client& client) {
  auto queue = *forebay::Queue::make(64);
  int ended = 0;
  for (int i = 0; i < 64; ++i) {
    const auto call = client.open("data/d/big",
                                  [&](Result<forebay::Object> object) {
                                    CHECK(object || object.error().code == Code::Cancelled);
                                    ++ended;
                                  },
                                  {0s, &queue});
    client.cancel(*call);
  }
  while (ended < 64) queue.drainWithin(1s);
  client.cancel(1ULL << 62);
}

void endings(forebay::Client client) {
  auto object = client.open("data/d/small");
  client.disconnect();
  char room[10];
  CHECK(object->read(0, {room, sizeof room}).error().code == Code::Cancelled);
}

}  // namespace

int main(int argc, char** argv) {
  forebay::ConnectOptions options;
  options.timeout = 30s;
  for (int i = 1; i < argc; ++i) options.direct.emplace_back(argv[i]);
  auto client = forebay::Client::connect(options);
  if (!client) return std::cerr << client.error().message << '\n', 1;
  std::string big;
  waiting(*client, big);
  views(*client, big);
  listing(*client);
  batches(*client, big);
  handlers(*client, big);
  queues(*client, big);
  cancelling(*client);
  endings(*std::move(client));
  forebay::ConnectOptions nowhere;
  nowhere.node = "unix:/nonexistent/forebay.sock";
  const auto refused = forebay::Client::connect(nowhere);
  CHECK(!refused && refused.error().code == Code::Unavailable && refused.error().retryable());
  std::cout << checks << " checks\n";
  return failed == 0 ? 0 : 1;
}
