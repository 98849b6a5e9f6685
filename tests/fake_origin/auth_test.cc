#include "fake_origin/auth.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace forebay::fake {
namespace {

constexpr std::int64_t kNow = 1'795'255'500;  // Sat, 21 Nov 2026 10:05:00 GMT
const AzureAccount kAccount{.name = "acct", .key = "a key of some bytes"};
const AzureTarget kBlob{.container = "c", .blob = "a b", .access = Access::Read};

Head parsed(std::string_view text) {
  std::size_t consumed = 0;
  auto head = parseHead(text, consumed);
  EXPECT_TRUE(head.has_value() && head->has_value());
  return **head;
}

Head azureGet() {
  return parsed(
      "GET /acct/c/a%20b?timeout=9&B=2&b=1 HTTP/1.1\r\nHost: x\r\nx-ms-version: 2025-11-05\r\n"
      "x-ms-range: bytes=0-9\r\nx-ms-date: Sat, 21 Nov 2026 10:05:00 GMT\r\nIf-Match: \"e\"\r\n\r\n");
}

std::string macOf(std::string_view key, std::string_view text) {
  return base64(textOf(hmacSha256(bytesOf(key), bytesOf(text))));
}
std::string codeOf(const std::optional<Refusal>& refusal) {
  return refusal ? refusal->code : "none";
}

void authorize(Head& head) {
  head.headers.emplace_back("authorization",
                            "SharedKey acct:" + macOf(kAccount.key, sharedKeyString(head, kAccount.name)));
}

TEST(SharedKey, signsTheRequestAsReceived) {
  EXPECT_EQ(sharedKeyString(azureGet(), "acct"),
            "GET\n\n\n\n\n\n\n\n\"e\"\n\n\n\n"
            "x-ms-date:Sat, 21 Nov 2026 10:05:00 GMT\nx-ms-range:bytes=0-9\nx-ms-version:2025-11-05\n"
            "/acct/acct/c/a%20b\nb:1,2\ntimeout:9");
}

TEST(SharedKey, anHonestRequestPasses) {
  Head head = azureGet();
  authorize(head);
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow, false)), "none");
}

TEST(SharedKey, whateverIsChangedAfterSigningIsRefused) {
  for (const char* name : {"x-ms-range", "if-match", "x-ms-date"}) {
    Head head = azureGet();
    authorize(head);
    for (auto& [key, value] : head.headers)
      if (key == name) value = value.starts_with("Sat") ? "Sat, 21 Nov 2026 10:05:01 GMT" : "other";
    EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow, false)), "AuthenticationFailed") << name;
  }
  Head head = azureGet();
  authorize(head);
  head.query.emplace_back("snapshot", "x");
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow, false)), "AuthenticationFailed");
}

TEST(SharedKey, datesFurtherThanFifteenMinutesAreRefused) {
  Head head = azureGet();
  authorize(head);
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow + kMaxSkewSeconds, false)), "none");
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow + kMaxSkewSeconds + 1, false)), "AuthenticationFailed");
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow - kMaxSkewSeconds - 1, false)), "AuthenticationFailed");
}

TEST(Azure, withoutCredentialsOnlyReadsAndOnlyWhereAllowed) {
  const Head head = azureGet();
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow, false)), "NoAuthenticationInformation");
  EXPECT_EQ(codeOf(checkAzure(head, kBlob, kAccount, kNow, true)), "none");
  AzureTarget write = kBlob;
  write.access = Access::Write;
  EXPECT_EQ(codeOf(checkAzure(head, write, kAccount, kNow, true)), "NoAuthenticationInformation");
}

Head sasGet(std::string_view permissions, std::string_view expiry, std::string_view resource) {
  Head head;
  head.method = "GET";
  head.path = "/acct/c/a%20b";
  head.query = {{"sv", "2021-12-02"},
                {"sr", std::string(resource)},
                {"sp", std::string(permissions)},
                {"se", std::string(expiry)}};
  head.query.emplace_back("sig", macOf(kAccount.key, serviceSasString(head, kBlob, kAccount.name)));
  return head;
}

TEST(Sas, signsSixteenLines) {
  EXPECT_EQ(serviceSasString(sasGet("r", "2026-11-21T11:00:00Z", "b"), kBlob, "acct"),
            "r\n\n2026-11-21T11:00:00Z\n/blob/acct/c/a b\n\n\n\n2021-12-02\nb\n\n\n\n\n\n\n");
}

