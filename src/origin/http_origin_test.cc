// Origins against a server that misbehaves on purpose: real sockets, scripted answers.
#include "origin/http_origin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/http_scripted_server.h"
#include "origin/azure.h"
#include "origin/make_origin.h"
#include "origin/s3.h"

namespace forebay::origin {
namespace {

using io::ScriptedReply;
using io::ScriptedRequest;
using io::ScriptedServer;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class StringSink final : public OpenSink {
 public:
  void begins(const ObjectInfo& info, std::uint64_t length) override {
    EXPECT_TRUE(begun.empty()) << "told twice";
    begun = fmt::format("{} of {} bytes of {}", length, info.size, info.version);
  }
  std::string begun;
  MutableBytes room() override { return std::as_writable_bytes(std::span(piece_)); }
  void wrote(std::size_t n) override {
    bytes.append(piece_, n);
    if (on_wrote) on_wrote();
  }
  std::string bytes;
  std::function<void()> on_wrote;

 private:
  char piece_[7];  // odd and small: every answer is split
};

constexpr const char* kEtag = "\"v1\"";

std::string partial(std::size_t first, std::size_t last, std::size_t total, std::string etag = kEtag) {
  return fmt::format("Content-Range: bytes {}-{}/{}\r\nETag: {}\r\n", first, last, total, etag);
}

// "bytes=3-9" -> {3, 9}
std::pair<std::size_t, std::size_t> rangeOf(const ScriptedRequest& request) {
  std::string text = request.header("range");
  if (text.empty()) text = request.header("x-ms-range");
  std::size_t first = 0, last = 0;
  EXPECT_EQ(sscanf(text.c_str(), "bytes=%zu-%zu", &first, &last), 2) << text;
  return {first, last};
}

class HttpOriginTest : public testing::Test {
 protected:
  HttpOriginTest() : metrics_(registry_, "m") {
    options_.retry.base = 1ms;
    options_.idle_timeout = 200ms;
    loop_.in([&] {
      client_ = std::move(*io::HttpClient::create(loop_.reactor(), {}));
      pool_ = std::make_unique<io::WorkerPool>(loop_.reactor(), 1, 1);
    });
  }
  void TearDown() override {
    loop_.in([&] {
      origin_.reset();
      client_.reset();
      pool_.reset();
    });
  }

  OriginConfig s3Config(const ScriptedServer& server) {
    OriginConfig config;
    config.endpoint = server.url();
    config.s3 = {"AKID", Secret("topsecret"), Secret("sessiontoken"), "a test"};
    return config;
  }
  OriginConfig azureConfig(const ScriptedServer& server) {
    OriginConfig config;
    config.endpoint = server.url();
    config.azure = {Secret("dG9wc2VjcmV0"), {}, "a test"};
    return config;
  }
  // With this fixture's short waits.
  void use(const std::string& text, const OriginConfig& config) {
    const OriginUrl url = *parseUrl(text);
    auto dialect = url.scheme == OriginUrl::Scheme::S3 ? makeS3Dialect(url, config) : makeAzureDialect(url, config);
    ASSERT_TRUE(dialect) << dialect.error().text();
    loop_.in([&] {
      origin_ = std::make_unique<HttpOrigin>(std::move(*dialect), options_, loop_.reactor(), *client_, metrics_);
    });
  }
  void useS3(const ScriptedServer& server) { use("s3://bucket/p", s3Config(server)); }

