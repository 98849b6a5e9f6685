#include "origin/identity_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "origin/encoding.h"
#include "origin/identity.h"

namespace forebay::origin {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::int64_t kNow = *parseIsoTime("2026-11-21T10:00:00Z");

TEST(IdentityAnswers, azureTokensHaveNumbersOrTextsThatAreNumbers) {
  const auto number = parseAzureToken(R"({"token_type":"Bearer","access_token":"abc","expires_in":3599})", kNow);
  ASSERT_TRUE(number);
  EXPECT_EQ(number->bearer.reveal(), "abc");
  EXPECT_EQ(number->lifetime, std::chrono::seconds(3599));
  const auto text = parseAzureToken(R"({"access_token":"abc","expires_in":"86399","refresh_in":"43199"})", kNow);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->lifetime, std::chrono::seconds(86399));
  EXPECT_EQ(text->refresh_after, std::chrono::seconds(43199));
  const auto end =
      parseAzureToken(fmt::format(R"({{"access_token":"abc","expires_on":"{}"}})", kNow / 1'000'000'000 + 60), kNow);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->lifetime, std::chrono::seconds(60));
}

TEST(IdentityAnswers, whatCantBeRightIsCorruptAndNeverShown) {
  for (const char* answer :
       {"", "[]", "{}", R"({"access_token":"SECRET"})", R"({"access_token":"SECRET two","expires_in":1})",
        R"({"access_token":"SECRET\r\nX: y","expires_in":1})", R"({"access_token":"SECRET","expires_in":-1})",
        R"({"access_token":"SECRET","expires_in":1e9})", R"({"access_token":7,"expires_in":1})",
        R"({"access_token":"SECRET","expires_in":10,"token_type":"pop"})", R"({"access_token":"SECRET)"}) {
    const auto read = parseAzureToken(answer, kNow);
    ASSERT_FALSE(read) << answer;
    EXPECT_EQ(read.error().code, Code::Corrupt);
    EXPECT_THAT(read.error().message, Not(HasSubstr("SECRET")));
  }
}

TEST(IdentityAnswers, readsKeysOfMetadataServicesAndSts) {
  const auto metadata = parseMetadataKeys(
      R"({"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-21T11:00:00Z"})",
      kNow);
  ASSERT_TRUE(metadata);
  EXPECT_EQ(metadata->lifetime, std::chrono::hours(1));
  EXPECT_EQ(metadata->session_token.reveal(), "t");
  const auto sts = parseStsKeys(
      "<AssumeRoleResponse "
      "xmlns=\"x\"><AssumeRoleResult><Credentials><AccessKeyId>ASIA2</AccessKeyId><SecretAccessKey>s"
      "</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-11-21T09:00:00Z</Expiration></Credentials>"
      "</AssumeRoleResult></AssumeRoleResponse>",
      kNow);
  ASSERT_TRUE(sts);
  EXPECT_EQ(sts->access_key_id, "ASIA2");
  EXPECT_EQ(sts->lifetime, Duration{}) << "it has ended";
  EXPECT_FALSE(parseMetadataKeys(R"({"Code":"AssumeRoleUnauthorizedAccess"})", kNow));
  EXPECT_FALSE(parseStsKeys("<Credentials><AccessKeyId>a</AccessKeyId></Credentials>", kNow));
}

TEST(IdentityAnswers, saysOfErrorsTheirCodesAndNotWhatTheyQuote) {
  EXPECT_EQ(azureErrorWord(R"({"error":"invalid_client","error_description":"AADSTS70021: no record for 'SECRET'"})"),
            "invalid_client, AADSTS70021");
  EXPECT_EQ(azureErrorWord(R"({"error":"has spaces","error_description":"SECRET"})"), "");
  EXPECT_EQ(stsErrorWord("<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>SECRET</Message></Error>"
                         "</ErrorResponse>"),
            "ExpiredTokenException");
  EXPECT_EQ(stsErrorWord("nothing"), "");
}

TEST(Identity, comesBackFromItsFields) {
  Identity identity;
  identity.kind = Identity::Kind::WebIdentity;
  identity.optional = true;
  identity.token = Secret("secret");
  identity.token_file = "/a/b";
  identity.role = {"arn:x", "me", "ext", 900};
  identity.roles = {{"arn:y", "me", "", 0}, {"arn:z", "me", "e2", 3600}};
  identity.sts_endpoint = "https://sts";
  identity.source = "somewhere";
  Identity back;
  for (const auto& [name, value] : fieldsOf(identity)) ASSERT_TRUE(setField(back, name, value)) << name;
  EXPECT_EQ(back, identity);
  EXPECT_THAT(identity.description(), Not(HasSubstr("secret")));
  for (const char* name : {"", "roles.", "roles.9.arn", "roles.0", "role.x", "other"})
    EXPECT_FALSE(setField(back, name, "1"));
}

}  // namespace
}  // namespace forebay::origin
