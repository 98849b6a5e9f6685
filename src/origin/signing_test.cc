// Signatures against published examples, and against a second computation by other means.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "origin/encoding.h"
#include "origin/shared_key.h"
#include "origin/sigv4.h"

namespace forebay::origin {
namespace {

// The examples of "Signature Calculations for the Authorization Header" in Amazon's S3 reference.
constexpr const char* kId = "AKIAIOSFODNN7EXAMPLE";
constexpr const char* kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

std::string signatureOf(const std::string& authorization) {
  return authorization.substr(authorization.rfind("Signature=") + 10);
}

SigV4Request s3Example() {
  SigV4Request request{.verb = "GET",
                       .path = "/",
                       .query = {},
                       .headers = {{"host", "examplebucket.s3.amazonaws.com"},
                                   {"x-amz-content-sha256", std::string(kEmptyBodySha256)},
                                   {"x-amz-date", "20130524T000000Z"}},
                       .region = "us-east-1",
                       .service = "s3",
                       .time = "20130524T000000Z"};
  return request;
}

TEST(SigV4, signsThePublishedGetWithARange) {
  SigV4Request request = s3Example();
  request.path = "/test.txt";
  request.headers.emplace_back("Range", "bytes=0-9");
  const std::string authorization = sigV4Authorization(request, kId, kSecret);
  EXPECT_EQ(authorization,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, signsThePublishedListAndLifecycle) {
  SigV4Request request = s3Example();
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(signatureOf(sigV4Authorization(request, kId, kSecret)),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  request.query = {{"lifecycle", ""}};
  EXPECT_EQ(signatureOf(sigV4Authorization(request, kId, kSecret)),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(SigV4, signsTheTestSuitesVanillaGet) {
  const SigV4Request request{.verb = "GET",
                             .path = "/",
                             .query = {},
                             .headers = {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", "20150830T123600Z"}},
                             .region = "us-east-1",
                             .service = "service",
                             .time = "20150830T123600Z"};
  EXPECT_EQ(signatureOf(sigV4Authorization(request, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(SigV4, oddNamesAndQueriesAreInCanonicalForm) {
  SigV4Request request = s3Example();
  const std::string path = "/" + percentEncodePath("a b/../+é");
  request.path = path;
  request.query = {{"prefix", "ä/ +&="}, {"delimiter", "/"}, {"list-type", "2"}};
  EXPECT_EQ(sigV4CanonicalRequest(request),
            "GET\n/a%20b/../%2B%C3%A9\ndelimiter=%2F&list-type=2&prefix=%C3%A4%2F%20%2B%26%3D\n"
            "host:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" +
                std::string(kEmptyBodySha256) +
                "\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n" +
                std::string(kEmptyBodySha256));
}

TEST(SharedKey, signsTheDocumentedLayout) {
  const SharedKeyRequest list{
      .verb = "GET",
      .account = "myaccount",
      .path = "/mycontainer",
      .query = {{"restype", "container"}, {"comp", "list"}, {"prefix", "a b/"}, {"Timeout", "20"}},
      .ms_headers = {{"x-ms-version", "2025-11-05"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}},
      .if_match = "",
      .content_length = ""};
  EXPECT_EQ(sharedKeyStringToSign(list),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2025-11-05\n"
            "/myaccount/mycontainer\ncomp:list\nprefix:a b/\nrestype:container\ntimeout:20");
}

TEST(SharedKey, signsARangeWithItsCondition) {
  const SharedKeyRequest get{.verb = "GET",
                             .account = "devstoreaccount1",
                             .path = "/devstoreaccount1/c/a%20b",
                             .query = {},
                             .ms_headers = {{"x-ms-range", "bytes=0-9"}, {"x-ms-date", "d"}, {"x-ms-version", "v"}},
                             .if_match = "\"0x8D\"",
                             .content_length = ""};
  const std::string expected =
      "GET\n\n\n\n\n\n\n\n\"0x8D\"\n\n\n\nx-ms-date:d\nx-ms-range:bytes=0-9\nx-ms-version:v\n"
      "/devstoreaccount1/devstoreaccount1/c/a%20b";
  ASSERT_EQ(sharedKeyStringToSign(get), expected);

  // The signature, computed a second time with another interface of the library
  const std::string key = "a key of any bytes";
  unsigned char digest[32];
  std::size_t size = sizeof digest;
  ASSERT_NE(
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                reinterpret_cast<const unsigned char*>(expected.data()), expected.size(), digest, sizeof digest, &size),
      nullptr);
  unsigned char text[64];
  EVP_EncodeBlock(text, digest, static_cast<int>(size));
  EXPECT_EQ(sharedKeyAuthorization(get, key),
            std::string("SharedKey devstoreaccount1:") + reinterpret_cast<char*>(text));
}

TEST(SharedKey, valuesOfOneNameAreJoined) {
  const SharedKeyRequest request{.verb = "GET",
                                 .account = "a",
                                 .path = "/c",
                                 .query = {{"include", "metadata"}, {"include", "copy"}},
                                 .ms_headers = {},
                                 .if_match = "",
                                 .content_length = ""};
  EXPECT_TRUE(sharedKeyStringToSign(request).ends_with("/a/c\ninclude:copy,metadata"));
}

}  // namespace
}  // namespace forebay::origin