  Status get(std::uint64_t offset, std::uint64_t length, StringSink& sink, Duration time = 20s,
             std::string version = "v1") {
    io::Awaited<Status> result;
    loop_.in([&] {
      const auto inside = std::make_shared<bool>(true);
      origin_->get("x", version, offset, length, sink, io::Reactor::now() + time, [&, inside](Status s) {
        EXPECT_FALSE(*inside) << "a callback must not run inside its call";
        result.give(std::move(s));
      });
      *inside = false;
    });
    return result.wait();
  }
  Result<ObjectInfo> open(std::uint64_t most, StringSink& sink) {
    io::Awaited<Result<ObjectInfo>> result;
    loop_.in([&] {
      origin_->open("x", most, sink, io::Reactor::now() + 20s,
                    [&](Result<ObjectInfo> info) { result.give(std::move(info)); });
    });
    return result.wait();
  }
  Result<ObjectInfo> head(std::string path = "x", Duration time = 20s) {
    io::Awaited<Result<ObjectInfo>> result;
    loop_.in([&] {
      origin_->head(std::move(path), io::Reactor::now() + time,
                    [&](Result<ObjectInfo> info) { result.give(std::move(info)); });
    });
    return result.wait();
  }
  Result<ListPage> list(std::string prefix = "", std::string next = "", std::uint32_t max = 10) {
    io::Awaited<Result<ListPage>> result;
    loop_.in([&] {
      origin_->list(std::move(prefix), std::move(next), max, io::Reactor::now() + 20s,
                    [&](Result<ListPage> page) { result.give(std::move(page)); });
    });
    return result.wait();
  }
  Status probe() {
    io::Awaited<Status> result;
    loop_.in([&] { origin_->probe(io::Reactor::now() + 20s, [&](Status s) { result.give(std::move(s)); }); });
    return result.wait();
  }

  Metrics registry_;
  OriginMetrics metrics_;
  HttpOriginOptions options_;
  io::LoopThread loop_;
  std::unique_ptr<io::HttpClient> client_;
  std::unique_ptr<io::WorkerPool> pool_;
  std::unique_ptr<HttpOrigin> origin_;
};

const std::string kObject = "0123456789abcdefghijklmnopqrstuvwxyz";

// Given as much of kObject as was asked.
void serve(const ScriptedRequest& request, ScriptedReply& reply) {
  const auto [first, last] = rangeOf(request);
  reply.answer(206, partial(first, last, kObject.size()), kObject.substr(first, last - first + 1));
}

TEST_F(HttpOriginTest, getsExactlyTheRangeOfThatVersion) {
  ScriptedServer server(serve);
  useS3(server);
  StringSink sink;
  const Status status = get(10, 20, sink);
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(sink.bytes, kObject.substr(10, 20));
  const ScriptedRequest request = server.requests().at(0);
  EXPECT_EQ(request.target, "/bucket/p/x");
  EXPECT_EQ(request.header("range"), "bytes=10-29");
  EXPECT_EQ(request.header("if-match"), "\"v1\"");
  EXPECT_THAT(request.header("authorization"), HasSubstr("Credential=AKID/"));
  EXPECT_EQ(metrics_.gets.value(), 1U);
  EXPECT_EQ(metrics_.bytes.value(), 20U);
  EXPECT_EQ(metrics_.retries.value() + metrics_.errors.value(), 0U);
  EXPECT_EQ(metrics_.first_byte.count(), 1U);
}

TEST_F(HttpOriginTest, aGetOfNothingAsksNobody) {
  ScriptedServer server(serve);
  useS3(server);
  StringSink sink;
  EXPECT_TRUE(get(0, 0, sink));
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(HttpOriginTest, resumesABodyThatIsCutMidway) {
  // Given a server that sends five bytes of each answer and hangs up
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    const auto [first, last] = rangeOf(request);
    if (last - first < 5) return serve(request, reply);
    reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: {}\r\n{}\r\n{}", last - first + 1,
                           partial(first, last, kObject.size()), kObject.substr(first, 5)));
    reply.cut();
  });
  useS3(server);
  StringSink sink;
  const Status status = get(3, 17, sink);
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(sink.bytes, kObject.substr(3, 17));
  ASSERT_EQ(server.requests().size(), 4U);
  EXPECT_EQ(server.requests()[1].header("range"), "bytes=8-19");
  EXPECT_EQ(server.requests()[1].header("if-match"), "\"v1\"");
  EXPECT_EQ(metrics_.bytes.value(), 17U) << "each byte once";
  EXPECT_EQ(metrics_.gets.value(), 4U);
  EXPECT_EQ(metrics_.retries.value(), 3U);
}

