#include "origin/origin_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace forebay::origin {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(OriginUrl, readsWhatPeopleWrite) {
  struct Row {
    const char* text;
    OriginUrl url;
    const char* again;
  };
  using enum OriginUrl::Scheme;
  const Row rows[] = {
      {"az://acct/data", {Azure, "acct", "data", "", ""}, "az://acct/data/"},
      {"az://acct/data/", {Azure, "acct", "data", "", ""}, "az://acct/data/"},
      {"az://acct/data/a b/50%", {Azure, "acct", "data", "a b/50%/", ""}, "az://acct/data/a b/50%/"},
      {"az://acct/$web/x@y?", {Azure, "acct", "$web", "x@y?/", ""}, "az://acct/$web/x@y?/"},
      {"s3://my.bucket-1", {S3, "", "my.bucket-1", "", ""}, "s3://my.bucket-1/"},
      {"s3://bucket/é/..", {S3, "", "bucket", "é/../", ""}, "s3://bucket/é/../"},
      {"file:///srv/data", {Dir, "", "", "", "/srv/data"}, "file:///srv/data"},
  };
  for (const Row& row : rows) {
    const auto url = parseUrl(row.text);
    ASSERT_TRUE(url) << row.text << ": " << url.error().text();
    EXPECT_EQ(*url, row.url) << row.text;
    EXPECT_EQ(url->text(), row.again);
    EXPECT_EQ(*parseUrl(url->text()), *url) << "what it says can be read again";
  }
}

TEST(OriginUrl, saysWhatIsWrong) {
  for (const auto& [text, hint] : std::vector<std::pair<std::string, std::string>>{
           {"", "az://ACCOUNT/CONTAINER"},
           {"gs://b", "az://ACCOUNT/CONTAINER"},
           {"az://acct", "container"},
           {"az://Acct/data", "lower-case"},
           {"az://acct/x", "3 to 63"},
           {"s3://", "bucket"},
           {"s3://a..b", "bucket"},
           {"file://srv/data", "three slashes"},
           {"/srv/data", "file:///srv/data"},
           {"https://acct.blob.core.windows.net/data", "az://ACCOUNT/CONTAINER"},
           {"s3://bucket/" + std::string(1001, 'x'), "1,024"},
           {std::string("s3://bucket/a\0b", 15), "zero"}}) {
    const auto url = parseUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Code::InvalidArgument);
    EXPECT_THAT(url.error().message, HasSubstr(hint)) << text;
  }
}

TEST(OriginUrl, neverRepeatsASecret) {
  for (const char* text :
       {"az://acct/data?sv=2025&sig=SECRET", "s3://id:SECRET@bucket/x", "s3://id:SECRET@bucket",
        "https://acct.blob.core.windows.net/data?sp=r&sig=SECRET", "s3://b/x?X-Amz-Signature=SECRET"}) {
    const auto url = parseUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().message, Not(HasSubstr("SECRET")));
  }
}

TEST(Endpoint, readsServicesAndEmulators) {
  EXPECT_EQ(*parseEndpoint("http://127.0.0.1:10000/devstoreaccount1/"),
            (Endpoint{false, "127.0.0.1:10000", "/devstoreaccount1"}));
  EXPECT_EQ(*parseEndpoint("https://s3.example.com:443"), (Endpoint{true, "s3.example.com", ""}));
  EXPECT_EQ(*parseEndpoint("minio:9000"), (Endpoint{true, "minio:9000", ""}));
  EXPECT_EQ(*parseEndpoint("http://[::1]:9000"), (Endpoint{false, "[::1]:9000", ""}));
  EXPECT_TRUE(parseEndpoint("http://[::1]:9000")->isAddress());
  EXPECT_TRUE(parseEndpoint("http://10.0.0.1")->isAddress());
  EXPECT_TRUE(parseEndpoint("localhost:1")->isAddress());
  EXPECT_FALSE(parseEndpoint("https://10.example")->isAddress());
  for (const char* bad : {"", "http://", "ftp://x", "http://u:SECRET@h", "http://h?sig=SECRET", "http://h:0",
                          "http://h:x", "http://h:70000", "http://a b", "http://::1", "http://h/%41"}) {
    const auto endpoint = parseEndpoint(bad);
    ASSERT_FALSE(endpoint) << bad;
    EXPECT_THAT(endpoint.error().message, Not(HasSubstr("SECRET")));
  }
}

}  // namespace
}  // namespace forebay::origin
