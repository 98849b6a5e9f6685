// Origins against a server that misbehaves on purpose: real sockets, scripted answers.
#include "origin/http_origin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "origin/http_origin_fixture.h"
#include "origin/make_origin.h"

namespace forebay::origin {
namespace {

using io::ScriptedReply;
using io::ScriptedRequest;
using io::ScriptedServer;
using test::kObject, test::partial, test::rangeOf, test::sendFour, test::serve, test::StringSink;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class HttpOriginTest : public test::HttpOriginTest {};

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
    sendFour(reply, 10);
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
    sendFour(reply, 10);
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

namespace {
std::string longAzureList(const std::string& next) {
  std::string blobs;
  for (int i = 0; i < 1'000; ++i)
    blobs += fmt::format(
        "<Blob><Name>p/d/{:04}</Name><Properties><Content-Length>{}</Content-Length><Etag>v</Etag></Properties></Blob>",
        i, i);
  return fmt::format("<EnumerationResults><Blobs>{}</Blobs><NextMarker>{}</NextMarker></EnumerationResults>", blobs,
                     next);
}
}  // namespace

TEST_F(HttpOriginTest, saysWhereTheNextPageBeginsBeforeItHasReadThisOne) {
  ScriptedServer server(
      [](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(200, "", longAzureList("m1")); });
  use("az://acct/data/p", azureConfig(server));
  io::Awaited<Result<ListPage>> second;
  const auto first = list("d/", "", 5'000, [&](const std::string& next) {
    origin_->list("d/", next, 5'000, io::Reactor::now() + 20s, {},
                  [&](Result<ListPage> page) { second.give(std::move(page)); });
  });
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(first->entries.size(), 1'000U);
  EXPECT_EQ(first->entries.at(999).info.size, 999U);
  EXPECT_EQ(first->next, "m1");
  const auto page = second.wait();
  ASSERT_FALSE(page) << "it names itself as the next one";
  EXPECT_EQ(page.error().code, Code::Corrupt);
  EXPECT_THAT(page.error().message, HasSubstr("/acct/data"));
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST_F(HttpOriginTest, mayEndWhileALongListIsRead) {
  ScriptedServer server(
      [](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(200, "", longAzureList("m1")); });
  use("az://acct/data/p", azureConfig(server));
  io::Awaited<bool> busy, go_on;  // the pool's only thread has other work until the origin is gone
  loop_.in([&] {
    const auto work = [&] {
      busy.give(true);
      go_on.wait();
    };
    ASSERT_TRUE(pool_->submit(work, [] {}));
  });
  busy.wait();
  io::Awaited<bool> coming;
  bool told = false;
  loop_.in([&] {
    origin_->list(
        "d/", "", 5'000, io::Reactor::now() + 20s, [&](const std::string&) { coming.give(true); },
        [&](const Result<ListPage>&) { told = true; });
  });
  ASSERT_TRUE(coming.wait());
  loop_.in([&] { origin_.reset(); });
  go_on.give(true);
  io::Awaited<bool> idle;
  loop_.in([&] {
    pool_ = std::make_unique<io::WorkerPool>(loop_.reactor(), 1, 1);  // joins the old one: the page was read
    loop_.reactor().post([&] { idle.give(told); });
  });
  EXPECT_FALSE(idle.wait());
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