TEST_F(HttpOriginTest, aBodyThatStallsIsResumedToo) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return serve(request, reply);
    reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: 10\r\n{}\r\n0123", partial(0, 9, kObject.size())));
    reply.hang();
  });
  useS3(server);
  StringSink sink;
  ASSERT_TRUE(get(0, 10, sink));
  EXPECT_EQ(sink.bytes, "0123456789");
}

TEST_F(HttpOriginTest, anObjectChangedBetweenTwoPiecesIsGone) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return void(reply.answer(412, "", "<Error><Code>PreconditionFailed</Code></Error>"));
    reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: 10\r\n{}\r\n0123", partial(0, 9, kObject.size())));
    reply.cut();
  });
  useS3(server);
  StringSink sink;
  const Status status = get(0, 10, sink);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::Gone);
  EXPECT_EQ(sink.bytes, "0123");
}

TEST_F(HttpOriginTest, neverHandsOnWhatWasNotAsked) {
  struct Row {
    const char* name;
    std::string answer;
    Code code;
  };
  const auto answer = [](std::string head, std::string body) { return fmt::format("HTTP/1.1 {}\r\n{}", head, body); };
  const std::string ten = "0123456789";
  const Row rows[] = {
      {"200 for a range", answer("200 X\r\nETag: \"v1\"\r\nContent-Length: 10\r\n", ten), Code::Corrupt},
      {"another range", answer("206 X\r\n" + partial(1, 10, 36) + "Content-Length: 10\r\n", ten), Code::Corrupt},
      {"a shorter range", answer("206 X\r\n" + partial(0, 8, 36) + "Content-Length: 9\r\n", "012345678"),
       Code::Corrupt},
      {"no range", answer("206 X\r\nETag: \"v1\"\r\nContent-Length: 10\r\n", ten), Code::Corrupt},
      {"a broken range", answer("206 X\r\nETag: \"v1\"\r\nContent-Range: bytes 0-x/3\r\nContent-Length: 10\r\n", ten),
       Code::Corrupt},
      {"a length that lies", answer("206 X\r\n" + partial(0, 9, 36) + "Content-Length: 11\r\n", ten + "x"),
       Code::Corrupt},
      {"another version", answer("206 X\r\n" + partial(0, 9, 36, "\"v2\"") + "Content-Length: 10\r\n", ten),
       Code::Gone},
      {"no version", answer("206 X\r\nContent-Range: bytes 0-9/36\r\nContent-Length: 10\r\n", ten), Code::Corrupt},
  };
  for (const Row& row : rows) {
    const auto gap = row.answer.rfind("\r\n");
    ScriptedServer server([&](const ScriptedRequest&, ScriptedReply& reply) {
      reply.send(row.answer.substr(0, gap + 2) + "\r\n" + row.answer.substr(gap + 2));
    });
    useS3(server);
    StringSink sink;
    const Status status = get(0, 10, sink);
    ASSERT_FALSE(status) << row.name;
    EXPECT_EQ(status.error().code, row.code) << row.name << ": " << status.error().text();
    EXPECT_EQ(sink.bytes, "") << row.name;
    EXPECT_EQ(server.requests().size(), 1U) << row.name << ": lies aren't asked for twice";
  }
}

TEST_F(HttpOriginTest, aChunkedBodyMustHaveTheRightLengthToo) {
  for (const auto& [body, code, kept] :
       std::vector<std::tuple<std::string, Code, std::string>>{{"5\r\n01234\r\n0\r\n\r\n", Code::Corrupt, "01234"},
                                                               {"c\r\n0123456789ab\r\n0\r\n\r\n", Code::Corrupt, ""}}) {
    ScriptedServer server([&](const ScriptedRequest&, ScriptedReply& reply) {
      reply.send("HTTP/1.1 206 X\r\nTransfer-Encoding: chunked\r\n" + partial(0, 9, 36) + "\r\n" + body);
    });
    useS3(server);
    StringSink sink;
    const Status status = get(0, 10, sink);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, code) << status.error().text();
    EXPECT_EQ(sink.bytes, kept);
  }
}