TEST(Sas, isHeldToItsTimeRightsAndPlace) {
  constexpr const char* kLater = "2026-11-21T11:00:00Z";
  const auto check = [](const Head& head, const AzureTarget& target) {
    return codeOf(checkAzure(head, target, kAccount, kNow, false));
  };
  EXPECT_EQ(check(sasGet("r", kLater, "b"), kBlob), "none");
  EXPECT_EQ(check(sasGet("rl", kLater, "c"), kBlob), "none");
  EXPECT_EQ(check(sasGet("r", "2026-11-21T10:05:00Z", "b"), kBlob), "AuthenticationFailed");
  EXPECT_EQ(check(sasGet("l", kLater, "b"), kBlob), "AuthorizationPermissionMismatch");
  AzureTarget list{.container = "c", .blob = "", .access = Access::List};
  EXPECT_EQ(check(sasGet("rl", kLater, "c"), list), "none");
  EXPECT_EQ(check(sasGet("r", kLater, "c"), list), "AuthorizationPermissionMismatch");
  AzureTarget other = kBlob;
  other.container = "d";
  EXPECT_EQ(check(sasGet("r", kLater, "b"), other), "AuthenticationFailed");
}

// The example "GET Object" of the S3 API reference, "Signature Calculations for the Authorization Header".
const S3Credentials kExample{.access_key = "AKIAIOSFODNN7EXAMPLE",
                             .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                             .session_token = "",
                             .region = "us-east-1"};
constexpr std::int64_t kExampleTime = 1'369'353'600;  // 20130524T000000Z
Head exampleGet() {
  return parsed(
      "GET /test.txt HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nRange: bytes=0-9\r\n"
      "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n"
      "x-amz-date: 20130524T000000Z\r\n"
      "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n\r\n");
}
std::string checkExample(const Head& head, std::int64_t now = kExampleTime,
                         const S3Credentials& credentials = kExample) {
  return codeOf(checkS3(head, Access::Read, credentials, now, false));
}
void replaceHeader(Head& head, std::string_view name, std::string_view value) {
  for (auto& [key, old] : head.headers)
    if (key == name) old = value;
}

TEST(SigV4, thePublishedExamplePasses) {
  EXPECT_EQ(checkExample(exampleGet()), "none");
}

TEST(SigV4, eachThingThatCanBeWrongHasItsOwnCode) {
  Head head = exampleGet();
  replaceHeader(head, "range", "bytes=0-8");
  EXPECT_EQ(checkExample(head), "SignatureDoesNotMatch");
  EXPECT_EQ(checkExample(exampleGet(), kExampleTime + kMaxSkewSeconds + 1), "RequestTimeTooSkewed");
  S3Credentials other = kExample;
  other.access_key = "AKIAOTHER";
  EXPECT_EQ(checkExample(exampleGet(), kExampleTime, other), "InvalidAccessKeyId");
  other = kExample;
  other.region = "eu-west-1";
  EXPECT_EQ(checkExample(exampleGet(), kExampleTime, other), "AuthorizationHeaderMalformed");
  other = kExample;
  other.session_token = "token";
  EXPECT_EQ(checkExample(exampleGet(), kExampleTime, other), "InvalidToken");
  other = kExample;
  other.secret_key = "another";
  EXPECT_EQ(checkExample(exampleGet(), kExampleTime, other), "SignatureDoesNotMatch");
  head = exampleGet();
  head.headers.emplace_back("x-amz-acl", "private");
  EXPECT_EQ(checkExample(head), "AccessDenied") << "an x-amz header that isn't signed";
  head = exampleGet();
  replaceHeader(head, "authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0");
  EXPECT_EQ(checkExample(head), "AuthorizationHeaderMalformed");
  head = exampleGet();
  std::erase_if(head.headers, [](const auto& item) { return item.first == "authorization"; });
  EXPECT_EQ(checkExample(head), "AccessDenied");
  EXPECT_EQ(codeOf(checkS3(head, Access::Read, kExample, kExampleTime, true)), "none");
  EXPECT_EQ(codeOf(checkS3(head, Access::Write, kExample, kExampleTime, true)), "AccessDenied");
}

TEST(SigV4, encodesPathAndQueryAnew) {
  const Head head = parsed("GET /b/a(1)%2Fx%20y?z=&a=%2F&A=b+c HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string canonical = s3CanonicalRequest(head, "host");
  EXPECT_EQ(canonical, "GET\n/b/a%281%29/x%20y\nA=b%2Bc&a=%2F&z=\nhost:h\n\nhost\n");
}

}  // namespace
}  // namespace forebay::fake
