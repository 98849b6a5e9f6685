#include "origin/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

using testing::HasSubstr;
using testing::Not;
using Texts = std::map<std::string, std::string>;

Environment of(Texts variables, Texts files = {}) {
  return {.variable = [v = std::move(variables)](const char* name) { return v.contains(name) ? v.at(name) : ""; },
          .file = [f = std::move(files)](const std::string& path) -> std::optional<std::string> {
            if (!f.contains(path)) return std::nullopt;
            return f.at(path);
          }};
}
const OriginUrl kAzure = *parseUrl("az://acct/data");
const OriginUrl kS3 = *parseUrl("s3://bucket");

TEST(Environment, findsAnAzureKeyForItsOwnAccountOnly) {
  OriginConfig config;
  ASSERT_TRUE(
      fillFromEnvironment(kAzure, config, of({{"AZURE_STORAGE_KEY", "a2V5"}, {"AZURE_STORAGE_ACCOUNT", "acct"}})));
  EXPECT_EQ(config.azure.account_key.reveal(), "a2V5");
  EXPECT_EQ(config.azure.source, "AZURE_STORAGE_KEY");

  OriginConfig other;
  ASSERT_TRUE(
      fillFromEnvironment(kAzure, other, of({{"AZURE_STORAGE_KEY", "a2V5"}, {"AZURE_STORAGE_ACCOUNT", "else"}})));
  EXPECT_FALSE(other.azure.any());
  EXPECT_THAT(other.credentials_note, HasSubstr("for account 'else'"));
  EXPECT_THAT(other.credentials_note, Not(HasSubstr("a2V5")));
}

TEST(Environment, readsAConnectionString) {
  OriginConfig config;
  ASSERT_TRUE(fillFromEnvironment(kAzure, config,
                                  of({{"AZURE_STORAGE_CONNECTION_STRING",
                                       "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5==;BlobEndpoint="
                                       "http://127.0.0.1:1/acct;"}})));
  EXPECT_EQ(config.azure.account_key.reveal(), "a2V5==");
  EXPECT_EQ(config.endpoint, "http://127.0.0.1:1/acct");

  OriginConfig suffix;
  ASSERT_TRUE(
      fillFromEnvironment(kAzure, suffix,
                          of({{"AZURE_STORAGE_CONNECTION_STRING",
                               "AccountName=acct;SharedAccessSignature=sv=1&sig=x%3D;EndpointSuffix=core.example"}})));
  EXPECT_EQ(suffix.azure.sas_token.reveal(), "sv=1&sig=x%3D");
  EXPECT_EQ(suffix.endpoint, "https://acct.blob.core.example");

  OriginConfig broken;
  const Status refused = fillFromEnvironment(kAzure, broken, of({{"AZURE_STORAGE_CONNECTION_STRING", "SECRET"}}));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("SECRET")));
}

TEST(Environment, theConfigurationWins) {
  OriginConfig config;
  config.azure.sas_token = Secret("sig=mine");
  config.endpoint = "http://mine";
  ASSERT_TRUE(fillFromEnvironment(
      kAzure, config, of({{"AZURE_STORAGE_KEY", "a2V5"}, {"AZURE_STORAGE_BLOB_ENDPOINT", "http://theirs"}})));
  EXPECT_TRUE(config.azure.account_key.empty());
  EXPECT_EQ(config.endpoint, "http://mine");
  OriginConfig anonymous;
  anonymous.anonymous = true;
  ASSERT_TRUE(fillFromEnvironment(kAzure, anonymous, of({{"AZURE_STORAGE_KEY", "a2V5"}})));
  EXPECT_FALSE(anonymous.azure.any());
}

TEST(Environment, findsS3KeysInVariablesThenInFiles) {
  const Texts files{{"/h/.aws/credentials",
                     "# mine\n[default]\naws_access_key_id = AK1\naws_secret_access_key=S1==\n"
                     "[work]\naws_access_key_id=AK2\naws_secret_access_key=S2\naws_session_token=T2\n"},
                    {"/h/.aws/config",
                     "[default]\nregion = eu-west-1\n[profile work]\nregion=eu-north-1\ns3 =\n"
                     "  addressing_style = path\nendpoint_url = http://minio:9000\n"}};
  OriginConfig variables;
  ASSERT_TRUE(fillFromEnvironment(
      kS3, variables,
      of({{"AWS_ACCESS_KEY_ID", "AK0"}, {"AWS_SECRET_ACCESS_KEY", "S0"}, {"HOME", "/h"}, {"AWS_REGION", "us-west-2"}},
         files)));
  EXPECT_EQ(variables.s3.access_key_id, "AK0");
  EXPECT_EQ(variables.region, "us-west-2");

  OriginConfig standard;
  ASSERT_TRUE(fillFromEnvironment(kS3, standard, of({{"HOME", "/h"}}, files)));
  EXPECT_EQ(standard.s3.access_key_id, "AK1");
  EXPECT_EQ(standard.s3.secret_access_key.reveal(), "S1==");
  EXPECT_EQ(standard.region, "eu-west-1");

  OriginConfig work;
  ASSERT_TRUE(fillFromEnvironment(kS3, work, of({{"HOME", "/h"}, {"AWS_PROFILE", "work"}}, files)));
  EXPECT_EQ(work.s3.session_token.reveal(), "T2");
  EXPECT_EQ(work.region, "eu-north-1");
  EXPECT_EQ(work.endpoint, "http://minio:9000");
  EXPECT_THAT(work.s3.source, HasSubstr("work"));
}

TEST(Environment, saysWhatAProfileLacks) {
  OriginConfig config;
  EXPECT_EQ(fillFromEnvironment(kS3, config, of({{"AWS_PROFILE", "gone"}, {"HOME", "/h"}})).error().code,
            Code::NotFound);
  OriginConfig sso;
  const Status status =
      fillFromEnvironment(kS3, sso, of({{"HOME", "/h"}}, {{"/h/.aws/config", "[default]\nsso_session = x\n"}}));
  EXPECT_EQ(status.error().code, Code::Unsupported);
  EXPECT_THAT(status.error().message, HasSubstr("export-credentials"));
  OriginConfig nothing;
  EXPECT_TRUE(fillFromEnvironment(kS3, nothing, of({})));
  EXPECT_FALSE(nothing.s3.any());
}

TEST(Profiles, nameTheLineAndNeverItsText) {
  for (const auto& [text, line] :
       std::vector<std::pair<std::string, std::string>>{{"aws_secret_access_key = SECRET", "line 1"},
                                                        {"[a]\nSECRET\n", "line 2"},
                                                        {"[a]\n\n[b SECRET\n", "line 3"}}) {
    const auto profiles = parseProfiles(text);
    ASSERT_FALSE(profiles);
    EXPECT_THAT(profiles.error().message, HasSubstr(line));
    EXPECT_THAT(profiles.error().message, Not(HasSubstr("SECRET")));
  }
}

}  // namespace
}  // namespace forebay::origin