// ---- open: what the object is and its first bytes, at once

// Of kObject as much as was asked, as stores do: the range ends with the object.
void serveFirst(const ScriptedRequest& request, ScriptedReply& reply) {
  const auto [first, last] = rangeOf(request);
  const std::size_t end = std::min(last, kObject.size() - 1);
  reply.answer(206, partial(first, end, kObject.size()), kObject.substr(first, end - first + 1));
}

TEST_F(HttpOriginTest, opensWhateverVersionIsThereWithItsBytesInOneRequest) {
  ScriptedServer server(serveFirst);
  for (const bool s3 : {true, false}) {
    if (s3)
      useS3(server);
    else
      use("az://acct/data/p", azureConfig(server));
    StringSink sink;
    const auto info = open(100, sink);
    ASSERT_TRUE(info) << info.error().text();
    EXPECT_EQ(sink.begun, "36 of 36 bytes of v1");
    EXPECT_EQ(sink.bytes, kObject);
    EXPECT_EQ(info->size, 36U);
    EXPECT_EQ(info->version, "v1");
    const ScriptedRequest request = server.requests().back();
    EXPECT_EQ(request.header("if-match"), "");
    EXPECT_EQ(rangeOf(request).second, 99U);
  }
  EXPECT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(metrics_.gets.value(), 2U);
  EXPECT_EQ(metrics_.heads.value(), 0U);
}

TEST_F(HttpOriginTest, opensALargeObjectWithAsManyBytesAsAsked) {
  ScriptedServer server(serveFirst);
  useS3(server);
  StringSink sink;
  ASSERT_TRUE(open(10, sink));
  EXPECT_EQ(sink.begun, "10 of 36 bytes of v1");
  EXPECT_EQ(sink.bytes, kObject.substr(0, 10));
}

TEST_F(HttpOriginTest, anOpenThatIsCutMidwayGoesOnWithTheVersionThatItFound) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return serve(request, reply);
    reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: 36\r\n{}\r\n0123", partial(0, 35, kObject.size())));
    reply.cut();
  });
  useS3(server);
  StringSink sink;
  ASSERT_TRUE(open(100, sink));
  EXPECT_EQ(sink.bytes, kObject);
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1].header("if-match"), "\"v1\"");
  EXPECT_EQ(server.requests()[1].header("range"), "bytes=4-35");
}

TEST_F(HttpOriginTest, anOpenWhoseVersionLeavesMidwayIsGoneAndNotMixed) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return void(reply.answer(412, "", ""));
    reply.send(fmt::format("HTTP/1.1 206 X\r\nContent-Length: 36\r\n{}\r\n0123", partial(0, 35, kObject.size())));
    reply.cut();
  });
  useS3(server);
  StringSink sink;
  const auto info = open(100, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::Gone);
}

TEST_F(HttpOriginTest, anEmptyObjectIsOpenedByItsHead) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.method == "GET") return void(reply.answer(416, "", "<Error><Code>InvalidRange</Code></Error>"));
    reply.send("HTTP/1.1 200 X\r\nETag: \"v1\"\r\nContent-Length: 0\r\n\r\n");
  });
  useS3(server);
  StringSink sink;
  const auto info = open(100, sink);
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(sink.begun, "0 of 0 bytes of v1");
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST_F(HttpOriginTest, aSmallObjectSentWholeIsFineAndALargeOneIsNot) {
  ScriptedServer server(
      [](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(200, "ETag: \"v1\"\r\n", kObject); });
  useS3(server);
  StringSink whole;
  EXPECT_TRUE(open(36, whole));
  EXPECT_EQ(whole.bytes, kObject);
  StringSink part;
  const auto info = open(35, part);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::Corrupt);
  EXPECT_EQ(part.bytes, "");
}

