#include "base/hasher.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace forebay {
namespace {

TEST(HasherTest, piecesGiveTheDigestOfTheWhole) {
  auto hasher = Hasher::create(Hasher::Kind::Sha256);
  ASSERT_TRUE(hasher);
  hasher->update("ab");
  hasher->update("");
  hasher->update("c");
  EXPECT_EQ(hex(hasher->finish()), hex(sha256(bytesOf("abc"))));
}

TEST(HasherTest, aFinishedOneStartsAgain) {
  auto hasher = Hasher::create(Hasher::Kind::Md5);
  ASSERT_TRUE(hasher);
  hasher->update("abc");
  EXPECT_EQ(hex(hasher->finish()), "900150983cd24fb0d6963f7d28e17f72");  // RFC 1321
  EXPECT_EQ(hex(hasher->finish()), "d41d8cd98f00b204e9800998ecf8427e");
}

}  // namespace
}  // namespace forebay
