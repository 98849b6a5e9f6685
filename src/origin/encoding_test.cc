#include "origin/encoding.h"

#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

TEST(Encoding, namesSurviveTheTripBothWays) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  for (const std::string& name : {every, std::string("a b+c%d/../é/"), std::string()}) {
    EXPECT_EQ(*percentDecode(percentEncode(name), Plus::IsSpace), name);
    EXPECT_EQ(*percentDecode(percentEncodePath(name), Plus::IsPlus), name);
  }
  EXPECT_EQ(percentEncode("a b+c%/é~"), "a%20b%2Bc%25%2F%C3%A9~");
  EXPECT_EQ(percentEncodePath("a b/../c//"), "a%20b/../c//");
}

TEST(Encoding, decodesAPlusAsItIsTold) {
  EXPECT_EQ(*percentDecode("a+b%2B", Plus::IsSpace), "a b+");
  EXPECT_EQ(*percentDecode("a+b%2b", Plus::IsPlus), "a+b+");
  for (const char* bad : {"%", "%4", "a%zz", "%4g"}) EXPECT_FALSE(percentDecode(bad, Plus::IsPlus)) << bad;
}

TEST(Encoding, base64IsExact) {
  EXPECT_EQ(base64(bytesOf("")), "");
  EXPECT_EQ(base64(bytesOf("f")), "Zg==");
  EXPECT_EQ(base64(bytesOf("foobar")), "Zm9vYmFy");
  EXPECT_EQ(base64Decode("Zg=="), "f");
  EXPECT_EQ(base64Decode("Zm9vYmFy"), "foobar");
  for (const char* bad : {"", "Zg=", "Zg", "Z===", "Z=g=", "Zm9v\nYm=", " Zg==", "Zg== "})
    EXPECT_FALSE(base64Decode(bad)) << bad;
}

TEST(Encoding, readsAndWritesTimes) {
  constexpr std::int64_t kThen = 784'111'777'000'000'000;  // the example of RFC 9110
  EXPECT_EQ(httpDate(kThen), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), kThen);
  EXPECT_EQ(compactIsoTime(kThen), "19941106T084937Z");
  EXPECT_EQ(parseIsoTime("1994-11-06T08:49:37Z"), kThen);
  EXPECT_EQ(parseIsoTime("1994-11-06T08:49:37.120Z"), kThen + 120'000'000);
  EXPECT_EQ(parseHttpDate(httpDate(0)), 0);
  for (const char* bad :
       {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Abc 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 9999 08:49:37 GMT"})
    EXPECT_FALSE(parseHttpDate(bad)) << bad;
  for (const char* bad : {"", "1994-11-06T08:49:37", "1994-13-06T08:49:37Z", "1994-11-06T08:49:37.Z",
                          "1994-11-06 08:49:37Z", "1994-11-06T08:49:37.1x2Z"})
    EXPECT_FALSE(parseIsoTime(bad)) << bad;
}

TEST(Encoding, numbersAreNumbersOnly) {
  EXPECT_EQ(parseNumber("18446744073709551615"), 18446744073709551615U);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"})
    EXPECT_FALSE(parseNumber(bad)) << bad;
}

TEST(Encoding, anEtagIsTheSameWhereverItStood) {
  for (const char* form : {"\"0x8D\"", "0x8D", "W/\"0x8D\""}) EXPECT_EQ(bareEtag(form), "0x8D");
  EXPECT_EQ(bareEtag("\""), "\"");
}

TEST(Encoding, shownNamesCannotBreakALogLine) {
  EXPECT_EQ(shown("a\nb\x1b"), "'a\\x0ab\\x1b'");
  EXPECT_LT(shown(std::string(5000, 'x')).size(), 240U);
}

}  // namespace
}  // namespace forebay::origin