TEST_F(HttpOriginTest, anOpenBelievesNoAnswerThatCantBeRight) {
  const std::string ten = "0123456789";
  const auto with = [](const std::string& range, const char* etag = "ETag: \"v1\"\r\n") {
    return "206 X\r\nContent-Range: " + range + "\r\n" + etag + "Content-Length: 10\r\n\r\n";
  };
  for (const std::string& head :
       {with("bytes 0-9/*"), with("bytes 1-10/36"), with("bytes 0-9/5"), with("bytes 0-9/11"), with("bytes 0-8/36"),
        with("bytes 0-9/36", ""), std::string("206 X\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n")}) {
    ScriptedServer server([&](const ScriptedRequest&, ScriptedReply& reply) { reply.send("HTTP/1.1 " + head + ten); });
    useS3(server);
    StringSink sink;
    const auto info = open(head.contains("0-9/11") ? 20 : 10, sink);
    ASSERT_FALSE(info) << head;
    EXPECT_EQ(info.error().code, Code::Corrupt) << head << info.error().text();
    EXPECT_EQ(sink.bytes, "");
  }
}

TEST_F(HttpOriginTest, openingWhatIsNotThereIsNotFound) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(404, "", ""); });
  useS3(server);
  StringSink sink;
  const auto info = open(10, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::NotFound);
  EXPECT_EQ(metrics_.errors.value(), 0U);
}

TEST_F(HttpOriginTest, waitsAsLongAsItIsAsked) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return serve(request, reply);
    reply.answer(503, "retry-after-ms: 150\r\n", "<Error><Code>SlowDown</Code></Error>");
  });
  useS3(server);
  StringSink sink;
  const TimePoint start = io::Reactor::now();
  ASSERT_TRUE(get(0, 10, sink));
  EXPECT_GE(io::Reactor::now() - start, 150ms);
  EXPECT_EQ(metrics_.retries.value(), 1U);
}

TEST_F(HttpOriginTest, saysAtOnceWhenTheWaitWouldOutlastTheDeadline) {
  ScriptedServer server(
      [](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(503, "Retry-After: 60\r\n", ""); });
  useS3(server);
  const auto info = head();
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::Unavailable);
  EXPECT_EQ(info.error().retry_after_ms, 60'000U);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpOriginTest, givesUpOnASickOriginAfterItsAttempts) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(500, "", ""); });
  useS3(server);
  const auto info = head();
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::Unavailable);
  EXPECT_THAT(info.error().message, HasSubstr("after 6 attempts"));
  EXPECT_EQ(metrics_.heads.value(), 6U);
  EXPECT_EQ(metrics_.retries.value(), 5U);
  EXPECT_EQ(metrics_.errors.value(), 1U);
}

TEST_F(HttpOriginTest, doesNotHammerASickOrigin) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(500, "", ""); });
  options_.retry_budget = {.per_mille = 100, .per_second = 0, .burst = 3};
  useS3(server);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(head());
  EXPECT_LE(server.requests().size(), 20U + 3U + 2U);
}

TEST_F(HttpOriginTest, theDeadlineHoldsWhileAnOriginIsSilent) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.hang(); });
  options_.idle_timeout = 10s;
  useS3(server);
  const auto info = head("x", 100ms);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::DeadlineExceeded) << info.error().text();
}

TEST_F(HttpOriginTest, boundsWhatRunsAndWhatWaits) {
  // Given an origin that answers nobody, and room for one call to run and one to wait
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.hang(); });
  options_.max_concurrent = 1;
  options_.max_waiting = 1;
  options_.idle_timeout = 10s;
  useS3(server);
  io::Awaited<Code> running, waiting, refused;
  const auto into = [](io::Awaited<Code>& where) {
    return [&where](Result<ObjectInfo> info) { where.give(info ? Code::Ok : info.error().code); };
  };
  loop_.in([&] {
    const TimePoint deadline = io::Reactor::now() + 200ms;
    origin_->head("a", deadline, into(running));
    origin_->head("b", deadline, into(waiting));
    origin_->head("c", deadline, into(refused));
  });
  EXPECT_EQ(refused.wait(), Code::Busy);
  EXPECT_EQ(running.wait(), Code::DeadlineExceeded);
  EXPECT_EQ(waiting.wait(), Code::DeadlineExceeded);
}

