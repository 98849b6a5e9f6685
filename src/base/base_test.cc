#include <cerrno>
#include <gtest/gtest.h>
#include <string>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/result.h"

namespace forebay {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::InvalidArgument, "odd");
  return n / 2;
}
Result<int> quarter(int n) {
  const int once = TRY(half(n));
  return TRY(half(once));
}

TEST(Result, tryTakesTheValueOrReturnsTheError) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error().code, Code::InvalidArgument);
  EXPECT_EQ(quarter(5).error().text(), "InvalidArgument: odd");
}

TEST(Result, errnoBecomesACodeThatProgramsDecideBy) {
  EXPECT_EQ(failErrno("open /x", ENOENT).error().code, Code::NotFound);
  EXPECT_EQ(failErrno("open /x", ENOENT).error().message, "open /x: No such file or directory");
  EXPECT_TRUE(failErrno("connect", ECONNREFUSED).error().retryable());
  EXPECT_FALSE(failErrno("open", EACCES).error().retryable());
}

TEST(Checksum, isTheCrc32cOfTheStandards) {
  EXPECT_EQ(crc32c(bytesOf("123456789")), 0xE3069283U);  // RFC 3720, B.4
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c(bytesOf("6789"), crc32c(bytesOf("12345"))), 0xE3069283U);
}

// Placement rests on these values: a change of them moves every object of every cell.
TEST(Hash, goldenVectors) {
  EXPECT_EQ(hash64(""), 0x2d06800538d394c2U);
  EXPECT_EQ(hash64("forebay"), hash64(bytesOf("forebay")));
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafU);
  EXPECT_EQ(mix64(1), 0x910a2dec89025cc1U);
  EXPECT_EQ(hex(sha256(bytesOf("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(hmacSha256(bytesOf("key"), bytesOf("The quick brown fox jumps over the lazy dog"))),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
}

TEST(Random, repeatsFromItsSeedAndStaysInBounds) {
  Random a(7), b(7);
  for (int i = 0; i < 1000; ++i) {
    const auto value = a.below(10);
    EXPECT_EQ(value, b.below(10));
    EXPECT_LT(value, 10U);
  }
}

TEST(Metrics, textIsWhatPrometheusReads) {
  Metrics metrics;
  metrics.counter("forebay_reads_total", "Reads.", {{"mount", "a\"b"}}).add(3);
  metrics.counter("forebay_reads_total", "Reads.", {{"mount", "a\"b"}}).add(2);
  metrics.gauge("forebay_arena_bytes", "Bytes.").set(-1);
  metrics.histogram("forebay_wait_seconds", "Wait.").record(3us);
  const std::string text = metrics.prometheus();
  EXPECT_NE(text.find("# TYPE forebay_reads_total counter\nforebay_reads_total{mount=\"a\\\"b\"} 5\n"),
            std::string::npos);
  EXPECT_NE(text.find("forebay_arena_bytes -1\n"), std::string::npos);
  EXPECT_NE(text.find("forebay_wait_seconds_bucket{le=\"4e-06\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("forebay_wait_seconds_count 1\n"), std::string::npos);
}

TEST(Metrics, quantileIsTheUpperBoundOfItsBucket) {
  Histogram h;
  for (int i = 0; i < 99; ++i) h.record(3us);
  h.record(5ms);
  EXPECT_EQ(h.quantile(0.5), 4us);
  EXPECT_GE(h.quantile(0.99), 5ms);
}

}  // namespace
}  // namespace forebay
