#include "origin/identity_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

using testing::HasSubstr;
using Texts = std::map<std::string, std::string>;
using Kind = Identity::Kind;

Environment of(Texts variables, std::string config = "") {
  variables.emplace("AWS_CONFIG_FILE", "config");
  return {.variable = [v = std::move(variables)](const char* name) { return v.contains(name) ? v.at(name) : ""; },
          .file = [config](const std::string& path) -> std::optional<std::string> {
            if (path != "config" || config.empty()) return std::nullopt;
            return config;
          }};
}
const OriginUrl kAzure = *parseUrl("az://acct/data");
const OriginUrl kS3 = *parseUrl("s3://bucket");
const Texts kWorkload{{"AZURE_CLIENT_ID", "c"}, {"AZURE_TENANT_ID", "t"}, {"AZURE_FEDERATED_TOKEN_FILE", "/f"}};
const Texts kWeb{{"AWS_WEB_IDENTITY_TOKEN_FILE", "/f"}, {"AWS_ROLE_ARN", "arn:r"}};

OriginConfig filled(const OriginUrl& url, const Environment& environment, OriginConfig config = {}) {
  const Status status = fillFromEnvironment(url, config, environment);
  EXPECT_TRUE(status) << status.error().text();
  return config;
}
Texts with(Texts texts, const Texts& more) {
  texts.insert(more.begin(), more.end());
  return texts;
}

TEST(IdentityEnvironment, azureTakesAKeyThenAWorkloadsThenAServicesThenTheMachinesIdentity) {
  EXPECT_FALSE(filled(kAzure, of(with(kWorkload, {{"AZURE_STORAGE_KEY", "a2V5"}}))).identity.any());
  const Texts service{{"IDENTITY_ENDPOINT", "http://127.0.0.1:1/t"}, {"IDENTITY_HEADER", "h"}};
  const OriginConfig workload = filled(kAzure, of(with(kWorkload, service)));
  EXPECT_EQ(workload.identity.kind, Kind::Workload);
  EXPECT_FALSE(workload.identity.optional);
  EXPECT_EQ(filled(kAzure, of(service)).identity.kind, Kind::AppService);
  const OriginConfig guessed = filled(kAzure, of({}));
  EXPECT_EQ(guessed.identity.kind, Kind::Managed);
  EXPECT_TRUE(guessed.identity.optional) << "public containers are read without any";
}

TEST(IdentityEnvironment, aChoiceTakesThatAlone) {
  OriginConfig managed;
  managed.credential = CredentialChoice::Managed;
  managed = filled(kAzure, of(with(kWorkload, {{"AZURE_STORAGE_KEY", "a2V5"}})), managed);
  EXPECT_EQ(managed.identity.kind, Kind::Managed);
  EXPECT_FALSE(managed.identity.optional);
  EXPECT_FALSE(managed.azure.any());
  OriginConfig given;
  given.credential = CredentialChoice::Static;
  EXPECT_FALSE(filled(kAzure, of(kWorkload), given).identity.any());
  OriginConfig wrong;
  wrong.credential = CredentialChoice::Instance;
  EXPECT_FALSE(fillFromEnvironment(kAzure, wrong, of({})));
}

TEST(IdentityEnvironment, nothingIsGuessedForAnonymousMountsAndEndpointsByHttp) {
  OriginConfig anonymous;
  anonymous.anonymous = true;
  EXPECT_FALSE(filled(kAzure, of(kWorkload), anonymous).identity.any());
  OriginConfig emulator;
  emulator.endpoint = "http://127.0.0.1:10000";
  EXPECT_FALSE(filled(kAzure, of({}), emulator).identity.any());
  EXPECT_FALSE(filled(kS3, of({}), emulator).identity.any());
  EXPECT_FALSE(filled(kS3, of({{"AWS_EC2_METADATA_DISABLED", "true"}})).identity.any());
}

TEST(IdentityEnvironment, s3TakesKeysThenAWebIdentityThenAProfileThenTheContainersThenTheInstancesRole) {
  const std::string profile = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n";
  const Texts container{{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}};
  EXPECT_FALSE(
      filled(kS3, of(with(kWeb, {{"AWS_ACCESS_KEY_ID", "k"}, {"AWS_SECRET_ACCESS_KEY", "s"}}))).identity.any());
  const OriginConfig web = filled(kS3, of(with(kWeb, container), profile));
  EXPECT_EQ(web.identity.kind, Kind::WebIdentity);
  EXPECT_EQ(web.identity.sts_endpoint, "https://sts.us-east-1.amazonaws.com");
  EXPECT_EQ(filled(kS3, of(container, profile)).s3.access_key_id, "a");
  EXPECT_EQ(filled(kS3, of(container)).identity.endpoint, "http://169.254.170.2/v2/x");
  EXPECT_EQ(filled(kS3, of({})).identity.kind, Kind::Instance);
  EXPECT_TRUE(filled(kS3, of({})).identity.optional);
}

TEST(IdentityEnvironment, rolesOfProfilesAreAssumedFromTheirSourceOn) {
  const std::string config =
      "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n[profile one]\nrole_arn = arn:1\n"
      "source_profile = base\n[profile two]\nrole_arn = arn:2\nsource_profile = one\nexternal_id = e\n"
      "duration_seconds = 900\n[profile web]\nrole_arn = arn:w\nweb_identity_token_file = /t\n"
      "[profile box]\nrole_arn = arn:b\ncredential_source = Ec2InstanceMetadata\n";
  const OriginConfig two = filled(kS3, of({{"AWS_PROFILE", "two"}, {"AWS_REGION", "eu-west-1"}}, config));
  EXPECT_EQ(two.identity.kind, Kind::Keys);
  EXPECT_EQ(two.s3.access_key_id, "a");
  ASSERT_EQ(two.identity.roles.size(), 2U);
  EXPECT_EQ(two.identity.roles[0].arn, "arn:1");
  EXPECT_EQ(two.identity.roles[1], (AssumedRole{"arn:2", "forebay", "e", 900}));
  EXPECT_EQ(two.identity.sts_endpoint, "https://sts.eu-west-1.amazonaws.com");
  EXPECT_EQ(filled(kS3, of({{"AWS_PROFILE", "web"}}, config)).identity.kind, Kind::WebIdentity);
  EXPECT_EQ(filled(kS3, of({{"AWS_PROFILE", "box"}}, config)).identity.kind, Kind::Instance);
}

TEST(IdentityEnvironment, profilesThatLeadNowhereAreErrorsThatSaySo) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nrole_arn = r\nsource_profile = p\n", "circle"},
      {"[profile p]\nrole_arn = r\nsource_profile = gone\n", "neither in"},
      {"[profile p]\nrole_arn = r\n", "source_profile or credential_source"},
      {"[profile p]\nrole_arn = r\ncredential_source = Moon\n", "Moon"},
      {"[profile p]\nrole_arn = r\nsource_profile = p\nmfa_serial = m\n", "MFA"},
      {"[profile p]\nrole_arn = r\nsource_profile = q\n[profile q]\nsso_session = s\n", "sso_session"},
  };
  for (const auto& [text, said] : cases) {
    OriginConfig config;
    const Status status = fillFromEnvironment(kS3, config, of({{"AWS_PROFILE", "p"}}, text));
    ASSERT_FALSE(status) << text;
    EXPECT_THAT(status.error().message, HasSubstr(said));
  }
}

}  // namespace
}  // namespace forebay::origin