TEST_F(HttpOriginTest, destroyingItDropsItsCallsAlsoFromWithin) {
  ScriptedServer server(serve);
  useS3(server);
  // From the sink, in the middle of a body
  io::Awaited<bool> destroyed;
  StringSink sink;
  sink.on_wrote = [&] {
    origin_.reset();
    destroyed.give(true);
  };
  loop_.in([&] {
    origin_->get("x", "v1", 0, 30, sink, io::Reactor::now() + 20s, [](Status) { FAIL() << "must not be heard"; });
    origin_->get("x", "v1", 0, 0, sink, io::Reactor::now() + 20s, [](Status) { FAIL() << "nor what was posted"; });
    origin_->head("x", io::Reactor::now() + 20s, [](Result<ObjectInfo>) { FAIL() << "nor what was in flight"; });
    // the posted one would run first, so the origin goes before the loop turns
    origin_.reset();
  });
  useS3(server);
  loop_.in([&] {
    origin_->get("x", "v1", 0, 30, sink, io::Reactor::now() + 20s, [](Status) { FAIL() << "must not be heard"; });
  });
  destroyed.wait();
  // From a callback
  useS3(server);
  io::Awaited<bool> done;
  StringSink quiet;
  loop_.in([&] {
    origin_->get("x", "v1", 0, 5, quiet, io::Reactor::now() + 20s, [&](Status s) {
      EXPECT_TRUE(s);
      origin_.reset();
      done.give(true);
    });
  });
  done.wait();
}

TEST_F(HttpOriginTest, answersThatMeanSomethingElseForLookingUpAndForReading) {
  struct Row {
    int status;
    Code head, get;
  };
  for (const Row& row :
       {Row{404, Code::NotFound, Code::Gone}, Row{412, Code::Gone, Code::Gone}, Row{416, Code::Gone, Code::Gone},
        Row{400, Code::InvalidArgument, Code::InvalidArgument}, Row{401, Code::Unauthenticated, Code::Unauthenticated},
        Row{403, Code::PermissionDenied, Code::PermissionDenied},
        Row{302, Code::InvalidArgument, Code::InvalidArgument}, Row{204, Code::Corrupt, Code::Corrupt},
        Row{501, Code::Unsupported, Code::Unsupported}}) {
    ScriptedServer server([&](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(row.status, "", ""); });
    useS3(server);
    StringSink sink;
    EXPECT_EQ(head().error().code, row.head) << row.status;
    EXPECT_EQ(get(0, 1, sink).error().code, row.get) << row.status;
  }
  EXPECT_EQ(metrics_.errors.value(), 9U * 2 - 1) << "NotFound is an answer";
}

TEST_F(HttpOriginTest, refusesWhatNoStoreCanHold) {
  ScriptedServer server(serve);
  useS3(server);
  EXPECT_EQ(head("").error().code, Code::InvalidArgument);
  EXPECT_EQ(head(std::string(1025, 'x')).error().code, Code::InvalidArgument);
  EXPECT_EQ(head(std::string("a\0b", 3)).error().code, Code::InvalidArgument);
  EXPECT_EQ(list("no-slash").error().code, Code::InvalidArgument);
  StringSink sink;
  EXPECT_EQ(get(1, ~std::uint64_t{0}, sink).error().code, Code::InvalidArgument);
  EXPECT_EQ(get(0, 1, sink, 20s, "").error().code, Code::InvalidArgument);
  EXPECT_EQ(get(0, 1, sink, 20s, "v\r\nX-Evil: 1").error().code, Code::InvalidArgument);
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(HttpOriginTest, namesGoOutEncodedAndWhole) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.answer(200, "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "12345", true);
  });
  for (const auto& [url, config, base] : {std::tuple{"s3://bucket/a b", s3Config(server), "/bucket/a%20b/"},
                                          std::tuple{"az://acct/data/a b", azureConfig(server), "/acct/data/a%20b/"}}) {
    use(url, config);
    for (const auto& [name, encoded] :
         std::vector<std::pair<std::string, std::string>>{{"x y", "x%20y"},
                                                          {"é", "%C3%A9"},
                                                          {"100%", "100%25"},
                                                          {"a+b&c=d?e#f", "a%2Bb%26c%3Dd%3Fe%23f"},
                                                          {"../up/./x", "../up/./x"},
                                                          {"dir/", "dir/"},
                                                          {"a//b", "a//b"},
                                                          {"\xff\x01", "%FF%01"}}) {
      const auto info = head(name);
      ASSERT_TRUE(info) << info.error().text();
      EXPECT_EQ(server.requests().back().target, base + encoded);
      EXPECT_EQ(info->size, 5U);
      EXPECT_EQ(info->version, "v1");
      EXPECT_EQ(info->mtime_ns, 784'111'777'000'000'000);
    }
  }
}

