// Opening an object at an origin: what it is, and its first bytes, at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "origin/http_origin_fixture.h"

namespace forebay::origin {
namespace {

using io::ScriptedReply;
using io::ScriptedRequest;
using io::ScriptedServer;
using test::kObject, test::partial, test::rangeOf, test::sendFour, test::serve, test::StringSink;

class HttpOpenTest : public test::HttpOriginTest {};

// Of kObject as much as was asked, as stores do: the range ends with the object.
void serveFirst(const ScriptedRequest& request, ScriptedReply& reply) {
  const auto [first, last] = rangeOf(request);
  const std::size_t end = std::min(last, kObject.size() - 1);
  reply.answer(206, partial(first, end, kObject.size()), kObject.substr(first, end - first + 1));
}

TEST_F(HttpOpenTest, opensWhateverVersionIsThereWithItsBytesInOneRequest) {
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

TEST_F(HttpOpenTest, opensALargeObjectWithAsManyBytesAsAsked) {
  ScriptedServer server(serveFirst);
  useS3(server);
  StringSink sink;
  ASSERT_TRUE(open(10, sink));
  EXPECT_EQ(sink.begun, "10 of 36 bytes of v1");
  EXPECT_EQ(sink.bytes, kObject.substr(0, 10));
}

TEST_F(HttpOpenTest, anOpenThatIsCutMidwayGoesOnWithTheVersionThatItFound) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return serve(request, reply);
    sendFour(reply, 36);
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

TEST_F(HttpOpenTest, anOpenWhoseVersionLeavesMidwayIsGoneAndNotMixed) {
  ScriptedServer server([](const ScriptedRequest& request, ScriptedReply& reply) {
    if (request.number > 0) return void(reply.answer(412, "", ""));
    sendFour(reply, 36);
    reply.cut();
  });
  useS3(server);
  StringSink sink;
  const auto info = open(100, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::Gone);
}

TEST_F(HttpOpenTest, anEmptyObjectIsOpenedByItsHead) {
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

TEST_F(HttpOpenTest, aSmallObjectSentWholeIsFineAndALargeOneIsNot) {
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

TEST_F(HttpOpenTest, anOpenBelievesNoAnswerThatCantBeRight) {
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

TEST_F(HttpOpenTest, openingWhatIsNotThereIsNotFound) {
  ScriptedServer server([](const ScriptedRequest&, ScriptedReply& reply) { reply.answer(404, "", ""); });
  useS3(server);
  StringSink sink;
  const auto info = open(10, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::NotFound);
  EXPECT_EQ(metrics_.errors.value(), 0U);
}

}  // namespace
}  // namespace forebay::origin
