#include "fake_origin/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::fake {
namespace {

TEST(ParseHead, keepsThePathAsReceivedAndDecodesTheQuery) {
  std::size_t consumed = 0;
  const std::string text =
      "GET /a%2Fb/../c?x=1%262&y&=z HTTP/1.1\r\nHost: h\r\nX-Ms-Date:  d \r\nContent-Length: 3\r\n\r\nabc";
  const auto head = parseHead(text, consumed);
  ASSERT_TRUE(head.has_value() && head->has_value());
  EXPECT_EQ(consumed, text.size() - 3);
  EXPECT_EQ((*head)->path, "/a%2Fb/../c");
  EXPECT_EQ((*head)->param("x"), "1&2");
  EXPECT_TRUE((*head)->hasParam("y"));
  EXPECT_EQ((*head)->header("x-ms-date"), "d");
  EXPECT_EQ((*head)->content_length, 3U);
  EXPECT_TRUE((*head)->keep_alive);
}

TEST(ParseHead, waitsForTheRest) {
  std::size_t consumed = 0;
  const auto head = parseHead("GET / HTTP/1.1\r\nHost: h\r\n", consumed);
  ASSERT_TRUE(head.has_value());
  EXPECT_FALSE(head->has_value());
}

TEST(ParseHead, takesTheUrlThatAProxyGets) {
  std::size_t consumed = 0;
  const auto head =
      parseHead("GET http://acct.blob.example/c/b?x=1 HTTP/1.1\r\nHost: acct.blob.example\r\n\r\n", consumed);
  ASSERT_TRUE(head.has_value() && head->has_value());
  EXPECT_TRUE((*head)->through_proxy);
  EXPECT_EQ((*head)->path, "/c/b");
}

TEST(ParseHead, refusesWhatIsNoRequest) {
  for (const char* text :
       {"garbage\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET no-slash HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n",
        "GET /%4 HTTP/1.1\r\n\r\n", "GET /?a=%f HTTP/1.1\r\n\r\n", "GET http://host HTTP/1.1\r\n\r\n", "\r\n\r\n"}) {
    std::size_t consumed = 0;
    EXPECT_FALSE(parseHead(text, consumed).has_value()) << text;
  }
  std::size_t consumed = 0;
  EXPECT_EQ(parseHead(std::string(kMaxHeadBytes + 1, 'a'), consumed).error().code, Code::Busy);
}

TEST(Codings, goThereAndBack) {
  EXPECT_EQ(percentEncode("a b/ü~", true), "a%20b/%C3%BC~");
  EXPECT_EQ(percentEncode("a/b", false), "a%2Fb");
  EXPECT_EQ(percentDecode("a%20b%2f+"), "a b/+");
  for (const std::string_view text : {"", "a", "ab", "abc", "\xff\x00\x01"}) EXPECT_EQ(unbase64(base64(text)), text);
  EXPECT_EQ(unbase64("a"), std::nullopt);
  EXPECT_EQ(unbase64("!!!!"), std::nullopt);
  EXPECT_EQ(parseHttpDate("Sat, 21 Nov 2026 10:05:00 GMT"), 1'795'255'500);
  EXPECT_EQ(httpDate(1'795'255'500), "Sat, 21 Nov 2026 10:05:00 GMT");
  EXPECT_EQ(parseHttpDate("yesterday"), std::nullopt);
  EXPECT_EQ(parseIsoDate("2026-11-21T10:05:00Z"), 1'795'255'500);
  EXPECT_EQ(parseIsoDate("20261121T100500Z"), 1'795'255'500);
}

TEST(Xml, knowsWhatItCanHold) {
  EXPECT_EQ(xml("a<b>&\"c"), "a&lt;b&gt;&amp;&quot;c");
  EXPECT_TRUE(fitsXml("plain ü \xf0\x9f\x92\xa7 \t"));
  EXPECT_FALSE(fitsXml(std::string_view("a\0b", 3)));
  EXPECT_FALSE(fitsXml("a\x01"));
  EXPECT_FALSE(fitsXml("\xef\xbf\xbf"));
  EXPECT_FALSE(fitsXml("\xc3"));
  EXPECT_FALSE(fitsXml("\xff"));
}

}  // namespace
}  // namespace forebay::fake