TEST_F(HttpOriginTest, azureListsPageByPage) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    const bool second = request.target.find("marker=m%2F1") != std::string::npos;
    reply.answer(200, "",
                 fmt::format("<EnumerationResults><Blobs>{}</Blobs><NextMarker>{}</NextMarker></EnumerationResults>",
                             second ? "<BlobPrefix><Name>p/d/x/</Name></BlobPrefix>" : "", second ? "" : "m/1"));
  });
  use("az://acct/data/p", azureConfig(server));
  const auto first = list("d/");
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_TRUE(first->entries.empty());
  const auto second = list("d/", first->next);
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_EQ(second->entries.at(0).name, "x");
  EXPECT_EQ(second->next, "");
  EXPECT_THAT(server.requests().at(0).target,
              AllOf(HasSubstr("/acct/data?"), HasSubstr("delimiter=%2F"), HasSubstr("prefix=p%2Fd%2F"),
                    HasSubstr("maxresults=10"), HasSubstr("restype=container"), HasSubstr("comp=list")));
  EXPECT_EQ(metrics_.lists.value(), 2U);
}

TEST_F(HttpOriginTest, s3FindsTheRightRegionByItself) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.header("authorization").find("/eu-west-3/") == std::string::npos)
      return void(reply.answer(301, "x-amz-bucket-region: eu-west-3\r\n", ""));
    serve(request, reply);
  });
  useS3(server);
  StringSink sink;
  ASSERT_TRUE(get(0, 10, sink));
  ASSERT_TRUE(get(0, 10, sink));
  EXPECT_EQ(server.requests().size(), 3U) << "learned once";
}

TEST_F(HttpOriginTest, aRegionThatIsNoneIsNotBelieved) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) {
    reply.answer(301, "x-amz-bucket-region: evil.example/x\r\n", "");
  });
  useS3(server);
  EXPECT_EQ(head().error().code, Code::InvalidArgument);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpOriginTest, probeSaysWhatIsWrongAndWhatToDoWithoutASecret) {
  struct Row {
    const char* url;
    int status;
    std::string headers, body;
    Code code;
    const char* hint;
  };
  const auto s3 = [](std::string code) {
    return "<Error><Code>" + code + "</Code><Message>topsecret sessiontoken</Message></Error>";
  };
  const auto azure = [](std::string code) { return "x-ms-error-code: " + code + "\r\nx-ms-request-id: 12-ab\r\n"; };
  const Row rows[] = {
      {"s3://bucket", 403, "", s3("SignatureDoesNotMatch"), Code::Unauthenticated, "access key from a test"},
      {"s3://bucket", 403, "", s3("InvalidAccessKeyId"), Code::Unauthenticated, "doesn't know"},
      {"s3://bucket", 403, "", s3("RequestTimeTooSkewed"), Code::Unauthenticated, "clock"},
      {"s3://bucket", 400, "", s3("ExpiredToken"), Code::Unauthenticated, "expired"},
      {"s3://bucket", 403, "", s3("AccessDenied"), Code::PermissionDenied, "s3:ListBucket"},
      {"s3://bucket", 404, "", s3("NoSuchBucket"), Code::NotFound, "bucket bucket doesn't exist"},
      {"az://acct/data", 403, azure("AuthenticationFailed"), "topsecret", Code::Unauthenticated,
       "account key from a test"},
      {"az://acct/data", 403, azure("AuthorizationFailure"), "", Code::PermissionDenied, "firewall"},
      {"az://acct/data", 404, azure("ContainerNotFound"), "", Code::NotFound, "container data doesn't exist"},
      {"az://acct/data", 403, azure("KeyBasedAuthenticationNotPermitted"), "", Code::PermissionDenied,
       "user-delegation"},
  };
  for (const Row& row : rows) {
    ScriptedServer server(
        [&](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(row.status, row.headers, row.body); });
    use(row.url, std::string_view(row.url).starts_with("s3") ? s3Config(server) : azureConfig(server));
    const Status status = probe();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, row.code) << status.error().text();
    EXPECT_THAT(status.error().message, AllOf(HasSubstr(row.hint), HasSubstr(row.url)));
    for (const char* secret : {"topsecret", "dG9wc2VjcmV0", "sessiontoken"})
      EXPECT_THAT(status.error().message, Not(HasSubstr(secret)));
  }
}

TEST_F(HttpOriginTest, aSasTokenGoesOutButNeverShows) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(403, "", ""); });
  OriginConfig config;
  config.endpoint = server.url();
  config.azure = {{}, Secret("?sv=2025-11-05&sp=rl&sig=abc%3D"), "a test"};
  use("az://acct/data", config);
  StringSink sink;
  for (const Error& error : {probe().error(), head().error(), get(0, 1, sink).error()}) {
    EXPECT_THAT(error.message, AllOf(HasSubstr("SAS token from a test"), Not(HasSubstr("abc"))));
  }
  EXPECT_THAT(server.requests().at(0).target, HasSubstr("&sv=2025-11-05&sp=rl&sig=abc%3D"));
  EXPECT_THAT(server.requests().at(1).target, HasSubstr("/x?sv=2025-11-05&sp=rl&sig=abc%3D"));
  for (const auto& request : server.requests()) EXPECT_EQ(request.header("authorization"), "");
}

TEST_F(HttpOriginTest, anAccountThatDoesNotExistIsNamed) {
  OriginConfig config;
  config.endpoint = "https://nobody.invalid";
  use("az://nobody/data", config);
  const Status status = probe();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::Unavailable);
  EXPECT_THAT(status.error().message, HasSubstr("Check that the account nobody exists"));
}

TEST_F(HttpOriginTest, makeOriginRefusesWhatCannotWork) {
  const auto make = [&](const char* url, OriginConfig config) {
    Error error;
    loop_.in([&] {
      auto origin = makeOrigin(*parseUrl(url), config, loop_.reactor(), *client_, *pool_, metrics_);
      EXPECT_FALSE(origin) << url;
      if (!origin) error = origin.error();
    });
    return error;
  };
  OriginConfig key;
  key.azure.account_key = Secret("not base64!");
  EXPECT_THAT(make("az://acct/data", key).message, AllOf(HasSubstr("base64"), Not(HasSubstr("not base64!"))));
  OriginConfig sas;
  sas.azure.sas_token = Secret("hello");
  EXPECT_THAT(make("az://acct/data", sas).message, HasSubstr("sig="));
  OriginConfig half;
  half.s3.access_key_id = "AKID";
  EXPECT_THAT(make("s3://bucket", half).message, HasSubstr("half"));
  OriginConfig region;
  region.region = "Nowhere/x";
  EXPECT_EQ(make("s3://bucket", region).code, Code::InvalidArgument);
  OriginConfig ca;
  ca.ca_file = "/nonexistent/ca.pem";
  EXPECT_EQ(make("s3://bucket", ca).code, Code::NotFound);
}

}  // namespace
}  // namespace forebay::origin
